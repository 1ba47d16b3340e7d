import dataclasses
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.options import Limit
from pipeline.plan import Plan, ShardPlan, make_plan
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m import CITY1M
from pipeline.sources.city1m.full.frames import FRAME_SCHEMA
from shards_spec.errors import UsageError
from shards_spec.manifest import Account, Decision, SourceFile
from shards_spec.options import Shuffle
from shards_spec.rejects import Noted, Reject, RejectReason
from tests.support.options import city1m_options

VERSIONS = {"reid-shards": "1.2.3"}
TRAIN, GALLERY = "p1-train", "p1-gallery"


def catalog(groups: list[tuple[str, int, int]], **changes: Any) -> Catalog:
    """A catalog of frames that lie group after group: each group's cell, number of frames, members a frame."""
    rows: list[dict[str, Any]] = []
    for group, (cell, frames, members) in enumerate(groups):
        for index in range(frames):
            count = 1 + (index + members) % members
            rows.append(
                {
                    "name": f"{group}_pCount{members}_cam1_{index}_day",
                    "group": str(group),
                    "samples": count,
                    "camera": 1,
                    "time": "day",
                    "cell": cell,
                    "archive": "Images_2.zip",
                    "entry": f"{group}_pCount{members}_cam1_{index}_day.jpg",
                    "offset": len(rows) * 1000,
                    "extent": 1000,
                    "compressed_size": 900,
                    "size": 900,
                    "crc32": len(rows),
                    "method": 0,
                    "person_ids": list(range(count)),
                    "boxes": [1.0, 2.0, 3.0, 4.0] * count,
                    "depths": [1.5] * count,
                }
            )
    cells = sorted({cell for cell, _, _ in groups})
    members = sum(len(row["person_ids"]) for row in rows)
    fields: dict[str, Any] = {
        "rows": pa.Table.from_pylist(rows, FRAME_SCHEMA),
        "protocols": {"p1": {cell.removeprefix("p1-"): [cell] for cell in cells}},
        "cell_splits": {cell: {"p1": [cell.removeprefix("p1-")]} for cell in cells},
        "source": CITY1M,
        "dataset": "City1M-Full",
        "archives": [SourceFile("Images_2.zip", 1, "0" * 64)],
        "labels": [SourceFile("train_part1.txt", 1, "0" * 64)],
        "decisions": {"box_order": Decision("xywh", {"boxes": 1}), "identity_scope": Decision("group", {})},
        "accounts": {
            "lines": Account(len(rows), len(rows), 0),
            "frames": Account(len(rows), len(rows), 0),
            "members": Account(members, members, 0),
        },
        "rejects": [],
        "notes": {},
        "gaps": [],
    }
    return Catalog(**fields | changes)


def plan(found: Catalog, **options: Any) -> Plan:
    return make_plan(found, city1m_options(**options), VERSIONS)


def column(found: Plan, shard: ShardPlan, name: str) -> list[Any]:
    values: list[Any] = found.slice(shard).column(name).to_pylist()
    return values


