"""The one table that all label files become, and what it says of each row: person, camera and split."""
