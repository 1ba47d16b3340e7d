"""Who is seen, and by which camera: the kinds of ids, and what they and the cameras' names amount to."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.sources.tables.labels.table import Labels
from pipeline.sources.tables.options import TableOptions
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision
from shards_spec.variants.tables.evidence import CamerasEvidence, IdsEvidence
from shards_spec.variants.tables.identity import IdKind

KINDS: Final[tuple[IdKind, ...]] = ("labelled", "unlabelled", "distractor", "junk")
"""The kinds of ids; arrays have their positions here."""
LABELLED, UNLABELLED = 0, 1

MOST_CAMERA_NAMES = 10_000
"""Most names of cameras, which the manifest has all."""

_NEGATIVE = re.compile(r"-[0-9]+(?:\.0+)?")
_NUMBER = re.compile(r"[0-9]{1,9}")

_Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class People:
    """Who is seen in each labelled row."""

    codes: _Int32
    """The person as a position in ``names``; -1 if the labels name none, or stand for nobody, ``[rows]``."""
    names: list[str]
    """The persons as labelled."""
    kinds: npt.NDArray[np.uint8]
    """The kind of the id as a position in ``KINDS``, ``[rows]``."""


def read_people(labels: Labels, options: TableOptions) -> People:
    """Find out who is seen in each row, and what kind of id that is.

    A column ``id_kind`` says it itself. Otherwise, a row without an id, or with one that stands for nobody, is
    unlabelled.
    """
    codes, names = labels.codes("person_id")
    if options.unlabelled is None:
        stands_for_nobody = np.array([_NEGATIVE.fullmatch(name) is not None for name in names], bool)
    else:
        nobody = {text.strip() for text in options.unlabelled.split(",")}
        stands_for_nobody = np.array([name in nobody for name in names], bool)
    is_nobody = np.append(stands_for_nobody, True)[codes]
    kinds = np.where(is_nobody, UNLABELLED, LABELLED).astype(np.uint8)
    given_codes, given = labels.codes("id_kind")
    if given:
        kind_of: dict[str, int] = {name: number for number, name in enumerate(KINDS)}
        number = np.array([kind_of.get(name, 0) for name in given], np.uint8)  # others are those of rejected rows
        is_given = given_codes >= 0
        kinds = np.where(is_given, number[given_codes], kinds).astype(np.uint8)
        kinds[(kinds == LABELLED) & (codes < 0)] = UNLABELLED
    return People(np.where(kinds == UNLABELLED, -1, codes).astype(np.int32), names, kinds)


@dataclass(frozen=True, slots=True)
class Cameras:
    """The camera of each labelled row."""

    numbers: npt.NDArray[np.int64]
    """Number of the camera; -1 if it is not known, ``[rows]``."""
    count: int
    """Number of different cameras."""
    names: list[str]
    """The names of the cameras by number, if they are not numbers themselves."""


def read_cameras(labels: Labels, where: str) -> Cameras:
    """Number the cameras: by their names if all are numbers, else in the order of their sorted names.

    Raises:
        UsageError: There are more names than a set can have.
    """
    codes, spelled = labels.codes("camera")
    used = sorted(spelled[code] for code in np.unique(codes[codes >= 0]).tolist())
    if all(_NUMBER.fullmatch(name) for name in used):
        number_of = {name: int(name) for name in used}
        names = []
    else:
        number_of = {name: number for number, name in enumerate(used)}
        names = used
    if len(names) > MOST_CAMERA_NAMES:
        raise UsageError(
            f"{where}: {len(names):,} different cameras, such as {', '.join(names[:3])}: at most {MOST_CAMERA_NAMES:,} "
            "can have names: is another field meant?"
        )
    numbers = np.array([number_of.get(name, -1) for name in spelled] + [-1], np.int64)
    return Cameras(numbers[codes], len(set(number_of.values())), names)


def ids_decision(person: npt.NDArray[np.int32], is_train: npt.NDArray[np.bool_], options: TableOptions) -> Decision:
    """Decide where ids count.

    Args:
        person: The labelled person of each sample, ``[samples]``; -1 if nobody is identified.
        is_train: Whether the sample is in the split "train", ``[samples]``.
        options: The options, of which ``ids`` counts.
    """
    if options.ids != "auto":
        return Decision(options.ids, dict(GIVEN))
    train, elsewhere = (np.unique(person[(person >= 0) & chosen]) for chosen in (is_train, ~is_train))
    evidence = IdsEvidence(len(train), len(elsewhere), len(np.intersect1d(train, elsewhere)))
    return Decision(
        evidence.choice(),
        {"in_train": evidence.in_train, "elsewhere": evidence.elsewhere, "in_both": evidence.in_both},
    )


def cameras_decision(cameras: Cameras) -> Decision:
    """Return the decision how cameras are numbered."""
    evidence = CamerasEvidence(cameras.count, cameras.names)
    return Decision(evidence.choice(), {"cameras": evidence.cameras, "names": evidence.names})
