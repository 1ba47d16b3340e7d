"""Cells: frames that stand in the same splits of every protocol, named after them."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.sources.city1m.labels import LabelFile, split_bits


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells that occur."""

    names: dict[int, str]
    """The label files that a frame stands in, a bit a file, to its cell."""
    protocols: dict[str, dict[str, list[str]]]
    """Protocol to split to the sorted names of its cells; every split that has a label file is there."""
    cell_splits: dict[str, dict[str, list[str]]]
    """Cell to protocol to its sorted splits."""


def name_cells(files: list[LabelFile], occurring: Iterable[int]) -> Cells:
    """Name the cells of frames that stand in the label files in ``occurring``, a bit a file.

    ``p1-train_p2-none`` is in the train split of protocol p1 and in none of p2; ``p1-gallery-query`` is in two.
    """
    splits = {bits: split_bits(files, bits) for bits in occurring}
    names = {
        bits: "_".join("-".join([protocol, *(found or ["none"])]) for protocol, found in by_protocol.items())
        for bits, by_protocol in splits.items()
    }
    cell_splits = {name: splits[bits] for name, bits in sorted((name, bits) for bits, name in names.items())}
    protocols: dict[str, dict[str, list[str]]] = {file.protocol: {} for file in files}
    for file in files:
        protocols[file.protocol][file.split] = [
            name for name, by_protocol in cell_splits.items() if file.split in by_protocol[file.protocol]
        ]
    return Cells(names, protocols, cell_splits)
