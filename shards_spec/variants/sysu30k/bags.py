"""The bags of a set: which labels may occur among the images of which folders."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from shards_spec.errors import SpecError
from shards_spec.jsons import decode_json

if TYPE_CHECKING:
    import pyarrow as pa

BAGS_FILE = "bags.json"


class Bag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bag. Its labels are weak: each may occur somewhere in its folders."""

    bag_id: str
    """The bag's id in the dataset."""
    labels: list[int]
    """The sorted labels, each once."""
    folders: list[str]
    """The sorted training folders that the bag names, each once."""


_decoder = msgspec.json.Decoder(list[Bag])


def encode_bags(bags: list[Bag]) -> bytes:
    """Return the bytes of ``bags.json``: a JSON list without white space, sorted by id, and a line feed."""
    return msgspec.json.encode(sorted(bags, key=lambda bag: bag.bag_id)) + b"\n"


def decode_bags(data: bytes) -> list[Bag]:
    """Return the bags in ``bags.json``; raise ``SpecError`` if it is not in the form that ``encode_bags`` gives."""
    bags = decode_json(_decoder, data)
    ids = [bag.bag_id for bag in bags]
    if ids != sorted(set(ids)):
        raise SpecError("its bags are not sorted by id, or an id is there twice")
    for bag in bags:
        if bag.labels != sorted(set(bag.labels)) or bag.folders != sorted(set(bag.folders)):
            raise SpecError(f"bag {bag.bag_id}: its labels or folders are not sorted, or one is there twice")
    if encode_bags(bags) != data:
        raise SpecError("it is not in the spec's form (white space, or order of fields)")
    return bags


def ids_of_folders(bags: list[Bag]) -> dict[str, list[str]]:
    """Return the sorted ids of the bags that name each folder."""
    ids: dict[str, list[str]] = {}
    for bag in sorted(bags, key=lambda bag: bag.bag_id):
        for folder in bag.folders:
            ids.setdefault(folder, []).append(bag.bag_id)
    return ids


def read_bags_of(files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return the sorted ids of the bags that name each folder, given the set's files."""
    return ids_of_folders(decode_bags(files[BAGS_FILE]))


def check_bags(rows: "pa.Table", ids: Mapping[str, list[str]]) -> None:
    """Raise ``SpecError`` if a training image has not the bags that name its folder, or another image has any.

    Args:
        rows: Rows of an index.
        ids: The ids of the bags that name each folder.
    """
    # Imported only here, because readers of samples know the variant as well, and need not load PyArrow.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    is_training = pc.equal(rows["label_level"], "folder")
    folders: Any = pc.if_else(is_training, rows["folder"], pa.scalar(None, pa.string())).combine_chunks()
    encoded = folders.dictionary_encode()
    wanted = pa.array(["\n".join(ids.get(folder, [])) for folder in encoded.dictionary.to_pylist()], pa.string())
    expected = pc.fill_null(wanted.take(encoded.indices), "")
    found = pc.binary_join(rows["bags"].combine_chunks().cast(pa.list_(pa.string())), "\n")
    wrong = pc.index(pc.not_equal(found, expected), True).as_py()
    if wrong >= 0:
        raise SpecError(
            f"{rows['key'][wrong].as_py()}: bags are {rows['bags'][wrong].as_py()}, but {BAGS_FILE} has "
            f"{[one for one in expected[wrong].as_py().split(chr(10)) if one]} for its folder"
        )
