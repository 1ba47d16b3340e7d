import contextlib
import gzip
import hashlib
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sources import text as text_module
from pipeline.sources.city1m.labels import read as labels_module
from pipeline.sources.city1m.labels.read import (
    LabelFile,
    Labels,
    find_label_files,
    missing_splits,
    read_labels,
    split_bits,
)
from pipeline.sources.text import LINE_LIMIT
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, Noted, RejectReason
from shards_spec.storage import LocalStore
from tests.support.notes import note_counts

STEM = "0009501_pCount2_cam1_0000001_day"
LINE = f"{STEM}.jpg 0,1,2,3,4,5"


def line_numbers(labels: Labels) -> list[int]:
    """Of the lines that label frames."""
    return [located.first_line + number for located in labels.blocks for number in located.block.line_numbers.tolist()]


def test_label_files_are_found_by_protocol_and_split(tmp_path: Path) -> None:
    for name in ("train_part2.txt", "query_part10.txt", "query_part1.txt", "train_part1.txt", "gallery_part1.txt"):
        (tmp_path / name).write_text("")
    for name in ("train_part1.txt.bak", "Train_part1.txt", "test_part1.txt", "train_part.txt", "README.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "query_part3.txt").write_text("")
    found = find_label_files(LocalStore(tmp_path))
    assert [(file.protocol, file.split) for file in found] == [
        ("p1", "gallery"),
        ("p1", "query"),
        ("p1", "train"),
        ("p2", "train"),
        ("p10", "query"),
    ]
    missing = missing_splits(LocalStore(tmp_path), found)
    assert missing[:2] == [
        "gallery_part2.txt is missing: protocol p2 has no gallery split",
        "query_part2.txt is missing: protocol p2 has no query split",
    ]
    assert len(missing) == 4


def test_no_label_file_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no label file such as train_part1\.txt.*--labels"):
        find_label_files(LocalStore(tmp_path))


def test_too_many_label_files_are_an_error(tmp_path: Path) -> None:
    for number in range(64):
        (tmp_path / f"train_part{number}.txt").write_text("")
    with pytest.raises(UsageError, match="64 label files, but at most 63"):
        find_label_files(LocalStore(tmp_path))


def test_what_is_tolerated_is_counted(tmp_path: Path) -> None:
    text = f"\ufeff{LINE}\r\n\r\n  \n{LINE.replace('cam1', 'cam2')}".encode()
    (tmp_path / "train_part1.txt").write_bytes(text)
    (tmp_path / "query_part1.txt").write_text("")
    (tmp_path / "gallery_part1.txt").write_bytes(b"\xef\xbb\xbf")
    said: list[str] = []
    found = read_labels(LocalStore(tmp_path), said.append)
    assert found.notes.total() == {
        Note.BLANK_LINE: Noted(2, ["train_part1.txt:2", "train_part1.txt:3"]),
        Note.BYTE_ORDER_MARK: Noted(2, ["gallery_part1.txt", "train_part1.txt"]),
        Note.CARRIAGE_RETURN: Noted(2, ["train_part1.txt"]),
    }
    assert (found.lines, found.blank_lines, found.rejects) == (4, 2, [])
    assert line_numbers(found) == [1, 4]
    assert found.sources[2].file == "train_part1.txt"
    assert found.sources[2].bytes == len(text)
    assert found.sources[2].sha256 == hashlib.sha256(text).hexdigest()
    assert said == ["gallery_part1.txt: 0 lines", "query_part1.txt: 0 lines", "train_part1.txt: 4 lines"]


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_lines_keep_their_numbers_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(text_module, "BLOCK_SIZE", size)
    texts = [LINE.replace("cam1", f"cam{number}") for number in range(30)]
    texts[11] = "\N{SNOWMAN}"
    texts[20] = ""
    (tmp_path / "train_part1.txt").write_text("\n".join(texts), "utf-8")
    found = read_labels(LocalStore(tmp_path))
    assert line_numbers(found) == [line for line in range(1, 31) if line not in {12, 21}]
    assert [(reject.where, reject.reason) for reject in found.rejects] == [
        ("train_part1.txt:12", RejectReason.LINE_FIELDS)
    ]
    assert found.rejects[0].detail == r"no member in '\xe2\x98\x83'"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_lines_may_end_in_every_usual_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, size: int) -> None:
    monkeypatch.setattr(text_module, "BLOCK_SIZE", size)
    texts = [LINE, LINE.replace("cam1", "cam2"), "", LINE.replace("cam1", "cam3")]
    (tmp_path / "train_part1.txt").write_bytes(end.join(texts).encode())
    found = read_labels(LocalStore(tmp_path))
    assert [name for located in found.blocks for name in located.block.names.to_pylist()] == [
        text.split()[0].encode() for text in texts if text
    ]
    assert found.rejects == []
    assert note_counts(found.notes.total()).get(Note.CARRIAGE_RETURN, 0) == 3 * end.count("\r")
    assert line_numbers(found) == ([1, 3, 7] if end == "\r\r\n" else [1, 2, 4])


