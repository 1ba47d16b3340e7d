import hashlib
import tracemalloc
from pathlib import Path

import pytest

from pipeline.sources.city1m import labels as labels_module
from pipeline.sources.city1m.labels import (
    LabelFile,
    Labels,
    find_label_files,
    missing_splits,
    read_blocks,
    read_labels,
    split_bits,
)
from pipeline.sources.city1m.lines import LINE_LIMIT
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import LocalStore

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
    assert missing_splits(found)[0] == "gallery_part2.txt is missing: protocol p2 has no gallery split"
    assert len(missing_splits(found)) == 4


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
    assert found.notes == {Note.BYTE_ORDER_MARK: 2, Note.CARRIAGE_RETURN: 2, Note.BLANK_LINE: 2}
    assert (found.lines, found.blank_lines, found.rejects) == (4, 2, [])
    assert line_numbers(found) == [1, 4]
    assert found.sources[2].file == "train_part1.txt"
    assert found.sources[2].bytes == len(text)
    assert found.sources[2].sha256 == hashlib.sha256(text).hexdigest()
    assert said == ["gallery_part1.txt: 0 lines", "query_part1.txt: 0 lines", "train_part1.txt: 4 lines"]


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_lines_keep_their_numbers_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(labels_module, "BLOCK_SIZE", size)
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


def test_a_line_without_end_costs_neither_memory_nor_the_lines_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "BLOCK_SIZE", 1 << 18)
    with (tmp_path / "train_part1.txt").open("wb") as file:
        file.write(f"{LINE}\n".encode())
        file.write(b"9" * (3 * LINE_LIMIT + 12345) + b"\n")
        file.write(b"\n" + LINE.replace("cam1", "cam2").encode())
    found = read_labels(LocalStore(tmp_path))
    assert (found.lines, found.blank_lines) == (4, 1)
    assert [reject.where for reject in found.rejects] == ["train_part1.txt:2"]
    assert found.rejects[0].detail.startswith(f"longer than {LINE_LIMIT} bytes: '999")
    assert line_numbers(found) == [1, 4]


def test_an_endless_line_is_read_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "train_part1.txt").open("wb") as file:
        file.truncate(300 << 20)  # a hole: NUL bytes
    tracemalloc.start()
    found = read_labels(LocalStore(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [reject.reason for reject in found.rejects] == [RejectReason.LINE_FIELDS]
    assert peak < 100 << 20


def test_blocks_are_whole_lines_and_all_bytes_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "BLOCK_SIZE", 10)
    data = b"\xef\xbb\xbfone\ntwo three four five\n\nsix"
    (tmp_path / "a").write_bytes(data)
    digest = hashlib.sha256()
    blocks = list(read_blocks(LocalStore(tmp_path), LabelFile("a", "p1", "train", len(data)), digest))
    assert b"".join(blocks) == data[3:] + b"\n"
    assert all(block.endswith(b"\n") for block in blocks)
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_bits_say_the_splits_of_every_protocol() -> None:
    files = [
        LabelFile("", "p1", "query", 0),
        LabelFile("", "p1", "gallery", 0),
        LabelFile("", "p2", "train", 0),
    ]
    assert split_bits(files, 0b011) == {"p1": ["gallery", "query"], "p2": []}
    assert split_bits(files, 0b100) == {"p1": [], "p2": ["train"]}
