"""Labels and files, laid out as the catalog of a conversion: a row for each frame and cell, or for each crop."""
