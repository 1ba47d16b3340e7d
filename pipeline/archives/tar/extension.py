"""What an entry's header does not hold: long names (GNU) and extended headers (POSIX.1's pax Interchange Format)."""

import re
from typing import NamedTuple

from pipeline.archives.tar.header import BadHeaderError

LONG_NAME, LONG_LINK, EXTENDED, GLOBAL, SOLARIS = b"LKxgX"
EXTENSIONS = frozenset({LONG_NAME, LONG_LINK, EXTENDED, GLOBAL, SOLARIS})
"""Types of headers whose content describes the entry that follows, or all that follow."""

_OVERRIDES = (b"path", b"size")
_SPARSE = b"GNU.sparse."
_MAY_OVERRIDE = re.compile(rb"path=|size=|GNU\.sparse\.")
_LONGEST_NUMBER = 20  # digits: those of 2**64


class Extension(NamedTuple):
    """What extension headers say of the entry behind them."""

    long_name: bytes | None = None
    """From GNU's long name."""
    path: bytes | None = None
    """From an extended header; it wins over the long name, as in GNU tar."""
    size: int | None = None
    """Bytes of content that follow the entry's header, in place of the header's own number."""
    is_sparse: bool = False

    @property
    def name(self) -> bytes | None:
        """The entry's full name, if its header's is not the right one."""
        return self.path if self.path is not None else self.long_name


def extend(extension: Extension, kind: int, payload: bytes) -> Extension:
    """Add what an extension header of type ``kind`` says.

    Raises:
        BadHeaderError: The header breaks the standard, or is a global one that names or measures all entries.
    """
    if kind == LONG_NAME:
        return extension._replace(long_name=payload.split(b"\0")[0])
    if kind == LONG_LINK or not _MAY_OVERRIDE.search(payload):
        return extension
    records = _parse_records(payload)
    overrides = sorted(key for key in records if key in _OVERRIDES or key.startswith(_SPARSE))
    if kind == GLOBAL:
        if overrides:
            raise BadHeaderError(
                f"a global header there sets {overrides[0].decode('ascii', 'replace')} for all entries"
            )
        return extension
    path = records.get(b"GNU.sparse.name") or records.get(b"path") or extension.path
    size = extension.size
    if records.get(b"size"):
        size = _parse_number(records[b"size"], "size")
    is_sparse = extension.is_sparse or any(key.startswith(_SPARSE) for key in overrides)
    return extension._replace(path=path, size=size, is_sparse=is_sparse)


def _parse_records(payload: bytes) -> dict[bytes, bytes]:
    """Parse records of the form LENGTH KEY=VALUE, each ended by a line feed. A key's last value counts."""
    records: dict[bytes, bytes] = {}
    place = 0
    while place < len(payload):
        space = payload.find(b" ", place, place + _LONGEST_NUMBER + 1)
        length = _parse_number(payload[place : max(space, place)], "record's length")
        record = payload[space + 1 : place + length]
        key, equals, value = record[:-1].partition(b"=")
        if place + length > len(payload) or not key or not equals or record[-1:] != b"\n":
            raise BadHeaderError("an extended header there has a record that is not of the form LENGTH KEY=VALUE")
        records[key] = value
        place += length
    return records


def _parse_number(text: bytes, what: str) -> int:
    if not text.isdigit() or len(text) > _LONGEST_NUMBER:
        raise BadHeaderError(f"an extended header there has a {what} that is no number: {text[:40]!r}")
    return int(text)
