"""The surprises of folders and zips of crops, and of labels that are joined with them. Each is planted once."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from zipfile import ZIP_LZMA

from PIL import Image

from pipeline.demo.city1m.lite.members import DrawnGroup
from pipeline.demo.city1m.traps import Effect, Planted
from pipeline.demo.city1m.writer import Member
from pipeline.demo.seeds import generator

Where = Literal["zip", "folder", "any"]


@dataclass(frozen=True, slots=True)
class CropFile:
    """A crop as it goes into a folder or zip.

    Attributes:
        member: The file. Its archive is the name of the zip or the folder.
        link: What the file links to; None for a plain file.
    """

    member: Member
    link: str | None = None

    @property
    def is_packed(self) -> bool:
        """Whether it goes into a zip."""
        return self.member.archive.endswith(".zip")


@dataclass(frozen=True, slots=True)
class Trap:
    """A surprise that affects one crop.

    Attributes:
        name: The trap's name in ``traps.json``.
        effect: What a conversion does about it.
        where: Whether the crop lies in a zip or in a folder.
        apply: A function from the crop as it should be to the files that are written in its place.
    """

    name: str
    effect: Effect
    where: Where
    apply: Callable[[CropFile], tuple[CropFile, ...]]


def _with(**changes: Any) -> Callable[[CropFile], tuple[CropFile, ...]]:
    return lambda crop: (replace(crop, member=replace(crop.member, **changes)),)


def _renamed(old: str, new: str) -> Callable[[CropFile], tuple[CropFile, ...]]:
    """Change the end of the name, in which ``{}`` stands for the person id."""

    def apply(crop: CropFile) -> tuple[CropFile, ...]:
        folder, _, file = crop.member.name.rpartition("/")
        person = file.partition(".")[0]
        name = f"{folder}/{file}".removesuffix(old.format(person)) + new.format(person)
        return (replace(crop, member=replace(crop.member, name=name)),)

    return apply


def _saved_as(kind: str, *, mode: str = "RGB", **options: Any) -> Callable[[CropFile], tuple[CropFile, ...]]:
    def apply(crop: CropFile) -> tuple[CropFile, ...]:
        stream = io.BytesIO()
        with Image.open(io.BytesIO(crop.member.content)) as image:
            image.convert(mode).save(stream, kind, **options)
        return (replace(crop, member=replace(crop.member, content=stream.getvalue())),)

    return apply


def _rotated(crop: CropFile) -> tuple[CropFile, ...]:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # Orientation: to be shown turned by 90 degrees
    with Image.open(io.BytesIO(crop.member.content)) as image:
        image.save(stream, "JPEG", exif=exif, quality=75)
    return (replace(crop, member=replace(crop.member, content=stream.getvalue())),)


def _halved(crop: CropFile) -> tuple[CropFile, ...]:
    return _with(content=crop.member.content[: len(crop.member.content) // 2])(crop)


def _in_another_zip(crop: CropFile) -> tuple[CropFile, ...]:
    """Add a zip as a browser names it that downloads one again, which holds this crop only."""
    return crop, replace(crop, member=replace(crop.member, archive=crop.member.archive.replace(".zip", " (1).zip")))


TRAPS: tuple[Trap, ...] = (
    Trap("wrong CRC", "reject", "zip", _with(wrong_crc=True)),
    Trap("unsupported compression", "reject", "zip", _with(method=ZIP_LZMA)),
    Trap("crop in two zips", "reject", "zip", _in_another_zip),
    Trap("symbolic link", "reject", "folder", lambda crop: (replace(crop, link="../../train_part1.txt"),)),
    Trap("member without a crop", "reject", "any", lambda _: ()),
    Trap("empty image", "reject", "any", _with(content=b"")),
    Trap("text named JPEG", "reject", "any", _with(content=b"404 Not Found\n")),
    Trap("truncated JPEG", "reject", "any", _halved),
    Trap("PNG named JPEG", "note", "any", _saved_as("PNG")),
    Trap("rotation in EXIF", "note", "any", _rotated),
    Trap("progressive JPEG", "nothing", "any", _saved_as("JPEG", progressive=True, quality=75)),
    Trap("grayscale JPEG", "nothing", "any", _saved_as("JPEG", mode="L", quality=75)),
    Trap("person id with more digits", "nothing", "any", _renamed("{}.jpg", "00{}.jpg")),
    Trap("extension in capitals", "nothing", "any", _renamed("{}.jpg", "{}.JPG")),
    Trap("folder below the group's", "nothing", "any", _renamed("{}.jpg", "best/{}.jpg")),
)
"""Every trap that affects a crop."""


def plant_traps(
    seed: int, drawn: Sequence[DrawnGroup], crops: dict[int, list[CropFile]], cropped: DrawnGroup
) -> Iterator[Planted]:
    """Plant all traps, and yield where they show.

    Args:
        seed: The demo's seed.
        drawn: The groups.
        crops: The crops of each group, by its number, which are changed.
        cropped: A group in a folder, to which crops of one of its frames are added.
    """
    respelled = next(group.group for group in drawn if group.group.size == 5)
    spared = {cropped.group.number, respelled.number}
    placed = _place(seed, [crop for number, some in crops.items() if number not in spared for crop in some])
    for number, some in crops.items():
        crops[number] = []
        for crop in some:
            trap = placed.get(crop.member.name)
            files = (crop,) if trap is None else trap.apply(crop)
            crops[number] += files
            if trap is not None:
                name = (files or (crop,))[0].member.name
                yield Planted(trap.name, trap.effect, crop.member.archive, member=name)
    for crop, place in _beside(cropped, crops[cropped.group.number][0].member):
        crops[cropped.group.number].append(crop)
        yield place
    crops[respelled.number] = [
        _moved(crop, f"/{respelled.group_id}/", f"/{respelled.number}/") for crop in crops[respelled.number]
    ]
    yield Planted("group id with fewer digits", "note", crops[respelled.number][0].member.archive)
    for group in drawn:
        if group.group.size == 6:
            crops[group.group.number] = [_moved(crop, "Image_6_crop/", "") for crop in crops[group.group.number]]
    yield Planted("zip without its folder of crops", "nothing", "Image_6_crop.zip")
    yield Planted("other spelling of the folder of crops", "nothing", "Images_4_crop.zip")


def _place(seed: int, crops: Sequence[CropFile]) -> dict[str, Trap]:
    """Return the traps by the name of the crop that each affects."""
    order = [crops[int(index)] for index in generator(seed, "crop traps").permutation(len(crops))]
    placed: dict[str, Trap] = {}
    for trap in TRAPS:
        fitting = (
            crop.member.name
            for crop in order
            if crop.member.name not in placed and trap.where in {"any", "zip" if crop.is_packed else "folder"}
        )
        placed[next(fitting)] = trap
    return placed


def _moved(crop: CropFile, old: str, new: str) -> CropFile:
    return replace(crop, member=replace(crop.member, name=crop.member.name.replace(old, new, 1)))


def _beside(group: DrawnGroup, first: Member) -> Iterator[tuple[CropFile, Planted]]:
    """Yield files that are added to a group, each with what it is.

    Args:
        group: The group.
        first: Its first crop.
    """
    folder = first.name.rpartition("/")[0]
    root, frame = folder.partition("/")[0], group.frame.removesuffix(".jpg")
    persons = sorted(group.frame_crops)
    extra: list[tuple[str, Effect, str, bytes]] = [
        ("crop of nobody", "note", f"{folder}/9.jpg", group.crops[0]),
        ("person id beyond all", "note", f"{folder}/9999999999.jpg", group.crops[0]),
        ("group without labels", "note", f"{root}/9999998/0.jpg", group.crops[0]),
        ("crop of a frame without label", "note", f"{root}/9999999_pCount3_cam1_0000001_day/0.jpg", group.crops[0]),
        ("junk file", "note", f"{folder}/Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(508)),
        ("crop named after its frame", "nothing", f"{folder}/{frame}_{persons[0]}.jpg", group.frame_crops[persons[0]]),
        ("crop in its frame's folder", "nothing", f"{folder}/{frame}/{persons[1]}.jpg", group.frame_crops[persons[1]]),
    ]
    for name, effect, path, content in extra:
        yield CropFile(Member(first.archive, path, content)), Planted(name, effect, first.archive, member=path)
    # Of the group's three members, the last has no crop of this frame.
    place = Planted("frame without the crop of a member", "reject", first.archive, member=f"{folder}/{frame}")
    yield CropFile(Member(first.archive, f"{folder}/{frame}/readme.txt", b"crops of a frame\n")), place
