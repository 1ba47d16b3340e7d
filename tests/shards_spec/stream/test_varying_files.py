"""The reader over a variant whose samples differ in the number of their files."""

import contextlib
import hashlib
import http.server
import itertools
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import webdataset

from shards_spec.errors import ReidShardsError, SpecError, UsageError
from shards_spec.stream import Dataset, open_dataset
from shards_spec.stream.export import wids_index, write_dali
from tests.support.sets import edit_manifest
from tests.support.variant_sets import PARTED, content, scan, write_scans

PARTS = [[], ["0.png"], ["0.jpg", "1.png", "2.png"], [f"{number}.png" for number in range(11)]]
SAMPLES = [scan(number, parts=PARTS[number % 4]) for number in range(50)]
EXPECTED = {
    one.name: {extension: content(one, extension) for extension in PARTED.extensions(one)[:-1]} for one in SAMPLES
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scans(tmp_path / "set", PARTED, SAMPLES)
    return tmp_path / "set"


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder)


def files_of(sample: dict[str, Any]) -> dict[str, bytes]:
    return {name: data for name, data in sample.items() if name not in {"__key__", "__url__", "json", "label"}}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves ranges of a folder's files."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range")
        first, last = 0, len(data) - 1
        if asked is not None:
            low, _, high = asked.removeprefix("bytes=").partition("-")
            first, last = int(low), min(int(high or last), last)
        self.send_response(200 if asked is None else 206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_sample_has_its_files_as_stock_webdataset_reads_them(dataset: Dataset, shuffle: bool) -> None:
    samples: list[dict[str, Any]] = list(dataset.stream(shuffle=shuffle))
    assert {sample["__key__"]: files_of(sample) for sample in samples} == EXPECTED
    assert all(list(sample) == ["__key__", *EXPECTED[sample["__key__"]], "json", "label"] for sample in samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the garbage collector
        stock = {sample["__key__"]: sample for sample in webdataset.WebDataset(dataset.urls(), shardshuffle=False)}
    for sample in samples:
        read = stock[sample["__key__"]]
        assert files_of(sample) == {name: read[name] for name in files_of(sample)}
        assert {name for name in read if not name.startswith("__")} == {*files_of(sample), "json"}


def test_one_sample_is_read_by_its_key(dataset: Dataset) -> None:
    stream = dataset.stream(where=pc.field("key") == "scan3")
    (sample,) = stream
    assert files_of(sample) == EXPECTED["scan3"]
    assert stream.source.fetcher.tally.read < 13 * 1024  # each of its files takes a header and a block


def test_samples_are_read_over_a_network(folder: Path, dataset: Dataset) -> None:
    with served(folder) as url:
        dataset = Dataset(url, dataset.stream().source.selection.index, None)
        assert {one["__key__"]: files_of(one) for one in dataset.stream(seed=2)} == EXPECTED
        assert [one["__key__"] for one in dataset.stream(shuffle=False)] == [one.name for one in SAMPLES]


def test_a_state_goes_on_in_the_middle(dataset: Dataset) -> None:
    whole = [(one["__key__"], files_of(one)) for one in dataset.stream(seed=4)]
    stream = dataset.stream(seed=4)
    begun = [(one["__key__"], files_of(one)) for one in itertools.islice(iter(stream), 17)]
    rest = dataset.stream(seed=4)
    rest.load_state_dict(stream.state_dict())
    assert begun + [(one["__key__"], files_of(one)) for one in rest] == whole


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_has_none_where_a_sample_lacks_a_file(dataset: Dataset, workers: int) -> None:
    found = {}
    for batch in dataset.stream(shuffle=False).loader(8, workers):
        names = [name for name in batch if name not in {"__key__", "json", "label"}]
        for place, key in enumerate(batch["__key__"]):
            found[key] = {name: batch[name][place] for name in names if batch[name][place] is not None}
    assert found == EXPECTED


def test_a_damaged_further_file_is_named(folder: Path) -> None:
    (shard,) = folder.rglob("*.tar")
    data = bytearray(shard.read_bytes())
    data[data.index(content(SAMPLES[7], "4.png"))] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ReidShardsError, match=r"sample scan7: the CRC-32 of its 4\.png is not the index's"):
        list(open_dataset(folder).stream())
    skipped = {one["__key__"] for one in open_dataset(folder).stream(on_error="skip")}
    assert skipped == EXPECTED.keys() - {"scan7"}


def test_a_client_that_decodes_images_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='decode="rgb": the samples of the variant parted-scans have no image'):
        dataset.stream(decode="rgb")
    with pytest.raises(UsageError, match="DALI decodes images: the samples of the variant parted-scans have none"):
        write_dali(dataset, tmp_path / "dali")
    assert not (tmp_path / "dali").exists()
    assert wids_index(dataset, 1, "all")["shardlist"][0]["nsamples"] == len(SAMPLES)


def first_of(row: list[Any], value: Any) -> list[Any]:
    return [value, *row[1:]]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("offset", lambda row: first_of(row, -512), "a file that does not lie in its"),
        ("offset", lambda row: first_of(row, 10**15), "a file that does not lie in its"),
        ("offset", lambda row: first_of(row, 2**63 - 1), "a file that does not lie in its"),
        ("offset", lambda row: first_of(row, row[0] + 512), "whose file does not follow the one before it"),
        ("offset", lambda row: row[::-1], "whose file does not follow the one before it"),
        ("size", lambda row: first_of(row, -1), "a file that does not lie in its"),
        ("size", lambda row: first_of(row, 2**31 - 1), "a file that does not lie in its"),
        ("size", lambda row: row[:-1], "lists of a sample's files differ in length"),
        ("extension", lambda row: first_of(row, "__key__"), "names a file '__key__'"),
        ("extension", lambda row: first_of(row, "label"), "names a file 'label'"),
        ("extension", lambda row: first_of(row, "00.png"), r"names a file '00\.png'"),
        ("extension", lambda row: first_of(row, "0.a/b"), "names a file"),
        ("extension", lambda row: first_of(row, "1.png"), "whose files are not numbered from 0"),
        ("extension", lambda row: row[::-1], "whose files are not numbered from 0"),
    ],
)
def test_places_that_are_not_the_samples_are_refused(
    folder: Path, name: str, change: Callable[[list[Any]], list[Any]], told: str
) -> None:
    (index,) = folder.rglob("index.parquet")
    table = pq.read_table(index)
    column = f"more_files_{name}"
    rows = table[column].to_pylist()
    rows[6] = change(rows[6])
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, pa.array(rows, field.type)), index)
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["cells"]["p1-all"]["index"].update(sha256=digest))
    with pytest.raises(SpecError, match=told):
        open_dataset(folder)


def test_more_values_than_the_shards_hold_are_not_unpacked(folder: Path) -> None:
    (index,) = folder.rglob("index.parquet")
    table = pq.read_table(index)
    for name in ("extension", "offset", "size", "crc32"):
        place = table.schema.get_field_index(f"more_files_{name}")
        field = table.schema.field(place)
        some = table[place].to_pylist()[3][0]
        table = table.set_column(place, field, pa.array([[some] * 20_000] * table.num_rows, field.type))
    pq.write_table(table, index)
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["cells"]["p1-all"]["index"].update(sha256=digest))
    with pytest.raises(
        SpecError, match=r"more_files_\S+: [\d,]+ values of [\d,]+ bytes are more than 50 rows may take"
    ):
        open_dataset(folder)
