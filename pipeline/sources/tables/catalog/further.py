"""The further columns of labels, as the JSON objects that catalogs have."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.tables.labels.table import Labels
from shards_spec.manifest import Decision
from shards_spec.variants.tables.extra import ExtraEvidence

_ROWS_AT_ONCE = 1 << 20


def further_texts(labels: Labels, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """Return a JSON object with all further columns of each row, in their order; "{}" if there are none, ``[rows]``."""
    if labels.extra is None or not labels.extra.num_columns:
        return pa.chunked_array([pa.repeat(_text("{}"), len(rows))])
    table = labels.extra.take(pa.array(rows))
    chunks = []
    for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE):
        part = table.slice(start, _ROWS_AT_ONCE)
        pieces: list[Any] = []
        for place, name in enumerate(part.column_names):
            opening = "{" if place == 0 else ","
            pieces += [_text(f"{opening}{msgspec.json.encode(name).decode()}:")]
            pieces += [_as_json(part[name].combine_chunks())]
        pieces.append(_text("}"))
        chunks.append(pc.binary_join_element_wise(*pieces, _text("")))
    return pa.chunked_array(chunks)


def _as_json(values: Any) -> Any:
    """Return values as JSON; NaN and infinite numbers are null."""
    if pa.types.is_floating(values.type):
        texts = values.cast(pa.large_string())
        has_point = pc.match_substring_regex(texts, r"[.eE]")
        texts = pc.if_else(has_point, texts, pc.binary_join_element_wise(texts, _text(".0"), _text("")))
        texts = pc.if_else(pc.is_finite(values), texts, _text("null"))
    elif pa.types.is_large_string(values.type):
        coded = values.dictionary_encode()
        spelled = [msgspec.json.encode(text).decode() for text in coded.dictionary.to_pylist()]
        texts = pa.array(spelled, pa.large_string()).take(coded.indices)
    else:
        texts = values.cast(pa.large_string())
    return texts.fill_null("null")


def extra_decision(labels: Labels) -> Decision:
    """Return the decision with the further columns of the labels."""
    return Decision(ExtraEvidence(labels.extra_types).choice(), {"columns": dict(labels.extra_types)})


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())
