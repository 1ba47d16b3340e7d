"""What was lost and why: reject codes, note codes, and the lines of ``rejects.jsonl``."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from shards_spec.jsons import Count, Ordinal, decode_json_lines


class RejectReason(StrEnum):
    """Why a frame, a member or a label line did not become samples. Only what fails the same way every time is here."""

    LINE_FIELDS = "line_fields"
    """A label line that is not a name and one or more members of six numbers each: the line is lost."""
    LINE_NAME = "line_name"
    """A label line whose frame name is not one of this dataset's, or makes too long a key: the line is lost."""
    LABEL_CONFLICT = "label_conflict"
    """The frame is labelled differently on two lines: the frame is lost."""
    FRAME_MISSING = "frame_missing"
    """The frame is labelled but no archive holds it: the frame is lost."""
    FRAME_REPEATED = "frame_repeated"
    """Two archive members have the frame's name: the frame is lost."""
    FRAME_UNSUPPORTED = "frame_unsupported"
    """The archive member is encrypted, packed by a method other than stored or deflated, or named outside its
    archive: the frame is lost."""
    FRAME_TOO_LARGE = "frame_too_large"
    """The frame's file, its number of pixels or the work of decoding it is over the limit: the frame is lost."""
    FRAME_CROWDED = "frame_crowded"
    """The frame's number of members, or the pixels or bytes of its crops together, are over the limit: the frame is
    lost."""
    FRAME_DAMAGED = "frame_damaged"
    """The archive member's bytes are not what the archive's directory says (header, size, CRC-32): the frame is
    lost."""
    FRAME_UNDECODABLE = "frame_undecodable"
    """The frame's file is not an image that can be decoded whole: the frame is lost."""
    MEMBER_NOT_FINITE = "member_not_finite"
    """A box number or the depth is NaN or infinite: the member is lost."""
    MEMBER_REPEATED = "member_repeated"
    """The person id stands twice in the frame: every member with that id is lost."""
    BOX_EMPTY = "box_empty"
    """The box has no width or no height: the member is lost."""
    BOX_OUTSIDE = "box_outside"
    """The box lies wholly outside the frame: the member is lost."""


LINE_REASONS = frozenset({RejectReason.LINE_FIELDS, RejectReason.LINE_NAME})
"""A label line is lost: it is counted as such, and its members are nowhere counted."""
MEMBER_REASONS = frozenset(
    {
        RejectReason.MEMBER_NOT_FINITE,
        RejectReason.MEMBER_REPEATED,
        RejectReason.BOX_EMPTY,
        RejectReason.BOX_OUTSIDE,
    }
)
"""One member is lost; by all other reasons but those of lines, a frame."""


class Note(StrEnum):
    """What was found and lost nothing; the manifest counts it."""

    BYTE_ORDER_MARK = "byte_order_mark"
    """Label files that begin with a byte order mark."""
    CARRIAGE_RETURN = "carriage_return"
    """Label lines that end with CR LF or CR."""
    BLANK_LINE = "blank_line"
    """Label lines with nothing on them."""
    REPEATED_LINE = "repeated_line"
    """Label lines that say again what another line of the same file said."""
    MEMBER_COUNT_DIFFERS = "member_count_differs"
    """Frames whose number of labelled members is not the count in the frame's name."""
    FRAME_UNLABELLED = "frame_unlabelled"
    """Frames in the archives without a label."""
    ARCHIVE_REPEATED = "archive_repeated"
    """Archives of the size and with the directory of another one, which is taken in their place."""
    ARCHIVE_MEMBER_IGNORED = "archive_member_ignored"
    """Archive members that are no frames: folders and files with other names."""
    BOX_CLAMPED = "box_clamped"
    """Boxes partly outside their frame: cut as far as the frame goes, kept as labelled in the sidecar."""


class Reject(msgspec.Struct, frozen=True):
    """One line of ``rejects.jsonl``."""

    reason: RejectReason
    where: str
    """``file:line`` of a label file, or ``archive:member``."""
    name: str | None
    """The frame's name without its extension; null where the line does not name one."""
    person_id: Ordinal | None
    """The member that is lost; null where the whole frame or line is."""
    samples: Count
    """How many labelled members are lost by this: 1 for a member, those of the frame that have no reject of their own
    for a frame, 0 for a label line, whose members nobody could count."""
    detail: str
    """The values, for a person."""

    def sort_key(self) -> tuple[str, str, str, int, int, str]:
        """The order of ``rejects.jsonl``."""
        return (
            self.reason,
            self.where,
            self.name or "",
            -1 if self.person_id is None else self.person_id,
            self.samples,
            self.detail,
        )


REJECTS_BYTES = 2 * 2**30
"""Size of the largest ``rejects.jsonl`` that is read: City1M's has less if every one of its members is a line."""

_decoder = msgspec.json.Decoder(Reject)


def encode_rejects(rejects: Iterable[Reject]) -> bytes:
    """The bytes of ``rejects.jsonl``: one JSON object a line, sorted."""
    return msgspec.json.Encoder().encode_lines(sorted(rejects, key=Reject.sort_key))


def decode_rejects(data: bytes) -> list[Reject]:
    """The lines of ``rejects.jsonl``; raises ``SpecError`` for one that does not fit."""
    return decode_json_lines(_decoder, data)
