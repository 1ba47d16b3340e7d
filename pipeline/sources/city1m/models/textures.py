"""Which file of a source is the texture that a model names."""

import bisect
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.sources.city1m.models.entries import Entry, is_model
from pipeline.sources.city1m.models.fbx import NamedTexture, is_image

_COMPARED = 256
"""Most files of one name that are compared with a texture's path. Among more, the path does not tell which is meant."""


@dataclass(frozen=True, slots=True)
class Textures:
    """The textures of a model."""

    found: list[Entry] = field(default_factory=list)
    """The files, each once, in the order in which the model names them."""
    missing: list[str] = field(default_factory=list)
    """Names of textures that the source does not hold, or holds only empty."""
    ambiguous: list[str] = field(default_factory=list)
    """Names of textures for which several files of different content could be meant."""
    meant: set[Entry] = field(default_factory=set)
    """All files that could be meant."""


class _Pool(NamedTuple):
    """Files of one name or stem, sorted by path."""

    paths: list[str]
    """Their paths without regard to case."""
    entries: list[Entry]


class TextureFinder:
    """Finds textures by name, whatever its case.

    A texture is, in this order: the file at the path that the model names, relative to the model's own folder (of
    several whose names differ by case alone, the one that is spelled like that); the file
    of that name that lies nearest to the model, which is below the same folder, else below the next one up; the
    image of that name with another extension that lies nearest. Among several as near, the longest common end of the
    paths decides, and files of equal content are one. An image that has the model's own name belongs to it as well.

    Args:
        entries: All files of the source.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        files = sorted(
            ((entry.path.casefold(), entry) for entry in entries if not is_model(entry.path)),
            key=lambda file: file[0],
        )
        self._by_path: dict[str, list[Entry]] = {}
        self._by_name: dict[str, _Pool] = {}
        self._by_stem: dict[str, _Pool] = {}
        for path, entry in files:
            self._by_path.setdefault(path, []).append(entry)
            name = posixpath.basename(path)
            _add(self._by_name, name, path, entry)
            if is_image(name):
                _add(self._by_stem, posixpath.splitext(name)[0], path, entry)

    def find(self, model: Entry, named: Sequence[NamedTexture]) -> Textures:
        """Find the textures of a model."""
        textures = Textures()
        for texture in named:
            candidates = self._candidates(model.path, texture)
            textures.meant.update(candidates)
            if len(candidates) == 1 and candidates[0].size:
                textures.found.append(candidates[0])
            elif len(candidates) > 1:
                textures.ambiguous.append(texture.name)
            elif not texture.is_embedded:
                textures.missing.append(texture.name)
        own = self._by_stem.get(posixpath.splitext(posixpath.basename(model.path.casefold()))[0])
        if own is not None:
            nearest = _nearest(model.path.casefold(), "", own)
            if len(nearest) == 1 and nearest[0].size:
                textures.found.append(nearest[0])
                textures.meant.add(nearest[0])
        textures.found[:] = dict.fromkeys(textures.found)
        return textures

    def _candidates(self, model: str, texture: NamedTexture) -> list[Entry]:
        """Return the files that could be meant: one if it is clear which one is."""
        for path in texture.paths:
            exact = posixpath.normpath(posixpath.join(posixpath.dirname(model), path))
            there = self._by_path.get(exact.casefold())
            if there is not None:  # several, if their names differ by case, or in a zip and in a folder of its name
                return _distinct([entry for entry in there if entry.path == exact] or there)
        model, paths = model.casefold(), [path.casefold() for path in texture.paths]
        for pools, key in ((self._by_name, posixpath.basename), (self._by_stem, _stem)):
            for path in paths:
                pool = pools.get(key(path))
                if pool is not None:
                    return _nearest(model, path, pool)
        return []


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _add(pools: dict[str, _Pool], key: str, path: str, entry: Entry) -> None:
    pool = pools.setdefault(key, _Pool([], []))
    pool.paths.append(path)
    pool.entries.append(entry)


def _nearest(model: str, path: str, pool: _Pool) -> list[Entry]:
    """Return the files of a pool that are nearest to a model and whose paths resemble a path most."""
    folder = posixpath.dirname(model)
    while True:
        prefix = folder and f"{folder}/"
        start = bisect.bisect_left(pool.paths, prefix)
        stop = bisect.bisect_left(pool.paths, f"{prefix}\U0010ffff") if prefix else len(pool.paths)
        if start < stop or not folder:
            break
        folder = posixpath.dirname(folder)
    if stop - start > _COMPARED:
        return pool.entries[start : start + 2]
    common = [_common_end(path, other) for other in pool.paths[start:stop]]
    best = [entry for entry, length in zip(pool.entries[start:stop], common, strict=True) if length == max(common)]
    return _distinct(best)


def _distinct(entries: list[Entry]) -> list[Entry]:
    """Return the first of some files if all have equal content, else all of them."""
    return entries[:1] if all(entry.is_same_content(entries[0]) for entry in entries[1:]) else entries


def _common_end(path: str, other: str) -> int:
    """Return how many parts two paths have in common at their ends."""
    count = 0
    for one, two in zip(reversed(path.split("/")), reversed(other.split("/")), strict=False):
        if one != two:
            break
        count += 1
    return count
