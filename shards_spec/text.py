"""Numbers as text for people."""


def spell_count(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 shard``, ``1,200 shards``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def spell_bytes(count: float) -> str:
    """Return a number of bytes: ``123456789`` as ``123.5 MB``."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} TB"
