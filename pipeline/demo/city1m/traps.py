"""The surprises of real label files and zips. Each is planted once, so that a run over the demo meets all of them.

A trap changes what a frame leaves in the set, which is its zip member and its line in some label files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal
from zipfile import ZIP_LZMA

from PIL import Image

from pipeline.demo.city1m.frames import Label, RenderedFrame
from pipeline.demo.city1m.splits import SplitAssignment
from pipeline.demo.city1m.writer import LabelStyle, Member, archive_name
from pipeline.demo.seeds import generator
from pipeline.demo.world import FRAME_HEIGHT, FRAME_WIDTH, GROUP_SIZES, Group, plan_frames

Effect = Literal["nothing", "note", "reject"]
"""What a conversion does about a trap: nothing, make a note, or reject members."""
Place = Literal["line", "member"]
Needs = Literal["any", "one file", "both protocols"]
Outcome = tuple[tuple[Member, ...], dict[str, tuple[str, ...]]]
"""What a frame leaves in the set: zip members, and lines by label file."""
Alteration = Callable[[RenderedFrame, Outcome], Outcome]


@dataclass(frozen=True, slots=True)
class Trap:
    """A surprise that affects one frame.

    Attributes:
        name: The trap's name in ``traps.json``.
        effect: What a conversion does about it.
        place: Whether the trap shows in label lines or in zip members.
        needs: Which frames the trap fits. If a single label file names the frame, the loss shows in a single place.
        apply: A function that changes what the frame would leave in the set.
    """

    name: str
    effect: Effect
    place: Place
    needs: Needs
    apply: Alteration

    def fits(self, files: Sequence[str]) -> bool:
        """Return whether the trap fits a frame that is labelled in these files."""
        if self.needs == "one file":
            return len(files) == 1
        if self.needs == "both protocols":
            return {name.removesuffix(".txt")[-1] for name in files} == {"1", "2"}
        return bool(files)


@dataclass(frozen=True, slots=True)
class Planted:
    """A place at which a trap shows, and an object in ``traps.json``.

    Attributes:
        trap: The trap's name.
        effect: What a conversion does about it.
        file: The label file or the zip.
        line: The number of the line in a label file, from 1.
        member: The name of the member in a zip.
        frame: The name of the frame that the trap affects; None if it affects no frame.
    """

    trap: str
    effect: Effect
    file: str
    line: int | None = None
    member: str | None = None
    frame: str | None = None


def plan_traps(seed: int, groups: Sequence[Group], assignment: SplitAssignment) -> dict[str, Trap]:
    """Return the traps by the name of the frame that each affects; they are spread over the groups.

    Raises:
        ValueError: There are too few frames for all traps.
    """
    pending, planned = list(TRAPS), dict[str, Trap]()
    for name, files in _candidates(seed, groups, assignment):
        trap = next((trap for trap in pending if trap.fits(files)), None)
        if trap is not None:
            pending.remove(trap)
            planned[name] = trap
        if not pending:
            return planned
    raise ValueError(f"too few frames for the traps {', '.join(trap.name for trap in pending)}")


def _candidates(
    seed: int, groups: Sequence[Group], assignment: SplitAssignment
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield frames' names with their label files: one of every group, then a second of every group, and so on."""
    order = generator(seed, "traps").permutation(len(groups)).tolist()
    for turn in range(max(group.frames for group in groups)):
        for index in order:
            group = groups[index]
            if turn < group.frames:
                yield plan_frames(seed, group)[turn].name, assignment.label_files(group)[turn]


LABEL_STYLES = {
    "query_part1.txt": LabelStyle(byte_order_mark=True),
    "gallery_part2.txt": LabelStyle(line_end=b"\r\n"),
    "train_part2.txt": LabelStyle(blank_after=(1, 3)),
}
"""How label files are spelled in a set with traps."""

