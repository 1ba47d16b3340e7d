"""Comparisons of samples with the files that they were made from, which kinds of sources share."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.archives import EntryFault
from pipeline.crop.pixels import encode_crop
from pipeline.crop.whole import REENCODED_QUALITY
from pipeline.samples.sample import Sample
from shards_spec.errors import SpecError
from shards_spec.geometry import Rectangle
from shards_spec.images import decode_image

OTHER_VERSIONS_LEVELS = 2.0
"""Largest mean difference, in levels of 256, between a re-encoded crop and the same crop encoded here, if another
version of Pillow or libjpeg or another kind of processor encoded it. Measured on rendered frames: up to 0.4 between
Pillow-SIMD 12 and Pillow 13, up to 0.6 between libjpeg's integer and floating-point transforms; but 10 and more for a
crop that lies 8 pixels beside its place, and 17 and more for one of another person."""


def compare_fields(sidecar: Any, wanted: Mapping[str, Any]) -> None:
    """Compare fields of a sidecar with what the source says.

    Raises:
        SpecError: A field differs; the message names the first.
    """
    for name, value in wanted.items():
        said = getattr(sidecar, name)
        if said != value:
            raise SpecError(f"its sidecar says {name} {_shown(said)}, but the source {_shown(value)}")


def compare_copy(sample: Sample, wanted: Mapping[str, Any], where: str, contents: Sequence[bytes | EntryFault]) -> None:
    """Compare a sample with the entries that it was taken over from.

    Args:
        sample: The sample, with a file for each entry.
        wanted: What the sidecar must say, by field.
        where: Where the entries lie, for messages.
        contents: The contents of the entries, or the reasons why they could not be read.

    Raises:
        SpecError: Something differs; the message says what.
    """
    compare_fields(sample.sidecar, wanted)
    if len(sample.files) != len(contents):
        raise SpecError(f"it has {len(sample.files)} files, but the source {len(contents)}")
    for number, (file, content) in enumerate(zip(sample.files, contents, strict=True), 1):
        if isinstance(content, EntryFault):
            raise SpecError(f"{where}, which it was made from: {content.detail}")
        if file != content:
            raise SpecError(f"the bytes of its file {number} are not those of the source")


def compare_image(
    sample: Sample, wanted: Mapping[str, Any], where: str, content: bytes | EntryFault, *, is_exact: bool
) -> None:
    """Compare an image that was taken over with the source's: byte for byte, or by its pixels if it was encoded anew.

    Args:
        sample: The sample, with its image as its only file.
        wanted: What the sidecar must say, by field.
        where: Where the source's image lies, for messages.
        content: The source's image, or the reason why it could not be read.
        is_exact: Whether the libraries that run here made the set, so that encoding again gives the same bytes.

    Raises:
        SpecError: Something differs; the message says what.
        ImageError: One of the images cannot be decoded.
    """
    if sample.sidecar.encoding == "source" or isinstance(content, EntryFault):
        compare_copy(sample, wanted, where, [content])
        return
    compare_fields(sample.sidecar, wanted)
    source = decode_image(content)
    encoded = encode_crop(source, Rectangle(0, 0, *source.size), quality=REENCODED_QUALITY, size=None)
    (image,) = sample.files
    compare_encoded(decode_image(image), encoded, where, is_exact=is_exact)


def compare_encoded(data: Image.Image, encoded: bytes, source: str, *, is_exact: bool) -> None:
    """Compare an image that was encoded anew with what encoding the source's pixels again gives.

    Args:
        data: The sample's image, decoded.
        encoded: The source's pixels as they are encoded here.
        source: What messages call the source.
        is_exact: Whether the libraries that run here made the set, so that the pixels must be the same.

    Raises:
        SpecError: They differ by more than other versions explain.
    """
    with Image.open(io.BytesIO(encoded)) as expected:
        if (data.mode, data.size) != (expected.mode, expected.size):
            raise SpecError(
                f"its image is {data.width}x{data.height} {data.mode}, but {source} gives "
                f"{expected.width}x{expected.height} {expected.mode}"
            )
        differences = pixel_differences(data, expected)
    if differences.mean() > (0 if is_exact else OTHER_VERSIONS_LEVELS):
        raise SpecError(
            f"its pixels are not those that {source} gives when encoded in the same way: they differ by "
            f"{differences.mean():.3g} levels on average"
        )


def pixel_differences(one: Image.Image, other: Image.Image) -> npt.NDArray[np.int16]:
    """Return the absolute differences between the pixels of two images of the same size and mode."""
    return np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16))


def _shown(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
