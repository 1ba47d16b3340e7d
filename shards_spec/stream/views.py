"""The form in which a caller gets a sample: bytes, pixels or a tensor, as a single crop or as a whole frame."""

import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError, UsageError
from shards_spec.images import ImageError, decode_jpeg
from shards_spec.requirements import require_pillow, require_torch
from shards_spec.variants import Variant

Decode = Literal["bytes", "rgb", "torch"]
Area = Literal["roi", "crop"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

NextBuffer = Callable[[], Any]
"""Returns the array or tensor to write the next image to; None for a new one."""


def _is_size(size: Any) -> bool:
    lengths = size if isinstance(size, Sequence) else ()
    return len(lengths) == 2 and all(isinstance(length, numbers.Integral) and int(length) >= 1 for length in lengths)


def no_buffer() -> None:
    """Give each image memory of its own."""


@dataclass(frozen=True, slots=True)
class View:
    """The form in which images are returned.

    Raises:
        UsageError: The values contradict each other, or Pillow or PyTorch is needed and not installed.
    """

    decode: Decode = "bytes"
    """``bytes``: as in the shard. ``rgb``: ``[height, width, 3]`` uint8. ``torch``: ``[3, height, width]`` float32,
    normalised."""
    area: Area = "roi"
    """``roi``: the person's box. ``crop``: the whole image."""
    size: tuple[int, int] | None = None
    """Height and width in pixels to resize to; None keeps the size. Only pixels of ``area`` bear on the result."""
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Check the values."""
        if self.decode not in get_args(Decode) or self.area not in get_args(Area):
            raise UsageError(f"decode={self.decode!r}, area={self.area!r}: {get_args(Decode)}, {get_args(Area)}")
        if self.size is not None and not _is_size(self.size):
            raise UsageError(f"size={self.size}: give height and width in pixels")
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise UsageError(f"mean={self.mean}, std={self.std}: a number for each of red, green, blue; no std of 0")
        if self.decode == "bytes" and self.size is not None:
            raise UsageError('size= needs decode="rgb" or "torch": bytes are returned as they are')
        if self.decode != "bytes":
            require_pillow(f'decode="{self.decode}"')
        if self.decode == "torch":
            require_torch('decode="torch"')

    @property
    def layout(self) -> tuple[tuple[int, int, int], str] | None:
        """Shape and NumPy type of every image, if all images have the same."""
        if self.size is None:
            return None
        return ((*self.size, 3), "|u1") if self.decode == "rgb" else ((3, *self.size), "<f4")

    def decoder(self, next_buffer: NextBuffer = no_buffer) -> Callable[[bytes, dict[str, Any]], Any]:
        """Return the function that turns an image's bytes and its sidecar into what the caller gets.

        Args:
            next_buffer: Returns the array or tensor to write the next image to, or None for a new one. It is called
                only when nothing can fail any more.
        """
        if self.decode == "bytes":
            return lambda data, _: data
        cut = _cutter(self.area, self.size)

        def pixels(data: bytes, sidecar: dict[str, Any]) -> npt.NDArray[np.uint8]:
            image = cut(data, sidecar)
            out: npt.NDArray[np.uint8] | None = next_buffer()
            if out is None:
                return np.array(image)
            np.copyto(out, np.asarray(image))
            return out

        if self.decode == "rgb":
            return pixels
        # Imported only here, because it takes seconds and need not be installed.
        import torch  # noqa: PLC0415

        scale = torch.tensor([1 / (255 * one) for one in self.std]).reshape(3, 1, 1)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)]).reshape(3, 1, 1)

        def tensor(data: bytes, sidecar: dict[str, Any]) -> torch.Tensor:
            image = cut(data, sidecar)
            # Pillow splits the channels faster than a permuted copy does.
            planes = bytearray().join(channel.tobytes() for channel in image.split())
            pixels = torch.frombuffer(planes, dtype=torch.uint8).view(3, image.height, image.width)
            out: torch.Tensor | None = next_buffer()
            if out is None:
                out = torch.empty(pixels.shape)
            return out.copy_(pixels).mul_(scale).add_(shift)

        return tensor


def _cutter(area: Area, size: tuple[int, int] | None) -> Callable[[bytes, dict[str, Any]], Any]:
    """Return the function that turns an image's bytes and its sidecar into a Pillow RGB image, cut and resized."""
    # Imported only here, because a machine that streams bytes does not need it.
    from PIL import Image  # noqa: PLC0415

    resample = Image.Resampling.BILINEAR

    def cut(data: bytes, sidecar: dict[str, Any]) -> Image.Image:
        try:
            image = decode_jpeg(data)
        except ImageError as error:
            raise SpecError(f"the image cannot be decoded: {error}") from error
        box = _box(image.size, sidecar, area)
        # Cut first: a filter that resizes a part of an image reads pixels beyond that part.
        image = image.crop(box) if box != (0, 0, *image.size) else image
        if image.mode != "RGB":
            image = image.convert("RGB")
        return image if size is None else image.resize((size[1], size[0]), resample)

    return cut


def _box(size: tuple[int, int], sidecar: dict[str, Any], area: Area) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the area to cut from an image of this size, as its sidecar says."""
    try:
        expected, (left, top, width, height) = sidecar["image_size"], sidecar["roi"]
        inside = 0 <= left < left + width <= size[0] and 0 <= top < top + height <= size[1]
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"the sidecar does not say where to cut: {error!r}") from error
    if list(size) != expected:
        raise SpecError(f"the image is {size} pixels, its sidecar says {expected}")
    if not inside:
        raise SpecError(f"roi {sidecar['roi']} does not lie in the image of {size} pixels")
    return (left, top, left + width, top + height) if area == "roi" else (0, 0, *size)


_NO_FILES = frozenset({"__key__", "json", "label"})


def unit_dict(variant: Variant, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a unit with all its samples: what they share, and a list or array with an entry for each sample.

    The files and ``json`` are lists, with None for a file that only other samples have, and ``label`` is ``[m]`` int64.
    The variant says which fields of the sidecars are arrays and which ones the samples share. A frame of ``city1m`` has
    ``person_id`` ``[m]`` int64, ``box`` ``[m, 4]`` float64 (left, top, width, height in pixels of the frame) and
    ``depth`` ``[m]`` float64.

    Raises:
        SpecError: A sidecar lacks one of these fields.
    """
    sidecars = [sample["json"] for sample in samples]
    first = sidecars[0]
    files: Iterable[str] = variant.files
    if variant.has_more_files:
        files = dict.fromkeys(name for sample in samples for name in sample if name not in _NO_FILES)
    try:
        return {
            "__key__": first[variant.unit_field],
            **{name: [sample.get(name) for sample in samples] for name in files},
            "json": sidecars,
            "label": np.asarray([sample["label"] for sample in samples], np.int64),
            **{
                name: np.asarray([sidecar[name] for sidecar in sidecars], np.dtype(type_)).reshape(-1, *shape)
                for name, (type_, shape) in variant.array_fields.items()
            },
            **{name: first[name] for name in variant.shared_fields},
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SpecError(f"a sidecar of the {variant.unit} is not as the format says: {error!r}") from error
