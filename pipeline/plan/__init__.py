"""The plan: which frames go into which shard, and in which order. No module here knows where frames come from."""

from pipeline.plan.plan import Plan, ShardPlan, make_plan

__all__ = ["Plan", "ShardPlan", "make_plan"]
