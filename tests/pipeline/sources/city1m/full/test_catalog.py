import gzip
import io
import os
import random
import shutil
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow.compute as pc
import pytest
from PIL import Image

from pipeline import archives
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m.full import losses
from pipeline.sources.city1m.full.catalog import build_catalog
from pipeline.sources.city1m.full.frames import FRAME_SCHEMA
from pipeline.sources.city1m.options import City1MOptions
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.storage import LocalStore
from shards_spec.variants.city1m.options import BoxOrder, IdentityScope
from tests.support.notes import note_counts

CONTENT = b"no image, but that is found out later"


def stem(index: int = 1, group: str = "0009501", count: int = 2, camera: int = 1, time: str = "day") -> str:
    return f"{group}_pCount{count}_cam{camera}_{index:07d}_{time}"


def member(person: int, x: float = 100, y: float = 200, w: float = 50, h: float = 150, depth: float = 5) -> str:
    return f"{person},{x},{y},{w},{h},{depth}"


def line(name: str, *members: str) -> str:
    return " ".join([f"{name}.jpg", *(members or (member(0), member(1)))])


def write_zip(path: Path, names: list[str], content: bytes = CONTENT) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content)


def build(
    folder: Path,
    zips: Mapping[str, list[str]],
    labels: Mapping[str, list[str]],
    *,
    box_order: BoxOrder = "auto",
    identity_scope: IdentityScope = "auto",
) -> Catalog:
    """The catalog of zips of empty frames (by stem, or by full member name) and label files of lines."""
    folder.mkdir(exist_ok=True)
    for name, members in zips.items():
        full = [member if "/" in member or "." in member else f"Images_2/{member}.jpg" for member in members]
        write_zip(folder / name, full)
    for name, lines in labels.items():
        (folder / name).write_text("".join(f"{text}\n" for text in lines))
    return load(folder, box_order, identity_scope)


def load(folder: Path, box_order: BoxOrder = "auto", identity_scope: IdentityScope = "auto") -> Catalog:
    store = LocalStore(folder)
    return build_catalog(store, store, City1MOptions(box_order=box_order, identity_scope=identity_scope))


def stems(catalog: Catalog) -> list[str]:
    names: list[str] = catalog.rows.column("name").to_pylist()
    return names


def total(catalog: Catalog) -> dict[str, int]:
    """How many things the source names, by account."""
    return {name: account.total for name, account in catalog.accounts.items()}


def rejected(catalog: Catalog) -> dict[str, int]:
    """How many of them are lost."""
    return {name: account.rejected for name, account in catalog.accounts.items()}


def only_reject(catalog: Catalog) -> Reject:
    (reject,) = catalog.rejects
    return reject


GOOD, GOOD_LINE = stem(99), line(stem(99))
"""A frame beside the one that a test is about, so that something is left."""


def test_a_frame_is_joined_from_labels_and_archive(tmp_path: Path) -> None:
    name = stem(7, camera=3, time="night")
    catalog = build(
        tmp_path,
        {"Images_2.zip": [name]},
        {"train_part1.txt": [line(name, member(1, 30.5, 40, 50, 60.25, 1.5), member(0, 1, 2, 3, 4, 2.5))]},
    )
    assert catalog.rows.schema == FRAME_SCHEMA
    (row,) = catalog.rows.to_pylist()
    assert row | {"extent": 0, "crc32": 0} == {
        "name": name,
        "group": "0009501",
        "samples": 2,
        "camera": 3,
        "time": "night",
        "cell": "p1-train",
        "archive": "Images_2.zip",
        "entry": f"Images_2/{name}.jpg",
        "offset": 0,
        "extent": 0,
        "compressed_size": len(CONTENT),
        "size": len(CONTENT),
        "crc32": 0,
        "method": 0,
        "person_ids": [0, 1],
        "boxes": [1, 2, 3, 4, 30.5, 40, 50, 60.25],
        "depths": [2.5, 1.5],
    }
    assert (catalog.variant, catalog.dataset) == ("city1m", "City1M-Full")
    assert total(catalog) | {"lines": 1, "frames": 1, "members": 2} == total(catalog)
    assert rejected(catalog) | {"lines": 0, "frames": 0, "members": 0} == rejected(catalog)
    assert (catalog.rejects, catalog.notes) == ([], {})
    assert [source.file for source in [*catalog.archives, *catalog.labels]] == ["Images_2.zip", "train_part1.txt"]


