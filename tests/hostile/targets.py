"""What can be damaged: each file of a set, of its ``.work``, of a source and of the reader's cache, one way or another.

Where a digest guards a file, some ways make the digest anew, so that what is behind it is reached.
"""

import contextlib
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from shards_spec.manifest import MANIFEST_FILE, seal_manifest
from shards_spec.tar import TarWriter, read_tar
from tests.hostile.damage import LARGE, damage_bytes, damage_json, replace_file

Damage = Callable[[random.Random, Path], str | None]
"""Does something to one thing in a folder; returns what, or None where the folder has no such thing."""

_NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63))
_LABELS = (
    *("nan", "-inf", "1e308", "-1e308", "5e-324", "1e999", "0x10", "", " ", ",", "\0", "\t", "\ufeff", "\u0663"),
    *("9" * 400, "-0", "2147483648", "9223372036854775808", "1_0", "[/x]", "\x1b[2J", "\udcff"),
)


def pick(rng: random.Random, folder: Path, pattern: str) -> Path | None:
    """A file below a folder, if there is one of this pattern."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file() and path.stat().st_size < LARGE)
    return rng.choice(files) if files else None


def seal(out: Path, edit: Callable[[Any], None]) -> None:
    """Change a set's manifest so that its own form stays right."""
    path = out / MANIFEST_FILE
    if path.is_file():
        manifest = json.loads(path.read_bytes())
        manifest.pop("sha256", None)
        edit(manifest)
        path.write_bytes(sealed(json.dumps(manifest, indent=2, ensure_ascii=False)))


def sealed(text: str) -> bytes:
    """A manifest's bytes with its own digest made right."""
    data = text.encode(errors="surrogatepass").rstrip()
    return seal_manifest(data.removesuffix(b"}").rstrip() + b",\n") if data.endswith(b"}") else data


def in_bytes(pattern: str) -> Damage:
    """Damages the bytes of a file of this pattern."""

    def damage(rng: random.Random, folder: Path) -> str | None:
        path = pick(rng, folder, pattern)
        if path is not None:
            path.write_bytes(damage_bytes(rng, path.read_bytes()))
        return f"bytes of {path.relative_to(folder)}" if path else None

    return damage


def in_json(pattern: str) -> Damage:
    """Damages the JSON in a file of this pattern."""

    def damage(rng: random.Random, folder: Path) -> str | None:
        path = pick(rng, folder, pattern)
        if path is not None:
            path.write_bytes(damage_json(rng, path.read_bytes()))
        return f"JSON of {path.relative_to(folder)}" if path else None

    return damage


def replaced(pattern: str) -> Damage:
    """Puts something else where a file of this pattern was."""

    def damage(rng: random.Random, folder: Path) -> str | None:
        path = pick(rng, folder, pattern)
        return f"{path.relative_to(folder)} is {replace_file(rng, path)}" if path else None

    return damage


def manifest(rng: random.Random, folder: Path) -> str | None:
    """Damages the manifest's values and makes its own digest anew."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return None
    value = json.loads(path.read_bytes())
    value.pop("sha256", None)
    text = damage_json(rng, json.dumps(value).encode()).decode(errors="surrogatepass")
    with contextlib.suppress(ValueError, RecursionError):  # a value that Python's writer does not make
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    path.write_bytes(sealed(text))
    return "values of the manifest"


def reject_lines(rng: random.Random, folder: Path) -> str | None:
    """Damages a line of the rejects, the manifest's digest and counts made anew."""
    path = folder / "rejects.jsonl"
    if not path.is_file():
        return None
    lines = path.read_bytes().splitlines() or [
        b'{"reason":"box_empty","where":"train_part1.txt:1","name":null,"person_id":null,"samples":0,"detail":""}'
    ]
    place = rng.randrange(len(lines))
    lines[place] = damage_json(rng, lines[place]) if rng.random() < 0.7 else damage_bytes(rng, lines[place])
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(data)
    seal(folder, lambda value: _name_file(value, "rejects.jsonl", data))
    return "a line of rejects.jsonl, with its digest"


