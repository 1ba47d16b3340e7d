"""The look-alike of SYSU-30k, read by GNU tar and by Python's own reader of tars."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.demo import DemoError, DemoSummary, make_demo
from pipeline.demo.sysu30k.traps import EXTRA_ENTRIES, TRAPS

Made = tuple[Path, DemoSummary]
IMAGES = 200


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("plain")
    return out, make_demo(out, source="sysu30k", images=IMAGES, workers=1)


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("trapped")
    return out, make_demo(out, source="sysu30k", images=IMAGES, traps=True, workers=1)


@pytest.fixture(scope="module")
def planted(trapped: Made) -> dict[str, dict[str, Any]]:
    """The objects in traps.json, by trap."""
    return {place["trap"]: place for place in json.loads((trapped[0] / "traps.json").read_text())}


def train_stream(out: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(out.glob("sysu_train_set_all_part*.tar")))


def images_of(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as archive:
        found = {}
        for entry in archive:
            content = archive.extractfile(entry)
            if content is not None:
                found[entry.name] = content.read()
        return found


def test_the_number_of_workers_leaves_the_bytes_alone(plain: Made, tmp_path: Path) -> None:
    again = make_demo(tmp_path, source="sysu30k", images=IMAGES, workers=2)
    assert again == plain[1]
    assert digests(tmp_path) == digests(plain[0])


def test_every_image_is_in_a_tar_and_in_a_list(plain: Made) -> None:
    out, summary = plain
    train = {name for part in (1, 2, 3) for name in images_of(out / f"sysu_train_set_all_part{part}.tar")}
    test = set(images_of(out / "sysu_test_set_all.tar"))
    lists = {name: (out / "meta" / f"{name}.txt").read_text().splitlines() for name in ("train", "query", "gallery")}
    assert {f"sysu_train_set_all/{line}" for line in lists["train"]} == train
    assert {f"sysu_test_set_all/{name}/{line}" for name in ("query", "gallery") for line in lists[name]} == test
    assert len(train) + len(test) == summary.counts["images"] == IMAGES
    assert len({line.partition("/")[0] for line in lists["query"]}) == summary.counts["identities"]
    assert sum(line.startswith("0000others/") for line in lists["gallery"]) == summary.counts["distractors"]


def test_crops_are_small_baseline_jpegs(plain: Made) -> None:
    sizes = []
    for content in images_of(plain[0] / "sysu_train_set_all_part1.tar").values():
        sizes.append(len(content))
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "JPEG"
            assert "progressive" not in image.info
            assert image.width < image.height
    assert 2000 < sum(sizes) / len(sizes) < 3500


def test_bags_name_folders_that_are_there_and_overlap(plain: Made) -> None:
    bags = json.loads((plain[0] / "meta" / "bag_level_label.json").read_text())
    labels = Counter(label for bag in bags for label in bag["BagLabel"])
    assert set(labels) == set(range(1, plain[1].counts["folders"] + 1))
    assert max(labels.values()) == 2
    assert all(bag["BagImages"] == [f"{label:010d}/*" for label in bag["BagLabel"]] for bag in bags)


def test_every_trap_is_planted_and_recorded(trapped: Made, planted: dict[str, dict[str, Any]]) -> None:
    assert {trap.name for trap in TRAPS} < set(planted) == set(trapped[1].traps)
    assert trapped[1].traps["entry that is no image"] == len(EXTRA_ENTRIES)
    assert trapped[1].rejected == sum(trap.effect == "reject" for trap in TRAPS)


def test_gnu_tar_reads_the_pieces_of_a_trapped_set_as_one(trapped: Made, tmp_path: Path) -> None:
    (tmp_path / "whole.tar").write_bytes(train_stream(trapped[0]))
    listed = subprocess.run(["tar", "tf", tmp_path / "whole.tar"], check=True, capture_output=True, text=True)
    names = listed.stdout.splitlines()
    assert len(names) > 100
    assert max(map(len, names)) > 100
    assert "inside.jpg" not in listed.stdout
    alone = trapped[0] / "sysu_train_set_all_part2.tar"
    assert subprocess.run(["tar", "tf", alone], check=False, capture_output=True).returncode != 0


def test_a_jpeg_holds_a_tar_where_headers_stand(trapped: Made, planted: dict[str, dict[str, Any]]) -> None:
    stream = train_stream(trapped[0])
    place = stream.index(b"0000000001/inside.jpg")
    assert place % tarfile.BLOCKSIZE == 0
    assert tarfile.TarInfo.frombuf(stream[place : place + 512], "utf-8", "strict").name == "0000000001/inside.jpg"
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        content = archive.extractfile(f"sysu_train_set_all/{planted['a tar inside a JPEG']['path']}")
        assert content is not None
        Image.open(content).load()


def test_a_binary_size_is_read_by_others(trapped: Made, planted: dict[str, dict[str, Any]]) -> None:
    stream = train_stream(trapped[0])
    name = f"sysu_train_set_all/{planted['binary size']['path']}".encode()
    assert stream[stream.index(name) + 124] == 0x80
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getmember(name.decode()).size > 1000


def test_a_demo_of_another_dataset_is_not_overwritten(plain: Made) -> None:
    with pytest.raises(DemoError, match="holds no demo of city1m"):
        make_demo(plain[0], images=20)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="ask for 120 or more"):
        make_demo(tmp_path, source="sysu30k", images=119)
