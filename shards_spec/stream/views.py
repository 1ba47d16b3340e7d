"""What a sample looks like to the caller: bytes, pixels or a tensor; a crop or a whole frame."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError, UsageError
from shards_spec.stream.fetch import Members

Decode = Literal["bytes", "rgb", "torch"]
Area = Literal["roi", "crop"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_parse = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class View:
    """How images are handed out.

    Raises:
        UsageError: the values make no sense together.
    """

    decode: Decode = "bytes"
    """``bytes``: as in the shard. ``rgb``: ``[height, width, 3]`` uint8. ``torch``: ``[3, height, width]`` float32,
    normalised."""
    area: Area = "roi"
    """``roi``: the person's box; ``crop``: all that the image shows."""
    size: tuple[int, int] | None = None
    """Height and width in pixels to resize to; None leaves them."""
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Check the values."""
        if self.decode not in get_args(Decode) or self.area not in get_args(Area):
            raise UsageError(f"decode={self.decode!r}, area={self.area!r}: {get_args(Decode)}, {get_args(Area)}")
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"size={self.size}: give height and width in pixels")
        if self.decode == "bytes" and self.size is not None:
            raise UsageError('size= needs decode="rgb" or "torch": bytes are handed out as they are')

    def decoder(self) -> Callable[[bytes, dict[str, Any]], Any]:
        """The function from an image's bytes and its sidecar to what is handed out."""
        if self.decode == "bytes":
            return lambda data, _: data
        # Imported when first used: a machine that streams bytes needs neither.
        from PIL import Image  # noqa: PLC0415

        resample = Image.Resampling.BILINEAR

        def pixels(data: bytes, sidecar: dict[str, Any]) -> npt.NDArray[np.uint8]:
            try:
                with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                    if list(image.size) != sidecar["image_size"]:
                        raise SpecError(f"the image is {image.size} pixels, its sidecar says {sidecar['image_size']}")
                    rgb = image if image.mode == "RGB" else image.convert("RGB")
                    left, top, width, height = sidecar["roi"] if self.area == "roi" else (0, 0, *image.size)
                    box = (left, top, left + width, top + height)
                    if self.size is None:
                        return np.array(rgb.crop(box))
                    return np.array(rgb.resize((self.size[1], self.size[0]), resample, box))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                raise SpecError(f"the image cannot be decoded: {error}") from error

        if self.decode == "rgb":
            return pixels
        import torch  # noqa: PLC0415

        scale = torch.tensor([1 / (255 * one) for one in self.std]).reshape(3, 1, 1)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)]).reshape(3, 1, 1)

        def tensor(data: bytes, sidecar: dict[str, Any]) -> torch.Tensor:
            planes = torch.from_numpy(pixels(data, sidecar)).permute(2, 0, 1).contiguous()
            return planes.to(torch.float32).mul_(scale).add_(shift)

        return tensor


def sample_dict(
    key: str, members: Members, label: int, decode: Callable[[bytes, dict[str, Any]], Any]
) -> dict[str, Any]:
    """A crop as webdataset users know it."""
    jpg, json = members
    sidecar = _parse(json)
    return {"__key__": key, "jpg": decode(jpg, sidecar), "json": sidecar, "label": label}


def frame_dict(crops: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A frame with all its crops: a list or an array with an entry a member, and what all members share.

    ``jpg`` and ``json`` are lists; ``label`` [m] int64, ``person_id`` [m] int64, ``box`` [m, 4] float64 (left, top,
    width, height in pixels of the frame), ``depth`` [m] float64.
    """
    sidecars = [crop["json"] for crop in crops]
    first = sidecars[0]
    return {
        "__key__": first["frame"],
        "jpg": [crop["jpg"] for crop in crops],
        "json": sidecars,
        "label": np.asarray([crop["label"] for crop in crops], np.int64),
        "person_id": np.asarray([sidecar["person_id"] for sidecar in sidecars], np.int64),
        "box": np.asarray([sidecar["box"] for sidecar in sidecars], np.float64),
        "depth": np.asarray([sidecar["depth"] for sidecar in sidecars], np.float64),
        **{name: first[name] for name in ("group_id", "camera", "time", "frame_size")},
    }
