"""Content sniffing: recognise from its first bytes that a file is not what its name promises."""

import re
import shlex

HEAD_BYTES = 4096
"""Number of bytes from the beginning of a file that are examined."""

_BYTE_ORDER_MARKS = {  # UTF-32's mark begins with UTF-16's, so it is tested first
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_COMPRESSED = {
    b"\x1f\x8b\x08": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"\x04\x22\x4d\x18": ("lz4", "unlz4"),
}
"""Beginning of a compressed file: the program that wrote it, and the command that unpacks it."""
_PACKED = {
    **{signature: f"packed by {name}: unpack it with {command}" for signature, (name, command) in _COMPRESSED.items()},
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it with 7z x",
    b"Rar!\x1a\x07": "a RAR archive: unpack it with unrar x",
}
_ZIP = b"PK\x03\x04"
_LARGE_FILE_POINTER = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)


def foreign_to_zip(head: bytes) -> str | None:
    """Return what a file named like a zip archive is instead, with the remedy; None if its head does not tell."""
    return _stand_in(head) or _packed(head)


def foreign_to_tar(head: bytes, name: str) -> str | None:
    """Return what a file named like a tar archive is instead, with the remedy; None if its head does not tell.

    Args:
        head: The file's first ``HEAD_BYTES`` bytes, or all of them.
        name: The file's name, for the command that unpacks it.
    """
    if head.startswith(_ZIP):
        return "it is a zip archive"
    for signature, (program, command) in _COMPRESSED.items():
        if head.startswith(signature):
            source, target = shlex.quote(name), shlex.quote(_unpacked_name(name))
            unpack = f"{command} < {source} > {target}"
            if source == target:
                unpack = f"{command} < {source} > unpacked && mv unpacked {target}"
            return f"it is packed by {program}: unpack it with {unpack}"
    return _stand_in(head) or _packed(head)


def foreign_to_text(head: bytes, name: str) -> str | None:
    """Return what a text file is instead of UTF-8, with the remedy; None if its head does not tell.

    Args:
        head: The file's first ``HEAD_BYTES`` bytes, or all of them.
        name: The file's name, for the command that converts it.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    encoding = encoding or _unmarked_encoding(head)
    if encoding is not None:
        file = shlex.quote(name)
        return f"it is {encoding}, not UTF-8: convert it (iconv -f {encoding} -t UTF-8 {file} > utf8 && mv utf8 {file})"
    if head.startswith(_ZIP):
        return "it is a zip archive: unpack it with unzip"
    return _stand_in(head) or _packed(head)


def _unmarked_encoding(head: bytes) -> str | None:
    """Recognise UTF-16 without a byte order mark: every other byte of Latin text is NUL."""
    even, odd = head[0::2], head[1::2]
    for encoding, zeros, others in (("UTF-16LE", odd, even), ("UTF-16BE", even, odd)):
        if zeros and not zeros.strip(b"\0") and b"\0" not in others:
            return encoding
    return None


def _unpacked_name(name: str) -> str:
    """Return the name of a compressed tar when it is unpacked: ``a.tar`` for ``a.tar.gz`` and for ``a.tgz``."""
    return re.sub(r"\.tar\.[a-z0-9]+$|\.t[a-z]+[0-9]?$", ".tar", name)


def _packed(head: bytes) -> str | None:
    what = next((what for signature, what in _PACKED.items() if head.startswith(signature)), None)
    return what and f"it is {what}"


def _stand_in(head: bytes) -> str | None:
    """Recognise what a download leaves in place of a file that it did not fetch."""
    if head.startswith(_LARGE_FILE_POINTER):
        return "it is a Git LFS pointer, not the file itself: run git lfs pull"
    if _WEB_PAGE.match(head):
        return "it is a web page, not the file itself: download it again, logged in where that is asked for"
    return None
