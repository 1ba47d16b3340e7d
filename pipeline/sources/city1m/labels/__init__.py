"""City1M's label files, which its forms have in common: from their lines to frames, members and splits."""