def test_frames_stand_by_archive_and_offset_whatever_the_labels_order(tmp_path: Path) -> None:
    names = [stem(number, group=f"{number:07d}") for number in range(40)]
    random.Random(0).shuffle(names)
    zips = {"Images_10.zip": names[30:], "Images_2.zip": names[:20], "Images_3.zip": names[20:30]}
    lines = sorted(map(line, names))
    catalog = build(tmp_path, zips, {"train_part1.txt": lines, "query_part2.txt": lines[:5]})
    assert stems(catalog) == names[30:] + names[:30]
    offsets = catalog.rows.column("offset").to_pylist()
    assert offsets == sorted(offsets[:10]) + sorted(offsets[10:30]) + sorted(offsets[30:])
    (tmp_path / "train_part1.txt").write_text("\r\n".join(lines[::-1]))
    again = load(tmp_path)
    assert again.rows.equals(catalog.rows)
    assert again.rows.column("depths").combine_chunks().flatten().to_pylist() == [5.0] * 80


def test_splits_of_all_protocols_make_the_cells(tmp_path: Path) -> None:
    catalog = build(
        tmp_path,
        {"Images_2.zip": [stem(1), stem(2), stem(3)]},
        {
            "train_part1.txt": [line(stem(1))],
            "query_part1.txt": [line(stem(2))],
            "gallery_part1.txt": [line(stem(2))],
            "train_part2.txt": [line(stem(1)), line(stem(3))],
            "query_part2.txt": [],
            "gallery_part2.txt": [],
        },
    )
    assert catalog.rows.column("cell").to_pylist() == [
        "p1-train_p2-train",
        "p1-gallery-query_p2-none",
        "p1-none_p2-train",
    ]
    assert catalog.protocols["p2"]["train"] == ["p1-none_p2-train", "p1-train_p2-train"]
    assert catalog.cell_splits["p1-gallery-query_p2-none"] == {"p1": ["gallery", "query"], "p2": []}
    assert [warning.partition(" ")[0] for warning in catalog.gaps] == ["gallery_part2.txt", "query_part2.txt"]


def test_missing_label_files_and_archives_are_warned_of(tmp_path: Path) -> None:
    names = [stem(1, count=3), stem(2, count=3)]
    catalog = build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part2.txt": [GOOD_LINE, *map(line, names)]})
    assert catalog.gaps == [
        "gallery_part2.txt is missing: protocol p2 has no gallery split",
        "query_part2.txt is missing: protocol p2 has no query split",
        "none of the 2 labelled frames of groups of 3 is in an archive: Images_3.zip seems to be missing",
    ]
    assert [reject.reason for reject in catalog.rejects] == [RejectReason.IMAGE_MISSING] * 2
    assert rejected(catalog) | {"frames": 2, "members": 4} == rejected(catalog)


@pytest.mark.parametrize("lines", [[], [line(stem())]], ids=["nothing", "no frame"])
def test_a_label_file_that_gives_no_frame_is_warned_of(tmp_path: Path, lines: list[str]) -> None:
    catalog = build(
        tmp_path,
        {"Images_2.zip": [GOOD]},
        {"train_part1.txt": [GOOD_LINE], "query_part1.txt": lines, "gallery_part1.txt": [GOOD_LINE]},
    )
    size = sum(len(text) + 1 for text in lines)
    (warning,) = catalog.gaps
    assert warning.startswith(f"query_part1.txt ({size} bytes): no frame that it labels can be converted")
    assert warning.endswith("the query split of protocol p1 is empty")


