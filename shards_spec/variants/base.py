"""The type of a variant."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import msgspec

from shards_spec.errors import SpecError
from shards_spec.manifest import Decision, Manifest, Totals
from shards_spec.options import CommonOptions
from shards_spec.rejects import Reject

SIDECAR = "json"
"""The extension of the sidecar, which is the last file of every sample."""

MORE_FILES = "more_files"
"""What the list columns of an index begin with that place a sample's further files; see ``Variant.more_files``."""
MORE_FILES_MAX = 256
"""Most further files of a sample."""
MORE_FILE_PATTERN = r"(?:0|[1-9][0-9]{0,2})\.[a-z0-9]{1,5}"
"""What a further file's extension is: its number, counted from 0, and the extension that says what it is. No name of
another file or of a reader's own field matches it, and a tar header has room for it behind the longest key."""


class Evidence(Protocol):
    """The counts that a decision is made from: a struct in which the manifest keeps them."""

    question: ClassVar[str]
    """The question that the decision answers, as a sentence."""
    meanings: ClassVar[Mapping[str, str]]
    """What the choices mean, as sentences. A choice whose name says all may be left out."""

    def choice(self) -> str | None:
        """Return what the counts decide for; None if they do not decide."""

    def sentence(self) -> str:
        """Return the counts as sentences for people."""


def no_files(_: Any) -> Sequence[str]:
    """Say that a sample has only the files that every sample of its variant has."""
    return ()


def nothing_to_know(_: Manifest) -> Any:
    """Say that the check of a sample needs nothing of the manifest."""
    return None


def check_no_sample(_sidecar: Any, _files: Mapping[str, bytes], _rules: Any) -> None:
    """Find nothing wrong with a sample."""


def check_no_unit(_: Sequence[Any]) -> None:
    """Find nothing wrong with a unit."""


def no_manifest_faults(_: Manifest) -> Iterator[str]:
    """Find nothing wrong with a manifest."""
    return iter(())


def no_set_files(_: Mapping[str, bytes]) -> Any:
    """Say that the check of rows needs nothing of the set's files."""
    return None


def no_extra(_: Mapping[str, Decision]) -> Mapping[str, str]:
    """Say that sets of a variant have no columns but those of its struct."""
    return {}


def same_name(name: str) -> str:
    """Say that rejects name units themselves."""
    return name


def check_no_rows(_rows: Any, _files: Any) -> None:
    """Find nothing wrong with rows of an index."""


def no_reject_fault(_: Reject) -> str | None:
    """Find nothing wrong with a reject."""
    return None


