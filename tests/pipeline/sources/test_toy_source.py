"""A dataset of another kind is a source of under 80 lines and a variant of its own, and gets everything else."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest

from shards_spec import open_dataset
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from shards_spec.variants import variant_named
from tests.pipeline.sources import toy
from tests.pipeline.sources.source_suite import Converted, SourceSuite
from tests.pipeline.sources.toy import TOY
from tests.support.processes import run_command

REGISTER = (
    "from pipeline.sources.registry import SOURCES; from tests.pipeline.sources.toy import TOY; SOURCES['toy'] = TOY"
)
PAIRS = 60


def content(number: int) -> dict[str, bytes]:
    """The files of a pair."""
    return {"txt": f"note {number}\n".encode() * (1 + number % 5), "bin": bytes([number]) * (number * 37 % 900)}


class TestToy(SourceSuite):
    """See ``SourceSuite``."""

    source = TOY
    given: ClassVar = {"samples_per_shard": 4}
    reasons: ClassVar = {"no score": RejectReason.IMAGE_MISSING, "wrong CRC": RejectReason.IMAGE_DAMAGED}
    notes: ClassVar = {"no pair": Note.ENTRY_IGNORED}
    before = REGISTER
    recognised = (("pairs.zip",), ("pairs.zip", "notes.md"))
    refused = (("pair.zip",), ("pairs.tar",), ())

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        with zipfile.ZipFile(folder / "pairs.zip", "w") as archive:
            for number in reversed(range(PAIRS)):  # each pair's files lie far from each other
                archive.writestr(f"pair{number:03d}.txt", content(number)["txt"])
            for number in range(1, PAIRS):
                archive.writestr(f"pair{number:03d}.bin", content(number)["bin"])
            archive.writestr("readme", b"of pairs")
        data = bytearray((folder / "pairs.zip").read_bytes())
        data[data.index(b"note 17\n")] ^= 1
        (folder / "pairs.zip").write_bytes(data)
        return [{"trap": "no score"}, {"trap": "wrong CRC"}, {"trap": "no pair"}]

    def test_it_is_short(self) -> None:
        assert len(Path(toy.__file__).read_text().splitlines()) < 80

    def test_the_set_is_of_one_split_and_another_reader_finds_both_files(self, converted: Converted) -> None:
        assert converted.manifest.variant == "pairs"
        assert converted.manifest.protocols == {"p1": {"all": ["p1-all"]}}
        assert list(converted.manifest.options) == ["samples_per_shard", "shuffle", "seed"]
        assert {reject.name: reject.reason for reject in converted.rejects} == {
            "pair000": RejectReason.IMAGE_MISSING,
            "pair017": RejectReason.IMAGE_DAMAGED,
        }
        shards = sorted(map(str, (converted.out / "p1-all").glob("*.tar")))
        assert len(shards) == -(-(PAIRS - 1) // 4)
        found: dict[str, dict[str, bytes]] = {}
        for shard in shards:
            with tarfile.open(shard) as tar:
                for entry in tar:
                    key, _, extension = entry.name.partition(".")
                    found.setdefault(key, {})[extension] = tar.extractfile(entry).read()  # type: ignore[union-attr]
        assert sorted(found) == [f"pair{number:03d}" for number in range(PAIRS) if number not in {0, 17}]
        for key, files in found.items():
            assert list(files) == ["txt", "bin", "json"]
            sidecar = json.loads(files.pop("json"))
            assert files == content(int(key[4:]))
            assert sidecar == {"spec": "1.0", "name": key, "identity": None, "camera": None, "splits": {"p1": ["all"]}}

    @pytest.mark.parametrize("command", ["verify", "stream", "status"])
    def test_a_program_without_the_variant_refuses_the_set(self, converted: Converted, command: str) -> None:
        done = run_command(command, converted.out)
        assert done.returncode != 0
        assert "variant 'pairs'" in done.stderr.replace("\n", " ")
        assert "install a newer reid-shards" in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr

    def test_the_commands_that_read_sets_take_it(self, converted: Converted) -> None:
        assert variant_named("pairs").files == ("txt", "bin")
        done = run_command("verify", converted.out, "--source", converted.source, "--workers", 2, before=REGISTER)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"every sample is as {converted.source} has it" in done.stdout.replace("\n", " ")

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--box-order", "auto", "--box-order is an option of city1m and city1m-lite, but this source is toy"),
            ("--margin", "0", "--margin is an option of sources whose samples are cut out of frames"),
            ("--crop", "lossless", "--crop is an option of sources whose samples are cut out of frames"),
        ],
    )
    def test_options_of_others_are_refused_even_with_their_defaults(
        self, converted: Converted, tmp_path: Path, option: str, value: str, message: str
    ) -> None:
        done = run_command("convert", converted.source, tmp_path / "out", option, value, before=REGISTER)
        assert done.returncode == 2
        assert message in done.stderr.replace("\n", " ")
        assert not (tmp_path / "out").exists()

    def test_the_reader_streams_both_files_of_each_sample_and_knows_nobody(self, converted: Converted) -> None:
        dataset = open_dataset(str(converted.out))
        found = {sample["__key__"]: sample for sample in dataset.stream(split="all", decode="bytes")}
        assert sorted(found) == [f"pair{number:03d}" for number in range(PAIRS) if number not in {0, 17}]
        for key, sample in found.items():
            assert {name: sample[name] for name in ("txt", "bin")} == content(int(key[4:]))
            assert (sample["json"]["identity"], sample["json"]["camera"], sample["label"]) == (None, None, -1)

    def test_images_are_refused_where_the_variant_has_none(self, converted: Converted) -> None:
        with pytest.raises(UsageError, match="image"):
            open_dataset(str(converted.out)).stream(split="all", decode="rgb")
