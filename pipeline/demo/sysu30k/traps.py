"""The surprises of large tars, list files and bags. Each is planted once, so that a run over the demo meets all."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from PIL import Image

from pipeline.demo.sysu30k.tars import Entry, small_tar

Effect = Literal["nothing", "note", "reject"]
"""What a conversion does about a trap: nothing, make a note, or reject a sample."""

_LONG_NAME = "a_name_that_does_not_fit_into_the_hundred_bytes_that_the_header_of_a_tar_has_for_it" * 2
_COMMENT_MARKER = b"\xff\xfe"


@dataclass(frozen=True, slots=True)
class Planted:
    """A place at which a trap shows, and an object in ``traps.json``.

    Attributes:
        trap: The trap's name.
        effect: What a conversion does about it.
        file: The tar, the list or the file of bags.
        path: The image's path below its root, or the line or bag; empty if the trap concerns the whole file.
    """

    trap: str
    effect: Effect
    file: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Trap:
    """A surprise that affects one image.

    Attributes:
        name: The trap's name in ``traps.json``.
        effect: What a conversion does about it.
        apply: A function from the entry as it should be to the entries that are written in its place.
        is_listed: Whether the image stands in its list.
    """

    name: str
    effect: Effect
    apply: Callable[[Entry], tuple[Entry, ...]]
    is_listed: bool = True


def _saved_as(kind: str, **options: Any) -> Callable[[Entry], tuple[Entry, ...]]:
    def apply(entry: Entry) -> tuple[Entry, ...]:
        stream = io.BytesIO()
        Image.open(io.BytesIO(entry.content)).convert(options.pop("mode", "RGB")).save(stream, kind, **options)
        return (replace(entry, content=stream.getvalue()),)

    return apply


def _with(**changes: Any) -> Callable[[Entry], tuple[Entry, ...]]:
    return lambda entry: (replace(entry, **changes),)


def _rotated(entry: Entry) -> tuple[Entry, ...]:
    image, stream = Image.open(io.BytesIO(entry.content)), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: to be shown turned by 90 degrees
    image.save(stream, "JPEG", exif=exif, quality=75)
    return (replace(entry, content=stream.getvalue()),)


def _holds_a_tar(entry: Entry) -> tuple[Entry, ...]:
    """Put a whole tar into a comment of the JPEG, at a multiple of 512 bytes from its start, where headers stand."""
    inner = small_tar([Entry("0000000001/inside.jpg", entry.content), Entry("0000000001/another.jpg", b"no image")])
    padding = tarfile.BLOCKSIZE - 6  # after the start of the image, the comment's marker and its length
    comment = bytes(padding) + inner
    segment = _COMMENT_MARKER + (len(comment) + 2).to_bytes(2) + comment
    return (replace(entry, content=entry.content[:2] + segment + entry.content[2:]),)


def _long_name(entry: Entry) -> tuple[Entry, ...]:
    folder, _, _ = entry.name.rpartition("/")
    return (replace(entry, name=f"{folder}/{_LONG_NAME}.jpg"),)


TRAPS: tuple[Trap, ...] = (
    Trap("GNU long name", "nothing", _long_name),
    Trap("PAX header", "nothing", _with(headers={"comment": "made by hand", "mtime": "1586000000.25"})),
    Trap("binary size", "nothing", _with(base_256=True)),
    Trap("a tar inside a JPEG", "nothing", _holds_a_tar),
    Trap("progressive JPEG", "nothing", _saved_as("JPEG", progressive=True, quality=75)),
    Trap("grayscale JPEG", "nothing", _saved_as("JPEG", mode="L", quality=75)),
    Trap("rotation in EXIF", "note", _rotated),
    Trap("PNG named JPEG", "note", _saved_as("PNG")),
    Trap("empty image", "reject", _with(content=b"")),
    Trap("text named JPEG", "reject", _with(content=b"404 Not Found\n")),
    Trap("truncated JPEG", "reject", lambda entry: (replace(entry, content=entry.content[: len(entry.content) // 2]),)),
    Trap("symbolic link", "reject", _with(content=b"", kind=tarfile.SYMTYPE, target="0000000001_00001.jpg")),
    Trap(
        "hard link",
        "reject",
        _with(content=b"", kind=tarfile.LNKTYPE, target="sysu_train_set_all/0000000001/0000000001_00001.jpg"),
    ),
    Trap("sparse file", "reject", _with(kind=tarfile.GNUTYPE_SPARSE)),
    Trap("entry that comes twice", "reject", lambda entry: (entry, entry)),
    Trap("listed and absent", "reject", lambda _: ()),
    Trap("present and unlisted", "note", lambda entry: (entry,), is_listed=False),
)
"""Every trap that affects an image of the training set."""

EXTRA_ENTRIES: tuple[Entry, ...] = (
    Entry("Thumbs.db", b"\xd0\xcf\x11\xe0 no image"),
    Entry("._0000000001_00001.jpg", b"\x00\x05\x16\x07 resource fork"),
)
"""What lies in folders and is no image of the dataset."""
