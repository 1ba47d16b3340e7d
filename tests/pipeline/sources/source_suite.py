"""What holds for every kind of source. A test module makes a subclass of ``SourceSuite`` for its kind."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec
import pytest

from pipeline.compare import compare_set, survey_again
from pipeline.options import option_name, spell_value
from pipeline.plan import make_plan
from pipeline.run.resume import load_records
from pipeline.shards.reading import read_rows
from pipeline.shards.tasks import cell_recipe
from pipeline.sources.base import Source
from pipeline.sources.registry import SOURCES, recognise_source
from shards_spec import open_dataset
from shards_spec.errors import SpecError, UsageError
from shards_spec.images import ImageError
from shards_spec.manifest import Manifest
from shards_spec.rejects import NOTE_EXAMPLES, Note, Reject, RejectReason, decode_rejects
from shards_spec.storage import LocalStore
from shards_spec.variants import variant_named
from shards_spec.verify import verify
from tests.support.processes import (
    WAIT_SECONDS,
    finished_shards,
    kill,
    run_command,
    start_command,
    wait_until,
)
from tests.support.sets import convert_source, digests, plan_of


class Converted(NamedTuple):
    """A source with every trap of its kind, and the set that was made of it in this process."""

    source: Path
    out: Path
    manifest: Manifest
    rejects: list[Reject]
    traps: list[dict[str, Any]]
    """The traps that were planted, as the demo lists them."""


class SourceSuite(ABC):
    """Tests of a kind of source, with its demo and the traps in it."""

    source: ClassVar[Source]
    given: ClassVar[Mapping[str, Any]]
    """Options of the conversion, which should give ten shards or more."""
    reasons: ClassVar[Mapping[str, RejectReason]] = {}
    """The reject that each trap becomes which loses something."""
    notes: ClassVar[Mapping[str, Note]] = {}
    """The note that each trap becomes which loses nothing but is worth a word."""
    one_place: ClassVar[frozenset[Note]] = frozenset({Note.CARRIAGE_RETURN})
    """The notes whose several occurrences may have the same example, such as the name of a file."""
    harmless: ClassVar[frozenset[str]] = frozenset()
    """The traps that are converted like anything else."""
    before: ClassVar[str] = "pass"
    """Python statements that a command runs first, in one line: they register a kind of source of the tests."""
    recognised: ClassVar[tuple[tuple[str, ...], ...]]
    """The names of files at the top of folders that are sources of this kind."""
    refused: ClassVar[tuple[tuple[str, ...], ...]]
    """The names of files at the top of folders that are not."""

    @staticmethod
    @abstractmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        """Make a source with every trap, and return the traps: each has its name under "trap"."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SOURCES, self.source.name, self.source)

    @pytest.fixture(scope="class")
    @classmethod
    def converted(cls, tmp_path_factory: pytest.TempPathFactory) -> Converted:
        folder, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("set")
        traps = cls.make_demo(folder)
        manifest = convert_source(cls.source, folder, out, cls.source.make_options(cls.given))
        rejects = decode_rejects((out / "rejects.jsonl").read_bytes())
        return Converted(folder, out, manifest, rejects, traps)

    def command(self, converted: Converted, out: Path) -> list[object]:
        """The command that makes the same set."""
        options = [word for name, value in self.given.items() for word in (option_name(name), spell_value(value))]
        return ["convert", converted.source, out, *options, "--max-rejects", "100%"]

    @pytest.mark.slow
    def test_killed_and_continued_it_makes_the_same_bytes(
        self, converted: Converted, shared_ray: tuple[str, str], tmp_path: Path
    ) -> None:
        """On Ray, several shards at a time; the set to compare with was made one shard after the other."""
        out = tmp_path / "out"
        command = [*self.command(converted, out), *shared_ray]
        process = start_command(*command, before=self.before)
        try:
            wait_until(lambda: finished_shards(out) >= 1 or process.poll() is not None, "a shard")
            assert process.poll() is None
        finally:
            kill(process.pid)
            process.communicate(timeout=WAIT_SECONDS)
        whole = {name: digest for name, digest in digests(out).items() if name.endswith(".tar")}
        assert whole
        assert whole.items() <= digests(converted.out).items()
        done = run_command(*command, before=self.before)
        assert done.returncode == 0, done.stdout + done.stderr
        assert digests(out) == digests(converted.out)

    def test_every_finished_shard_is_taken_over_whatever_it_lost(self, converted: Converted) -> None:
        plan = plan_of(self.source, converted.source, self.source.make_options(self.given))
        taken = load_records(LocalStore(converted.out), plan)
        assert set(taken) == {(shard.cell, shard.number) for shard in plan.shards}

    def test_the_accounts_add_up(self, converted: Converted) -> None:
        manifest, variant = converted.manifest, variant_named(self.source.variant)
        totals = manifest.totals
        assert tuple(totals.accounts) == variant.accounts
        assert all(account.total == account.kept + account.rejected for account in totals.accounts.values())
        samples = totals.accounts[variant.samples_account]
        assert samples.kept == totals.samples == sum(cell.samples for cell in manifest.cells.values()) > 0
        assert samples.rejected == sum(reject.samples for reject in converted.rejects)
        if variant.units_account is not None:
            assert totals.accounts[variant.units_account].kept == totals.units
        assert sum(manifest.rejects.values()) == len(converted.rejects)

    def test_each_trap_is_known(self, converted: Converted) -> None:
        assert {trap["trap"] for trap in converted.traps} == {*self.reasons, *self.notes, *self.harmless}

    def test_each_trap_becomes_its_reject_or_note_and_nothing_else_is_lost(self, converted: Converted) -> None:
        planted = {trap["trap"] for trap in converted.traps}
        reasons = {self.reasons[trap] for trap in planted & set(self.reasons)}
        assert {reject.reason for reject in converted.rejects} == reasons
        notes = {self.notes[trap] for trap in planted & set(self.notes)}
        assert notes <= set(converted.manifest.notes)

    def test_each_note_has_examples(self, converted: Converted) -> None:
        for note, noted in converted.manifest.notes.items():
            assert 1 <= len(set(noted.examples)) == len(noted.examples) <= min(NOTE_EXAMPLES, noted.count), note
            assert len(noted.examples) > 1 or noted.count == 1 or note in self.one_place, note

    def test_verify_finds_no_fault(self, converted: Converted) -> None:
        assert verify(str(converted.out), workers=1).faults == []

    def test_verify_with_the_source_finds_no_difference(self, converted: Converted) -> None:
        plan = survey_again(converted.manifest, str(converted.source))
        assert plan.catalog.source == self.source
        assert compare_set(str(converted.out), converted.manifest, plan, str(converted.source), 1) == []

    def test_verify_with_the_source_names_an_archive_that_is_gone(self, converted: Converted, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(converted.source, tmp_path / "source"))
        gone = converted.manifest.source.archives[0].file
        if (folder / gone).is_dir():
            shutil.rmtree(folder / gone)
        else:
            (folder / gone).unlink()
        try:
            plan = survey_again(converted.manifest, str(folder))
        except UsageError:
            return  # nothing is left to survey
        faults = compare_set(str(converted.out), converted.manifest, plan, str(folder), 1)
        assert any(gone in fault.what for fault in faults)

    def test_a_sample_is_compared_with_what_it_was_made_from(self, converted: Converted) -> None:
        options = self.source.make_options(self.given)
        store, converter = LocalStore(converted.source), self.source.load()
        plan = make_plan(self.source.survey(store, options), options, {})
        shard = max(plan.shards, key=lambda shard: len(shard.rows))
        rows, recipe = converter.rows(plan.slice(shard)), cell_recipe(plan, shard.cell)
        made = [
            (row, contents, sample)
            for some in read_rows(store, converter, rows)
            for row, contents in ((rows[number], contents) for number, contents in zip(*some, strict=True))
            for sample in converter.make_samples([row], [contents], recipe).samples[:1]
        ]
        (row, contents, sample), (_, _, other) = made[0], made[-1]
        compare = converter.comparison(row, contents, recipe, is_exact=True)
        compare(sample)
        assert sample.key != other.key
        with pytest.raises(SpecError):
            compare(msgspec.structs.replace(sample, sidecar=other.sidecar))
        with pytest.raises((SpecError, ImageError)):
            compare(msgspec.structs.replace(sample, files=other.files))

    def test_the_reader_streams_each_sample_of_each_split_once(self, converted: Converted) -> None:
        manifest, dataset = converted.manifest, open_dataset(str(converted.out))
        for protocol, splits in manifest.protocols.items():
            for split, cells in splits.items():
                samples = sum(manifest.cells[cell].samples for cell in cells)
                if samples:
                    stream = dataset.stream(protocol=protocol, split=split, decode="bytes")
                    keys = [sample["__key__"] for sample in stream]
                    assert len(keys) == len(set(keys)) == samples, (protocol, split)

    def test_folders_are_recognised_by_names_alone(self, tmp_path: Path) -> None:
        for number, names in enumerate(self.recognised):
            assert recognise_source(LocalStore(touch(tmp_path / f"source{number}", names)))[0] == self.source
        for number, names in enumerate(self.refused):
            folder = touch(tmp_path / f"other{number}", names)
            assert not self.source.recognises(LocalStore(folder)).is_recognised

    def test_plan_says_which_kind_it_found(self, converted: Converted) -> None:
        done = run_command("plan", converted.source, "--max-rejects", "100%", before=self.before)
        assert done.returncode == 0, done.stderr
        assert f"{converted.source} is a source of {self.source.title} (" in done.stdout.replace("\n", "")


def touch(folder: Path, names: tuple[str, ...]) -> Path:
    """A folder with empty files of these names."""
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def read_traps(folder: Path) -> list[dict[str, Any]]:
    """The traps that a demo says it planted."""
    traps: list[dict[str, Any]] = json.loads((folder / "traps.json").read_text())
    return traps
