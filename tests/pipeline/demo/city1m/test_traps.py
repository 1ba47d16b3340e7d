import json
import math
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_LZMA, BadZipFile, ZipFile

import pytest
from PIL import Image

from pipeline.demo import DemoSummary
from pipeline.demo.city1m.splits import SplitAssignment
from pipeline.demo.city1m.traps import EXTRA_MEMBERS, LABEL_STYLES, TRAPS, plan_traps
from pipeline.demo.world import plan_groups

Made = tuple[Path, DemoSummary]
Places = dict[str, list[dict[str, Any]]]
LABELS = [f"{split}_part{part}.txt" for part in (1, 2) for split in ("train", "query", "gallery")]


@pytest.fixture(scope="module")
def places(trapped: Made) -> Places:
    """The objects in traps.json, by trap."""
    found: Places = {}
    for place in json.loads((trapped[0] / "traps.json").read_text()):
        assert list(place) == ["trap", "effect", "file", "line", "member", "frame"]
        found.setdefault(place["trap"], []).append(place)
    return found


def line_at(out: Path, place: dict[str, Any]) -> str:
    text = (out / place["file"]).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    line: str = text.split("\n")[place["line"] - 1]
    if place["frame"] is not None:
        assert line.split(maxsplit=1)[0] == place["frame"]
    return line


def first_box(line: str) -> list[float]:
    return [float(number) for number in line.split()[1].split(",")]


def content(out: Path, place: dict[str, Any]) -> bytes:
    with ZipFile(out / place["file"]) as archive:
        return archive.read(place["member"])


def labelled(out: Path) -> Iterator[str]:
    for name in LABELS:
        for line in (out / name).read_text("utf-8-sig").splitlines():
            if line:
                yield line.split()[0]


def test_every_trap_is_planted_and_recorded(trapped: Made, places: Places) -> None:
    summary = trapped[1]
    assert set(summary.traps) == set(places)
    assert set(summary.traps) == {trap.name for trap in TRAPS} | {name for name, _, _ in EXTRA_MEMBERS} | {
        "byte order mark", "carriage returns", "blank line",
    }  # fmt: skip
    assert {trap: count for trap, count in summary.traps.items() if count != 1} == {"blank line": 2}
    assert "traps.json" in summary.files


def test_the_loss_is_told(trapped: Made, places: Places) -> None:
    lost = {place["frame"] for found in places.values() for place in found if place["effect"] == "reject"}
    assert trapped[1].rejected == sum(int(name.split("_pCount")[1][0]) for name in lost)
    assert len(lost) == sum(trap.effect == "reject" for trap in TRAPS)


def test_label_files_are_spelled_in_every_way(trapped: Made, places: Places) -> None:
    out = trapped[0]
    marked, windows = places["byte order mark"][0]["file"], places["carriage returns"][0]["file"]
    for name in LABELS:
        raw = (out / name).read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf") == (name == marked)
        assert raw.count(b"\r\n") == (raw.count(b"\n") if name == windows else 0)
    assert [line_at(out, place) for place in places["blank line"]] == ["", ""]
    blank = places["blank line"][0]["file"]
    assert (out / blank).read_bytes().split(b"\n")[:-1].count(b"") == 2
    assert {marked, windows, blank} == set(LABEL_STYLES)


@pytest.mark.parametrize(
    "trap", [trap.name for trap in TRAPS if trap.needs == "one file"], ids=lambda name: name.replace(" ", "-")
)
def test_a_frame_that_tells_its_loss_has_one_place(trapped: Made, places: Places, trap: str) -> None:
    assert len({(place["file"], place["frame"]) for place in places[trap]}) == 1
    assert set(labelled(trapped[0])) >= {places[trap][0]["frame"]}


