"""The names of textures in an FBX file, found by searching its bytes: nothing of the file is parsed or executed.

FBX is Autodesk's format and not documented. In its binary form, a property is the length and the text of its name, a
letter for its type (``S`` for a string, ``R`` for bytes), the length of its value as four bytes, and the value; the
text form has ``Name: "value"``. Textures, and the clips that they show, have ``FileName`` (``Filename`` in clips),
the path on the machine of whoever made the model, then ``RelativeFilename``, and clips ``Content`` if the file is
embedded (https://code.blender.org/2013/08/fbx-binary-file-format-specification/, and assimp's test models).
"""

import heapq
import itertools
import posixpath
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from shards_spec.errors import SpecError

TEXTURES_AT_MOST = 10_000
"""Different names that are searched for; a file with more is hostile."""
_NAMES_AT_MOST = 1_000_000
"""Places of names that are looked at, so that no file takes longer than some seconds."""
_LONGEST_NAME = 1024
"""Most bytes of a name. A longer one is no name of a file."""

_IMAGES = frozenset(["bmp", "dds", "exr", "gif", "hdr", "jpeg", "jpg", "png", "psd", "tga", "tif", "tiff", "webp"])

_BINARY = b"Kaydara FBX Binary  \x00"
_BINARY_HEADER = 27  # with two more bytes and the version
_WIDE_VERSION = 7500
"""From this version on, positions in the binary form have eight bytes instead of four."""
_TEXT_HEAD = re.compile(rb"\A(?:\xef\xbb\xbf)?\s{0,64}; FBX [0-9]|(?:\A|\n)\s{0,64}FBXHeaderExtension:")
_HEAD_BYTES = 4096

_NEEDLES = (b"FileName", b"Filename", b"Content")
_RELATIVE = b"Relative"
_TEXT_VALUE = re.compile(rb'[ \t]{0,8}:[ \t]{0,8}"([^"\r\n]{0,1024})"')
_TEXT_CONTENT = re.compile(rb'[ \t]{0,8}:\s{0,8},?\s{0,8}"[A-Za-z0-9+/]')


class NamedTexture(NamedTuple):
    """A texture that a model names."""

    paths: tuple[str, ...]
    """Its path relative to the model and its path on another machine, as far as the model has them, with slashes."""
    is_embedded: bool
    """Whether its content is in the model."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return posixpath.basename(self.paths[0])


class _Hit(NamedTuple):
    """A property that was found."""

    kind: Literal["absolute", "relative", "content"]
    value: str


class _Name(NamedTuple):
    """The name of a property, and where it stands."""

    kind: Literal["absolute", "relative", "content"]
    start: int
    stop: int


def find_textures(data: bytes) -> list[NamedTexture]:
    """Return the textures that an FBX file names, in their order and each once, whatever case its names are in.

    Raises:
        SpecError: The bytes are not those of an FBX file, or are cut off.
    """
    if data.startswith(_BINARY):
        _check_length(data)
        hits = _binary_hits(data)
    elif _TEXT_HEAD.search(data[:_HEAD_BYTES]):
        hits = _text_hits(data)
    else:
        raise SpecError("it is empty" if not data else "it does not begin like an FBX file")
    return _textures(hits)


def _check_length(data: bytes) -> None:
    """Check that a binary file does not end before its top-level parts, each of which says where it ends."""
    width = 8 if int.from_bytes(data[len(_BINARY) + 2 : _BINARY_HEADER], "little") >= _WIDE_VERSION else 4
    position = _BINARY_HEADER
    while True:
        end = int.from_bytes(data[position : position + width], "little")
        if position + width > len(data) or end > len(data):
            raise SpecError(f"it is cut off: it has {len(data)} bytes")
        if end <= position:  # the last part is followed by zeros
            return
        position = end


def _names(data: bytes) -> Iterator[_Name]:
    """Yield the names of properties in their order. Searching for each by itself takes a fifth of a pattern's time."""
    for number, start in enumerate(heapq.merge(*(_find(data, needle) for needle in _NEEDLES))):
        if number == _NAMES_AT_MOST:
            raise SpecError(f"it names files more than {_NAMES_AT_MOST:,} times")
        stop = start + 8
        if data[start:stop].startswith(b"Content"):
            yield _Name("content", start, start + 7)
        elif data[max(0, start - 8) : start] == _RELATIVE:
            yield _Name("relative", start - 8, stop)
        else:
            yield _Name("absolute", start, stop)


def _find(data: bytes, needle: bytes) -> Iterator[int]:
    position = data.find(needle)
    while position >= 0:
        yield position
        position = data.find(needle, position + 1)


def _binary_hits(data: bytes) -> Iterator[_Hit]:
    for kind, start, stop in _names(data):
        type_ = b"R" if kind == "content" else b"S"
        if data[start - 1] != stop - start or data[stop : stop + 1] != type_:
            continue
        begin = stop + 5
        length = int.from_bytes(data[stop + 1 : begin], "little")
        if length > len(data) - begin:
            continue
        if kind != "content" and length <= _LONGEST_NAME:
            yield _Hit(kind, _text(data[begin : begin + length]))
        elif kind == "content" and length:
            yield _Hit(kind, "")


def _text_hits(data: bytes) -> Iterator[_Hit]:
    for kind, _, stop in _names(data):
        match = (_TEXT_CONTENT if kind == "content" else _TEXT_VALUE).match(data, stop)
        if match is not None:
            yield _Hit(kind, "" if kind == "content" else _text(match[1]))


def _text(raw: bytes) -> str:
    """Return a path with slashes. Old files have names in another encoding than UTF-8."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\\", "/").replace("\0", "").strip()


def _textures(hits: Iterator[_Hit]) -> list[NamedTexture]:
    """Join the two paths of each texture, and leave out what is named before."""
    found: dict[tuple[str, ...], NamedTexture] = {}
    embedded: set[str] = set()
    absolute = last = ""
    for kind, value in itertools.chain(hits, [_Hit("absolute", "")]):
        if kind == "content":
            embedded.add((posixpath.basename(absolute) or last).casefold())  # of a clip with one path or both
            continue
        # A path on another machine alone is that of an animation, unless it names an image.
        alone = (absolute,) if kind == "absolute" and is_image(absolute) else ()
        both = (value, absolute) if kind == "relative" else alone
        absolute = value if kind == "absolute" else ""
        paths = tuple(dict.fromkeys(path for path in both if posixpath.basename(path)))
        if paths:
            last = posixpath.basename(paths[0])
            found.setdefault(tuple(map(str.casefold, paths)), NamedTexture(paths, is_embedded=False))
        if len(found) > TEXTURES_AT_MOST:
            raise SpecError(f"it names more than {TEXTURES_AT_MOST:,} textures")
    return [texture._replace(is_embedded=texture.name.casefold() in embedded) for texture in found.values()]


def is_image(path: str) -> bool:
    """Return whether a path names an image by its extension."""
    return posixpath.splitext(path)[1][1:].lower() in _IMAGES
