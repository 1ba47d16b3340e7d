"""The images of a source, in folders, zips and tars, and which of them the labels name."""
