"""The settings of a stream, which are checked once."""

from dataclasses import dataclass
from typing import Literal, get_args

from shards_spec.errors import UsageError
from shards_spec.stream.integers import whole_number
from shards_spec.stream.sharing import TAILS, Tail
from shards_spec.stream.views import View

OnError = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a stream besides its selection.

    Raises:
        UsageError: A value is out of range or of the wrong type.
    """

    seed: int = 0
    shuffle: bool = True
    tail: Tail = "uneven"
    by: str = "sample"
    on_error: OnError = "raise"
    rank: int | None = None
    world_size: int | None = None
    view: View
    batch: tuple[int, int] | None = None
    """Number of identities and crops per identity of identity batches."""
    label_field: str | None = None
    """The field that labels number; None if there are no labels."""

    @property
    def ranks(self) -> tuple[int, int] | None:
        """Rank and number of ranks, if they were given."""
        return None if self.rank is None or self.world_size is None else (self.rank, self.world_size)

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("seed", "rank", "world_size"):
            value = getattr(self, name)
            if value is not None or name == "seed":  # the environment can give the other two
                object.__setattr__(self, name, whole_number(name, value))
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed={self.seed}: from 0 to 2^63 - 1")
        for name, value, allowed in (
            ("tail", self.tail, TAILS),
            ("on_error", self.on_error, get_args(OnError)),
        ):
            if value not in allowed:
                raise UsageError(f"{name}={value!r}: one of {', '.join(allowed)}")
        if (self.rank is None) != (self.world_size is None):
            raise UsageError(f"rank={self.rank}, world_size={self.world_size}: give both or neither")
        if self.rank is not None and self.world_size is not None and not 0 <= self.rank < self.world_size:
            raise UsageError(f"rank={self.rank} of world_size={self.world_size}")
        if self.batch is not None and (min(self.batch) < 1 or self.by != "sample" or not self.shuffle):
            raise UsageError(
                f"identity batches of {self.batch[0]} identities, {self.batch[1]} crops of each, by={self.by!r}, "
                f'shuffle={self.shuffle}: at least one of each, by="sample", shuffled'
            )
