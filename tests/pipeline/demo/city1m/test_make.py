import json
import re
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from pipeline.demo import DemoError, DemoSummary, make_demo

Made = tuple[Path, DemoSummary]
Digests = Callable[[Path], dict[str, str]]

NAME = r"(\d{7})_pCount([2-6])_cam([1-8])_(\d{7})_(day|night)\.jpg"
NUMBER = r"\d+\.\d{1,4}"
LINE = re.compile(rf"{NAME}((?: \d,{NUMBER},{NUMBER},{NUMBER},{NUMBER},{NUMBER})+)")
ZIPS = [f"Images_{size}.zip" for size in range(2, 7)]
LABELS = [f"{split}_part{part}.txt" for part in (1, 2) for split in ("train", "query", "gallery")]
# The marker of a DHT segment and the standard's table for luminance DC coefficients (ITU-T T.81, table K.3).
STANDARD_TABLE = bytes.fromhex("00 00010501010101010100000000000000 000102030405060708090a0b")


def lines_of(out: Path, name: str) -> list[str]:
    return (out / name).read_text(encoding="ascii").splitlines()


def boxes_of(line: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return (members, 6): person id, x, y, w, h, depth."""
    return np.array([part.split(",") for part in line.split()[1:]], np.float64)


def test_the_number_of_workers_leaves_the_bytes_alone(clean: Made, digests: Digests, tmp_path: Path) -> None:
    out, summary = clean
    seen: list[tuple[int, int]] = []
    again = make_demo(tmp_path / "new", images=30, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert again == summary
    assert digests(tmp_path / "new") == digests(out)
    assert seen == [(done, 30) for done in range(1, 31)]


def test_the_folder_holds_the_set_and_nothing_else(clean: Made) -> None:
    out, summary = clean
    assert sorted(file.name for file in out.iterdir()) == sorted([*ZIPS, *LABELS, "demo.json"])
    assert list(summary.files) == sorted([*ZIPS, *LABELS])
    assert summary.bytes == sum((out / name).stat().st_size for name in summary.files)
    assert summary.counts == {"frames": 30, "members": 120, "groups": 10, "identities": 40}
    assert (summary.traps, summary.rejected) == ({}, 0)
    assert json.loads((out / "demo.json").read_text())["counts"]["frames"] == 30


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_finds_the_zips_sound(clean: Made) -> None:
    for name in ZIPS:
        subprocess.run(["unzip", "-tq", str(clean[0] / name)], check=True, capture_output=True)


def test_a_zip_holds_the_groups_of_its_size_one_after_another(clean: Made) -> None:
    methods = set()
    frames = 0
    for size, name in enumerate(ZIPS, start=2):
        with ZipFile(clean[0] / name) as archive:
            assert archive.testzip() is None
            members = archive.infolist()
        matches = [re.fullmatch(rf"Images_{size}/{NAME}", member.filename) for member in members]
        assert all(match is not None and match[2] == str(size) for match in matches)
        names = [member.filename for member in members]
        assert names == sorted(names)
        assert {member.date_time for member in members} == {(2022, 6, 19, 0, 0, 0)}
        methods |= {member.compress_type for member in members}
        frames += len(members)
    assert methods == {ZIP_STORED, ZIP_DEFLATED}
    assert frames == 30


def test_frames_are_baseline_jpegs_as_large_as_city1m_s(clean: Made) -> None:
    sizes = []
    for name in ZIPS:
        with ZipFile(clean[0] / name) as archive:
            for member in archive.infolist():
                content = archive.read(member)
                sizes.append(len(content))
                assert STANDARD_TABLE in content
                with Image.open(BytesIO(content)) as image:
                    assert isinstance(image, JpegImageFile)
                    assert image.size == (1920, 1080)
                    assert "progressive" not in image.info
                    assert get_sampling(image) == 2  # 4:2:0
    assert min(sizes) >= 150_000
    assert max(sizes) <= 300_000
    assert np.std(sizes) > 5_000


def test_label_lines_follow_the_grammar_in_order_of_names(clean: Made) -> None:
    for name in LABELS:
        lines = lines_of(clean[0], name)
        assert lines
        assert lines == sorted(lines)
        for line in lines:
            match = LINE.fullmatch(line)
            assert match is not None, line
            boxes = boxes_of(line)
            assert boxes[:, 0].tolist() == list(range(int(match[2])))


def test_boxes_stand_inside_the_frame(clean: Made) -> None:
    boxes = np.concatenate([boxes_of(line) for name in LABELS for line in lines_of(clean[0], name)])
    _, x, y, width, height, _ = boxes.T
    assert (x >= 0).all()
    assert (y >= 0).all()
    assert (x + width <= 1920).all()
    assert (y + height <= 1080).all()
    assert (width < height).all()


def test_who_is_far_is_small(clean: Made) -> None:
    boxes = np.concatenate([boxes_of(line) for name in LABELS for line in lines_of(clean[0], name)])
    height, depth = boxes[:, 4], boxes[:, 5]
    assert np.corrcoef(np.log(height), np.log(depth))[0, 1] < -0.7
    assert depth.min() > 1.5
    assert depth.max() < 30


def test_labels_and_zips_name_the_same_frames(clean: Made) -> None:
    labelled = {line.split()[0] for name in LABELS for line in lines_of(clean[0], name)}
    zipped = set()
    for name in ZIPS:
        with ZipFile(clean[0] / name) as archive:
            zipped |= {Path(member).name for member in archive.namelist()}
    assert labelled == zipped


def test_a_demo_is_overwritten(trapped: Made, clean: Made, digests: Digests, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    shutil.copytree(trapped[0], out)
    (out / ".demo-work").mkdir()  # as a killed run leaves it
    (out / "mine.txt").write_text("kept")
    make_demo(out, images=30, workers=1)
    found = digests(out)
    del found["mine.txt"]
    assert found == digests(clean[0])


def test_what_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "Images_2.zip").write_bytes(b"somebody's City1M")
    with pytest.raises(DemoError, match=r"is not empty and holds no demo .*name a folder that is new or empty"):
        make_demo(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["Images_2.zip"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(DemoError, match="is a file"):
        make_demo(tmp_path / "out")


@pytest.mark.parametrize(
    ("frames", "seed", "traps", "workers", "message"),
    [
        (19, 0, False, 1, "ask for 20 or more"),
        (99, 0, True, 1, "99 images are too few for this demo: ask for 100 or more"),
        (400, -1, False, 1, "seed -1 is negative"),
        (400, 0, False, 0, "0 workers"),
    ],
)
def test_arguments_out_of_range_are_named(
    tmp_path: Path, frames: int, seed: int, traps: bool, workers: int, message: str
) -> None:
    with pytest.raises(DemoError, match=message):
        make_demo(tmp_path, images=frames, seed=seed, traps=traps, workers=workers)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_leaves_nothing_half_made(tmp_path: Path, workers: int) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path, images=20, workers=workers, progress=interrupt)
    assert not list(tmp_path.iterdir())
