"""Folders of crops whose names or lists say who is seen: from these to labels."""
