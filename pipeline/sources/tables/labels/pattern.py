"""What the paths of images say, if a pattern reads persons, cameras, splits or groups from them."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.tables.labels.table import CODED, LONGEST_TEXT, Labels, plain
from shards_spec.errors import UsageError


def fill_from_paths(labels: Labels, paths: Sequence[str], pattern: re.Pattern[str], where: str) -> None:
    """Fill in what the labels do not say from the paths of the images.

    Args:
        labels: The rows, whose columns are replaced.
        paths: The path of the image for each different path of the labels (the dictionary of their column).
        pattern: A pattern that is searched in each path. Its groups are named after columns.
        where: The source's URL, for messages.

    Raises:
        UsageError: The pattern is found in none of the paths, or reads too long a text from one.
    """
    matches = [pattern.search(path) for path in paths]
    if paths and not any(matches):
        raise UsageError(f"{where}: --pattern {pattern.pattern}: is found in none of the paths, such as {paths[0]}")
    codes = plain(labels.table["path"]).indices
    for name in pattern.groupindex:
        texts = [None if match is None else match[name] or None for match in matches]
        for text, path in zip(texts, paths, strict=True):
            if text is not None and len(text) > LONGEST_TEXT:
                raise UsageError(
                    f"{where}: --pattern {pattern.pattern}: the {name} that it reads from {path} has more than "
                    f"{LONGEST_TEXT} characters: let the group match less"
                )
        values = pa.array(texts, pa.large_string())
        if name in {"person_id", "camera"}:
            values = pc.replace_substring_regex(values, r"^(-?)0+([0-9]+)$", r"\1\2")  # 0002 is person 2
        read = values.take(codes)
        own = plain(labels.table[name]).cast(pa.large_string())
        place = labels.table.schema.get_field_index(name)
        filled = pc.coalesce(own, read).dictionary_encode().cast(CODED)
        labels.table = labels.table.set_column(place, labels.table.schema.field(place), filled)
