"""A small, drawn look-alike of City1M: street scenes in zips, label files and, on request, the traps of real ones."""

from pipeline.demo.make import DemoError, DemoSummary, make_demo

__all__ = ["DemoError", "DemoSummary", "make_demo"]