def test_a_labelled_frame_in_no_archive_is_missing(tmp_path: Path) -> None:
    catalog = build(
        tmp_path,
        {"Images_2.zip": [GOOD]},
        {"gallery_part1.txt": [GOOD_LINE, "", line(stem())], "query_part1.txt": [line(stem())]},
    )
    assert only_reject(catalog) == Reject(
        RejectReason.IMAGE_MISSING, "gallery_part1.txt:3", stem(), None, 2, "labelled with 2 members, in no archive"
    )
    assert total(catalog) | {"frames": 2} == total(catalog)
    assert rejected(catalog) | {"frames": 1, "members": 2} == rejected(catalog)


def test_a_frame_in_two_archives_is_lost_and_both_are_named(tmp_path: Path) -> None:
    zips = {"Images_2.zip": [GOOD, stem()], "Images_3.zip": [f"other/{stem()}.jpg"]}
    catalog = build(tmp_path, zips, {"train_part1.txt": [GOOD_LINE, line(stem())]})
    first, second = f"Images_2.zip:Images_2/{stem()}.jpg", f"Images_3.zip:other/{stem()}.jpg"
    assert only_reject(catalog) == Reject(RejectReason.IMAGE_REPEATED, second, stem(), None, 2, f"{first} and {second}")
    assert rejected(catalog) | {"frames": 1, "members": 2} == rejected(catalog)
    assert stems(catalog) == [GOOD]


def test_an_archive_that_is_there_twice_is_taken_once(tmp_path: Path) -> None:
    zips = {"Images_2.zip": [GOOD, stem()], "Images_3.zip": [stem(5, "0000005")]}
    labels = {"train_part1.txt": [GOOD_LINE, line(stem()), line(stem(5, "0000005"))]}
    once = build(tmp_path, zips, labels)
    for name in ("Images_2 (1).zip", "Images_2 (2).zip"):
        shutil.copy(tmp_path / "Images_2.zip", tmp_path / name)
    twice = load(tmp_path)
    assert twice.rows.equals(once.rows)
    assert twice.archives == once.archives
    assert (twice.rejects, twice.gaps) == (once.rejects, once.gaps)
    assert note_counts(twice.notes) == {Note.ARCHIVE_REPEATED: 2}
    write_zip(tmp_path / "Images_2 (1).zip", [f"Images_2/{GOOD}.jpg", f"Images_2/{stem()}.jpg"], CONTENT + b"!")
    assert {reject.reason for reject in load(tmp_path).rejects} == {RejectReason.IMAGE_REPEATED}


