"""Frames that are put together of City1M-Lite, beside those of City1M-Full with the same scenes."""

import io
import json
import math
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds
import pytest
from PIL import Image

from pipeline.demo import make_demo
from pipeline.sources.city1m import CITY1M, CITY1M_LITE
from pipeline.sources.city1m.lite.draw import draw_frames
from pipeline.sources.city1m.lite.reconstruct import plan_reconstruction
from pipeline.sources.city1m.options import ReconstructionOptions
from shards_spec.storage import LocalStore
from tests.support.processes import WAIT_SECONDS, run_command, start_command, wait_until
from tests.support.sets import convert_source, digests
from tests.support.source import Member, frame_name, label_line

FRAMES = 30
Pixels = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lite")
    make_demo(folder, source="city1m-lite", images=FRAMES, workers=1)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    make_demo(folder, images=FRAMES, workers=1)
    return folder


@pytest.fixture(scope="module")
def made(lite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames, made in this process."""
    out = tmp_path_factory.mktemp("frames")
    store = LocalStore(lite)
    plan = plan_reconstruction(store, str(out), ReconstructionOptions(), {}, lambda _: None)
    for part in plan.parts:
        draw_frames(store, part.argument)
    return out


def rows(out: Path) -> list[dict[str, Any]]:
    """The rows of all indexes of a set."""
    columns = ["group_id", "person_id", "identity", "splits_p1", "splits_p2"]
    files = [str(file) for file in out.glob("*/index.parquet")]
    found: list[dict[str, Any]] = ds.dataset(files).to_table(columns).to_pylist()
    return found


def test_lite_and_full_have_the_same_groups_members_identities_and_splits(
    lite: Path, full: Path, tmp_path: Path
) -> None:
    convert_source(CITY1M_LITE, lite, tmp_path / "lite", CITY1M_LITE.make_options({}))
    convert_source(CITY1M, full, tmp_path / "full", CITY1M.make_options({}))
    members = {(row["group_id"], row["person_id"], row["identity"]) for row in rows(tmp_path / "full")}
    crops = rows(tmp_path / "lite")
    assert len(crops) == len(members) == 40
    assert {(row["group_id"], row["person_id"], row["identity"]) for row in crops} == members
    splits: dict[str, dict[str, set[str]]] = defaultdict(lambda: {"splits_p1": set(), "splits_p2": set()})
    for row in rows(tmp_path / "full"):
        for protocol, found in splits[row["group_id"]].items():
            found.update(row[protocol])
    for row in crops:
        assert {name: sorted(found) for name, found in splits[row["group_id"]].items()} == {
            name: row[name] for name in ("splits_p1", "splits_p2")
        }


def boxes_of(folder: Path) -> dict[str, list[list[float]]]:
    """The boxes of each frame, by the frame's file name."""
    boxes = {}
    for file in folder.glob("*_part*.txt"):
        for line in file.read_text().splitlines():
            name, *members = line.split()
            boxes[name] = [[float(number) for number in member.split(",")[1:5]] for member in members]
    return boxes


def pixels(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32)


def region(frame: Pixels, box: list[float]) -> Pixels:
    """What a box shows, as 8 x 16 pixels."""
    x, y, width, height = box
    part = frame[math.floor(y) : math.ceil(y + height), math.floor(x) : math.ceil(x + width)].astype(np.uint8)
    return np.asarray(Image.fromarray(part).resize((8, 16), Image.Resampling.BOX), np.float32)


def correlation(one: Pixels, other: Pixels) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / math.sqrt(float((one**2).sum() * (other**2).sum())))


