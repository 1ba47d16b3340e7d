"""libjpeg-turbo's own lossless transform, in its TurboJPEG API: what the crop core is compared with."""

import ctypes
import ctypes.util
from collections.abc import Sequence

TJXOP_NONE = 0
TJXOPT_CROP = 4


class _Transform(ctypes.Structure):
    """`tjtransform` in turbojpeg.h."""

    _fields_ = (
        ("left", ctypes.c_int),
        ("top", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("operation", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("custom_filter", ctypes.c_void_p),
    )


def library_name() -> str | None:
    """The name of libturbojpeg, or None where it is not installed."""
    return ctypes.util.find_library("turbojpeg")


class LosslessTransform:
    """Cuts rectangles out of JPEGs by way of their coefficients: all are read, those of the rectangle written."""

    def __init__(self) -> None:
        name = library_name()
        if name is None:
            raise OSError("libturbojpeg is not installed (Debian: libturbojpeg0)")
        self._library = library = ctypes.CDLL(name)
        library.tjInitTransform.restype = ctypes.c_void_p
        library.tjGetErrorStr2.restype = ctypes.c_char_p
        library.tjGetErrorStr2.argtypes = (ctypes.c_void_p,)
        library.tjFree.argtypes = (ctypes.c_void_p,)
        library.tjDestroy.argtypes = (ctypes.c_void_p,)
        library.tjTransform.argtypes = (
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_ulong,
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int,
        )
        self._handle = library.tjInitTransform()

    def __del__(self) -> None:
        self._library.tjDestroy(self._handle)

    def crop(self, data: bytes, rectangles: Sequence[tuple[int, int, int, int]]) -> list[bytes]:
        """Cuts (left, top, width, height) rectangles whose left and top lie on the MCU grid, all in one call."""
        count = len(rectangles)
        transforms = (_Transform * count)(*(_Transform(*map(int, r), TJXOP_NONE, TJXOPT_CROP) for r in rectangles))
        buffers = (ctypes.c_void_p * count)()
        sizes = (ctypes.c_ulong * count)()
        failed = self._library.tjTransform(self._handle, data, len(data), count, buffers, sizes, transforms, 0)
        crops = [ctypes.string_at(buffer or 0, size) for buffer, size in zip(buffers, sizes, strict=True) if buffer]
        for buffer in buffers:
            self._library.tjFree(buffer)
        if failed:
            raise ValueError(self._library.tjGetErrorStr2(self._handle).decode())
        return crops
