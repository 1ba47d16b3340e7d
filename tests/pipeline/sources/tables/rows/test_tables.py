"""Reading CSV, JSON Lines and Parquet: counts, types, and what hostile files claim."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources.tables import BOXES_TABLE, CROPS_TABLE
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.tables.support import ask_duckdb, survey, write_images
from tests.support.notes import note_counts
from tests.support.processes import environment

HEADER = "file,x,y,w,h,person_id\n"


def write_parquet(path: Path, rows: int = 60, **columns: Any) -> None:
    told: dict[str, Any] = {
        "file": [f"cam{row % 3}/{row % 9}.jpg" for row in range(rows)],
        "x": [float(row % 50) for row in range(rows)],
        "y": [30.5] * rows,
        "w": [9.5] * rows,
        "h": [20.0] * rows,
        "person_id": [None if row % 5 == 0 else row % 7 - 1 for row in range(rows)],
        "split": ["train" if row % 9 < 5 else "test" for row in range(rows)],
        **columns,
    }
    pq.write_table(pa.table(told), path, row_group_size=25)


def test_counts_are_those_that_duckdb_gets_from_the_same_parquet(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"cam{row % 3}/{row}.jpg" for row in range(9)))
    write_parquet(tmp_path / "labels.parquet", score=[row / 4 for row in range(60)])
    catalog = survey(BOXES_TABLE, tmp_path)
    told = ask_duckdb(
        f"""select count(*), count(distinct file), count(distinct person_id) filter (person_id >= 0),
        count(*) filter (person_id is null or person_id < 0), sum(score) from '{tmp_path}/labels.parquet'"""
    )
    rows = catalog.rows.to_pylist()
    persons = {person for row in rows for person in row["person_id"]} - {None}
    unlabelled = sum(kind == "unlabelled" for row in rows for kind in row["id_kind"])
    scores = sum(json.loads(extra)["score"] for row in rows for extra in row["extra"])
    assert told == (catalog.accounts["boxes"].kept, len(rows), len(persons), unlabelled, scores)
    assert catalog.decisions["extra"].evidence == {"columns": {"score": "float64"}}


def test_the_same_rows_give_the_same_catalog_in_every_format(tmp_path: Path) -> None:
    found = []
    for name in ("labels.parquet", "labels.csv", "labels.jsonl"):
        folder = write_images(tmp_path / name, *(f"cam{row % 3}/{row}.jpg" for row in range(9)))
        parquet = tmp_path / "whole.parquet"
        write_parquet(parquet, code=[f"00{row}" for row in range(60)], is_near=[row % 2 == 0 for row in range(60)])
        if name.endswith("parquet"):
            (folder / name).write_bytes(parquet.read_bytes())
        elif name.endswith("csv"):
            duckdb.sql(f"copy (from '{parquet}') to '{folder / name}' (format csv, header)")
        else:
            rows = pq.read_table(parquet).to_pylist()
            (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        found.append(survey(BOXES_TABLE, folder))
    assert found[0].rows.equals(found[1].rows)
    assert found[0].rows.equals(found[2].rows)
    assert len({json.dumps(one.decisions["extra"].evidence) for one in found}) == 1


def test_rows_that_lack_something_are_rejects_with_their_place(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    (tmp_path / "labels.csv").write_text(
        f"{HEADER}a.jpg,30,20,9,10,1\na.jpg,1,2\n,1,2,3,4,5\na.jpg,1,,3,4,5\na.jpg,nan,2,3,4,5\na.jpg,1,2,3,-4,5\n"
        f"gone.jpg,1,2,3,4,5\n{'b' * 1001},1,2,3,4,5\na.jpg,1,2,3,x,5\n"
    )
    catalog = survey(BOXES_TABLE, tmp_path)
    assert sorted((reject.where, str(reject.reason)) for reject in catalog.rejects) == [
        ("labels.csv:2", "row_fields"),
        ("labels.csv:3", "row_fields"),
        ("labels.csv:4", "row_fields"),
        ("labels.csv:5", "box_not_finite"),
        ("labels.csv:6", "box_empty"),
        ("labels.csv:7", "image_missing"),
        ("labels.csv:8", "row_fields"),
        ("labels.csv:9", "row_fields"),
    ]
    assert (catalog.accounts["boxes"].total, catalog.accounts["boxes"].kept) == (9, 1)


def test_lines_that_are_no_json_are_rejects_and_nan_is_null(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "crops.jsonl").write_text(
        '{"file": "a.jpg", "person_id": NaN, "tags": ["x"], "note": "NaN, or not"}\nnothing\n\n[1]\n{"file": "b.jpg"}\n'
    )
    catalog = survey(CROPS_TABLE, tmp_path)
    assert [(reject.reason, reject.where) for reject in catalog.rejects] == [
        (RejectReason.ROW_FIELDS, "crops.jsonl:2"),
        (RejectReason.ROW_FIELDS, "crops.jsonl:4"),
    ]
    assert [json.loads(extra) for extra in catalog.rows["extra"].to_pylist()] == [
        {"note": "NaN, or not"},
        {"note": None},
    ]
    assert catalog.notes[Note.COLUMN_IGNORED].count == 1
    assert catalog.rows["id_kind"].to_pylist() == ["unlabelled"] * 2


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "parquet of strings"])
def test_an_id_that_is_nan_names_nobody(tmp_path: Path, kind: str) -> None:
    """pandas makes NaN of a gap in a column of numbers, and "nan" where these become strings."""
    write_images(tmp_path, "a.jpg", "b.jpg")
    ids: list[Any] = [7.0, float("nan")]
    if kind == "csv":
        (tmp_path / "crops.csv").write_text("file,person_id\na.jpg,7\nb.jpg,nan\n")
    elif kind == "jsonl":
        write_lines(tmp_path, {"file": "a.jpg", "person_id": 7.0}, {"file": "b.jpg", "person_id": ids[1]})
    else:
        told = ids if kind == "parquet" else ["7", "nan"]
        pq.write_table(pa.table({"file": ["a.jpg", "b.jpg"], "person_id": told}), tmp_path / "crops.parquet")
    rows = survey(CROPS_TABLE, tmp_path).rows
    assert list(zip(rows["person_id"].to_pylist(), rows["id_kind"].to_pylist(), strict=True)) == [
        ("7", "labelled"),
        (None, "unlabelled"),
    ]


def test_a_crop_that_is_labelled_twice_is_one_sample_or_none(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "crops.csv").write_text(
        "file,person_id,split\na.jpg,1,gallery\na.jpg,1,query\nb.jpg,2,query\nb.jpg,2,query\nc.jpg,3,query\nc.jpg,4,query\n"
    )
    catalog = survey(CROPS_TABLE, tmp_path)
    cells = dict(zip(catalog.rows["image"].to_pylist(), catalog.rows["cell"].to_pylist(), strict=True))
    assert cells == {"a.jpg": "p1-gallery-query", "b.jpg": "p1-query"}
    assert note_counts(catalog.notes) == {Note.REPEATED_LINE: 1}
    (lost,) = catalog.rejects
    assert (lost.reason, lost.name, lost.samples) == (RejectReason.LABEL_CONFLICT, "c.jpg", 1)


@pytest.mark.parametrize(
    ("boxes", "options", "expected"),
    [
        ("5,3,2,8\n", {}, [5, 3, 2, 8]),
        ("5,3,9,18\n", {"box_format": "xyxy"}, [5, 3, 4, 15]),
        ("0.5,0.25,0.25,0.5\n", {"box_format": "normalised"}, [32, 12, 16, 24]),
        ("40,30,60,45\n", {}, [40, 30, 20, 15]),
        ("5,3,9,18\n", {}, "of 1 boxes, only 0 have a w that is not above x.*--box-format"),
        ("0.5,0.25,0.25,0.5\n", {}, "none of the 1 boxes has a number above 1.*normalised"),
    ],
)
def test_what_four_numbers_are_is_decided_only_where_it_is_clear(
    tmp_path: Path, boxes: str, options: dict[str, Any], expected: Any
) -> None:
    write_images(tmp_path, "a.jpg")
    (tmp_path / "labels.csv").write_text(f"frame_width,frame_height,file,x,y,w,h\n64,48,a.jpg,{boxes}")
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            survey(BOXES_TABLE, tmp_path, **options)
    else:
        assert survey(BOXES_TABLE, tmp_path, **options).rows["box"].to_pylist() == [expected]


def test_normalised_boxes_need_the_sizes_of_frames(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    (tmp_path / "labels.csv").write_text("file,x,y,w,h\na.jpg,.1,.2,.3,.4\n")
    with pytest.raises(UsageError, match="1 of 1 rows lack the size of the frame: add the columns frame_width"):
        survey(BOXES_TABLE, tmp_path, box_format="normalised")


def test_a_column_that_claims_to_unpack_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, "cam0/0.jpg")
    write_parquet(tmp_path / "labels.parquet", note=["x" * 1000] * 60)
    monkeypatch.setattr("pipeline.sources.tables.rows.parquet.LARGEST_COLUMN", 800)
    with pytest.raises(UsageError, match=r"labels\.parquet .*column note of row group 0 unpacks to .* smaller row gr"):
        survey(BOXES_TABLE, tmp_path)


BOMB = """
import resource, sys
from pathlib import Path
from pipeline.sources.tables import CROPS_TABLE
from shards_spec.storage import LocalStore
CROPS_TABLE.load()
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
catalog = CROPS_TABLE.survey(LocalStore(Path(sys.argv[1])), CROPS_TABLE.make_options({}))
print(catalog.rows["image"].to_pylist(), catalog.rows["extra"].to_pylist(), len(catalog.rejects))
"""


def test_a_kilobyte_that_unpacks_to_five_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    """A dictionary holds each string once, however many rows have it."""
    write_images(tmp_path, "a.jpg")
    codes = pa.array([0] * 2501)
    long = pa.DictionaryArray.from_arrays(codes, pa.array(["x" * 1_000_000]))
    path = pa.DictionaryArray.from_arrays(pa.array([0] * 2500 + [1]), pa.array(["y" * 1_000_000, "a.jpg"]))
    table = pa.table({"file": path, "note": long, "pose": ["walks"] * 2501})
    pq.write_table(table, tmp_path / "crops.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "crops.parquet").stat().st_size < 5000
    done = subprocess.run(
        [sys.executable, "-c", BOMB, tmp_path], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "['a.jpg'] ['{\"pose\":\"walks\"}'] 2500\n", done.stderr


def test_more_rows_than_memory_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, "cam0/0.jpg")
    write_parquet(tmp_path / "labels.parquet")
    monkeypatch.setattr("pipeline.sources.tables.rows.parquet.MOST_ROWS", 59)
    with pytest.raises(UsageError, match="it has 60 rows, but at most 59 are taken: part it by images"):
        survey(BOXES_TABLE, tmp_path)


def test_a_page_that_claims_another_size_than_it_has_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    values = pa.array(["a.jpg"] * 10)
    pq.write_table(pa.table({"file": values}), tmp_path / "crops.parquet", compression="snappy", use_dictionary=False)
    data = bytearray((tmp_path / "crops.parquet").read_bytes())
    chunk = pq.ParquetFile(tmp_path / "crops.parquet").metadata.row_group(0).column(0)
    place = chunk.data_page_offset
    assert data[place : place + 2] == b"\x15\x00"  # field 1 of the page's header: its type
    assert data[place + 2] == 0x15  # field 2: its unpacked size, a varint of one or two bytes
    length = 2 if data[place + 3] & 0x80 else 1
    claim = bytes([0xFF, 0x7F]) if length == 2 else b"\x7f"
    data[place + 3 : place + 3 + length] = claim
    (tmp_path / "crops.parquet").write_bytes(data)
    with pytest.raises(UsageError, match=r"crops\.parquet cannot be read as a table"):
        survey(CROPS_TABLE, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.csv", b"image,x,y,w,h\na,1,2,3,4\n", "has no column file: its columns are image, x, y, w, h"),
        ("labels.csv", "file,x,y,w,h\na,1,2,3,4\n".encode("utf-16"), "UTF-16, not UTF-8"),
        ("labels.csv", b"file,x,y,w,h\n\xff,1,2,3,4\n", "cannot be read as a table"),
        ("labels.csv", b"", "Empty CSV file"),
        ("labels.parquet", b"PAR1" + b"\xff" * 20 + b"PAR1", "cannot be read as a table"),
        ("labels.parquet", b"PAR1\xff\xff\xff\x7fPAR1", "cannot be read as a table"),
        ("labels.jsonl", b'{"file": "a.jpg\0"}\n', "holds a NUL"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write_images(tmp_path, "a.jpg")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        survey(BOXES_TABLE, tmp_path)


def write_lines(folder: Path, *lines: dict[str, Any]) -> None:
    (folder / "crops.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_person_or_split_that_is_a_list_is_a_reject_and_not_nobody(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    write_lines(tmp_path, {"file": "a.jpg", "person_id": [7]}, {"file": "b.jpg", "split": {}}, {"file": "c.jpg"})
    assert [(reject.where, reject.detail) for reject in survey(CROPS_TABLE, tmp_path).rejects] == [
        ("crops.jsonl:1", "person_id is a list or an object"),
        ("crops.jsonl:2", "split is a list or an object"),
    ]
    write_lines(tmp_path, {"file": "a.jpg", "person_id": [7]})
    with pytest.raises(UsageError, match=r"name nothing .* such as crops\.jsonl:1: person_id is a list"):
        survey(CROPS_TABLE, tmp_path)


def test_lines_whose_fields_all_differ_are_no_table(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    write_lines(tmp_path, *({"file": "a.jpg", f"field {number}": 1} for number in range(1001)))
    with pytest.raises(UsageError, match="its lines have more than 1,000 different fields: a table has some dozens"):
        survey(CROPS_TABLE, tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"person_id": pa.array([b"1"])}, "column person_id is of type binary: write it as strings or numbers"),
        ({"person_id": pa.array([[1]])}, "column person_id is of type list"),
        ({"note": pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())}, "Invalid UTF8"),
    ],
)
def test_a_parquet_column_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    write_images(tmp_path, "a.jpg")
    pq.write_table(pa.table({"file": ["a.jpg"], **table}), tmp_path / "crops.parquet")
    with pytest.raises(UsageError, match=rf"crops\.parquet.*{message}"):
        survey(CROPS_TABLE, tmp_path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, kind: str) -> None:
    write_images(tmp_path, "a.jpg")
    (tmp_path / "crops.csv").write_text("file,person_id,person_id\na.jpg,1,2\n")
    if kind == "parquet":
        (tmp_path / "crops.csv").unlink()
        columns = [pa.array(["a.jpg"]), pa.array([1]), pa.array([2])]
        pq.write_table(pa.Table.from_arrays(columns, ["file", "person_id", "person_id"]), tmp_path / "crops.parquet")
    with pytest.raises(UsageError, match="two columns have the same name: rename one of them"):
        survey(CROPS_TABLE, tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pa.array([None], pa.null()), pa.array([40]), [None, 40]),
        (pa.array([None], pa.bool_()), pa.array([40]), [None, 40]),
        (pa.array([2**53]), pa.array([0.5]), [2.0**53, 0.5]),
        (pa.array([2**53 + 1]), pa.array([0.5]), [str(2**53 + 1), "0.5"]),  # no double is this number
        (pa.array([2**64 - 1], pa.uint64()), pa.array([1]), [str(2**64 - 1), "1"]),
        (pa.array(["x"]).cast(pa.string_view()), pa.array(["y"]), ["x", "y"]),
    ],
)
def test_a_further_column_of_several_tables_has_a_type_that_keeps_its_values(
    tmp_path: Path, first: Any, second: Any, expected: list[Any]
) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    pq.write_table(pa.table({"file": ["a.jpg"], "value": first}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"file": ["b.jpg"], "value": second}), tmp_path / "2.parquet")
    extras = [json.loads(extra)["value"] for extra in survey(CROPS_TABLE, tmp_path).rows["extra"].to_pylist()]
    assert extras == expected
    assert list(map(type, extras)) == list(map(type, expected))


def test_numbers_of_hundreds_of_digits_are_strings_or_infinite(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    box = {"y": 30, "w": 9, "h": 9}
    lines = [{"file": "a.jpg", "x": 10**400, **box}, {"file": "b.jpg", "x": 40, **box, "count": 10**400}]
    (tmp_path / "boxes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    catalog = survey(BOXES_TABLE, tmp_path)
    assert [reject.reason for reject in catalog.rejects] == [RejectReason.BOX_NOT_FINITE]
    assert json.loads(catalog.rows["extra"].to_pylist()[0][0]) == {"count": str(10**400)}


def test_a_field_that_holds_a_list_in_a_later_block_is_left_out_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    write_lines(tmp_path, {"file": "a.jpg", "tags": 1}, {"file": "b.jpg", "tags": [2]})
    monkeypatch.setattr("pipeline.sources.text.BLOCK_SIZE", 30)
    catalog = survey(CROPS_TABLE, tmp_path)
    assert (catalog.rows["extra"].to_pylist(), note_counts(catalog.notes)) == (["{}", "{}"], {Note.COLUMN_IGNORED: 1})