groups_drawn = st.lists(
    st.tuples(st.sampled_from([TRAIN, GALLERY, "p1-query"]), st.integers(1, 30), st.integers(1, 6)),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(groups_drawn, st.sampled_from(["auto", "groups", "units", "none"]), st.integers(1, 200), st.integers(0, 3))
def test_every_frame_is_in_one_shard_and_shards_are_as_good_as_equal(
    groups: list[tuple[str, int, int]], shuffle: Shuffle, samples_per_shard: int, seed: int
) -> None:
    found = catalog(groups)
    made = plan(found, shuffle=shuffle, samples_per_shard=samples_per_shard, seed=seed)
    rows = np.concatenate([shard.rows for shard in made.shards])
    assert sorted(rows.tolist()) == list(range(found.rows.num_rows))
    keys = [(shard.cell, shard.number) for shard in made.shards]
    assert keys == sorted(keys)
    frame_samples = [len(ids) for ids in found.rows.column("person_ids").to_pylist()]
    for cell in found.cell_splits:
        shards = [shard for shard in made.shards if shard.cell == cell]
        assert [shard.number for shard in shards] == list(range(len(shards)))
        by_group: dict[str, int] = {}
        cell_frames = []
        for row in (row for shard in shards for row in shard.rows.tolist()):
            assert found.rows.column("cell")[row].as_py() == cell
            group = found.rows.column("group")[row].as_py()
            by_group[group] = by_group.get(group, 0) + frame_samples[row]
            cell_frames.append(frame_samples[row])
        is_grouped = shuffle == "groups" or (shuffle == "auto" and cell == TRAIN)
        units = list(by_group.values()) if is_grouped else cell_frames
        samples = [shard.samples for shard in shards]
        assert samples == [sum(frame_samples[row] for row in shard.rows) for shard in shards]
        assert max(samples) - min(samples) <= max(units)
        assert len(shards) == min(len(units), -(-sum(samples) // samples_per_shard))
        if is_grouped:
            homes = [{column(made, shard, "group")[i] for i in range(len(shard.rows))} for shard in shards]
            assert sum(map(len, homes)) == len(by_group)


def test_groups_come_from_all_over_and_their_frames_are_shuffled() -> None:
    made = plan(catalog([(TRAIN, 10, 2)] * 100), samples_per_shard=300)
    assert len(made.shards) == 5
    first = column(made, made.shards[0], "group")
    assert len(set(first)) == 20
    assert max(map(int, set(first))) - min(map(int, set(first))) > 50
    neighbours = sum(one == other for one, other in itertools.pairwise(first))
    assert neighbours < 40


def test_a_group_that_no_worker_could_hold_is_parted_and_the_others_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalog([(TRAIN, 20, 3), (TRAIN, 300, 3), (TRAIN, 25, 3), (TRAIN, 24, 2)])
    whole = plan(found, samples_per_shard=60)
    assert max(shard.samples for shard in whole.shards) >= 600
    monkeypatch.setattr("pipeline.plan.plan.LARGEST_GROUP", 50)
    parted = plan(found, samples_per_shard=60)
    assert max(shard.samples for shard in parted.shards) <= 60 + 50 + 3
    assert sorted(row for shard in parted.shards for row in shard.rows.tolist()) == list(range(369))
    for group in ("0", "2", "3"):
        assert sum(group in column(parted, shard, "group") for shard in parted.shards) == 1
    monkeypatch.setattr("pipeline.plan.plan.LARGEST_GROUP", 600)
    assert plan(found, samples_per_shard=60).digest == whole.digest


def test_frames_come_in_blocks_from_all_over_and_are_shuffled() -> None:
    made = plan(catalog([(TRAIN, 6400, 1)]), samples_per_shard=640, shuffle="units")
    rows = made.shards[0].rows
    blocks, sizes = np.unique(rows // 64, return_counts=True)
    assert sizes.tolist() == [64] * 10
    assert blocks.max() - blocks.min() > 40
    assert np.count_nonzero(np.diff(rows) == 1) < 20


def test_unshuffled_frames_stand_as_they_lie() -> None:
    made = plan(catalog([(GALLERY, 10, 3), (TRAIN, 4, 2), (GALLERY, 5, 2)]), samples_per_shard=5)
    rows = np.concatenate([shard.rows for shard in made.shards if shard.cell == GALLERY])
    assert rows.tolist() == [*range(10), *range(14, 19)]


def test_a_cell_with_a_train_split_under_any_protocol_is_shuffled_by_groups() -> None:
    cell = "p1-gallery_p2-train"
    found = catalog([(cell, 5, 2)] * 10, cell_splits={cell: {"p1": ["gallery"], "p2": ["train"]}})
    made = plan(found, samples_per_shard=20)
    homes = [set(column(made, shard, "group")) for shard in made.shards]
    assert len(homes) > 1
    assert sum(map(len, homes)) == 10
    assert np.concatenate([shard.rows for shard in made.shards]).tolist() != list(range(50))


def test_orders_of_cells_and_shards_have_nothing_to_do_with_each_other() -> None:
    found = catalog([(TRAIN, 30, 1)] * 4 + [("p1-train_p2-train", 30, 1)] * 4)
    splits = {cell: {"p1": ["train"]} for cell in (TRAIN, "p1-train_p2-train")}
    made = plan(dataclasses.replace(found, cell_splits=splits), samples_per_shard=30)
    orders = [tuple(np.argsort(shard.rows).tolist()) for shard in made.shards]
    assert len(set(orders)) == len(orders) == 8


def test_the_plan_is_the_one_that_shards_were_made_with() -> None:
    made = plan(catalog([(TRAIN, 3, 2), (GALLERY, 2, 2), (TRAIN, 2, 3)]), samples_per_shard=5)
    assert [(shard.cell, shard.number, shard.rows.tolist(), shard.samples) for shard in made.shards] == [
        (GALLERY, 0, [3, 4], 3),
        (TRAIN, 0, [6, 5], 3),
        (TRAIN, 1, [2, 0, 1], 4),
    ]


def test_a_slice_holds_its_rows_in_order_and_nothing_else() -> None:
    made = plan(catalog([(TRAIN, 200, 4)] * 10), samples_per_shard=500)
    for shard in made.shards:
        found = made.slice(shard)
        assert found.schema == FRAME_SCHEMA
        assert found.column("crc32").to_pylist() == shard.rows.tolist()
        assert found.get_total_buffer_size() < 400 * len(shard.rows)


def test_the_digest_does_not_depend_on_how_the_table_is_chunked() -> None:
    found = catalog([(TRAIN, 3, 2), (GALLERY, 4, 3)])
    chunked = pa.concat_tables([found.rows.slice(0, 2), found.rows.slice(2)])
    assert plan(dataclasses.replace(found, rows=chunked)).digest == plan(found).digest


def test_each_option_that_bears_on_the_output_changes_the_digest() -> None:
    found = catalog([(TRAIN, 3, 2), (GALLERY, 4, 3)])
    changes: list[dict[str, Any]] = [
        {},
        {"samples_per_shard": 9_999},
        {"shuffle": "groups"},
        {"shuffle": "units"},
        {"shuffle": "none"},
        {"seed": 1},
        {"margin": 1},
        {"box_order": "xywh"},
        {"identity_scope": "group"},
        {"crop": "reencode"},
        {"quality": 94},
        {"size": (256, 128)},
        {"size": (128, 256)},
    ]
    assert {name for change in changes for name in change} == set(city1m_options().output_bearing())
    assert len({plan(found, **change).digest for change in changes}) == len(changes)
    assert plan(found, max_rejects=Limit.parse("5")).digest == plan(found).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"archives": [SourceFile("Images_2.zip", 1, "1" * 64)]},
        {"labels": [SourceFile("train_part1.txt", 1, "1" * 64)]},
        {"decisions": {"box_order": Decision("xywh", {"boxes": 2}), "identity_scope": Decision("group", {})}},
        {"protocols": {"p1": {"train": [TRAIN], "query": []}}},
        {"notes": {"blank_line": Noted(1, ["train_part1.txt:1"])}},
        {"rejects": [Reject(RejectReason.LINE_FIELDS, "train_part1.txt:3", None, None, 0, "")]},
        {"set_files": {"bags.json": b"[]"}},
        {"accounts": {"lines": Account(77, 77, 0), "frames": Account(3, 3, 0), "members": Account(6, 6, 0)}},
    ],
)
def test_what_the_catalog_says_changes_the_digest(changes: dict[str, Any]) -> None:
    groups = [(TRAIN, 3, 2)]
    assert plan(catalog(groups, **changes)).digest != plan(catalog(groups)).digest


def test_versions_and_frames_change_the_digest_and_gaps_do_not() -> None:
    found = catalog([(TRAIN, 3, 2)])
    digest = plan(found).digest
    assert make_plan(found, city1m_options(), {"reid-shards": "1.2.4"}).digest != digest
    moved = found.rows.set_column(7, FRAME_SCHEMA.field("offset"), pa.array([0, 1000, 2001], pa.int64()))
    assert plan(dataclasses.replace(found, rows=moved)).digest != digest
    assert plan(dataclasses.replace(found, gaps=["look at this"])).digest == digest


def test_the_order_of_rejects_does_not_change_the_digest() -> None:
    rejects = [Reject(RejectReason.LINE_FIELDS, f"train_part1.txt:{line}", None, None, 0, "") for line in range(9)]
    digests = {plan(catalog([(TRAIN, 3, 2)], rejects=order)).digest for order in (rejects, rejects[::-1])}
    assert len(digests) == 1


def test_an_empty_catalog_has_no_shards() -> None:
    assert plan(dataclasses.replace(catalog([(TRAIN, 1, 1)]), rows=FRAME_SCHEMA.empty_table())).shards == ()


def test_planning_needs_neither_ray_nor_pillow() -> None:
    code = "import sys, pipeline.plan; sys.exit(bool({'ray', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_shards_than_a_manifest_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.plan.plan.MAX_SHARDS", 3)
    make_plan(catalog([(TRAIN, 1, 1)] * 3), city1m_options(samples_per_shard=1), VERSIONS)
    with pytest.raises(UsageError, match=r"--samples-per-shard 1: makes 4 shards, but a set has at most 3"):
        make_plan(catalog([(TRAIN, 1, 1)] * 4), city1m_options(samples_per_shard=1), VERSIONS)


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    found = catalog([(TRAIN, 6, 2), (TRAIN, 20, 3), (TRAIN, 5, 1)])
    groups = pa.array([*["a"] * 6, *[None] * 20, *["b"] * 5])
    position = found.rows.schema.get_field_index("group")
    mixed = dataclasses.replace(found, rows=found.rows.set_column(position, "group", groups))
    made = plan(mixed, samples_per_shard=4, shuffle="groups")
    assert sorted(np.concatenate([shard.rows for shard in made.shards]).tolist()) == list(range(31))
    homes = [set(column(made, shard, "group")) for shard in made.shards]
    assert sum("a" in home for home in homes) == sum("b" in home for home in homes) == 1
    assert sum(None in home for home in homes) > 5
    assert max(shard.samples for shard in made.shards) <= 4 + 9  # the largest group has nine samples


