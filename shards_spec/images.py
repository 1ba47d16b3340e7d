"""Decoding untrusted images: what counts as bad data, and how much work one image may cause.

All decoding of images goes through this module. Pillow's decoders raise arbitrary exceptions, and a small file can
demand hours of work or gigabytes of memory. So the header is read first, and an image over the limits is never decoded.
Any failure of a decoder becomes an ``ImageError``, in the same way every time; only a lack of memory stays a
``MemoryError``.
"""

import functools
import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shards_spec.errors import ReidShardsError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64_000_000
"""Most pixels of an image that is decoded: thirty times those of City1M's frames, which take 256 MB in Pillow's
memory."""
MAX_SIDE = 65_500
"""Most pixels across or down that libjpeg accepts, of the 65,535 that a JPEG can have. A PNG can be larger, but no crop
of it could be encoded."""
MAX_SCANS = 500
"""Most scans of a JPEG, which is where libjpeg-turbo's own fuzzers stop. Encoders write about ten."""
MAX_SCAN_PIXELS = 16 * MAX_PIXELS
"""Most scans times pixels, because each scan goes over the whole image, however little data it holds."""
MAX_SEGMENTS = 5_000
"""Most segments of a JPEG up to its last scan."""
MAX_CHUNKS = 100_000
"""Most chunks of a PNG."""

_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}
"""Pillow's mode and the pixel format to request from its decoder, by a JPEG's number of components. Inverted CMYK is
Adobe's convention, which Pillow assumes."""
_EOI, _SOS = 0xD9, 0xDA
_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_SOS}
_SEGMENTS = _HEADERS | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Segments that libjpeg accepts in a header, which include DHT, DAC, DQT, DNL, DRI, APP and COM."""
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The first marker after a scan. FF 00 stands for an FF in the scan's data, and restart markers (D0 to D7) belong to
it."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KINDS = (b"IHDR", b"PLTE", b"IDAT")
"""The chunks from which a PNG's pixels come. Transparency (tRNS) is not applied."""
_INDEXED = 3
"""The colour type of a PNG whose pixels are entries of its palette."""
_ARITHMETIC = bytes.fromhex(f"ffd8 ffdb004300{'01' * 64} ffc9000b0800010001010111 00 ffda0008010100003f00 ffd9")
"""A gray pixel in arithmetic coding, which libjpeg can be built without."""


class ImageError(ReidShardsError, ValueError):
    """The bytes are not an image that can be decoded whole."""


class ImageTooLargeError(ImageError):
    """Decoding the image would take more than the limits of this module allow."""


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Return which of JPEG, PNG and WEBP the running Pillow was built to read.

    Pillow reads dozens of other formats, but each of their decoders would be exposed to hostile input.
    """
    from PIL import features  # noqa: PLC0415

    names = {"jpg": "JPEG", "zlib": "PNG", "webp": "WEBP"}
    return tuple(name for feature, name in names.items() if features.check(feature))


@functools.cache
def reads_arithmetic_coding() -> bool:
    """Return whether the running Pillow's libjpeg decodes arithmetic-coded JPEGs."""
    try:
        decode_jpeg(_ARITHMETIC)
    except ImageError:
        return False
    return True


def decode_image(data: bytes) -> "Image.Image":
    """Decode an image file of one of ``readable_formats`` to 8-bit gray or RGB. Transparency is dropped.

    Raises:
        ImageError: The data is not an image of these formats, or not a complete one, or a WebP of several pictures.
        ImageTooLargeError: The image is over the limits.
    """
    formats = readable_formats()
    if data[:2] == b"\xff\xd8":
        image = decode_jpeg(data)
        return image if image.mode in {"L", "RGB"} else image.convert("RGB")
    if data[:8] == _PNG_SIGNATURE and "PNG" in formats:
        return _decode(_essential_png(data), "PNG")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        if "WEBP" not in formats:
            raise ImageError("a WebP, which the running Pillow was built without: reid-shards doctor says what to do")
        check_size(*_webp_size(data))
        return _decode(data, "WEBP")
    raise ImageError(f"not an image of a format that is read ({', '.join(formats)})")


