"""Cells: the frames that belong to the same splits in every protocol. A cell's name lists those splits."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.sources.city1m.labels.read import LabelFile, split_bits
from shards_spec.cells import cell_name


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells that occur."""

    names: dict[int, str]
    """Name of the cell of the frames that these label files (one bit for each file) label."""
    protocols: dict[str, dict[str, list[str]]]
    """The sorted names of the cells of each split of each protocol, including every split that has a label file."""
    cell_splits: dict[str, dict[str, list[str]]]
    """The sorted splits of each protocol, by cell."""


def name_cells(files: list[LabelFile], occurring: Iterable[int]) -> Cells:
    """Name the cells of the combinations of label files in ``occurring``, each with one bit for each file."""
    splits = {bits: split_bits(files, bits) for bits in occurring}
    names = {bits: cell_name(by_protocol) for bits, by_protocol in splits.items()}
    cell_splits = {name: splits[bits] for name, bits in sorted((name, bits) for bits, name in names.items())}
    protocols: dict[str, dict[str, list[str]]] = {file.protocol: {} for file in files}
    for file in files:
        protocols[file.protocol][file.split] = [
            name for name, by_protocol in cell_splits.items() if file.split in by_protocol[file.protocol]
        ]
    return Cells(names, protocols, cell_splits)