def _name_file(value: Any, name: str, data: bytes) -> None:
    value["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def shard(rng: random.Random, folder: Path) -> str | None:
    """Damages a sidecar, an image or the members of a shard; all digests and, half the time, the index made anew."""
    path = pick(rng, folder, "*/*.tar")
    if path is None:
        return None
    members = [(member.name, member.data) for member in read_tar(io.BytesIO(path.read_bytes()))]
    place = rng.randrange(len(members) // 2) * 2
    kind = rng.choice(("sidecar", "sidecar", "sidecar", "sidecar bytes", "image", "image bytes", "names", "order"))
    if kind == "sidecar":
        members[place + 1] = (members[place + 1][0], damage_json(rng, members[place + 1][1]))
    elif kind == "sidecar bytes":
        members[place + 1] = (members[place + 1][0], damage_bytes(rng, members[place + 1][1]))
    elif kind == "image":
        members[place] = (members[place][0], odd_image(rng))
    elif kind == "image bytes":
        members[place] = (members[place][0], damage_bytes(rng, members[place][1]))
    elif kind == "names":
        name = rng.choice(("[/x]", "../x", "a.b.c", "x" * 96, "x\x1b[31m"))
        members[place] = (name + ".jpg", members[place][1])
        members[place + 1] = (name + ".json", members[place + 1][1])
    else:
        rng.shuffle(members)
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    places = {name: (tar.add(name, data), len(data)) for name, data in members}
    tar.finish()
    data = buffer.getvalue()
    if rng.random() < 0.1:
        data = damage_bytes(rng, data)
    path.write_bytes(data)
    _name_shard(folder, path, data)
    if rng.random() < 0.5:
        _place_samples(folder, path, places)
    return f"{kind} in {path.relative_to(folder)}, with its digest"


def _name_shard(folder: Path, path: Path, data: bytes) -> None:
    file, digest = path.relative_to(folder).as_posix(), hashlib.sha256(data).hexdigest()

    def edit(value: Any) -> None:
        for cell in value["cells"].values():
            for one in cell["shards"]:
                if one["file"] == file:
                    value["totals"]["bytes"] += len(data) - one["bytes"]
                    one["bytes"], one["sha256"] = len(data), digest

    seal(folder, edit)
    record = folder / ".work/records" / f"{path.stem}.json"
    if record.is_file():
        value = json.loads(record.read_bytes())
        value["bytes"], value["sha256"] = len(data), digest
        record.write_text(json.dumps(value))


def _place_samples(folder: Path, path: Path, places: dict[str, tuple[int, int]]) -> None:
    """Write where the samples lie now to the index."""

    def edit(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for row in rows:
            if row["shard"] != int(path.stem.rpartition("-")[2]):
                continue
            for kind in ("jpg", "json"):
                if f"{row['key']}.{kind}" in places:
                    row[f"{kind}_offset"], row[f"{kind}_size"] = places[f"{row['key']}.{kind}"]
        return pa.Table.from_pylist(rows, table.schema)

    _rewrite_index(folder, path.parent / "index.parquet", edit)


def _rewrite_index(folder: Path, path: Path, edit: Callable[[pa.Table], pa.Table], groups: int | None = None) -> None:
    with pq.ParquetFile(path) as parquet:
        tables = [parquet.read_row_group(group) for group in range(parquet.num_row_groups)]
    tables = [edit(table) for table in tables][:groups]
    with pq.ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    name_index(folder, path)


def name_index(folder: Path, path: Path) -> None:
    """Make an index's digest in the manifest anew."""
    data = path.read_bytes()

    def edit(value: Any) -> None:
        for cell in value["cells"].values():
            if cell["index"]["file"] == path.relative_to(folder).as_posix():
                cell["index"]["sha256"] = hashlib.sha256(data).hexdigest()
                if "bytes" in cell["index"]:
                    cell["index"]["bytes"] = len(data)

    seal(folder, edit)


def index(rng: random.Random, folder: Path) -> str | None:
    """Damages values of an index, or its columns, or its bytes; the manifest's digest made anew."""
    path = pick(rng, folder, "*/index.parquet")
    if path is None:
        return None
    kind = rng.choice(("values", "values", "values", "nulls", "columns", "groups", "bytes"))
    if kind == "bytes":
        path.write_bytes(damage_bytes(rng, path.read_bytes()))
        name_index(folder, path)
        return f"bytes of {path.relative_to(folder)}, with its digest"
    with pq.ParquetFile(path) as parquet:
        column = rng.choice(parquet.schema_arrow.names)

    def edit(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        field, values = table.schema.field(column), table[column].to_pylist()
        if kind == "columns":
            return table.drop_columns([column]) if rng.random() < 0.5 else table.append_column("more", pa.array(values))
        if kind == "nulls":
            return table.set_column(place, pa.field(column, field.type), pa.array([None, *values[1:]], field.type))
        if pa.types.is_integer(field.type):
            low, high = (0, 2**32 - 1) if field.type == pa.uint32() else (-(2**31), 2**31 - 1)
            if field.type == pa.int64():
                low, high = -(2**63), 2**63 - 1
            values[rng.randrange(len(values))] = rng.choice([one for one in _NUMBERS if low <= one <= high])
        elif pa.types.is_floating(field.type):
            values[rng.randrange(len(values))] = rng.choice((float("nan"), float("inf"), -1e308, 5e-324))
        elif pa.types.is_string(field.type):
            values[rng.randrange(len(values))] = rng.choice(("", "[/x]", "\x1b[31m", "x" * 10_000, "../x", values[0]))
        return table.set_column(place, field, pa.array(values, field.type))

    _rewrite_index(folder, path, edit, rng.choice((1, 1, 2)) if kind == "groups" else None)
    return f"{kind} of {column} in {path.relative_to(folder)}, with its digest"


def odd_image(rng: random.Random) -> bytes:
    """An image of another size, kind or truth than is expected."""
    kind = rng.randrange(6)
    size = rng.choice(((1, 1), (9, 9), (300, 2), (1, 4000)))
    if kind == 0:  # claims to be as large as a JPEG can be
        data = bytearray(_saved(size, "JPEG"))
        place = data.index(b"\xff\xc0")
        data[place + 5 : place + 9] = b"\xff\xff\xff\xff"
        return bytes(data)
    if kind == 1:
        return _saved(size, "JPEG", progressive=True)
    if kind == 2:
        return _saved(size, "PNG")
    if kind == 3:
        return damage_bytes(rng, _saved(size, "JPEG", exif=b"Exif\0\0" + rng.randbytes(60)))
    if kind == 4:
        data = bytearray(_saved((14, 14), "PNG"))
        data[16:24] = (14_000).to_bytes(4) * 2
        return bytes(data)
    return rng.choice((b"", b"\xff\xd8", b"GIF89a", b"%!PS-Adobe", rng.randbytes(300)))


def _saved(size: tuple[int, int], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "gray").save(buffer, form, **options)
    return buffer.getvalue()


def label_lines(rng: random.Random, folder: Path) -> str | None:
    """Damages fields of label lines."""
    path = pick(rng, folder, "*.txt")
    if path is None:
        return None
    lines = path.read_bytes().splitlines()
    for _ in range(rng.choice((1, 3, len(lines)))):
        place = rng.randrange(len(lines))
        fields = lines[place].split(rng.choice((b" ", b",")))
        fields[rng.randrange(len(fields))] = rng.choice(_LABELS).encode(errors="surrogateescape")
        lines[place] = rng.choice((b" ", b",")).join(fields)
    path.write_bytes(rng.choice((b"\n", b"\n", b"\r\n", b"\r")).join(lines))
    return f"lines of {path.name}"


def archive_entries(rng: random.Random, folder: Path) -> str | None:
    """Damages entries of a zip: content, names, or both; the archive itself is sound."""
    path = pick(rng, folder, "*.zip")
    if path is None:
        return None
    with zipfile.ZipFile(path) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    for _ in range(rng.choice((1, 3))):
        place = rng.randrange(len(entries))
        name, data = entries[place]
        kind = rng.randrange(4)
        if kind == 0:
            data = odd_image(rng)
        elif kind == 1:
            data = damage_bytes(rng, data)
        elif kind == 2:
            name = rng.choice(("../x.jpg", "[/x].jpg", "\x1b[31m.jpg", "C:x.jpg", "x" * 3000, name + "\0.png", "é.jpg"))
        else:
            name = entries[rng.randrange(len(entries))][0]
        entries[place] = (name, data)
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(path, "w", method) as archive:
        for number, (name, data) in enumerate(entries):
            info = zipfile.ZipInfo(f"{number}")
            info.filename = name
            info.compress_type = method
            archive.writestr(info, data)
    return f"entries of {path.name}"


def more_files(rng: random.Random, folder: Path) -> str:
    """Adds a file that nobody asked for."""
    name = rng.choice(
        (
            "[/x].zip",
            "x\x1b[31m\r.zip",
            "Images_2 (1).zip",
            "train_part99.txt",
            "[bold]x.tar",
            "\udcff.txt",
            "README.md",
        )
    )
    path = Path(folder, name)
    path.write_bytes(rng.choice((b"", b"PK\5\6" + bytes(18), rng.randbytes(100))))
    if rng.random() < 0.3:
        return f"{name!r} is {replace_file(rng, path)}"
    return f"{name!r} is there"


COMPLETE: tuple[Damage, ...] = (
    *(manifest, manifest, shard, shard, shard, index, index, reject_lines, more_files),
    *(in_json(MANIFEST_FILE), in_bytes(MANIFEST_FILE), in_bytes("rejects.jsonl"), in_bytes("README.md")),
    *(in_bytes("*/*.tar"), in_bytes("*/index.parquet"), replaced("*"), replaced("*/*"), replaced(MANIFEST_FILE)),
)
UNFINISHED: tuple[Damage, ...] = (
    *(in_json(".work/plan.json"), in_bytes(".work/plan.json"), replaced(".work/plan.json")),
    *(in_json(".work/records/*"), in_json(".work/records/*"), in_bytes(".work/records/*")),
    *(in_bytes(".work/index/*"), replaced(".work/*/*"), in_bytes(".work/lock"), replaced(".work/lock")),
    *(in_bytes("*/*.tar"), replaced("*/*.tar"), shard, more_files),
)
SOURCE: tuple[Damage, ...] = (
    *(label_lines, label_lines, label_lines, archive_entries, archive_entries, more_files),
    *(in_bytes("*.txt"), in_bytes("*.zip"), in_bytes("*.zip"), replaced("*.zip"), replaced("*.txt")),
)
CACHE: tuple[Damage, ...] = (
    in_bytes("*/*.json"),
    in_json("*/*.json"),
    *(in_bytes("*/rows"), in_bytes("*/keys"), in_bytes("*/*.rows")),
    in_bytes("*/*"),
    replaced("*/*"),
    replaced("*"),
)


def damaged(rng: random.Random, kinds: tuple[Damage, ...], folder: Path) -> Iterator[str]:
    """Do one thing to a folder, now and then two or three; yields what."""
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        try:
            done = rng.choice(kinds)(rng, folder)
        except Exception:  # noqa: BLE001
            continue  # what an earlier damage left cannot be damaged so
        if done:
            yield done
