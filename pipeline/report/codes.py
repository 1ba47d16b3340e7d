"""What codes of rejects and notes, and the fields of sidecars, mean: the docstrings of their types."""

import functools

from shards_spec.document import documented
from shards_spec.rejects import Note, RejectReason
from shards_spec.variants import Variant


def meaning_of(code: str) -> str:
    """Return what a code of a reject or a note means, which is empty for an unknown one."""
    return _meanings().get(code, "")


@functools.cache
def _meanings() -> dict[str, str]:
    return {value: text for codes in (RejectReason, Note) for _, value, text in documented(codes)}


def field_meanings(variant: Variant) -> dict[str, str]:
    """Return what each field of a variant's sidecar means."""
    return dict(_fields(variant.sidecar))


@functools.cache
def _fields(sidecar: type) -> dict[str, str]:
    return {name: text for name, _, text in documented(sidecar)}
