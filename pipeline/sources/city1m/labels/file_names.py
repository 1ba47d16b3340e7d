"""How label files are named."""

import re

from shards_spec.variants.city1m.names import LABEL_FILE_PATTERN

LABEL_FILE = re.compile(LABEL_FILE_PATTERN)
NEARLY_LABEL_FILE = re.compile(r"(?i)(train|query|gallery)[ _-]?part[ _-]?[0-9].*")
"""Names that somebody may have given a label file."""

NO_LABEL_FILE = "no label file such as train_part1.txt lies at its top"
