"""What the codes of rejects and notes mean: the docstrings of their types."""

import functools

from shards_spec.document import documented
from shards_spec.rejects import Note, RejectReason


def meaning_of(code: str) -> str:
    """Return what a code of a reject or a note means, which is empty for an unknown one."""
    return _meanings().get(code, "")


@functools.cache
def _meanings() -> dict[str, str]:
    return {value: text for codes in (RejectReason, Note) for _, value, text in documented(codes)}
