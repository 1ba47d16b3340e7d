"""Demos of labelled tables and folders: frames with boxes, and crops."""
