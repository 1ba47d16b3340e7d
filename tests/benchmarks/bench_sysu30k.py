"""SYSU-30k at full scale, 29.6 million images, beside reading them: planning, finishing, checking and opening a set.

    python -m tests.benchmarks sysu30k [--entries N]

Everything but the images' bytes is there: see ``make_sysu30k_scale``. Each stage runs in a process of its own, which
tells its time, its processor time and its peak memory. The promise is 5 minutes on two cores and 8 GiB for what a
conversion does beside reading: the catalog, the plan with its digest, the slices of all shards, finishing, and the
search for keys that come twice. 2 GiB are promised for that search, a second and 4 GiB of shared memory for opening the
set to read it, and 64 MiB for each further process that does. The disk needs 400 bytes an entry.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import KeptResults
from pipeline.plan import Plan, make_plan
from pipeline.run.finish import finish
from pipeline.shards.record import ShardRecord, index_part_file
from pipeline.shards.tasks import shard_task
from pipeline.sources.sysu30k import SYSU30K
from shards_spec import open_dataset
from shards_spec.index import index_schema, write_index
from shards_spec.index_rows import FileSpan, IndexBuilder
from shards_spec.layout import shard_file
from shards_spec.manifest_read import read_manifest
from shards_spec.sidecar import encode_sidecar
from shards_spec.storage import LocalStore, file_sha256
from shards_spec.stream.fetch import SampleError
from shards_spec.tar import BLOCK
from shards_spec.variants.sysu30k import SYSU30K as VARIANT
from shards_spec.variants.sysu30k import Sidecar, describe_path
from shards_spec.verify import Fault
from shards_spec.verify.dataset import check_indexes
from tests.benchmarks.bench_plan import memory
from tests.benchmarks.make_sysu30k_scale import MadeScans, make_source, make_tars

ENTRIES = 29_606_918
"""Images of SYSU-30k by its repository's README."""

MOST_SECONDS = 300.0
MOST_BYTES = 8 << 30
MOST_VERIFY_BYTES = 2 << 30
MOST_OPEN_SECONDS = 1.0
MOST_SHARED_BYTES = 4 << 30
MOST_BYTES_A_PROCESS = 64 << 20
READERS = 4
IMAGE_SIZE = (56, 144)
SIDECAR_BYTES = 420


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def processor_seconds() -> float:
    times = os.times()
    return times.user + times.system