EXTRA_MEMBERS: tuple[tuple[str, Effect, Member], ...] = (
    ("folder entry", "nothing", Member(archive_name(5), "Images_5/", b"")),
    ("junk member", "nothing", Member(archive_name(5), "Images_5/Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(508))),
    (
        "parent folder in name",
        "note",
        Member(archive_name(4), "../Images_4/9999999_pCount4_cam1_0000001_day.jpg", b"outside\n"),
    ),
)
"""Name, effect and member of what lies in zips and is not a frame."""


def _relabel(alter: Callable[[list[str]], list[str]]) -> Alteration:
    """Return the alteration that changes all lines of the frame, given the parts of the line after its name."""

    def apply(frame: RenderedFrame, outcome: Outcome) -> Outcome:
        line = " ".join([frame.name, *alter([str(label) for label in frame.labels])])
        return outcome[0], dict.fromkeys(outcome[1], (line,))

    return apply


def _redraw(alter: Callable[[Label], str]) -> Alteration:
    """Return the alteration that changes the first member's part of the line, given its label."""

    def apply(frame: RenderedFrame, outcome: Outcome) -> Outcome:
        line = " ".join([frame.name, alter(frame.labels[0]), *map(str, frame.labels[1:])])
        return outcome[0], dict.fromkeys(outcome[1], (line,))

    return apply


def _remake(alter: Callable[[Member], Member]) -> Alteration:
    """Return the alteration that changes the frame's zip member."""
    return lambda _, outcome: (tuple(map(alter, outcome[0])), outcome[1])


def _moved(label: Label, **box: float) -> str:
    """Return a label with some of x, y, w and h replaced."""
    x, y, width, height = label.box
    values = {"x": x, "y": y, "w": width, "h": height} | box
    return str(replace(label, box=(values["x"], values["y"], values["w"], values["h"])))


def _shifted_line(frame: RenderedFrame) -> str:
    """Return the frame's line with the first box shifted by three pixels, as some tool might do."""
    first = frame.labels[0]
    return " ".join([frame.name, _moved(first, x=first.box[0] + 3), *map(str, frame.labels[1:])])


def _second_part_differs(frame: RenderedFrame, outcome: Outcome) -> Outcome:
    shifted = _shifted_line(frame)
    lines = {name: (shifted,) if "part2" in name else kept for name, kept in outcome[1].items()}
    return outcome[0], lines


def _in_another_zip(frame: RenderedFrame, outcome: Outcome) -> Outcome:
    (member,) = outcome[0]
    other = GROUP_SIZES[(GROUP_SIZES.index(frame.group_size) + 1) % len(GROUP_SIZES)]
    return (member, replace(member, archive=archive_name(other), name=f"Images_{other}/{frame.name}")), outcome[1]


def _garbage(content: bytes) -> bytes:
    """Return the same number of bytes, which begin like a JPEG and are not one."""
    return content[:2] + generator(len(content), "garbage").bytes(len(content) - 2)


def _saved_again(content: bytes, *, progressive: bool = False, mode: str = "RGB") -> bytes:
    stream = BytesIO()
    with Image.open(BytesIO(content)) as image:
        image.convert(mode).save(stream, "JPEG", quality=72, progressive=progressive)
    return stream.getvalue()


TRAPS: tuple[Trap, ...] = (
    Trap("label without frame", "reject", "line", "one file", lambda _, outcome: ((), outcome[1])),
    Trap("wrong number of fields", "reject", "line", "one file", _redraw(lambda first: str(first).rpartition(",")[0])),
    Trap("not a number", "reject", "line", "one file", _redraw(lambda first: str(first).rpartition(",")[0] + ",NaN")),
    Trap("infinite number", "reject", "line", "one file", _redraw(lambda first: _moved(first, x=float("inf")))),
    Trap("empty box", "reject", "line", "one file", _redraw(lambda first: _moved(first, w=0.0))),
    Trap("box wholly outside", "reject", "line", "one file", _redraw(lambda first: _moved(first, x=FRAME_WIDTH + 8.5))),
    Trap("person id twice", "reject", "line", "one file", _relabel(lambda parts: [*parts[:-1], "0" + parts[-1][1:]])),
    Trap(
        "labelled differently in one file", "reject", "line", "one file",
        lambda frame, outcome: (outcome[0], {name: (*kept, _shifted_line(frame)) for name, kept in outcome[1].items()}),
    ),
    Trap("labelled differently in two protocols", "reject", "line", "both protocols", _second_part_differs),
    Trap(
        "repeated line", "note", "line", "one file",
        lambda _, outcome: (outcome[0], {name: (*kept, *kept) for name, kept in outcome[1].items()}),
    ),
    Trap(
        "box partly outside", "note", "line", "one file",
        _redraw(lambda first: _moved(first, h=round(FRAME_HEIGHT - first.box[1] + 12.25, 4))),
    ),
    Trap("members in another order", "nothing", "line", "any", _relabel(lambda parts: parts[::-1])),
    Trap("frame without label", "note", "member", "any", lambda _, outcome: (outcome[0], {})),
    Trap("frame in two zips", "reject", "member", "any", _in_another_zip),
    Trap(
        "garbage for a JPEG", "reject", "member", "any",
        _remake(lambda member: replace(member, content=_garbage(member.content))),
    ),
    Trap(
        "truncated JPEG", "reject", "member", "any",
        _remake(lambda member: replace(member, content=member.content[: len(member.content) // 2])),
    ),
    Trap("wrong CRC", "reject", "member", "any", _remake(lambda member: replace(member, wrong_crc=True))),
    Trap(
        "unsupported compression", "reject", "member", "any",
        _remake(lambda member: replace(member, method=ZIP_LZMA)),
    ),
    Trap(
        "progressive JPEG", "nothing", "member", "any",
        _remake(lambda member: replace(member, content=_saved_again(member.content, progressive=True))),
    ),
    Trap(
        "grayscale JPEG", "nothing", "member", "any",
        _remake(lambda member: replace(member, content=_saved_again(member.content, mode="L"))),
    ),
)  # fmt: skip
"""Every trap that affects a frame."""
