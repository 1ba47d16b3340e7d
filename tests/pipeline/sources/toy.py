"""A dataset of notes and scores: pairs of files in a zip, without images, people, cameras or splits."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.archives import ZipRequest, read_zip_directory
from pipeline.options import Options
from pipeline.samples import Outcome, Sample, compare_copy, copy_samples
from pipeline.sources.base import Look, Source
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Content, Converter, Recipe
from shards_spec.manifest import Account, SourceFile
from shards_spec.rejects import Note, Noted, Reject, RejectReason
from shards_spec.storage import Store
from shards_spec.version import SPEC_VERSION
from tests.pipeline.sources.toy_variant import PAIRS, Pair

CODE = f"{__name__}:PairConverter"
PLACE = ("offset", "extent", "compressed_size", "size", "crc32", "method")


class Row(NamedTuple):
    name: str
    where: str
    requests: list[ZipRequest]
    key: str
    samples: int = 1


class PairConverter(Converter[Row]):
    def survey(self, source: Store, options: Options, progress: Any, tasks: Any = None) -> Catalog:  # noqa: ARG002
        found = read_zip_directory(source, "pairs.zip")
        entries = {entry["name"]: [entry[field] for field in PLACE] for entry in found.entries.to_pylist()}
        names = [name[:-4] for name in sorted(entries) if name.endswith(".txt")]
        kept = [name for name in names if f"{name}.bin" in entries]
        lost = [name for name in names if f"{name}.bin" not in entries]
        places = [entries[f"{name}.txt"] + entries[f"{name}.bin"] for name in kept]
        rows = {"cell": ["p1-all"] * len(kept), "samples": [1] * len(kept), "name": kept, "places": places}
        return Catalog(
            source=TOY,
            dataset="Pairs",
            archives=[SourceFile("pairs.zip", found.size, found.sha256)],
            accounts={"pairs": Account(len(names), len(kept), len(lost))},
            rows=pa.table({**rows, "size": [place[3] + place[9] for place in places]}),
            notes={Note.ENTRY_IGNORED: Noted(1, ["pairs.zip:readme"])} if "readme" in entries else {},
            rejects=[Reject(RejectReason.IMAGE_MISSING, f"pairs.zip:{name}", name, None, 1, "lost") for name in lost],
        )

    def rows(self, table: pa.Table) -> list[Row]:
        def make(name: str, place: list[int]) -> Row:
            files = [("txt", place[:6]), ("bin", place[6:])]
            requests = [ZipRequest("pairs.zip", f"{name}.{extension}", *numbers) for extension, numbers in files]
            return Row(name, f"pairs.zip:{name}", requests, name)

        return list(map(make, table["name"].to_pylist(), table["places"].to_pylist()))

    def entries(self, row: Row) -> Sequence[ZipRequest]:
        return row.requests

    def keys(self, row: Row) -> dict[str, int | str | None]:
        return {row.name: None}

    def make_samples(self, rows: Sequence[Row], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        def describe(row: Row, _: tuple[bytes, ...]) -> Pair:
            return Pair(spec=SPEC_VERSION, name=row.name, identity=None, camera=None, splits=recipe.splits)

        return copy_samples(rows, contents, describe)

    def comparison(self, row: Row, contents: Sequence[Content], recipe: Recipe, **_: Any) -> Callable[[Sample], None]:  # noqa: ARG002
        return lambda sample: compare_copy(sample, {"name": row.name}, row.where, contents)


def look(store: Store) -> Look:
    return Look(any(file.path == "pairs.zip" for file in store.list_top()), "pairs.zip")


TOY = Source(name="toy", title="Pairs", variant=PAIRS.name, samples_per_shard=5, recognises=look, converter=CODE)
