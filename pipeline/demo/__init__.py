"""Small, drawn look-alikes of the datasets, over one renderer of persons and streets."""

from pipeline.demo.demos import DEMOS, make_demo
from pipeline.demo.folder import DemoError, DemoSummary

__all__ = ["DEMOS", "DemoError", "DemoSummary", "make_demo"]