class Stages:
    """What the stages of a process took; ``main`` reads them from its last line."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), processor_seconds()
        yield
        self.add(name, time.perf_counter() - wall, processor_seconds() - cpu)
        say(
            f"  {name:34} {self.seconds[name][0]:7.1f} s, {self.seconds[name][1]:7.1f} s of processor time, resident "
            f"{memory('VmRSS') / 2**30:5.2f} GiB, peak {memory('VmHWM') / 2**30:5.2f} GiB"
        )

    def add(self, name: str, wall: float, cpu: float) -> None:
        before = self.seconds.get(name, (0.0, 0.0))
        self.seconds[name] = before[0] + wall, before[1] + cpu

    def wrap(self, module: Any, name: str) -> None:
        """Time a function of a module from now on."""
        function = getattr(module, name)

        def run(*arguments: Any, **named: Any) -> Any:
            with self.timed(name.strip("_").replace("_", " ")):
                result = function(*arguments, **named)
                return list(result) if isinstance(result, Iterator) else result

        setattr(module, name, run)


def tasks_of(folder: Path, entries: int) -> MadeScans:
    return MadeScans(make_tars(entries), KeptResults(LocalStore(folder / "kept"), "parts"))


def prepare(folder: Path, entries: int) -> None:
    """Make the source and what scanning its tars would find."""
    from pipeline.archives import find_tars, survey_tar  # noqa: PLC0415
    from pipeline.archives.tar.survey import range_bytes, split_ranges  # noqa: PLC0415

    tars = make_tars(entries)
    make_source(folder / "source", tars)
    store = LocalStore(folder / "source")
    size = range_bytes(sum(tar.size for tar in tars))  # of those that the survey of all tars has
    for tar in tars:
        (stream,) = find_tars(store, [tar.file])
        made = MadeScans([tar], KeptResults(LocalStore(folder / "kept"), "parts"))
        survey = survey_tar(store, stream, split_ranges(stream, size), tasks=made)
        assert survey.entries.num_rows == len(tar.sizes)
        for cached in ("sizes", "offsets"):
            tar.__dict__.pop(cached, None)


def convert(folder: Path, entries: int, stages: Stages) -> None:
    """Plan and finish, as the driver of a conversion does."""
    from pipeline.plan import plan as planning  # noqa: PLC0415
    from pipeline.sources.sysu30k import survey  # noqa: PLC0415

    stages.wrap(planning, "_plan_shards")
    stages.wrap(planning, "_digest")
    for name in ("_read_lists", "read_entries_of", "by_lists", "build_rows"):
        stages.wrap(survey, name)
    options = SYSU30K.make_options({})
    tasks = tasks_of(folder, 0)
    with stages.timed("catalog"):
        catalog = SYSU30K.survey(LocalStore(folder / "source"), options, tasks=tasks)
    with stages.timed("plan"):
        plan = make_plan(catalog, options, {"reid-shards": "bench", "pillow": "", "msgspec": "", "pyarrow": ""})
    size = catalog.rows.nbytes / 2**30
    say(f"  {catalog.rows.num_rows:,} rows of {size:.2f} GiB, {len(plan.shards)} shards, digest {plan.digest}")
    assert entries * 0.99 < catalog.rows.num_rows
    out = LocalStore(folder / "set")
    records = make_records(out, plan, stages)
    with stages.timed("finish"):
        finish(out, plan, records)


def make_records(out: LocalStore, plan: Plan, stages: Stages) -> dict[tuple[str, int], ShardRecord]:
    """Make what workers leave of each shard: its part of the index, its record, and a tar that is a hole."""
    records: dict[tuple[str, int], ShardRecord] = {}
    schema = index_schema(VARIANT, ["p1"])
    for shard in plan.shards:
        wall, cpu = time.perf_counter(), processor_seconds()
        task = shard_task(plan, shard)
        stages.add("slices", time.perf_counter() - wall, processor_seconds() - cpu)
        rows, size = index_rows(task.rows, shard.number, plan.catalog.cell_splits[shard.cell]["p1"])
        if not records:
            check_rows(rows.slice(0, 100))
        file = index_part_file(shard.cell, shard.number)
        with out.open_write(file) as part:
            write_index(part, schema, [rows])
        tar = Path(out.url, shard_file(shard.cell, shard.number))
        tar.parent.mkdir(parents=True, exist_ok=True)
        with tar.open("wb") as hole:
            hole.truncate(size)
        records[shard.cell, shard.number] = ShardRecord(
            plan_digest=plan.digest,
            cell=shard.cell,
            number=shard.number,
            samples=rows.num_rows,
            units=rows.num_rows,
            bytes=size,
            sha256="0" * 64,
            index_sha256=file_sha256(out, file),
            rejected_units=0,
            rejected_samples=0,
            rejects=[],
            notes={},
            requests=1,
            bytes_read=size,
            bytes_used=size,
            seconds={},
        )
    seconds = stages.seconds["slices"]
    say(f"  {'slices of all shards':34} {seconds[0]:7.1f} s, {seconds[1]:7.1f} s of processor time")
    return records


def index_rows(rows: pa.Table, number: int, splits: list[str]) -> tuple[pa.Table, int]:
    """Return the rows of the index for rows of the catalog, and the size of their tar."""
    count = rows.num_rows
    for position, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(position, field.name, rows.column(position).cast(field.type.value_type))
    image = pc.binary_join_element_wise(rows["folder"], rows["file"], pa.scalar("", pa.large_string())).combine_chunks()
    level = pc.if_else(pc.match_substring(rows["folder"], "others/"), "distractor", "identity")
    level = pc.if_else(pc.match_substring_regex(rows["folder"], "^(?:query|gallery)/"), level, "folder")
    folder = pc.replace_substring_regex(rows["folder"], "^(?:query/|gallery/)?(.*)/$", r"\1")
    camera = pc.replace_substring_regex(rows["file"], "^.*_c([0-9]+)_.*$", r"\1")
    bags = pc.split_pattern(rows["bags"], "\n").combine_chunks()
    bags = pc.if_else(pc.equal(rows["bags"], ""), pa.scalar([], bags.type), bags)
    sizes = rows["size"].to_numpy()
    takes = 2 * BLOCK + -(-sizes // BLOCK) * BLOCK + BLOCK
    begins = np.cumsum(takes) - takes
    is_identity = pc.equal(level, "identity")
    numbers = np.arange(count)
    own: dict[str, Any] = {
        "key": pc.replace_substring(pc.replace_substring_regex(image, r"\.jpg$", ""), "/", "_"),
        "shard": np.full(count, number),
        "unit_index": numbers,
        "spec": pa.array(["1.0"] * count),
        "image": image,
        "folder": folder,
        "label_level": level,
        "identity": pc.if_else(is_identity, folder, pa.scalar(None, pa.large_string())),
        "camera": pc.if_else(pc.equal(level, "folder"), pa.scalar(None, pa.large_string()), camera).cast(pa.int64()),
        "bags": bags,
        "image_width": np.full(count, IMAGE_SIZE[0]),
        "image_height": np.full(count, IMAGE_SIZE[1]),
        "roi_left": np.zeros(count),
        "roi_top": np.zeros(count),
        "roi_width": np.full(count, IMAGE_SIZE[0]),
        "roi_height": np.full(count, IMAGE_SIZE[1]),
        "encoding": pa.array(["source"] * count),
        "splits_p1": pa.array([splits] * count),
        "jpg_offset": begins + BLOCK,
        "jpg_size": sizes,
        "jpg_crc32": numbers * 2_654_435_761 % 2**32,
        "json_offset": begins + takes - BLOCK,
        "json_size": np.full(count, SIDECAR_BYTES),
        "json_crc32": numbers * 2_246_822_519 % 2**32,
    }
    arrays = []
    for field in index_schema(VARIANT, ["p1"]):
        column = own[field.name]
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else pa.array(column)
        arrays.append(column.cast(field.type))
    table = pa.Table.from_arrays(arrays, schema=index_schema(VARIANT, ["p1"]))
    return table, int(takes.sum()) + 2 * BLOCK


def check_rows(table: pa.Table) -> None:
    """Check that rows that were made as columns are those that workers make of sidecars."""
    builder = IndexBuilder(VARIANT, ["p1"])
    for row in table.to_pylist():
        folder, level, identity, camera = describe_path(row["image"])
        size = (row["image_width"], row["image_height"])
        splits = {"p1": row["splits_p1"]}
        sidecar = Sidecar(
            "1.0", row["image"], folder, level, identity, camera, row["bags"], size, (0, 0, *size), "source", splits
        )
        encode_sidecar(sidecar)
        spans = {
            name: FileSpan(row[f"{name}_offset"], row[f"{name}_size"], row[f"{name}_crc32"]) for name in ("jpg", "json")
        }
        assert row["key"] in VARIANT.keys(sidecar)
        builder.add(row["key"], row["shard"], row["unit_index"], sidecar, spans)
    assert builder.table().equals(table.combine_chunks())


def verify_rows(folder: Path, _entries: int, stages: Stages) -> None:
    """Check the indexes, and search for keys that come twice."""
    store = LocalStore(folder / "set")
    sizes = {file.path: file.size for file in store.list()}
    with stages.timed("indexes and repeated keys"):
        faults: list[Fault] = []
        check_indexes(store, read_manifest(store), sizes, faults)
    assert faults == [], faults


def open_set(folder: Path, _entries: int, stages: Stages) -> None:
    """Open the set for the first time, again, and in several processes."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    out = str(folder / "set")
    with stages.timed("first open"):
        open_dataset(out).stream(split="train")
    time.sleep(0.2)  # what changed this moment cannot be noted as checked
    with stages.timed("open once more"):
        open_dataset(out).stream(split="train")
    with stages.timed("open again"):
        open_dataset(out).stream(split="train")
    mapped = sum(
        file.stat().st_size
        for file in (folder / "cache").rglob("*")
        if file.is_file() and file.suffix not in {".parquet", ".json", ".lock", ".checked"}
    )
    stages.seconds["mapped"] = mapped, 0.0
    for batches in (False, True):
        found = _readers(out, batches=batches)
        worst = {name: max(figures[name] for figures in found) for name in found[0]}
        say(
            f"  {READERS} processes{' with folder batches' if batches else ''}: opened in {worst['opened']:.2f} s, "
            f"{worst['used']:.2f} s of processor time, an epoch begun after {worst['begun']:.2f} s of it; "
            f"{worst['own'] / 2**20:.1f} MiB of their own beyond {worst['before'] / 2**20:.0f} MiB of Python"
        )
        stages.seconds["folder batches" if batches else "processes"] = worst["used"], worst["own"]


