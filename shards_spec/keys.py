"""The keys of samples."""

import hashlib
import posixpath
import re
from collections.abc import Sequence

from shards_spec.errors import SpecError

KEY_PATTERN = "^[A-Za-z0-9_-]{1,90}$"
"""No dot, so that no reader splits a key; under 100 bytes with its extension, so that a USTAR name holds it."""

_KEPT = 70
"""Characters that a key keeps of a path that is not spelled out."""

_key = re.compile(r"[A-Za-z0-9_-]{1,90}")
_plain_lines = re.compile(r"^([A-Za-z0-9_/-]{0,89}[A-Za-z0-9_-])\.[A-Za-z0-9]+$", re.MULTILINE)
_not_allowed = re.compile(r"[^A-Za-z0-9_-]")


def check_key(key: str) -> str:
    """Return ``key``; raise ``SpecError`` if it does not match ``KEY_PATTERN``."""
    if _key.fullmatch(key) is None:
        raise SpecError(f"{key!r} is no key: it must match {KEY_PATTERN}")
    return key


def path_key(path: str, box: str | None = None, *, is_unique: bool = True) -> str:
    """Return the key of a sample that is named by a path.

    The key is the path without its extension, with ``_`` for ``/``, and with ``_b<box>`` behind it for a box of an
    image. Where that does not match ``KEY_PATTERN`` or is not unique in the set, the key is its first 70 characters
    that a key may have, ``-``, and 16 hex digits of BLAKE2b over the path and, behind a NUL, the box.

    Args:
        path: Path below the source's root, with ``/`` between its parts.
        box: What names the box in its image; None if the sample is the whole image.
        is_unique: Whether no other sample of the set has the key in its first form.
    """
    spelled = _spelled_key(path, box)
    return spelled if is_unique and _key.fullmatch(spelled) else _hashed_key(path, box)


def keys_of_paths(paths: Sequence[str], are_unique: Sequence[object]) -> list[str]:
    """Return the keys of samples that are whole images, each as ``path_key`` returns it, in a third of the time.

    Args:
        paths: The paths of the images.
        are_unique: For each, whether no other sample of the set has its key in the first form.
    """
    joined = "\n".join(paths)
    plain = _plain_lines.findall(joined)
    if len(plain) == len(paths) == joined.count("\n") + 1 and all(are_unique):
        return "\n".join(plain).replace("/", "_").split("\n")
    return [path_key(path, is_unique=bool(one)) for path, one in zip(paths, are_unique, strict=True)]


def path_keys(path: str, box: str | None = None) -> tuple[str, str]:
    """Return the two forms of a key that ``path_key`` chooses from. The first one may not match ``KEY_PATTERN``."""
    return _spelled_key(path, box), _hashed_key(path, box)


def _spelled_key(path: str, box: str | None) -> str:
    stem, _, extension = path.rpartition(".")
    if stem[-1:] in {"", "/", "."} or "/" in extension:
        stem = posixpath.splitext(path)[0]  # decides the odd cases; for each of millions of paths it would take long
    stem = stem.replace("/", "_")
    return stem if box is None else f"{stem}_b{box}"


def _hashed_key(path: str, box: str | None) -> str:
    named = path if box is None else f"{path}\0{box}"
    digest = hashlib.blake2b(named.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return f"{_not_allowed.sub('', _spelled_key(path, box))[:_KEPT]}-{digest}"