@pytest.mark.parametrize("filling", [b"9", b"\0"])
def test_a_line_without_end_is_an_error_in_bounded_memory(tmp_path: Path, filling: bytes) -> None:
    with (tmp_path / "train_part1.txt").open("wb") as file:
        file.write(f"{LINE}\n".encode())
        for _ in range(300):
            file.write(filling * (1 << 20))
    what = "holds a NUL" if filling == b"\0" else f"is longer than {LINE_LIMIT:,} bytes: line ends seem to be missing"
    tracemalloc.start()
    with pytest.raises(UsageError, match=rf"train_part1\.txt: line 2 {what}"):
        read_labels(LocalStore(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (LINE.encode("utf-16"), r"it is UTF-16, not UTF-8: convert it \(iconv -f UTF-16 -t UTF-8 query_part2\.txt > "),
        (b"\xfe\xff" + LINE.encode("utf-16-be"), "it is UTF-16, not UTF-8"),
        (LINE.encode("utf-16-le"), "it is UTF-16LE, not UTF-8"),
        (LINE.encode("utf-16-be"), "it is UTF-16BE, not UTF-8"),
        (LINE.encode("utf-32"), "it is UTF-32, not UTF-8"),
        (gzip.compress(LINE.encode(), mtime=0), "it is packed by gzip: unpack it with gunzip"),
        (b"PK\x03\x04" + bytes(50), "it is a zip archive: unpack it"),
        (b"\n<!DOCTYPE html><html>", "it is a web page, not the file itself: download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a Git LFS pointer.*: run git lfs pull"),
        (b"\x7fELF\x02\x01\x01" + bytes(9), "line 1 holds a NUL, as a download that broke off leaves them"),
        (f"{LINE}\n".encode() + bytes(1000), "line 2 holds a NUL"),
        (b"hello\nworld\n", r"none of its 2 lines can be read, such as query_part2\.txt:1: no member in 'hello'"),
    ],
)
def test_a_file_that_is_no_label_file_is_named_with_what_it_is(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "train_part1.txt").write_text(LINE)
    (tmp_path / "query_part2.txt").write_bytes(content)
    with pytest.raises(UsageError, match=what) as caught:
        read_labels(LocalStore(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path}/query_part2.txt")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\xef\xbb\xbf\r")
def test_any_bytes_are_lines_or_an_error_in_words(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train_part1.txt").write_bytes(content)
        with contextlib.suppress(UsageError):
            found = read_labels(LocalStore(folder))
            assert found.lines == found.blank_lines + len(line_numbers(found)) + len(found.rejects)


def test_no_more_lines_are_rejected_than_memory_is_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "REJECT_LIMIT", 3)
    (tmp_path / "train_part1.txt").write_text(f"{LINE}\n" + "hello\n" * 3)
    assert len(read_labels(LocalStore(tmp_path)).rejects) == 3
    (tmp_path / "train_part2.txt").write_text(f"{LINE}\nhello\n")
    with pytest.raises(
        UsageError, match=r"train_part2\.txt: line 2 is one of more than 3 that cannot be read: no member"
    ):
        read_labels(LocalStore(tmp_path))


def test_a_file_that_ends_inside_a_line_seems_to_be_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "train_part1.txt"
    gap = "train_part1.txt ends inside line 2: it seems to be cut off; get the file again"
    for text, gaps in (
        (f"{LINE}\n{LINE[:20]}", [gap]),
        (f"{LINE}\r{LINE} 1,2", [gap]),
        (f"{LINE}\n{LINE[:20]}\n", []),
        (f"{LINE[:20]}\n{LINE}", []),
    ):
        file.write_text(text)
        found = read_labels(LocalStore(tmp_path))
        assert found.gaps == gaps
        assert len(found.rejects) == 1


def test_a_label_file_that_lies_elsewhere_is_pointed_to(tmp_path: Path) -> None:
    def message() -> str:
        with pytest.raises(UsageError) as caught:
            find_label_files(LocalStore(tmp_path))
        return str(caught.value)

    assert message().endswith("lies at its top: name their folder with --labels")
    below = tmp_path / "City1M" / "labels"
    below.mkdir(parents=True)
    (below / "query_part1.txt").write_text("")
    assert message().endswith("; City1M/labels/query_part1.txt is there: name that folder as SRC, or with --labels")
    (tmp_path / "Query_part1.TXT").write_text("")
    assert message().endswith("; Query_part1.TXT lies there, but is not taken under that name")


def test_a_missing_split_is_pointed_to(tmp_path: Path) -> None:
    for name in ("train_part1.txt", "gallery_part1.txt", "query_part1.txt.gz", "query_part10.txt"):
        (tmp_path / name).write_text("")
    store = LocalStore(tmp_path)
    assert missing_splits(store, find_label_files(store))[0] == (
        "query_part1.txt is missing: protocol p1 has no query split; query_part1.txt.gz lies there, but is not taken "
        "under that name"
    )


def test_bits_say_the_splits_of_every_protocol() -> None:
    files = [
        LabelFile("", "p1", "query", 0),
        LabelFile("", "p1", "gallery", 0),
        LabelFile("", "p2", "train", 0),
    ]
    assert split_bits(files, 0b011) == {"p1": ["gallery", "query"], "p2": []}
    assert split_bits(files, 0b100) == {"p1": [], "p2": ["train"]}
