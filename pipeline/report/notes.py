"""Examples of what was noted: the samples in which a note can be seen. What only the source shows has none."""

import numpy as np

from pipeline.report.losses import EXAMPLES
from pipeline.report.rows import SetRows
from shards_spec.manifest import Manifest
from shards_spec.rejects import Note


def choose_examples(manifest: Manifest, rows: SetRows) -> dict[str, tuple[int, ...]]:
    """Return the first rows in which each note of a set can be seen; nothing for a note that no row shows."""
    if rows.columns.image is None:
        return {}
    shown = {Note.BOX_CLAMPED: _clamped(rows), Note.IMAGE_REENCODED: _encoded_anew(rows)}
    return {
        str(note): tuple(found[:EXAMPLES].tolist())
        for note, found in shown.items()
        if str(note) in manifest.notes and len(found)
    }


def _clamped(rows: SetRows) -> np.ndarray:
    return np.flatnonzero(rows.numbers("clamped")) if rows.columns.is_cut else np.arange(0)


def _encoded_anew(rows: SetRows) -> np.ndarray:
    names = rows.values("encoding").to_pylist()
    return np.flatnonzero(rows.codes("encoding") == names.index("reencoded")) if "reencoded" in names else np.arange(0)
