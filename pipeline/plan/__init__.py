"""The plan: which units go into which shard, and in which order. No module here knows a dataset."""

from pipeline.plan.plan import Plan, ShardPlan, make_plan

__all__ = ["Plan", "ShardPlan", "make_plan"]