def test_the_boxes_show_what_the_frames_of_full_show_there(lite: Path, full: Path, made: Path) -> None:
    """Measured: a median correlation of 0.65; 0.16 for the empty street, and 0.07 for the box of another member."""
    frames: dict[str, bytes] = {}
    for file in full.glob("Images_*.zip"):
        with ZipFile(file) as archive:
            frames |= {Path(name).name: archive.read(name) for name in archive.namelist()}
    files = {file.name: file for file in made.rglob("*.jpg")}
    assert files.keys() == frames.keys()
    assert len(files) == FRAMES
    same, empty, swapped = [], [], []
    for name, boxes in boxes_of(full).items():
        camera, time = name.split("_")[2], name.removesuffix(".jpg").split("_")[4]
        frame, ours = pixels(frames[name]), pixels(files[name].read_bytes())
        street = pixels((lite / "background" / f"{camera}_{time}.jpg").read_bytes())
        assert ours.shape == frame.shape
        outside = np.ones(frame.shape[:2], bool)
        for box, other in zip(boxes, [*boxes[1:], boxes[0]], strict=True):
            same.append(correlation(region(frame, box), region(ours, box)))
            empty.append(correlation(region(frame, box), region(street, box)))
            swapped.append(correlation(region(frame, box), region(ours, other)))
            x, y, width, height = box
            outside[max(0, int(y) - 16) : int(y + height) + 17, max(0, int(x) - 16) : int(x + width) + 17] = False
        assert np.abs(ours - street)[outside].mean() < 2  # encoded twice
    assert np.median(same) > 0.5
    assert max(np.median(empty), np.median(swapped)) < 0.3
    assert np.mean(np.array(same) > np.maximum(empty, swapped)) > 0.85


def test_what_the_frames_lack_is_counted_with_the_label_lines_that_cannot_be_read(tmp_path: Path) -> None:
    def members(*persons: int) -> list[Member]:
        return [(person, (100.0 * person, 50.0, 40.0, 90.0), 2.0 + person) for person in persons]

    lines = [
        label_line(frame_name(1, 2), members(0, 1)),
        f"{label_line(frame_name(1, 2, index=2), members(0))} 1,nan,1,1,1,1",
        label_line(frame_name(2, 2), members(0, 1)),
        "no label",
    ]
    (tmp_path / "train_part1.txt").write_text("\n".join([*lines, lines[0][:-5]]))
    for name in ("Image_2_crop/0000001/0.jpg", "Image_2_crop/0000001/1.jpg", "background/cam1_day.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (640, 360)).save(tmp_path / name)
    plan = plan_reconstruction(LocalStore(tmp_path), str(tmp_path), ReconstructionOptions(), {}, lambda _: None)
    assert (sum(plan.frames), plan.members) == (2, 3)
    unread, cut_off, *rest = plan.left_out
    assert unread.startswith("2 of 5 label lines cannot be read, such as train_part1.txt:4: ")
    assert cut_off.startswith("train_part1.txt ends inside line 5")
    assert rest == [
        "gallery_part1.txt is missing: protocol p1 has no gallery split",
        "query_part1.txt is missing: protocol p1 has no query split",
        "1 of 6 labels have no box that counts, so that these members are not drawn",
        "2 of 6 labels are of members without a crop that can be read, who are not drawn",
        "1 of 3 labelled frames have no member who can be drawn, and are left out",
    ]


@pytest.mark.slow
def test_interrupted_and_continued_it_makes_the_same_frames(
    lite: Path, made: Path, shared_ray: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start_command("reconstruct", lite, out, "--workers", 1)
    try:
        wait_until(lambda: any(out.glob("Images_*/*.jpg")) or process.poll() is not None, "a frame")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "what is finished is kept: the same command continues" in output
    assert digests(out).items() < digests(made).items()
    done = run_command("reconstruct", lite, out, *shared_ray)
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} frames that show 120 of 120 members who have a crop; they are approximate" in done.stdout
    assert digests(out) == digests(made)
    again = run_command("reconstruct", lite, out, "--json", "--quiet")
    assert (again.returncode, again.stderr) == (0, "")
    told = {"command": "reconstruct", "frames": FRAMES, "members": 120, "members_with_crop": 120}
    nothing: dict[str, list[str]] = {"not_drawn": [], "left_out": []}
    assert json.loads(again.stdout) == {"schema_version": 1, **told, **nothing}
    other = run_command("reconstruct", lite, out, "--box-order", "xyhw")
    assert other.returncode == 2
    assert "holds frames that were put together of something else: box order differ" in other.stderr
