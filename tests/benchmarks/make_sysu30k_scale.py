"""SYSU-30k at full scale without its images: lists, bags, tars that are holes, and what scanning those would find.

A tar of small images has a header every few kilobytes, so a sparse file would save nothing: 29.6 million entries would
take 100 GB all the same. So only the first header of each tar is written, and the results of scanning are made up and
kept where ``plan`` and ``convert`` keep those of real scans. Everything that follows takes them for its own.
"""

import io
import tarfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import ENTRY_SCHEMA, EntryKind, KeptResults, Part, Work
from pipeline.archives.tar.chain import Chain
from shards_spec.tar import BLOCK

TRAIN_FOLDERS = 28_310
IDENTITIES = 1000
PARTS = 10
TEST_SHARE = 60
"""One image in so many is a test image."""

PARENT = "SYSU-30k-released/SYSU-30k-released/"
"""With it, a path has 76 characters, and those of all entries together more than 32 bits can count."""

_CHAIN = b"chain"  # where the survey of a tar keeps a range's chain
_TEXT = pa.large_string()
_Int64 = npt.NDArray[np.int64]


class MadeTar:
    """A tar that is made up: which folders it holds, and how many images each of them has.

    Args:
        file: Name of the tar.
        folders: Folders below the root, with a slash behind each.
        counts: Number of images in each folder.
        names: The images' names, one folder behind the other.
        seed: Of the sizes.
    """

    def __init__(self, file: str, folders: Sequence[str], counts: _Int64, names: pa.Array, seed: int) -> None:
        self.file = file
        self._folders, self._counts, self._names, self._seed = folders, counts, names, seed

    @cached_property
    def sizes(self) -> _Int64:
        """Bytes of each image, 2.8 kB on average, ``[entries]``."""
        return np.random.default_rng(self._seed).integers(1500, 4100, int(self._counts.sum()))

    @cached_property
    def offsets(self) -> _Int64:
        """Where each entry begins, and where the last one ends, ``[entries + 1]``."""
        padded: _Int64 = np.concatenate([[0], np.cumsum(BLOCK + -(-self.sizes // BLOCK) * BLOCK)])
        return padded

    @property
    def size(self) -> int:
        """Bytes of the tar: its entries, and zeros up to a whole record."""
        return (int(self.offsets[-1]) + 2 * BLOCK + 10_239) // 10_240 * 10_240

    def entries(self, first: int, last: int) -> pa.Table:
        """Return some entries, with the columns of ``ENTRY_SCHEMA``."""
        ends = np.cumsum(self._counts)
        codes = np.searchsorted(ends, np.arange(first, last), side="right")
        low, high = (int(codes[0]), int(codes[-1]) + 1) if len(codes) else (0, 0)
        folders = pa.array([PARENT + folder for folder in self._folders[low:high]], _TEXT)
        columns = [
            pa.DictionaryArray.from_arrays(pa.array((codes - low).astype(np.int32)), folders),
            self._names.slice(first, last - first),
            pa.array(self.offsets[first:last]),
            pa.array(np.full(last - first, BLOCK, np.int32)),
            pa.array(self.sizes[first:last]),
            pa.array((self.offsets[first:last] % 4_294_967_291).astype(np.uint32)),
            pa.array(np.full(last - first, EntryKind.FILE, np.uint8)),
        ]
        return pa.table(columns, schema=ENTRY_SCHEMA)

    def scan(self, start: int, stop: int) -> pa.Table:
        """Return what scanning a range finds, as the survey keeps it."""
        first, last = np.searchsorted(self.offsets[:-1], [start, stop]).tolist()
        end = int(self.offsets[-1])
        chain = Chain(
            start=start,
            stop=stop,
            begins=int(self.offsets[first]) if int(self.offsets[first]) < stop else None,
            next=int(self.offsets[last]),
            ended=start <= end < stop,
            fault=None,
            entries=last - first,
            trailing=None,
        )
        return self.entries(first, last).replace_schema_metadata({_CHAIN: msgspec.json.encode(chain)})

    def make(self, folder: Path) -> None:
        """Make the file: a real header, and a hole."""
        buffer = io.BytesIO()
        first = self.entries(0, 1)
        info = tarfile.TarInfo(f"{first['folder'][0].as_py()}{first['name'][0].as_py()}")
        info.size = int(self.sizes[0])
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
        with (folder / self.file).open("wb") as file:
            file.write(buffer.getvalue()[:BLOCK])
            file.truncate(self.size)

    def lines(self) -> Iterator[bytes]:
        """Yield the paths below the root, a line each, some folders at a time."""
        ends = np.cumsum(self._counts)
        for low in range(0, len(ends), 500):
            high = min(low + 500, len(ends))
            first, last = int(ends[low] - self._counts[low]), int(ends[high - 1])
            folders = pa.array(self._folders[low:high], _TEXT)
            codes = pa.array(np.repeat(np.arange(high - low), self._counts[low:high]))
            roots = pc.replace_substring_regex(folders.take(codes), "^sysu_[a-z]+_set_all/", "")
            names = self._names.slice(first, last - first)
            yield _bytes_of(pc.binary_join_element_wise(roots, names, pa.scalar("\n", _TEXT), pa.scalar("", _TEXT)))


def _bytes_of(texts: pa.Array) -> bytes:
    """Return the strings one behind the other."""
    _, ends, values = texts.buffers()
    return bytes(memoryview(values)[: np.frombuffer(ends, np.int64)[len(texts)]])


def make_tars(entries: int) -> list[MadeTar]:
    """Return the tars of the dataset with about so many entries in all."""
    of_test = entries // TEST_SHARE
    generator = np.random.default_rng(0)
    shares = generator.gamma(2.0, size=TRAIN_FOLDERS)
    counts = 1 + (shares / shares.sum() * (entries - of_test)).astype(np.int64)
    names = np.array([f"{number:06d}.jpg" for number in range(int(counts.max()))])
    folders = [f"sysu_train_set_all/{number + 1:010d}/" for number in range(TRAIN_FOLDERS)]
    cuts = np.linspace(0, TRAIN_FOLDERS, PARTS + 1).astype(int).tolist()
    tars = []
    for part in range(PARTS):
        low, high = cuts[part], cuts[part + 1]
        within = np.concatenate([np.arange(count) for count in counts[low:high].tolist()])
        texts = pa.array(names, _TEXT).take(pa.array(within))
        file = f"sysu_train_set_all_part{part + 1}.tar"
        tars.append(MadeTar(file, folders[low:high], counts[low:high], texts, part + 1))
    return [*tars, _make_test_tar(max(of_test - 2 * IDENTITIES, 1))]


def _make_test_tar(distractors: int) -> MadeTar:
    ids = [f"{TRAIN_FOLDERS + 1 + number:09d}" for number in range(IDENTITIES)]
    folders = [f"sysu_test_set_all/{split}/{one}/" for split in ("query", "gallery") for one in ids]
    names = [f"{one}_c{camera}_{camera}.jpg" for camera in (2, 1) for one in ids]
    others = pc.binary_join_element_wise(
        pa.scalar("0000others_c1_", _TEXT),
        pa.array(np.arange(distractors)).cast(_TEXT),
        pa.scalar(".jpg", _TEXT),
        pa.scalar("", _TEXT),
    )
    counts = np.array([1] * len(folders) + [distractors], np.int64)
    return MadeTar(
        "sysu_test_set_all.tar",
        [*folders, "sysu_test_set_all/gallery/0000others/"],
        counts,
        pa.concat_arrays([pa.array(names, _TEXT), others]),
        0,
    )


def make_source(folder: Path, tars: Sequence[MadeTar]) -> None:
    """Write a folder that looks like the dataset."""
    (folder / "meta").mkdir(parents=True)
    for tar in tars:
        tar.make(folder)
    with (folder / "meta/train.txt").open("wb") as file:
        for tar in tars[:-1]:
            file.writelines(tar.lines())
    of_test = b"".join(tars[-1].lines()).splitlines(keepends=True)
    for split in ("query", "gallery"):
        prefix = f"{split}/".encode()
        lines = (line.removeprefix(prefix) for line in of_test if line.startswith(prefix))
        (folder / f"meta/{split}.txt").write_bytes(b"".join(lines))
    bags: list[dict[str, Any]] = [
        {
            "BagLabel": [number, number + 1],
            "BagID": f"bag{number:010d}",
            "BagImages": [f"{one:010d}/*" for one in (number, number % TRAIN_FOLDERS + 1)],
        }
        for number in range(1, TRAIN_FOLDERS + 1)
    ]
    (folder / "meta/bag_level_label.json").write_bytes(msgspec.json.encode(bags))


class MadeScans:
    """Does the parts of a survey by making up what they find, and keeps it; see ``pipeline.archives.Tasks``.

    Args:
        tars: The tars.
        kept: Where results are kept.
    """

    def __init__(self, tars: Sequence[MadeTar], kept: KeptResults) -> None:
        self._tars = {tar.file: tar for tar in tars}
        self._kept = kept

    def run(self, work: Work, parts: Sequence[Part]) -> Iterator[tuple[int, pa.Table]]:  # noqa: ARG002
        """Yield the position of each part and its result."""
        for position, part in enumerate(parts):
            table = self._kept.load(part)
            if table is None:
                stream, start, stop, _ = part.argument
                table = self._tars[stream.paths[0]].scan(start, stop)
                self._kept.save(part, table)
            yield position, table