def _readers(out: str, *, batches: bool) -> list[dict[str, float]]:
    context = multiprocessing.get_context("spawn")
    found = []
    pipes = []
    for _ in range(READERS):
        here, there = context.Pipe()
        process = context.Process(target=_read, args=(out, there, batches))
        process.start()
        there.close()
        pipes.append((here, process))
    for here, _ in pipes:
        found.append(here.recv())
    for here, process in pipes:
        here.send("end")
        process.join()
    return found


def _read(out: str, pipe: Any, batches: bool) -> None:
    """Open a set and begin an epoch, as a training process does; tell what it took."""

    import webdataset  # noqa: F401, PLC0415  # with PyTorch, a hundred megabytes that are not the index's

    before, cpu = memory("RssAnon"), processor_seconds()
    began = time.perf_counter()
    stream = open_dataset(out).stream(split="train")
    opened, used = time.perf_counter() - began, processor_seconds() - cpu
    if batches:
        stream = stream.folder_batches(folders=16, per_folder=4)
    with contextlib.suppress(SampleError):  # the shards are holes: what is read is not what the index says
        next(iter(stream))
        raise AssertionError("a hole was read as a sample")
    begun = processor_seconds() - cpu
    own = memory("RssAnon") - before
    pipe.send({"opened": opened, "used": used, "begun": begun, "own": own, "before": before})
    pipe.recv()