@pytest.mark.parametrize("shuffle", ["groups", "none"])
def test_it_does_not_matter_to_a_plan_how_strings_are_kept(shuffle: Shuffle) -> None:
    found = catalog([(TRAIN, 6, 2), (GALLERY, 3, 2), (TRAIN, 20, 3), (TRAIN, 5, 1)])
    usual = plan(found, samples_per_shard=7, shuffle=shuffle)
    rows = found.rows
    for name in ("cell", "group", "name", "entry"):
        position = rows.schema.get_field_index(name)
        kept = rows[name].cast(pa.large_string()) if name == "name" else rows[name].dictionary_encode()
        rows = rows.set_column(position, name, kept)
    made = plan(dataclasses.replace(found, rows=rows), samples_per_shard=7, shuffle=shuffle)
    assert made.digest == usual.digest
    for shard, other in zip(made.shards, usual.shards, strict=True):
        assert (shard.cell, shard.number, shard.rows.tolist()) == (other.cell, other.number, other.rows.tolist())
        assert made.slice(shard).to_pylist() == usual.slice(other).to_pylist()
        assert made.slice(shard).schema == rows.schema
        for column in made.slice(shard).columns:
            if pa.types.is_dictionary(column.type):
                assert set(column.chunk(0).dictionary.to_pylist()) == set(column.to_pylist()) - {None}


def test_slices_are_taken_where_strings_have_more_than_two_gibibytes_together() -> None:
    """Arrow's strings have offsets of 32 bits. The chunks share their memory, so that the test takes little of it."""
    long = pa.array(["x" * 2**20 + str(number) for number in range(64)])
    rows = 64 * 40
    found = catalog([(TRAIN, rows, 1)])
    codes = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows, dtype=np.int32) % 64), long)
    position = found.rows.schema.get_field_index("entry")
    made = plan(found, samples_per_shard=3, shuffle="none")
    large = dataclasses.replace(made.catalog, rows=found.rows.set_column(position, "entry", codes))
    made = dataclasses.replace(made, catalog=large)
    for shard in made.shards[:3]:
        assert column(made, shard, "entry") == [long[int(row) % 64].as_py() for row in shard.rows]
