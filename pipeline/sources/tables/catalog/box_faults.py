"""Which labelled boxes are lost before any frame is read."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.tables.catalog.prepare import Prepared
from pipeline.sources.tables.labels.merge import conflicts, distinct
from shards_spec.rejects import Reject, RejectReason
from shards_spec.variants.tables import lost_box_name

MOST_BOXES = 1000
"""Most boxes of a frame that are taken: more than any camera shows."""

_Int64 = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


class BoxFaults:
    """Which boxes are lost before any frame is read, and why."""

    def __init__(self, prepared: Prepared, row: _Int64, image: _Int64, box: list[_Doubles], box_ids: pa.Array) -> None:
        self._prepared, self._row, self._image, self._box, self._box_ids = prepared, row, image, box, box_ids
        self.is_kept = np.ones(len(row), bool)
        self.rejects: list[Reject] = []
        for reason, samples, detail in self._find():
            for sample in samples[self.is_kept[samples]].tolist():
                self._reject(sample, reason, detail(sample))
            self.is_kept[samples] = False

    def _find(self) -> "Iterator[tuple[RejectReason, _Int64, Callable[[int], str]]]":
        prepared, image = self._prepared, self._image
        x, y, w, h = self._box
        known = {one: prepared.image_fault(one) for one in distinct(image[image >= len(prepared.files)]).tolist()}
        named = set(distinct(image[np.isin(image, list(prepared.files.faults))]).tolist())
        known |= {one: fault for one, fault in prepared.files.faults.items() if one in named}
        for reason in RejectReason:
            of_reason = [one for one, fault in known.items() if fault is not None and fault[0] is reason]
            if of_reason:
                found = np.flatnonzero(np.isin(image, of_reason))
                yield reason, found, lambda sample: (known[int(image[sample])] or ("", ""))[1]
        counts = np.bincount(image)
        yield (
            RejectReason.IMAGE_CROWDED,
            np.flatnonzero(counts[image] > MOST_BOXES),
            lambda sample: f"labelled with {counts[image[sample]]:,} boxes: at most {MOST_BOXES:,} are taken",
        )
        group, _ = prepared.labels.codes("group_id")
        differing = conflicts(image, [prepared.cameras.numbers[self._row], group[self._row]])
        yield (
            RejectReason.LABEL_CONFLICT,
            np.flatnonzero(np.isin(image, list(differing))),
            lambda sample: (
                "the boxes of this frame have different cameras or groups; see "
                f"{self._where(differing[int(image[sample])])}"
            ),
        )
        finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
        yield RejectReason.BOX_NOT_FINITE, np.flatnonzero(~finite), self._describe
        with np.errstate(invalid="ignore"):
            is_empty = ~((w > 0) & (h > 0))
        yield RejectReason.BOX_EMPTY, np.flatnonzero(is_empty), self._describe

    def _where(self, sample: int) -> str:
        return self._prepared.row_where(int(self._row[sample]))

    def _describe(self, sample: int) -> str:
        return f"box {', '.join(str(float(numbers[sample])) for numbers in self._box)}"

    def _reject(self, sample: int, reason: RejectReason, detail: str) -> None:
        prepared = self._prepared
        code = int(prepared.people.codes[self._row[sample]])
        name = lost_box_name(prepared.image_path(int(self._image[sample])), self._box_ids[sample].as_py())
        person = prepared.people.names[code] if code >= 0 else None
        self.rejects.append(Reject(reason, self._where(sample), name, person, 1, detail))
