"""COCO detection JSON: from its files to labels."""