def test_lines_are_wrong_as_told(trapped: Made, places: Places) -> None:
    out = trapped[0]

    def line(trap: str) -> str:
        return line_at(out, places[trap][0])

    assert len(line("wrong number of fields").split()[1].split(",")) == 5
    assert math.isnan(first_box(line("not a number"))[5])
    assert math.isinf(first_box(line("infinite number"))[1])
    assert first_box(line("empty box"))[3] == 0
    assert first_box(line("box wholly outside"))[1] > 1920
    partly = first_box(line("box partly outside"))
    assert partly[2] < 1080 < partly[2] + partly[4]
    assert partly[3] < partly[4]
    ids = [part.split(",")[0] for part in line("person id twice").split()[1:]]
    assert Counter(ids)["0"] == 2
    ids = [part.split(",")[0] for part in line("members in another order").split()[1:]]
    assert ids == sorted(ids, reverse=True)


def test_lines_contradict_each_other_as_told(trapped: Made, places: Places) -> None:
    out = trapped[0]
    same = [line_at(out, place) for place in places["repeated line"]]
    assert len(same) == 2
    assert len(set(same)) == 1
    differing = places["labelled differently in one file"]
    assert len({place["file"] for place in differing}) == 1
    assert len({line_at(out, place) for place in differing}) == 2
    across = places["labelled differently in two protocols"]
    by_protocol = {place["file"][-5]: line_at(out, place) for place in across}
    assert by_protocol["1"] != by_protocol["2"]


def test_frames_and_labels_miss_each_other_as_told(trapped: Made, places: Places) -> None:
    out = trapped[0]
    zipped = Counter[str]()
    for size in range(2, 7):
        with ZipFile(out / f"Images_{size}.zip") as archive:
            zipped.update(Path(name).name for name in archive.namelist())
    names = set(labelled(out))
    assert names - set(zipped) == {places["label without frame"][0]["frame"]}
    assert {name for name in set(zipped) - names if name.endswith(".jpg")} == {
        places["frame without label"][0]["frame"],
        Path(places["parent folder in name"][0]["member"]).name,
    }
    assert {name for name, count in zipped.items() if count > 1} == {places["frame in two zips"][0]["frame"]}
    assert len({place["file"] for place in places["frame in two zips"]}) == 2


def test_members_are_wrong_as_told(trapped: Made, places: Places) -> None:
    out = trapped[0]
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(BytesIO(content(out, places["garbage for a JPEG"][0])))
    with Image.open(BytesIO(content(out, places["truncated JPEG"][0]))) as image, pytest.raises(OSError, match="trunc"):
        image.load()
    with pytest.raises(BadZipFile, match="Bad CRC-32"):
        content(out, places["wrong CRC"][0])
    place = places["unsupported compression"][0]
    with ZipFile(out / place["file"]) as archive:
        assert archive.getinfo(place["member"]).compress_type == ZIP_LZMA
    with Image.open(BytesIO(content(out, places["progressive JPEG"][0]))) as image:
        assert image.info["progressive"]
        image.load()
    with Image.open(BytesIO(content(out, places["grayscale JPEG"][0]))) as image:
        assert image.mode == "L"
        image.load()
    assert places["parent folder in name"][0]["member"].startswith("../")
    assert content(out, places["folder entry"][0]) == b""


def test_everything_else_is_sound(trapped: Made, places: Places) -> None:
    told = {place["member"] for found in places.values() for place in found}
    for size in range(2, 7):
        with ZipFile(trapped[0] / f"Images_{size}.zip") as archive:
            for name in archive.namelist():
                if name not in told:
                    assert archive.read(name).endswith(b"\xff\xd9")


def test_traps_lie_in_many_groups_and_need_enough_frames() -> None:
    groups = list(plan_groups(400))
    planned = plan_traps(0, groups, SplitAssignment(0, groups))
    assert len(planned) == len(TRAPS)
    assert len({name.split("_")[0] for name in planned}) > 8
    few = list(plan_groups(20))
    with pytest.raises(ValueError, match="too few frames for the traps"):
        plan_traps(0, few, SplitAssignment(0, few))


@pytest.mark.parametrize("seed", range(12))
def test_the_fewest_frames_allowed_are_enough_for_all_traps(seed: int) -> None:
    groups = list(plan_groups(100))
    assert len(plan_traps(seed, groups, SplitAssignment(seed, groups))) == len(TRAPS)
