import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import SpecError
from shards_spec.tar import BLOCK, END, MAX_FILE_SIZE, WRITE_BYTES, TarWriter, read_tar, tar_header, tar_headers

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,90}\.(jpg|json)", fullmatch=True)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=8)


def write(members: list[tuple[str, bytes]]) -> tuple[bytes, list[int]]:
    output = io.BytesIO()
    writer = TarWriter(output)
    offsets = [writer.add(name, data) for name, data in members]
    writer.finish()
    assert writer.size == len(output.getvalue())
    return output.getvalue(), offsets


@given(MEMBERS)
def test_the_standard_library_reads_what_was_written(members: list[tuple[str, bytes]]) -> None:
    data, offsets = write(members)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = tar.getmembers()
        contents = [tar.extractfile(member).read() for member in found]  # type: ignore[union-attr]
    assert [(member.name, content) for member, content in zip(found, contents, strict=True)] == members
    assert [member.offset_data for member in found] == offsets
    assert all((m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) == (0, 0, 0, "", "", 0o644) for m in found)


@given(NAMES, st.integers(0, MAX_FILE_SIZE))
def test_headers_are_those_of_the_standard_library(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    theirs, ours = info.tobuf(tarfile.USTAR_FORMAT), tar_header(name, size)
    # tarfile leaves the device numbers of regular files empty; everything else is the same byte for byte.
    assert ours[:148] == theirs[:148]
    assert ours[156:329] == theirs[156:329]
    assert tarfile.TarInfo.frombuf(ours, "ascii", "strict").size == size


@given(MEMBERS)
def test_reading_gives_back_what_was_written(members: list[tuple[str, bytes]]) -> None:
    data, offsets = write(members)
    found = list(read_tar(io.BytesIO(data)))
    assert [(member.name, member.data) for member in found] == members
    assert [member.offset for member in found] == offsets


def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    data, _ = write([("a_p0.jpg", b"x" * 700), ("a_p0.json", b"{}")])
    (tmp_path / "shard.tar").write_bytes(data)
    listing = subprocess.run(["tar", "tvf", "shard.tar"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listing.stderr == ""
    assert [line.split()[-1] for line in listing.stdout.splitlines()] == ["a_p0.jpg", "a_p0.json"]
    subprocess.run(["tar", "xf", "shard.tar"], cwd=tmp_path, check=True)
    assert (tmp_path / "a_p0.jpg").read_bytes() == b"x" * 700


@given(MEMBERS.filter(bool), st.data())
def test_any_changed_byte_outside_the_data_is_found(members: list[tuple[str, bytes]], draw: st.DataObject) -> None:
    data, offsets = write(members)
    in_data = {o + i for o, (_, content) in zip(offsets, members, strict=True) for i in range(len(content))}
    position = draw.draw(st.integers(0, len(data) - 1).filter(lambda p: p not in in_data))
    damaged = bytearray(data)
    damaged[position] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(SpecError):
        list(read_tar(io.BytesIO(bytes(damaged))))


@given(MEMBERS.filter(bool), st.data())
def test_a_tar_cut_anywhere_is_found(members: list[tuple[str, bytes]], draw: st.DataObject) -> None:
    data, _ = write(members)
    stop = draw.draw(st.integers(0, len(data) - 1))
    with pytest.raises(SpecError):
        list(read_tar(io.BytesIO(data[:stop])))


def test_what_follows_the_end_is_found() -> None:
    data, _ = write([("a.jpg", b"x")])
    with pytest.raises(SpecError, match="nothing behind"):
        list(read_tar(io.BytesIO(data + bytes(BLOCK))))


@pytest.mark.parametrize(("name", "size"), [("", 1), ("a" * 101, 1), ("ä.jpg", 1), ("a", -1), ("a", MAX_FILE_SIZE + 1)])
def test_what_does_not_fit_a_header_is_refused(name: str, size: int) -> None:
    with pytest.raises(SpecError):
        tar_header(name, size)


def test_members_are_gathered_into_few_writes_of_bounded_size() -> None:
    writes: list[bytes | memoryview] = []
    members = [(f"a{number}.jpg", bytes([number]) * 30_000) for number in range(40)] + [("b.jpg", bytes(WRITE_BYTES))]

    class Output:
        def write(self, data: bytes | memoryview) -> None:
            writes.append(data)

    writer = TarWriter(Output())
    offsets = [writer.add(name, data) for name, data in members]
    writer.finish()
    tar = b"".join(writes)
    assert [tar[offset : offset + len(data)] for offset, (_, data) in zip(offsets, members, strict=True)] == [
        data for _, data in members
    ]
    assert len(writes) < len(members) / 4
    assert max(map(len, writes)) < 2 * WRITE_BYTES + 3 * BLOCK
    assert tar.endswith(END)


@given(st.lists(st.tuples(NAMES, st.integers(0, MAX_FILE_SIZE)), max_size=8))
def test_headers_made_together_are_those_made_singly(files: list[tuple[str, int]]) -> None:
    names, sizes = [name for name, _ in files], np.array([size for _, size in files], np.int64)
    assert tar_headers(names, sizes) == [tar_header(name, size) for name, size in files]


@pytest.mark.parametrize(("name", "size"), [("", 1), ("a" * 101, 1), ("ä.jpg", 1), ("a", -1), ("a", MAX_FILE_SIZE + 1)])
def test_one_file_that_does_not_fit_refuses_all(name: str, size: int) -> None:
    with pytest.raises(SpecError):
        tar_headers(["b.jpg", name], np.array([1, size]))
