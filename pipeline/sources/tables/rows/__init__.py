"""Tables with a row for each box or crop (CSV, JSON Lines, Parquet): from their files to labels."""