@pytest.mark.parametrize("name", ["Images_3.zip", "query_part1.txt"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [GOOD_LINE]})
    for make, what in (
        (os.mkfifo, "named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "device"),
        (lambda path: path.symlink_to("gone"), "symbolic link that leads nowhere"),
    ):
        make(tmp_path / name)
        with pytest.raises(UsageError, match=f"{name} is a {what}, not a file: take it away, or put the file there"):
            load(tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "Images_2.zip").rename(tmp_path / "elsewhere" / "Images_2.zip")
    (tmp_path / "Images_2.zip").symlink_to("elsewhere/Images_2.zip")
    assert stems(load(tmp_path)) == [GOOD]


def test_an_archive_without_the_frames_that_its_name_promises_is_not_called_missing(tmp_path: Path) -> None:
    zips = {"Images_2.zip": [GOOD], "Images_3.zip": [stem(9)]}
    catalog = build(tmp_path, zips, {"train_part1.txt": [GOOD_LINE, line(stem(1, count=3))]})
    assert catalog.gaps[-1].endswith("groups of 3 is in an archive: Images_3.zip is there, but holds none of them")


def test_a_missing_archive_is_pointed_to(tmp_path: Path) -> None:
    (tmp_path / "rest").mkdir()
    (tmp_path / "rest" / "Images_3.zip").write_bytes(b"")
    labels = {"train_part1.txt": [GOOD_LINE, line(stem(1, count=3))]}
    gap = build(tmp_path, {"Images_2.zip": [GOOD]}, labels).gaps[-1]
    assert gap.endswith("Images_3.zip seems to be missing; rest/Images_3.zip is there: move it to the others")


def test_no_archive_at_the_top_is_an_error_that_says_where_some_lie(tmp_path: Path) -> None:
    def message() -> str:
        with pytest.raises(UsageError, match=r"no archive such as Images_2\.zip lies at its top") as caught:
            load(tmp_path)
        return str(caught.value)

    (tmp_path / "train_part1.txt").write_text(f"{GOOD_LINE}\n")
    assert message().endswith("lies at its top: name the folder that holds the zips")
    (tmp_path / "Images_2" / "0009501").mkdir(parents=True)
    assert message().endswith("; Images_2 is a folder, not a file: was it unpacked? Then pack it again (zip -0 -r)")
    (tmp_path / "Images_2.zip.part").write_bytes(b"")
    assert message().endswith("; Images_2.zip.part lies there, but is not taken under that name")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is no zip archive: it is a Git LFS pointer"),
        (b"<html><body>Please log in</body></html>", "is no zip archive: it is a web page"),
        (gzip.compress(bytes(1000), mtime=0), "is no zip archive: it is packed by gzip"),
        (b"", "is truncated, or is no zip archive"),
    ],
)
def test_an_archive_that_is_something_else_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [GOOD_LINE]})
    (tmp_path / "Images_3.zip").write_bytes(content)
    with pytest.raises(UsageError, match=rf"Images_3\.zip.* {what}"):
        load(tmp_path)


def test_frames_without_a_label_are_notes_even_if_repeated(tmp_path: Path) -> None:
    zips = {"Images_2.zip": [GOOD, stem(), "Images_2/", "Images_2/readme.txt"], "b.ZIP": [stem(), "Thumbs.db"]}
    catalog = build(tmp_path, zips, {"train_part1.txt": [GOOD_LINE]})
    assert catalog.rejects == []
    assert note_counts(catalog.notes) == {Note.IMAGE_UNLABELLED: 2, Note.ENTRY_IGNORED: 3}


def test_a_frame_labelled_differently_is_lost_and_both_lines_are_named(tmp_path: Path) -> None:
    catalog = build(
        tmp_path,
        {"Images_2.zip": [GOOD, stem()]},
        {
            "train_part1.txt": [line(stem(), member(0))],
            "gallery_part2.txt": [GOOD_LINE, line(stem(), member(0, x=101))],
        },
    )
    assert only_reject(catalog) == Reject(
        RejectReason.LABEL_CONFLICT, "gallery_part2.txt:2", stem(), None, 1, "labelled differently in train_part1.txt:1"
    )
    assert total(catalog) | {"members": 3} == total(catalog)
    assert rejected(catalog) | {"frames": 1, "members": 1} == rejected(catalog)


def test_an_equal_line_again_in_its_file_is_a_note_and_in_another_file_nothing(tmp_path: Path) -> None:
    swapped = line(GOOD, member(1), member(0))
    catalog = build(
        tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [GOOD_LINE, swapped], "train_part2.txt": [swapped]}
    )
    assert catalog.rejects == []
    assert note_counts(catalog.notes) == {Note.REPEATED_LINE: 1}
    assert total(catalog) | {"lines": 3, "frames": 1, "members": 2} == total(catalog)


