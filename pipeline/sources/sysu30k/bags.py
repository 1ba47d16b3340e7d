"""The bags of SYSU-30k: groups of training folders with the labels that may occur in them.

The file is ``bag_level_label.json``, or the same with the suffix ``.txt``: a list of objects with ``BagLabel``, a list
of numbers, ``BagID``, and ``BagImages``, a list of patterns such as ``0000000002/*``
(https://github.com/wanggrun/SYSU-30k). Bags overlap.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec

from pipeline.samples import Notes
from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import decode_json
from shards_spec.rejects import Note
from shards_spec.variants.sysu30k.bags import Bag

LARGEST_FILE = 1 << 30
"""Bytes of the largest file of bags that is read. With a bag of three folders for each of the 28,310 folders of the
dataset, it would have 4 MB."""


class _RawBag(msgspec.Struct, frozen=True):
    labels: list[int] = msgspec.field(name="BagLabel")
    bag_id: str = msgspec.field(name="BagID")
    images: list[str] = msgspec.field(name="BagImages")


_decoder = msgspec.json.Decoder(list[_RawBag])


@dataclass(frozen=True, slots=True)
class Bags:
    """All bags."""

    bags: list[Bag]
    """Sorted by id."""
    notes: Notes
    """What is odd about them: ids and labels that are repeated, and folders that do not exist, counted in each bag."""


def parse_bags(data: bytes, folders: Collection[str], where: str) -> Bags:
    """Parse a file of bags.

    Args:
        data: The bytes of the file; a byte order mark is skipped.
        folders: The training folders that exist.
        where: What messages call the file.

    Raises:
        UsageError: The file is not what this module describes.
    """
    try:
        raw = decode_json(_decoder, data.removeprefix(b"\xef\xbb\xbf"))
    except SpecError as error:
        raise UsageError(f"{where} is no list of bags: {error}: get the file again, or move it away") from error
    notes = Notes()
    bags: dict[str, Bag] = {}
    for bag in raw:
        if bag.bag_id in bags:
            notes.add(Note.BAG_REPEATED, bag.bag_id)
            continue
        named = _named_folders(bag.images)
        labels = sorted(set(bag.labels))
        notes.add(Note.BAG_LABEL_REPEATED, bag.bag_id, len(bag.labels) - len(labels))
        missing = [f"{bag.bag_id}: {folder}" for folder in named if folder not in folders]
        notes.add_all(Note.BAG_FOLDER_MISSING, len(missing), missing)
        bags[bag.bag_id] = Bag(bag.bag_id, labels, [folder for folder in named if folder in folders])
    return Bags([bags[bag_id] for bag_id in sorted(bags)], notes)


def _named_folders(patterns: Iterable[str]) -> list[str]:
    """Return the sorted folders that patterns such as ``0000000002/*`` name."""
    return sorted({pattern.removeprefix("./").partition("/")[0] for pattern in patterns})