def no_lost_key(_: Reject) -> str | None:
    """Say that the key of a lost sample is not known."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What the samples of a set are, and what their fields mean.

    Objects that travel to other processes carry the variant itself. Its functions are therefore module-level, so that
    unpickling them imports the module that defines the variant.
    """

    name: str
    """The manifest's name for it."""
    title: str = "samples"
    """What its samples are called, in the plural."""
    citation: str | None = None
    """The paper that introduced the dataset, if the variant is of one dataset."""
    license: str | None = None
    """What the authors say about the use of the dataset, in their words and with the place where they say it, if the
    variant is of one dataset."""
    sidecar: type[msgspec.Struct]
    """The type of its sidecars. Its field ``spec`` is the version of the format, ``splits`` the splits of the cell."""
    keys: Callable[[Any], tuple[str, ...]]
    """Returns the keys that a sample may have, given its sidecar."""
    files: tuple[str, ...]
    """Extensions of the files that every sample has, in their order, without that of the sidecar."""
    more_files: Callable[[Any], Sequence[str]] = no_files
    """Returns the extensions of further files of a sample, given its sidecar: ``0.png``, ``1.jpg``, as
    ``MORE_FILE_PATTERN`` says. They stand between ``files`` and the sidecar."""
    image: str | None = None
    """The one of ``files`` that is a JPEG of ``image_size`` whose ``roi`` readers cut out; None if there is none."""
    unit: str = "sample"
    """What the samples that stand together in a shard are called, in the singular."""
    unit_field: str | None = None
    """The field whose value the samples of a unit share. None, and a null value, make each sample a unit of its own."""
    units_are_per_cell: bool = False
    """Whether samples with the same value of ``unit_field`` may be in several cells; they are a unit in each then."""
    shared_fields: tuple[str, ...] = ()
    """Fields that the samples of a unit share; a reader's unit has them once."""
    array_fields: Mapping[str, tuple[type, tuple[int, ...]]] = field(default_factory=dict)
    """Fields of numbers that a reader's unit has as an array with a row for each sample: int or float, and the shape of
    a row."""
    group_field: str | None = None
    """The field with the group, whose units shards do not part under ``--shuffle groups``, if it has one of its own."""
    identity_field: str | None = None
    """The field that names a person across the set, if there is one. It may be null."""
    camera_field: str | None = None
    """The field with the number of the camera, if there is one. It may be null."""
    weak_labels: Mapping[str, str] = field(default_factory=dict)
    """The field that labels number where it is not ``identity_field``, by split."""
    accounts: tuple[str, ...]
    """What the source names, counted: the names of the accounts in the manifest's totals, in their order."""
    samples_account: str
    """The account whose ``kept`` is the number of samples."""
    units_account: str | None = None
    """The account whose ``kept`` is the number of units, if there is one."""
    unread_account: str | None = None
    """The account of what could not be read: there, each reject counts that loses no known sample."""
    set_files: tuple[str, ...] = ()
    """Files that a set of this variant has besides those of every set, such as a table that sidecars refer to."""
    read_set_files: Callable[[Mapping[str, bytes]], Any] = no_set_files
    """Returns what the check of rows must know of ``set_files``, given their content; raises ``SpecError`` if it is not
    what it should be."""
    check_rows: Callable[[Any, Any], None] = check_no_rows
    """Raises ``SpecError`` if rows of an index, an Arrow table, contradict what ``read_set_files`` returned."""
    read_extra: Callable[[Mapping[str, Decision]], Mapping[str, str]] = no_extra
    """Returns the names and Arrow types of the further columns of a set, given its decisions; raises ``SpecError`` if
    these are not such as the format allows. The field ``extra`` of sidecars holds them."""
    extra: tuple[tuple[str, str], ...] = ()
    """The further columns of the set at hand: what ``of_set`` took from ``read_extra``."""
    options: tuple[type[msgspec.Struct], ...] = (CommonOptions,)
    """The groups of the manifest's options, in their order. No two have an option of the same name."""
    decisions: Mapping[str, type[Evidence]] = field(default_factory=dict)
    """The type of each decision's evidence, by the decision's name, in their order."""
    rules: Callable[[Manifest], Any] = nothing_to_know
    """Returns what the check of a sample must know of the manifest. It travels to other processes."""
    check_sample: Callable[[Any, Mapping[str, bytes], Any], None] = check_no_sample
    """Raises ``SpecError`` if a sidecar contradicts its files or the rules."""
    check_unit: Callable[[Sequence[Any]], None] = check_no_unit
    """Raises ``SpecError`` if the sidecars of a unit contradict each other."""
    manifest_faults: Callable[[Manifest], Iterator[str]] = no_manifest_faults
    """Yields what is wrong with a manifest whose accounts add up and whose options have their types."""
    reject_fault: Callable[[Reject], str | None] = no_reject_fault
    """Returns why the fields of a reject do not fit together."""
    lost_unit: Callable[[str], str] = same_name
    """Returns the unit that the name of a reject is of, or belongs to."""
    lost_key: Callable[[Reject], str | None] = no_lost_key
    """Returns the key that the one sample of a reject would have had; None if the reject is of something else."""

    def of_set(self, decisions: Mapping[str, Decision]) -> "Variant":
        """Return the variant with the further columns that a set with these decisions has.

        Raises:
            SpecError: The columns are not such as the format allows.
        """
        extra = tuple(self.read_extra(decisions).items())
        return dataclasses.replace(self, extra=extra) if extra != self.extra else self

    def label_field(self, split: str) -> str | None:
        """Return the field that the labels of a split number, if there is one."""
        return self.weak_labels.get(split, self.identity_field)

    @property
    def written_whole(self) -> str:
        """What is in one cell as a whole: a unit, or only a sample if a unit may have some in several cells."""
        return "sample" if self.units_are_per_cell else self.unit

    @property
    def label_fields(self) -> tuple[str, ...]:
        """All fields that labels number in some split."""
        fields = [self.identity_field, *self.weak_labels.values()]
        return tuple(dict.fromkeys(name for name in fields if name is not None))

    @property
    def has_more_files(self) -> bool:
        """Whether the number of a sample's files varies."""
        return self.more_files is not no_files

    def extensions(self, sidecar: Any) -> tuple[str, ...]:
        """Return the extensions of all files of a sample, in their order."""
        return (*self.files, *self.more_files(sidecar), SIDECAR)

    def all_extensions(self, sidecars: Sequence[Any]) -> list[tuple[str, ...]]:
        """Return the extensions of all files of each of many samples."""
        if self.has_more_files:
            return [self.extensions(sidecar) for sidecar in sidecars]
        return [(*self.files, SIDECAR)] * len(sidecars)

    def check_totals(self, totals: Totals) -> None:
        """Raise ``SpecError`` unless everything that the source names is accounted for."""
        if tuple(totals.accounts) != self.accounts:
            raise SpecError(f"its accounts are {', '.join(totals.accounts) or 'none'}, not {', '.join(self.accounts)}")
        for name, account in totals.accounts.items():
            if account.total != account.kept + account.rejected:
                raise SpecError(
                    f"account {name}: {account.kept} kept and {account.rejected} rejected are not {account.total}"
                )
        counted = [(self.samples_account, "samples", totals.samples)]
        if self.units_account is not None:
            counted.append((self.units_account, "units", totals.units))
        for name, what, count in counted:
            if totals.accounts[name].kept != count:
                raise SpecError(f"account {name}: {totals.accounts[name].kept} kept, but the set has {count} {what}")
