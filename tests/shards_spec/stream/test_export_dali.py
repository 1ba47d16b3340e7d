"""``reid-shards export dali``: the indexes are those that the tars themselves give."""

import itertools
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from shards_spec import open_dataset
from shards_spec.errors import SpecError, UsageError
from shards_spec.stream.export import write_dali
from tests.support.altered import alter_shard
from tests.support.processes import run_command


def index_from_tar(path: Path) -> str:
    """The index of a tar as Python's tarfile finds its files, in the form that DALI's wds2idx writes."""
    with tarfile.open(path) as tar:
        files = [(*member.name.split(".", 1), member.offset_data, member.size, member.name) for member in tar]
    samples = [list(of_sample) for _, of_sample in itertools.groupby(files, lambda file: file[0])]
    lines = [" ".join(f"{ext} {offset} {size} {name}" for _, ext, offset, size, name in sample) for sample in samples]
    return "".join(f"{line}\n" for line in [f"v1.2 {len(samples)}", *lines])


@pytest.fixture
def lists(set_folder: Path, tmp_path: Path) -> Path:
    done = run_command("export", "dali", set_folder, "--to", tmp_path / "lists")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted(str(path) for path in (tmp_path / "lists").glob("*.json"))
    return tmp_path / "lists"


def test_each_index_is_that_of_its_tar(set_folder: Path, lists: Path) -> None:
    shards = {path.stem: path for path in set_folder.glob("*/*.tar")}
    assert {path.stem for path in lists.glob("*.idx")} == set(shards)
    for name, shard in shards.items():
        assert (lists / f"{name}.idx").read_text() == index_from_tar(shard)


def test_its_offsets_are_where_tar_and_dd_find_the_bytes(set_folder: Path, lists: Path) -> None:
    shard = next(set_folder.glob("*/*.tar"))
    line = (lists / f"{shard.stem}.idx").read_text().splitlines()[1].split()
    for _, offset, size, name in (line[:4], line[4:]):
        bytes_there = [
            "dd",
            f"if={shard}",
            "iflag=skip_bytes,count_bytes",
            f"skip={offset}",
            f"count={size}",
            "status=none",
        ]
        found = subprocess.run(bytes_there, capture_output=True, check=True).stdout
        assert found == subprocess.run(["tar", "xOf", shard, name], capture_output=True, check=True).stdout


def test_a_split_lists_its_shards_with_their_indexes(set_folder: Path, lists: Path) -> None:
    dataset = open_dataset(set_folder)
    for protocol, splits in dataset.manifest.protocols.items():
        for split in splits:
            listed = json.loads((lists / f"dali-{protocol}-{split}.json").read_text())
            assert listed["paths"] == dataset.urls(protocol=protocol, split=split)
            assert [Path(path).stem for path in listed["index_paths"]] == [Path(path).stem for path in listed["paths"]]
            assert all(Path(path).is_file() for path in listed["index_paths"])


def test_it_leaves_the_set_alone(set_folder: Path) -> None:
    with pytest.raises(UsageError, match="lies in the set"):
        write_dali(open_dataset(set_folder), set_folder / "lists")


def test_an_index_that_changes_meanwhile_gives_no_line_that_reads_as_another(set_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(set_folder, tmp_path / "copy")
    dataset = open_dataset(copy)  # which looks at the keys
    shard = next(copy.glob("*/*.tar")).relative_to(copy).as_posix()
    alter_shard(copy, shard, lambda files: [(f"a b 1 2 {name}"[-99:], data) for name, data in files])
    with pytest.raises(SpecError, match="is no key"):
        write_dali(dataset, tmp_path / "lists")