def decode_jpeg(data: bytes) -> "Image.Image":
    """Decode a JPEG to the mode that it is stored in: gray, RGB or CMYK.

    Raises:
        ImageError: The data is not a JPEG, or not a complete one.
        ImageTooLargeError: The image is over the limits.
    """
    from PIL import Image  # noqa: PLC0415

    components, size = read_jpeg_header(data)
    mode, raw_mode = _MODES[components]
    try:
        # This uses Pillow's bare decoder. It gets all the data in one piece, as arithmetic coding requires, and it
        # avoids ``Image.open``, which reads headers in Python and takes a tenth more time for a crop.
        return Image.frombytes(mode, size, data, "jpeg", raw_mode, "")
    except MemoryError:
        raise
    except Exception as error:  # for damaged data, Pillow and its plugins raise errors of any kind
        raise ImageError(_words(error)) from error


def read_jpeg_header(data: bytes) -> tuple[int, tuple[int, int]]:
    """Read the number of components, and the width and height, of a JPEG that is within the limits.

    This walks over the segments as libjpeg does, and refuses whatever the two might read differently, because Pillow's
    bare decoder writes beyond its memory if it is told another size than libjpeg finds. The walk continues after the
    first scan only if libjpeg would decode more than one.

    Raises:
        ImageError: The header breaks the standard, or announces what Pillow does not decode.
        ImageTooLargeError: The image is over the limits.
    """
    if data[:2] != b"\xff\xd8":
        raise ImageError("not a JPEG: does not begin with FF D8")
    components, size, scans, progressive = 0, (0, 0), 0, False
    try:
        for place, marker in _headers(data):
            if (marker == _SOS) == (components == 0):
                what = "a second frame header" if components else "a scan before the frame header"
                raise ImageError(f"{what} at byte {place}")
            if marker != _SOS:
                components, size = _read_frame_header(data, place)
                progressive = marker & 3 == 2
            elif not progressive and data[place + 4] == components:
                break  # libjpeg refuses another scan
            else:
                scans += 1
                limit = min(MAX_SCANS, MAX_SCAN_PIXELS // (size[0] * size[1]))
                if scans > limit:
                    raise ImageTooLargeError(f"more than {limit} scans, the limit for {size[0]}x{size[1]} pixels")
    except IndexError as error:
        raise ImageError(f"ends before its image data does, at byte {len(data)}") from error
    if not components:
        raise ImageError("has no frame header")
    return components, size


def check_size(width: int, height: int) -> None:
    """Check an image's size, which its header says, before anything is decoded.

    Raises:
        ImageError: The image has no pixels.
        ImageTooLargeError: The image is over the limits.
    """
    if width * height == 0:
        raise ImageError(f"{width}x{height} pixels")
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(f"{width}x{height} pixels are over the limit of {MAX_PIXELS}")
    if width > MAX_SIDE or height > MAX_SIDE:
        raise ImageTooLargeError(f"{width}x{height} pixels: the limit across and down is {MAX_SIDE}")


def _headers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each header of a frame or a scan begins, and its marker; raise IndexError at the data's end."""
    place = 2
    for _ in range(MAX_SEGMENTS):
        marker = data[place + 1]
        if data[place] != 0xFF:
            raise ImageError(f"no segment begins at byte {place}")
        if marker in _SEGMENTS:
            length = data[place + 2] << 8 | data[place + 3]
            if length < 2:
                raise ImageError(f"segment {marker:02X} at byte {place}: a length of {length}")
            if marker in _HEADERS:
                yield place, marker
            place += 2 + length
            if marker == _SOS:
                end = _SCAN_END.search(data, place)
                place = end.start() if end else len(data)
        elif marker == 0xFF:  # any number of fill bytes may precede a marker
            place += 1
        elif marker == _EOI:
            return
        else:
            raise ImageError(f"marker {marker:02X} at byte {place} has no place there")
    raise ImageTooLargeError(f"more than {MAX_SEGMENTS} segments")


def _read_frame_header(data: bytes, place: int) -> tuple[int, tuple[int, int]]:
    bits, components = data[place + 4], data[place + 9]
    height, width = data[place + 5] << 8 | data[place + 6], data[place + 7] << 8 | data[place + 8]
    if bits != 8:
        raise ImageError(f"{bits} bits a sample, not 8")
    if components not in _MODES:
        raise ImageError(f"{components} components, not 1, 3 or 4")
    check_size(width, height)
    return components, (width, height)


def _decode(data: bytes, name: str) -> "Image.Image":
    """Decode a PNG or a WEBP with Pillow's plugin to 8-bit gray or RGB."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        image = Image.open(io.BytesIO(data), formats=[name])
        check_size(*image.size)
        _refuse_animation(image)
        image.load()
        if image.mode == "I;16":  # Pillow would clip it at 255; of 16-bit colours it takes the upper 8 bits, too
            return Image.frombytes("L", image.size, image.tobytes()[1::2])
        return image if image.mode in {"L", "RGB"} else image.convert("RGB")
    except (MemoryError, ImageError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(_words(error)) from error
    except UnidentifiedImageError as error:  # its message holds an object's address, which differs between runs
        raise ImageError(f"not a {name} that Pillow reads") from error
    except Exception as error:  # for damaged data, Pillow and its plugins raise errors of any kind
        raise ImageError(_words(error)) from error


def _refuse_animation(image: "Image.Image") -> None:
    """Refuse a WebP of several pictures. A PNG has none at this point: it is reduced to its default picture."""
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1:
        raise ImageError(f"an animation of {pictures} pictures: which of them is meant is not known")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Read the width and height of a WebP; Pillow's plugin takes memory for them as soon as it opens the file.

    RFC 9649 describes the kinds of first chunks: VP8X (section 2.7), VP8 (2.5, and RFC 6386, 9.1) and VP8L (2.6, 3.4).
    """
    kind, content = data[12:16], data[20:30]
    if len(content) < 10:
        raise ImageError(f"ends inside its header, at byte {len(data)}")
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = (int.from_bytes(content[place : place + 2], "little") & 0x3FFF for place in (6, 8))
        return width, height
    raise ImageError(f"a WebP without image data where it must begin, but {kind!r}")


def _essential_png(data: bytes) -> bytes:
    """Reduce a PNG to what determines its pixels: the header, the palette, and the image data in one chunk.

    Other chunks hold texts, profiles and further pictures. Pillow would unpack and keep them, with a limit for each but
    none for all of them together.
    """
    kept: dict[bytes, list[bytes]] = {kind: [] for kind in _PNG_KINDS}
    for kind, content in _chunks(data):
        if kind in kept:
            kept[kind].append(content)
    header, palette, pixels = (b"".join(kept[kind]) for kind in _PNG_KINDS)
    if len(header) != 13 or len(kept[b"PLTE"]) > 1:
        raise ImageError("a PNG with other than one header and, at most, one palette")
    if header[9] == _INDEXED and not palette:
        raise ImageError("a PNG of palette colours without its palette")
    check_size(*struct.unpack(">II", header[:8]))
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b"")]
    return _PNG_SIGNATURE + b"".join(
        struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", _crc(kind, content))
        for kind, content in chunks
        if content or kind != b"PLTE"
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of each chunk before IEND. Check the CRC-32 of the chunks that pixels need."""
    place = len(_PNG_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        end = place + 12 + int.from_bytes(data[place : place + 4])
        if end > len(data):
            raise ImageError(f"ends inside a chunk, at byte {len(data)}")
        kind, content = data[place + 4 : place + 8], data[place + 8 : end - 4]
        if kind in _PNG_KINDS and _crc(kind, content) != int.from_bytes(data[end - 4 : end]):
            raise ImageError(f"the CRC-32 of the chunk at byte {place} is wrong")
        if kind == b"IEND":
            return
        yield kind, content
        place = end
    raise ImageTooLargeError(f"more than {MAX_CHUNKS} chunks")


def _crc(kind: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(kind))


def _words(error: Exception) -> str:
    """Return a decoder's error message without addresses of objects, because it becomes part of the set's bytes."""
    text = str(error)
    return text if text and " at 0x" not in text else type(error).__name__