def test_a_frame_with_more_members_than_any_camera_shows_is_lost_whole(tmp_path: Path) -> None:
    most, more = stem(1, "0000001"), stem(2, "0000002")
    labels = {
        "train_part1.txt": [
            GOOD_LINE,
            line(most, *(member(person, w=5) for person in range(losses.MAX_MEMBERS))),
            line(more, *(member(person, w=5) for person in range(losses.MAX_MEMBERS + 1))),
        ]
    }
    catalog = build(tmp_path, {"Images_2.zip": [GOOD, most, more]}, labels, box_order="xywh", identity_scope="group")
    assert only_reject(catalog) == Reject(
        RejectReason.IMAGE_CROWDED,
        "train_part1.txt:3",
        more,
        None,
        1001,
        "labelled with 1001 members: at most 1000 are taken",
    )
    assert stems(catalog) == [GOOD, most]
    assert total(catalog) | {"members": 2003} == total(catalog)
    assert rejected(catalog) | {"members": 1001, "frames": 1} == rejected(catalog)


def test_a_frame_in_very_many_places_is_described_in_a_few_words(tmp_path: Path) -> None:
    zips = {"Images_2.zip": [GOOD, *(f"{place}/{stem()}.jpg" for place in range(1000))]}
    reject = only_reject(build(tmp_path, zips, {"train_part1.txt": [GOOD_LINE, line(stem())]}))
    assert reject.reason is RejectReason.IMAGE_REPEATED
    assert reject.detail.endswith(f"Images_2.zip:3/{stem()}.jpg and 996 more")


def test_a_malformed_line_is_lost_but_its_frame_lives_on_with_the_splits_of_the_others(tmp_path: Path) -> None:
    labels = {"train_part1.txt": [GOOD_LINE], "query_part2.txt": [f"{GOOD_LINE} 2,1,1", line(stem())]}
    catalog = build(tmp_path, {"Images_2.zip": [GOOD, stem()]}, labels)
    assert only_reject(catalog) == Reject(
        RejectReason.LINE_FIELDS, "query_part2.txt:1", GOOD, None, 0, "3 values instead of 6 in '2,1,1'"
    )
    assert catalog.rows.column("cell").to_pylist() == ["p1-train_p2-none", "p1-none_p2-query"]
    assert total(catalog) | {"lines": 3} == total(catalog)
    assert rejected(catalog) | {"lines": 1, "frames": 0} == rejected(catalog)


def test_lines_that_name_no_frame_are_lost(tmp_path: Path) -> None:
    catalog = build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [GOOD_LINE, f"x.jpg {member(0)}"]})
    reject = only_reject(catalog)
    assert (reject.reason, reject.where, reject.name) == (RejectReason.LINE_NAME, "train_part1.txt:2", None)


def test_member_rejects_name_the_member_and_its_values(tmp_path: Path) -> None:
    members = [member(0), member(1, w=0), member(2, h=-3), member(3, x=float("nan")), member(4), member(4, x=7)]
    labels = {"train_part1.txt": [line(stem(count=6), *members)]}
    catalog = build(tmp_path, {"Images_2.zip": [stem(count=6)]}, labels, box_order="xywh")
    where = "train_part1.txt:1"
    assert sorted(catalog.rejects, key=Reject.sort_key) == [
        Reject(
            RejectReason.BOX_EMPTY, where, stem(count=6), 1, 1, "box (x, y, w, h) 100.0, 200.0, 0.0, 150.0; depth 5.0"
        ),
        Reject(
            RejectReason.BOX_EMPTY, where, stem(count=6), 2, 1, "box (x, y, w, h) 100.0, 200.0, 50.0, -3.0; depth 5.0"
        ),
        Reject(RejectReason.MEMBER_NOT_FINITE, where, stem(count=6), 3, 1, "box nan, 200.0, 50.0, 150.0; depth 5.0"),
        Reject(RejectReason.MEMBER_REPEATED, where, stem(count=6), 4, 1, "box 100.0, 200.0, 50.0, 150.0; depth 5.0"),
        Reject(RejectReason.MEMBER_REPEATED, where, stem(count=6), 4, 1, "box 7.0, 200.0, 50.0, 150.0; depth 5.0"),
    ]
    assert catalog.rows.column("person_ids").to_pylist() == [[0]]
    assert total(catalog) | {"members": 6} == total(catalog)
    assert rejected(catalog) | {"members": 5, "frames": 0} == rejected(catalog)


