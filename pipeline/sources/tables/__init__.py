"""Labelled tables and folders: COCO JSON, tables of boxes or crops, and re-ID folders."""
