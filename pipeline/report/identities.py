"""What a re-ID researcher asks of a set: how often identities are seen, and whether they can be batched and matched."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.report.histogram import Spread, spread
from pipeline.report.rows import UNKNOWN_CAMERA, SetRows
from shards_spec.manifest import Manifest

BATCH_CROPS = (2, 4, 8, 16)
"""The K of P x K batches that is asked about: how many crops a batch takes of each of its P identities."""


@dataclass(frozen=True, slots=True)
class TooSmall:
    """Identities of a train split that have fewer than K crops."""

    crops: int
    """K."""
    identities: int
    samples: int
    """Crops of these identities."""


@dataclass(frozen=True, slots=True)
class Training:
    """What the training split of a protocol offers."""

    protocol: str
    identities: int
    too_small: tuple[TooSmall, ...]
    one_camera: int | None
    """Identities that a single camera saw; None if no camera of the set is known."""
    shared: int
    """Identities that occur in another split of the protocol as well."""
    shared_samples: int
    """Crops of these identities in the training split."""


@dataclass(frozen=True, slots=True)
class Matching:
    """What the gallery of a protocol holds for its queries."""

    protocol: str
    queries: int
    gallery: int
    without: int
    """Queries whose identity no other camera sees in the gallery."""
    same_camera: int | None
    """Pairs of a query and a gallery crop of the same identity and camera. The usual protocol ignores them. None if no
    camera of the set is known: then only a query itself, where it stands in the gallery as well, is no answer."""
    distractors: int
    """Gallery identities that no query has."""
    positives: Spread | None
    """Over the queries: gallery crops of the same identity from other cameras, or any where no camera is known."""


class People:
    """The identities of a set, as numbers.

    Args:
        rows: Of the set.
    """

    def __init__(self, rows: SetRows) -> None:
        self._rows = rows
        self._identity = rows.codes(rows.columns.identity)
        self._count = len(rows.values(rows.columns.identity))
        cameras, self._camera = np.unique(rows.cameras(), return_inverse=True)
        self._cameras = max(1, len(cameras))
        self._tells_cameras = bool((cameras != UNKNOWN_CAMERA).any())

    def crops(self) -> Spread | None:
        """Return how many crops the identities of the set have."""
        return spread(self._crops(self._identity))

    def cameras(self) -> Spread | None:
        """Return how many cameras saw the identities of the set."""
        return spread(self._seen_by(slice(None)))

    def training(self, manifest: Manifest) -> Iterator[Training]:
        """Yield what the training split of each protocol offers."""
        for protocol, splits in manifest.protocols.items():
            rows = self._rows.of_cells(splits.get("train", []))
            codes = self._identity[rows]
            if not (codes >= 0).any():
                continue
            crops = np.bincount(codes[codes >= 0], minlength=self._count)
            others = [cell for split, cells in splits.items() if split != "train" for cell in cells]
            elsewhere = self._identity[self._rows.of_cells(others)]
            shared = np.zeros(self._count, bool)
            shared[elsewhere[elsewhere >= 0]] = True
            shared &= crops > 0
            small = [(crops > 0) & (crops < most) for most in BATCH_CROPS]
            yield Training(
                protocol=protocol,
                identities=int((crops > 0).sum()),
                too_small=tuple(
                    TooSmall(most, int(those.sum()), int(crops[those].sum()))
                    for most, those in zip(BATCH_CROPS, small, strict=True)
                ),
                one_camera=int((self._seen_by(rows) == 1).sum()) if self._tells_cameras else None,
                shared=int(shared.sum()),
                shared_samples=int(crops[shared].sum()),
            )

    def matching(self, manifest: Manifest) -> Iterator[Matching]:
        """Yield what each protocol with a query and a gallery split holds for its queries."""
        for protocol, splits in manifest.protocols.items():
            query, gallery = (self._rows.of_cells(splits.get(split, [])) for split in ("query", "gallery"))
            query, gallery = (rows[self._identity[rows] >= 0] for rows in (query, gallery))
            if not (len(query) and len(gallery)):
                continue
            of_identity = np.bincount(self._identity[gallery], minlength=self._count)
            same = self._by_same_camera(query, gallery) if self._tells_cameras else np.isin(query, gallery)
            positives = of_identity[self._identity[query]] - same
            asked = np.zeros(self._count, bool)
            asked[self._identity[query]] = True
            yield Matching(
                protocol=protocol,
                queries=len(query),
                gallery=len(gallery),
                without=int((positives == 0).sum()),
                same_camera=int(same.sum()) if self._tells_cameras else None,
                distractors=int(((of_identity > 0) & ~asked).sum()),
                positives=spread(positives),
            )

    def _by_same_camera(self, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Return for each query how many crops of its identity the gallery has from its own camera."""
        places, pairs = np.unique(self._pair(gallery), return_counts=True)
        wanted = self._pair(query)
        found = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
        return np.where(places[found] == wanted, pairs[found], 0)

    def _crops(self, codes: np.ndarray) -> np.ndarray:
        crops = np.bincount(codes[codes >= 0], minlength=self._count)
        return crops[crops > 0]

    def _seen_by(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return how many cameras saw each identity that occurs in some rows."""
        codes = self._identity[rows]
        pairs = np.unique(self._pair(rows)[codes >= 0])
        cameras = np.bincount(pairs // self._cameras, minlength=self._count)
        return cameras[cameras > 0]

    def _pair(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return a number for the identity and the camera of each row."""
        return self._identity[rows].astype(np.int64) * self._cameras + self._camera[rows]