@pytest.mark.parametrize("depth", ["inf", "-inf", "nan"])
def test_a_depth_that_is_not_finite_loses_its_member(tmp_path: Path, depth: str) -> None:
    catalog = build(
        tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [line(GOOD, member(0), f"1,1,2,3,4,{depth}")]}
    )
    assert only_reject(catalog).reason is RejectReason.MEMBER_NOT_FINITE


def test_a_frame_all_of_whose_members_are_lost_has_no_row(tmp_path: Path) -> None:
    labels = {"train_part1.txt": [GOOD_LINE], "query_part1.txt": [line(stem(), member(0, w=0), member(1, h=0))]}
    catalog = build(tmp_path, {"Images_2.zip": [stem(), GOOD]}, labels, box_order="xywh")
    assert stems(catalog) == [GOOD]
    assert [(reject.reason, reject.person_id) for reject in catalog.rejects] == [
        (RejectReason.BOX_EMPTY, 0),
        (RejectReason.BOX_EMPTY, 1),
    ]
    assert rejected(catalog) | {"frames": 1, "members": 2} == rejected(catalog)
    assert catalog.protocols == {"p1": {"query": [], "train": ["p1-train"]}}


def test_another_number_of_members_than_the_name_says_is_a_note(tmp_path: Path) -> None:
    catalog = build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [line(GOOD, member(1))]})
    assert note_counts(catalog.notes) == {Note.MEMBER_COUNT_DIFFERS: 1}
    assert catalog.rejects == []


def test_box_numbers_are_put_in_order(tmp_path: Path) -> None:
    text = line(GOOD, "0,10,20,300,40,5", "1,11,21,301,0,6")
    catalog = build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [text]}, box_order="xyhw")
    assert catalog.rows.column("boxes").combine_chunks().flatten().to_pylist() == [10, 20, 40, 300]
    assert only_reject(catalog).detail == "box (x, y, h, w) 11.0, 21.0, 301.0, 0.0; depth 6.0"
    assert catalog.decisions["box_order"].evidence == {"given": True}
    found = load(tmp_path)
    assert found.decisions["box_order"].choice == "xyhw"
    assert found.decisions["box_order"].evidence["boxes"] == 2


def test_the_box_order_is_judged_by_the_frames_size(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (200, 100)).save(buffer, "JPEG")
    text = line(GOOD, member(0, 10, 10, 20, 60), member(1, 10, 10, 20, 85))
    build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [text]})
    write_zip(tmp_path / "Images_2.zip", [f"Images_2/{GOOD}.jpg"], buffer.getvalue())
    evidence = load(tmp_path).decisions["box_order"].evidence
    assert evidence == {
        "boxes": 2,
        "frame_size": [200, 100],
        "frame_size_probed": True,
        "odd_as_xywh": 0,
        "odd_as_xyhw": 2,
    }


def test_an_unclear_box_order_or_identity_scope_is_an_error(tmp_path: Path) -> None:
    text = line(GOOD, member(0), member(1, w=150, h=50))
    with pytest.raises(UsageError, match="--box-order xywh"):
        build(tmp_path, {"Images_2.zip": [GOOD]}, {"train_part1.txt": [text]})
    names = [stem(1, "1"), stem(2, "2")]
    labels = {"train_part1.txt": [line(name, member(7)) for name in names]}
    with pytest.raises(UsageError, match="--identity-scope group"):
        build(tmp_path, {"Images_2.zip": names}, labels)
    for scope in ("group", "global"):
        assert load(tmp_path, identity_scope=scope).decisions["identity_scope"].choice == scope


def test_global_ids_are_found(tmp_path: Path) -> None:
    labels = {"train_part1.txt": [line(stem(1, "1"), member(1200)), line(stem(2, "2"), member(1201))]}
    catalog = build(tmp_path, {"Images_2.zip": [stem(1, "1"), stem(2, "2")]}, labels)
    assert catalog.decisions["identity_scope"].choice == "global"


