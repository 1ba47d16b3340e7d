"""The label files of a demo of City1M-Lite, and the surprises in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.demo.city1m.frames import Label, label_line
from pipeline.demo.city1m.lite.members import DrawnGroup
from pipeline.demo.city1m.splits import SplitAssignment
from pipeline.demo.city1m.traps import LABEL_STYLES, Effect, Planted
from pipeline.demo.city1m.writer import LabelFiles

LabelTrap = tuple[str, Effect, Callable[[str, tuple[Label, ...]], list[str]]]
"""Name, effect, and the function from a frame's name and labels to its lines in each label file."""


def _infinite(name: str, labels: tuple[Label, ...]) -> list[str]:
    """Return the frame's line with an infinite number in the second member's box."""
    person, _, rest = str(labels[1]).partition(",")
    broken = f"{person},inf,{rest.partition(',')[2]}"
    return [" ".join([name, str(labels[0]), broken, *map(str, labels[2:])])]


BOX_OF_A_CROPPED_FRAME: LabelTrap = ("box that is no number", "note", _infinite)
"""It is planted in the frame of which there are crops, because the boxes of other frames are not used."""

LABEL_TRAPS: tuple[LabelTrap, ...] = (
    ("repeated line", "note", lambda name, labels: [label_line(name, labels)] * 2),
    (
        "wrong number of fields",
        "reject",
        lambda name, labels: [label_line(name, labels), label_line(name, labels).rpartition(",")[0]],
    ),
    (
        "labelled differently",
        "note",
        lambda name, labels: [label_line(name, labels), f"{label_line(name, labels[:1])} 1,1,1,1,1,1"],
    ),
)
"""They are planted in frames that one label file names."""


def write_labels(folder: Path, seed: int, drawn: Sequence[DrawnGroup], cropped: str | None) -> list[Planted]:
    """Write the six label files.

    Args:
        folder: The folder to write to.
        seed: The demo's seed.
        drawn: The groups with their labels.
        cropped: The frame of which there are crops, with traps; None without traps.

    Returns:
        Where traps show.
    """
    assignment = SplitAssignment(seed, [group.group for group in drawn])
    styles, pending = (LABEL_STYLES, list(LABEL_TRAPS)) if cropped is not None else ({}, [])
    planted: list[Planted] = []
    with LabelFiles(folder, styles) as files:
        for group in drawn:
            for (frame, labels), names in zip(group.labels, assignment.label_files(group.group), strict=True):
                trap: LabelTrap | None = None
                if frame == cropped:
                    trap = BOX_OF_A_CROPPED_FRAME
                elif len(names) == 1 and pending:
                    trap = pending.pop(0)
                lines = [label_line(frame, labels)] if trap is None else trap[2](frame, labels)
                for name in names:
                    numbers = [files.write(name, line) for line in lines]
                    if trap is not None:
                        planted.append(Planted(trap[0], trap[1], name, line=numbers[-1], frame=frame))
        planted += [Planted("blank line", "note", file, line=line) for file, line in files.blank_lines]
    for file, style in styles.items():
        if style.byte_order_mark:
            planted.append(Planted("byte order mark", "note", file, line=1))
        if style.line_end != b"\n":
            planted.append(Planted("carriage returns", "note", file))
    return planted
