"""The splits of samples, and the cells that follow from them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.sources.tables.labels.table import Labels
from pipeline.sources.tables.options import TableOptions
from shards_spec.cells import cell_name
from shards_spec.errors import UsageError
from shards_spec.manifest import Decision
from shards_spec.variants.tables.evidence import SplitsFromEvidence

PROTOCOL, ALL, QUERY, GALLERY = "p1", "all", "query", "gallery"

MOST_SPLITS = 60
"""Most splits of a set; each is a bit of a number."""

_NAME = re.compile(r"[a-z][a-z0-9]*")
_WORDS = {"train": "train", "trainval": "train", "val": "val", "valid": "val", "validation": "val"} | {
    name: name for name in ("test", QUERY, GALLERY)
}
"""Words in the names of label files, and the splits that they mean."""

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Splits:
    """In which split each labelled row is."""

    names: list[str]
    """The names of the splits, sorted."""
    bits: npt.NDArray[np.uint64]
    """For each row, the bit of its split: 1 << position in ``names``; 0 if it is in none, ``[rows]``."""
    evidence: SplitsFromEvidence

    def bit(self, name: str) -> int:
        """Return the bit of a split."""
        return 1 << self.names.index(name)

    def of(self, mask: int) -> dict[str, list[str]]:
        """Return the sorted splits by protocol of samples with these bits."""
        return {PROTOCOL: [name for place, name in enumerate(self.names) if mask >> place & 1]}

    def cell(self, mask: int) -> str:
        """Return the name of the cell of samples with these bits."""
        return cell_name(self.of(mask))

    def protocols(self, masks: Iterable[int]) -> dict[str, dict[str, list[str]]]:
        """Return the sorted cells of each split, given the bits of all cells."""
        cells = sorted((self.cell(mask), mask) for mask in masks)
        return {
            PROTOCOL: {
                name: [cell for cell, mask in cells if mask >> place & 1] for place, name in enumerate(self.names)
            }
        }


def decide_splits(labels: Labels, options: TableOptions, where: str, more: Sequence[str] = ()) -> Splits:
    """Find out in which split each row is.

    Args:
        labels: The rows.
        options: The options, of which ``split`` counts.
        where: The source's URL, for messages.
        more: Further splits, which no row names.

    Raises:
        UsageError: An option names what is not there, a name cannot be that of a split, or some label files name a
            split and others do not.
    """
    codes, spelled = labels.codes("split")
    has_own = codes >= 0
    files = labels.column("file").astype(np.int64)
    paths = [source.file for source in labels.sources]
    given, renamed = _read_options(options, paths, spelled, has_own=bool(has_own.any()), where=where)
    of_file = {place: given.get(path) or split_of_file(path) for place, path in enumerate(paths)}
    is_forced = np.isin(files, [place for place, path in enumerate(paths) if path in given])
    evidence = SplitsFromEvidence(
        len(codes), int(np.count_nonzero(has_own)), len(paths), sum(name is not None for name in of_file.values())
    )
    names: list[str | None] = [renamed.get(name, name) for name in spelled]
    from_file = is_forced | (~has_own if evidence.choice() == "files" else np.zeros(len(codes), bool))
    if evidence.choice() == "files":
        _check_files(of_file, paths, where)
    all_names = [*names, *(renamed.get(name, name) if name else None for name in of_file.values())]
    number = np.where(from_file, len(names) + np.maximum(files, 0), codes)
    if evidence.choice() == "none":
        all_names, number = [*all_names, renamed.get(ALL, ALL)], np.full(len(codes), len(all_names))
    used = sorted({name for place in np.unique(number[number >= 0]).tolist() if (name := all_names[place])} | {*more})
    for name in used:
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f"{where}: {name!r} cannot be the name of a split, which has lower-case letters and digits only: give "
                f"it another one, such as --split {_suggest(name)}={name}"
            )
    if len(used) > MOST_SPLITS:
        raise UsageError(f"{where}: {len(used)} splits ({', '.join(used[:5])}, ...): at most {MOST_SPLITS} are taken")
    bit_of = np.array([1 << used.index(name) if name in used else 0 for name in all_names] + [0], np.uint64)
    return Splits(used, bit_of[number], evidence)


def _read_options(
    options: TableOptions, paths: Sequence[str], spelled: Sequence[str], *, has_own: bool, where: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the splits that options give to label files, and the new names of splits."""
    given: dict[str, str] = {}
    renamed: dict[str, str] = {}
    of_names = {name for path in paths if (name := split_of_file(path)) is not None}
    known = set(spelled) | of_names | (set() if has_own or of_names else {ALL})
    for new, old in options.splits():
        named = [path for path in paths if old in (path, path.rpartition("/")[2])]
        if named:
            given |= dict.fromkeys(named, new)
        elif old in known:
            renamed[old] = new
        else:
            raise UsageError(
                f"--split {new}={old}: {where} has neither a label file nor a split of this name: there are "
                f"{', '.join([*paths[:10], *sorted(known)[:20]])}"
            )
    return given, renamed


def _check_files(of_file: dict[int, str | None], paths: Sequence[str], where: str) -> None:
    unnamed = [paths[place] for place, name in of_file.items() if name is None]
    if unnamed:
        named = ", ".join(f"{paths[place]} ({name})" for place, name in of_file.items() if name is not None)
        raise UsageError(
            f"{where}: {', '.join(unnamed)}: nothing says of which split it is, while others are of one: {named}: say "
            f"--split NEW={unnamed[0]}, or move away what is not meant"
        )


def split_of_file(path: str) -> str | None:
    """Return the split that the name of a label file means, such as "train" for ``instances_train2017.json``."""
    stem = path.rpartition("/")[2].partition(".")[0].lower()
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", stem) if word in _WORDS}
    return found.pop() if len(found) == 1 else None


def _suggest(name: str) -> str:
    kept = re.sub(r"[^a-z0-9]", "", name.lower())
    return kept if _NAME.fullmatch(kept) else f"split{kept}"


def splits_decision(splits: Splits) -> Decision:
    """Return the decision from what the splits come."""
    evidence = splits.evidence
    return Decision(
        evidence.choice(),
        {
            "samples": evidence.samples,
            "with_split": evidence.with_split,
            "files": evidence.files,
            "files_with_split": evidence.files_with_split,
        },
    )
