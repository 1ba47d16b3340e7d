"""A variant of pairs of files: nobody is seen in them, and no camera is known."""

import msgspec

from shards_spec.variants import Variant, register


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sidecar."""

    spec: str
    name: str
    identity: str | None
    camera: int | None
    splits: dict[str, list[str]]


def pair_keys(pair: Pair) -> tuple[str, ...]:
    return (pair.name,)


PAIRS = Variant(
    name="pairs",
    sidecar=Pair,
    keys=pair_keys,
    files=("txt", "bin"),
    identity_field="identity",
    camera_field="camera",
    accounts=("pairs",),
    samples_account="pairs",
)
register(PAIRS)
