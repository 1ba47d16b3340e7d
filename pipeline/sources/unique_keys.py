"""Which images have a key of their own if it is spelled after their path (see ``shards_spec.keys``)."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.matching import Paths, batches_by_folder

_EXTENSION = r"^(\.*[^.].*)\.[^.]*$"
"""A name with an extension, as ``posixpath.splitext`` sees it."""

_Bools = npt.NDArray[np.bool_]


def are_unique(paths: Paths) -> _Bools:
    """Return which paths give a key that no other path gives, ``[paths]``.

    A spelled key has ``_`` for ``/`` and no extension. So two paths can give the same one if their names differ only in
    the extension, or if what one calls a folder is part of the other's file name, as in ``a/b_c.jpg`` and
    ``a_b/c.jpg``.

    Args:
        paths: Different paths below the source's root.
    """
    distinct = paths.folders.dictionary.to_pylist()
    if len(set(distinct)) == len(distinct) and _have_one_extension(paths.names):
        is_unique = np.ones(len(paths), bool)  # within a folder, names differ, and so do they without the extension
    else:
        is_unique = np.zeros(len(paths), bool)
        nothing = Paths(paths.folders.slice(0, 0), paths.names.slice(0, 0))
        for rows, _, codes in batches_by_folder(paths, nothing, change=_stems):
            is_unique[rows] = np.bincount(codes)[codes] == 1
    folders = [str(folder).replace("/", "_") for folder in distinct]
    is_ambiguous = _have_prefixes(folders)
    if is_ambiguous.any():
        codes = paths.folders.indices.to_numpy()
        rows = np.flatnonzero(is_ambiguous[codes])
        texts = _stems(paths.names.take(pa.array(rows))).to_pylist()
        spelled = [folders[code] + stem for code, stem in zip(codes[rows].tolist(), texts, strict=True)]
        counts = Counter(spelled)
        is_unique[rows] = [counts[key] == 1 for key in spelled]
    return is_unique


def _stems(names: pa.Array) -> pa.Array:
    """Return names without their extensions."""
    return pc.replace_substring_regex(names, _EXTENSION, r"\1")


def _have_one_extension(names: pa.Array) -> bool:
    """Return whether all names have the same extension, and nothing but that is cut off them."""
    if not len(names):
        return False
    extension = f".{names[0].as_py().rpartition('.')[2]}"
    return bool(pc.all(pc.and_not(pc.ends_with(names, extension), pc.starts_with(names, "."))).as_py())


def _have_prefixes(folders: list[str]) -> _Bools:
    """Return which strings are a prefix of another one, equal to it, or have another one as a prefix."""
    order = sorted(range(len(folders)), key=folders.__getitem__)
    found = np.zeros(len(folders), bool)
    prefix: int | None = None
    for index in order:  # what a string is a prefix of follows it directly
        if prefix is not None and folders[index].startswith(folders[prefix]):
            found[[prefix, index]] = True
        else:
            prefix = index
    return found
