from collections.abc import Sequence
from typing import Generic, TypeVar, final

_Error = TypeVar("_Error", bound=Exception)

@final
class Cropper(Generic[_Error]):
    def __new__(cls, error_types: tuple[type[_Error], ...], /) -> Cropper[_Error]: ...
    def read_header(self, data: bytes, /) -> tuple[int, int, int, int, int, bool, bool, str | None]: ...
    def crop(
        self, frames: Sequence[tuple[bytes, Sequence[tuple[int, int, int, int]]]], /
    ) -> list[list[bytes] | _Error]: ...
