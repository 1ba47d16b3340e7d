"""What is handed out of a set whose bytes are as its index says, but not as the format says."""

import itertools
import mmap
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from shards_spec.storage import LocalStore
from shards_spec.stream import Dataset, SampleError, open_dataset
from shards_spec.stream.pipeline import Stream


def with_sidecar(folder: Path, row: int, text: bytes, **options: Any) -> Stream:
    """A stream over a set whose index says that a row's sidecar is ``text``, which stands behind the shard's end."""
    stream = open_dataset(folder).stream(shuffle=False, **options)
    index = stream.source.selection.index
    number = int(index.find(stream.source.selection.rows)[1][row])
    file = folder / index.shards[number].file
    records = index.rows.copy()
    record = records[stream.source.selection.rows[row : row + 1]]
    record["json_offset"], record["json_size"], record["json_crc32"] = file.stat().st_size, len(text), crc32(text)
    records[stream.source.selection.rows[row : row + 1]] = record
    index.rows = records
    with file.open("ab") as shard:
        shard.write(text)
    return stream


def test_only_json_is_parsed(copied: Path) -> None:
    samples = list(with_sidecar(copied, 3, b'{"a": 1, "__reduce__": ["os.system", "x"]}'))
    assert samples[3]["json"] == {"a": 1, "__reduce__": ["os.system", "x"]}
    assert type(samples[3]["jpg"]) is bytes
    assert samples[4]["json"]["spec"] == "1.0"


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[1]", b'"a"', b"\xff", b'{"a": 1e400', b"[" * 100_000),
        *(b'{"a":"\xff"}', b'{"\xff":1}', b'{"a":' + b"[" * 100_000),
    ],
)
def test_a_sidecar_that_is_no_json_object(copied: Path, text: bytes) -> None:
    stream = with_sidecar(copied, 5, text)
    expected = [sample["__key__"] for sample in open_dataset(copied).stream(shuffle=False)]
    handed: list[str] = []
    with pytest.raises(SampleError, match=f"sample {expected[5]}: its sidecar cannot be read"):
        handed.extend(sample["__key__"] for sample in stream)
    assert handed == expected[:5]


def test_it_costs_no_other_sample(copied: Path) -> None:
    stream = with_sidecar(copied, 5, b"[1]", on_error="skip")
    expected = [sample["__key__"] for sample in open_dataset(copied).stream(shuffle=False)]
    assert [sample["__key__"] for sample in stream] == expected[:5] + expected[6:]
    assert stream.skipped == 1


def test_memory_is_used_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """From chunk to chunk, though nobody asks whether a chunk has one sample more: fresh memory costs much time."""
    made = []
    memory = mmap.mmap

    def counted(*arguments: Any, **named: Any) -> mmap.mmap:
        made.append(arguments)
        return memory(*arguments, **named)

    source = dataset.stream().source
    chunks = np.array_split(source.selection.rows, 20)
    monkeypatch.setattr("mmap.mmap", counted)
    for rows, outcomes in zip(chunks, source.fetcher.fetch(chunks), strict=True):
        assert len(list(itertools.islice(outcomes, len(rows)))) == len(rows)
    assert 0 < len(made) < 5
    assert source.fetcher.tally.used == source.selection.file_bytes()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_goes_on_by_itself(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has none of the threads that its parent has to read ahead, and would wait for them for ever."""
    monkeypatch.setattr(LocalStore, "reads_at_once", 2)  # as over a network
    samples = iter(dataset.stream())
    keys = [sample["__key__"] for sample in itertools.islice(samples, 3)]
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        sender.send([sample["__key__"] for sample in samples])
        os._exit(0)
    sender.close()
    rest = receiver.recv()
    os.waitpid(child, 0)
    assert rest == [sample["__key__"] for sample in samples]
    assert sorted(keys + rest) == sorted(sample["__key__"] for sample in dataset.stream())
