"""Check which cells identity batches can be formed from."""

from collections.abc import Sequence

from shards_spec.errors import UsageError
from shards_spec.manifest import Manifest


def check_identity_sets(manifest: Manifest, cells: Sequence[str]) -> None:
    """Raise ``UsageError`` if the crops of an identity are scattered over the shards of one of the cells."""
    for cell in cells:
        shuffle = manifest.cells[cell].shuffle
        if shuffle != "groups":
            raise UsageError(
                f"cell {cell} is shuffled by {shuffle!r}: the crops of an identity lie scattered over its "
                f"{len(manifest.cells[cell].shards)} shards, and a batch would read from all of them; convert with "
                "--shuffle groups"
            )