STAGES: Mapping[str, Callable[[Path, int, Stages], None]] = {
    "convert": convert,
    "verify": verify_rows,
    "read": open_set,
}


def run_stage(name: str, folder: str, entries: int) -> None:
    """Run a stage in this process, and print its figures as JSON at the end."""
    stages = Stages()
    STAGES[name](Path(folder), entries, stages)
    say(json.dumps({"seconds": stages.seconds, "peak": memory("VmHWM")}))


def _in_process(name: str, folder: Path, entries: int) -> dict[str, Any]:
    code = f"from tests.benchmarks.bench_sysu30k import run_stage; run_stage({name!r}, {str(folder)!r}, {entries})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            if line.startswith("{"):
                last = line
            else:
                say(line.rstrip())
    if process.returncode:
        sys.exit(f"{name} failed: exit {process.returncode}")
    figures: dict[str, Any] = json.loads(last)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; return 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=ENTRIES, help="of all tars (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep what is made in this folder, and take it from there again")
    parser.add_argument("--stage", choices=list(STAGES), help="only this one")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "source").exists():
            context = multiprocessing.get_context("spawn")  # what it takes must not count
            process = context.Process(target=prepare, args=(folder, arguments.entries))
            process.start()
            process.join()
        found = {}
        for name in [arguments.stage] if arguments.stage else STAGES:
            say(name)
            found[name] = _in_process(name, folder, arguments.entries)
        return int(not _judge(found))


def _judge(found: Mapping[str, Any]) -> bool:
    """Compare the figures with what is promised, and say so."""
    promises: list[tuple[str, float, float, str]] = []
    if "convert" in found and "verify" in found:
        seconds = found["convert"]["seconds"]
        wall = sum(seconds[name][0] for name in ("catalog", "plan", "slices", "finish"))
        wall += found["verify"]["seconds"]["indexes and repeated keys"][0]
        cpu = sum(seconds[name][1] for name in ("catalog", "plan", "slices", "finish"))
        cpu += found["verify"]["seconds"]["indexes and repeated keys"][1]
        say(f"in all {wall:.0f} s, {cpu:.0f} s of processor time")
        # An idle machine takes no longer than the processor time, because little of it is spent on several cores.
        promises.append(("processor time beside reading", cpu, MOST_SECONDS, "s"))
        promises.append(("memory of the driver", found["convert"]["peak"] / 2**30, MOST_BYTES / 2**30, "GiB"))
        promises.append(("memory of verify", found["verify"]["peak"] / 2**30, MOST_VERIFY_BYTES / 2**30, "GiB"))
    if "read" in found:
        seconds = found["read"]["seconds"]
        promises.append(("processor time to open a set again", seconds["open again"][1], MOST_OPEN_SECONDS, "s"))
        promises.append(("mapped index", seconds["mapped"][0] / 2**30, MOST_SHARED_BYTES / 2**30, "GiB"))
        promises.append(("a reader's own", seconds["processes"][1] / 2**20, MOST_BYTES_A_PROCESS / 2**20, "MiB"))
    for what, value, most, unit in promises:
        say(f"{what}: {value:.2f} {unit}, at most {most:.0f}: {'kept' if value <= most else 'missed'}")
    return all(value <= most for _, value, most, _ in promises)


if __name__ == "__main__":
    sys.exit(main())
