"""Hostile changes to bytes, to JSON and to files themselves: what no writer makes and any stranger can."""

import json
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

RAW_VALUES = [
    *("-0", "-1", "0", "1.5", "1e3", "1e999", "-1e999", "NaN", "Infinity", "null", "true", "{}", "[]", "[1,2,3]"),
    *(str(2**power) for power in (31, 32, 40, 63, 64)),
    *(str(-(2**power)) for power in (31, 63)),
    "1" + "0" * 400,
    "9" * 5000,
    '""',
    '"[/x]"',
    '"[bold red]loud[/]"',
    '"\\u001b[31mred\\u0007\\u0000"',
    '"\\u202egnp.exe\\u2028"',
    '"a\\r\\nerror: a line of somebody else\'s"',
    '"\\ud800"',
    '"<script>alert(1)</script>"',
    '"../../../etc/passwd"',
    '"/dev/zero"',
    '"a/b"',
    '"%s {0} \\\\"',
    '"' + "x" * 100_000 + '"',
    "[" * 600 + "]" * 600,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 100_000 + "1" + "}" * 100_000,
]
"""JSON texts to stand where something else stood, some of them none that Python's own writer makes."""

HUGE, LARGE = 30 * 10**9, 200 * 10**6
"""Bytes of sparse files: more than any memory here, for files that are read whole; and not too much to read through."""
READ_WHOLE = frozenset({".json", ".jsonl", ".md", ".tar"})


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change a few bytes, or many."""
    place = rng.randrange(len(data) + 1)
    stop = min(len(data), place + rng.choice((1, 4, 100, 5000)))
    odd = rng.choice((b"\xff\xfe", b"\xc3\x28", b"\0", b"\x1b[31m", rng.randbytes(9)))
    return rng.choice(
        (
            _with_flipped_bits(rng, data),
            data[:place],
            data + rng.choice((b"\0" * 1024, b"\n", data[:1000], rng.randbytes(700))),
            data[:place] + bytes(stop - place) + data[stop:],
            data[:place] + data[stop:],
            data[:stop] + data[place:],
            data[:place] + odd + data[place:],
            rng.choice((b"", bytes(len(data)), b"\0", b"{", rng.randbytes(100), b"[" * 100_000)),
        )
    )


def _with_flipped_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def damage_json(rng: random.Random, data: bytes, edit: Callable[[Any], None] = lambda _: None) -> bytes:
    """Change one to three places of a JSON text; ``edit`` then makes right what is to be right nevertheless."""
    value = json.loads(data)
    raw: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _damaged(rng, value, raw)
    edit(value)
    text = json.dumps(value, separators=(",", ":"))
    for number, one in enumerate(raw):
        text = text.replace(f'"@raw{number}@"', one)
    return text.encode(errors="surrogatepass")


def _damaged(rng: random.Random, value: Any, raw: list[str]) -> Any:
    """The value with one place changed; texts that JSON's writer does not make go to ``raw``, a mark in their place."""
    places = list(_places(value))
    if not places or rng.random() < 0.02:
        return _raw(rng, raw)
    holder, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        name = json.loads(rng.choice([one for one in RAW_VALUES if one[0] == '"']))
        holder[name] = holder.pop(key) if rng.random() < 0.5 else holder[key]
    elif kind == 2 and isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), holder[key])
    elif kind == 3:
        other, place = rng.choice(places)
        holder[key] = other[place] if not _holds(other[place], holder) else _raw(rng, raw)
    elif kind == 4 and isinstance(holder[key], int):
        holder[key] += rng.choice((-1, 1, 7, 10**6))
    else:
        holder[key] = _raw(rng, raw)
    return value


def _raw(rng: random.Random, raw: list[str]) -> str:
    raw.append(rng.choice(RAW_VALUES))
    return f"@raw{len(raw) - 1}@"


def _holds(value: Any, holder: Any) -> bool:
    return value is holder or any(_holds(inner[key], holder) for inner, key in _places(value))


def _places(value: Any) -> Any:
    """Each place below a value as the list or dictionary that holds it, and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def replace_file(rng: random.Random, path: Path) -> str:
    """Put something else under a file's name; returns what."""
    kind = rng.choice(("gone", "endless", "dangling", "loop", "folder", "fifo", "socket", "huge", "empty"))
    path.unlink()
    if kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("/nowhere/at/all")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "folder":
        path.mkdir()
        (path / "file").write_bytes(b"inside")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one, _inside(path.parent):  # a socket's path has at most 107 bytes
            one.bind(path.name)
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(HUGE if path.suffix in READ_WHOLE else LARGE)
    elif kind == "empty":
        path.write_bytes(b"")
    return kind


class _inside:  # noqa: N801
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._before = Path.cwd()
        os.chdir(self._folder)

    def __exit__(self, *_: object) -> None:
        os.chdir(self._before)