def test_a_group_with_two_member_counts_is_an_error_that_names_it(tmp_path: Path) -> None:
    names = [stem(1), stem(2, count=3)]
    with pytest.raises(UsageError, match=f"group 0009501 has two member counts.*{names[0]}.*{names[1]}"):
        build(tmp_path, {"Images_2.zip": names}, {"train_part1.txt": list(map(line, names))})


def test_group_ids_are_told_apart_as_spelled(tmp_path: Path) -> None:
    names = [stem(1, "7"), stem(2, "07", count=3)]
    catalog = build(tmp_path, {"Images_2.zip": names}, {"train_part1.txt": list(map(line, names))})
    assert catalog.rows.column("group").to_pylist() == ["7", "07"]


def patch_directory(path: Path, name: str, at: int, value: int) -> None:
    """Change a 16-bit field of an entry in the directory (APPNOTE.TXT 4.3.12)."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(name.encode()) - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    struct.pack_into("<H", data, entry + at, value)
    path.write_bytes(data)


@pytest.mark.parametrize(("at", "value", "why"), [(8, 1, "encrypted"), (10, 12, "method 12")])
def test_entries_that_cannot_be_unpacked_lose_labelled_frames_only(
    tmp_path: Path, at: int, value: int, why: str
) -> None:
    zips = {"Images_2.zip": [GOOD, stem(1), stem(2)]}
    build(tmp_path, zips, {"train_part1.txt": [GOOD_LINE, line(stem(1))]})
    for index in (1, 2):
        patch_directory(tmp_path / "Images_2.zip", f"Images_2/{stem(index)}.jpg", at, value)
    catalog = load(tmp_path)
    reject = only_reject(catalog)
    assert (reject.reason, reject.name) == (RejectReason.IMAGE_UNSUPPORTED, stem(1))
    assert reject.where == f"Images_2.zip:Images_2/{stem(1)}.jpg"
    assert why in reject.detail
    assert note_counts(catalog.notes) == {Note.IMAGE_UNLABELLED: 1}
    assert rejected(catalog) | {"frames": 1, "members": 2} == rejected(catalog)


@pytest.mark.parametrize("folder", ["../", "/", "a\\"])
def test_entries_with_unsafe_names_lose_their_frames(tmp_path: Path, folder: str) -> None:
    zips = {"Images_2.zip": [GOOD, f"{folder}{stem()}.jpg"]}
    catalog = build(tmp_path, zips, {"train_part1.txt": [GOOD_LINE, line(stem())]})
    assert only_reject(catalog).reason is RejectReason.IMAGE_UNSUPPORTED


def test_entries_that_are_too_large_lose_their_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, {"Images_2.zip": [GOOD], "b.zip": [stem()]}, {"train_part1.txt": [GOOD_LINE, line(stem())]})
    write_zip(tmp_path / "b.zip", [f"{stem()}.jpg"], bytes(1001))
    monkeypatch.setattr(losses, "MAX_ENTRY_SIZE", 1000)
    assert only_reject(load(tmp_path)) == Reject(
        RejectReason.IMAGE_TOO_LARGE,
        f"b.zip:{stem()}.jpg",
        stem(),
        None,
        2,
        "the entry takes 1001 bytes: at most 1000 are taken",
    )
    assert archives.MAX_ENTRY_SIZE > 1000


def test_a_frame_has_one_reject_and_the_labels_come_first(tmp_path: Path) -> None:
    lines = [GOOD_LINE, line(stem()), line(stem(), member(0))]
    assert only_reject(build(tmp_path / "missing", {"a.zip": [GOOD]}, {"train_part1.txt": lines})).reason is (
        RejectReason.LABEL_CONFLICT
    )
    zips = {"a.zip": [GOOD, stem()], "b.zip": [stem()]}
    assert only_reject(build(tmp_path / "twice", zips, {"train_part1.txt": lines})).reason is (
        RejectReason.LABEL_CONFLICT
    )


def test_folders_without_archives_labels_or_frames_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label file such as"):
        build(tmp_path, {"a.zip": [GOOD]}, {})
    with pytest.raises(UsageError, match="none of the 1 label lines labels a frame"):
        build(tmp_path, {}, {"train_part1.txt": [""]})
    with pytest.raises(UsageError, match=r"no labelled frame can be taken.*image_missing"):
        build(tmp_path, {}, {"train_part1.txt": [line(stem())]})
    with pytest.raises(UsageError, match=r"every labelled frame is lost; 1 were rejected, such as .*box_empty"):
        build(tmp_path, {}, {"train_part1.txt": [line(GOOD, member(0, w=0))]}, box_order="xywh")
    with pytest.raises(UsageError, match=r"no labelled frame can be taken"):
        build(tmp_path, {"a.zip": []}, {"train_part1.txt": [GOOD_LINE]})
    (tmp_path / "a.zip").unlink()
    with pytest.raises(UsageError, match=r"no archive such as Images_2\.zip"):
        load(tmp_path)


def test_archives_and_labels_below_the_top_are_not_taken(tmp_path: Path) -> None:
    build(tmp_path / "below", {"a.zip": [stem()]}, {"query_part1.txt": [line(stem())]})
    catalog = build(tmp_path, {"a.zip": [GOOD]}, {"train_part1.txt": [GOOD_LINE]})
    assert [source.file for source in catalog.archives + catalog.labels] == ["a.zip", "train_part1.txt"]


def test_labels_may_lie_elsewhere_and_progress_is_told(tmp_path: Path) -> None:
    build(tmp_path, {"a.zip": [GOOD]}, {"train_part1.txt": [GOOD_LINE]})
    (tmp_path / "labels").mkdir()
    (tmp_path / "train_part1.txt").rename(tmp_path / "labels" / "train_part1.txt")
    said: list[str] = []
    catalog = build_catalog(LocalStore(tmp_path), LocalStore(tmp_path / "labels"), City1MOptions(), said.append)
    assert said == ["train_part1.txt: 1 lines", "a.zip: 1 entries"]
    assert catalog.labels[0].file == "train_part1.txt"


def test_counts_add_up_over_every_kind_of_loss(tmp_path: Path) -> None:
    names = [stem(number) for number in range(12)]
    lines = [line(name) for name in names]
    lines[3] += " 1,2,3"
    lines[4] = line(names[4], member(0, w=0), member(1, h=0))
    lines[5] = line(names[5], member(0), member(0, x=3))
    lines[6] = line(names[6], member(0), member(1, x=float("inf")))
    lines += ["", lines[7], line(names[8], member(1))]
    catalog = build(
        tmp_path,
        {"a.zip": [*names[:10], f"again/{names[0]}.jpg"]},
        {"train_part1.txt": lines, "query_part2.txt": lines[:8]},
    )
    members = pc.sum(pc.list_value_length(catalog.rows.column("person_ids"))).as_py()
    assert catalog.accounts["frames"].total == catalog.rows.num_rows + catalog.accounts["frames"].rejected == 11
    assert catalog.accounts["members"].total == members + catalog.accounts["members"].rejected == 22
    assert catalog.accounts["lines"].total == 23
    assert catalog.accounts["lines"].rejected == 2
    assert note_counts(catalog.notes) == {Note.BLANK_LINE: 1, Note.REPEATED_LINE: 1, Note.IMAGE_UNLABELLED: 1}
    reasons = sorted(reject.reason for reject in catalog.rejects)
    assert reasons == [
        "box_empty",
        "box_empty",
        "image_missing",
        "image_missing",
        "image_repeated",
        "label_conflict",
        "line_fields",
        "line_fields",
        "member_not_finite",
        "member_repeated",
        "member_repeated",
    ]
