"""What was lost and why: reject codes, note codes, and the lines of ``rejects.jsonl``."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import Count, Ordinal, PositiveCount, decode_json_lines


class RejectReason(StrEnum):
    """Why something that the source names is in no sample. Only what fails the same way every time is a reject."""

    LINE_FIELDS = "line_fields"
    """The label line is not a name followed by one or more members of six numbers each."""
    LINE_NAME = "line_name"
    """The label line names no frame of this dataset, or one whose name would make too long a key."""
    ROW_FIELDS = "row_fields"
    """The row of a table, or the annotation, lacks a field, or a field has a value that cannot be taken."""
    LABEL_CONFLICT = "label_conflict"
    """The image is labelled differently in two places."""
    IMAGE_MISSING = "image_missing"
    """The labels name the image, but the source does not hold it."""
    IMAGE_REPEATED = "image_repeated"
    """The source holds two images of this name."""
    IMAGE_AMBIGUOUS = "image_ambiguous"
    """The labels name the image by the end of its path, and several images of the source have such a path."""
    IMAGE_SIZE_DIFFERS = "image_size_differs"
    """The image has another size than its labels say, so that its boxes may lie elsewhere."""
    IMAGE_UNSUPPORTED = "image_unsupported"
    """The archive's entry is encrypted, packed by a method other than stored or deflated, or named outside its
    archive."""
    IMAGE_TOO_LARGE = "image_too_large"
    """The image's file, its number of pixels or the work of decoding it is over the limit."""
    IMAGE_CROWDED = "image_crowded"
    """The number of boxes in the image, or the pixels or bytes of its crops together, are over the limit."""
    IMAGE_DAMAGED = "image_damaged"
    """The entry's bytes are not what the archive says of them (header, size, CRC-32)."""
    IMAGE_UNDECODABLE = "image_undecodable"
    """The file is not an image that can be decoded whole."""
    MODEL_ID_UNKNOWN = "model_id_unknown"
    """The name of the model's file has no number, or one that is no id of the dataset."""
    MODEL_REPEATED = "model_repeated"
    """The source holds another model of this id, which is taken in its place."""
    MODEL_UNREADABLE = "model_unreadable"
    """The file is not an FBX file, or it is cut off."""
    MODEL_TOO_LARGE = "model_too_large"
    """The model names more textures, or takes more bytes together with them, than a sample may have."""
    TEXTURE_MISSING = "texture_missing"
    """The source does not hold a texture that the model names, or holds only an empty file in its place."""
    TEXTURE_AMBIGUOUS = "texture_ambiguous"
    """Several textures of the source, of different content, could be one that the model names."""
    MEMBER_NOT_FINITE = "member_not_finite"
    """A number of the member's box or its depth is NaN or infinite."""
    MEMBER_REPEATED = "member_repeated"
    """The person id occurs twice in the frame; every member with that id is lost."""
    BOX_NOT_FINITE = "box_not_finite"
    """A number of the box is NaN or infinite."""
    BOX_EMPTY = "box_empty"
    """The box has no width or no height."""
    BOX_OUTSIDE = "box_outside"
    """The box lies wholly outside its frame."""


class Note(StrEnum):
    """What was found and lost nothing; the manifest counts it."""

    BYTE_ORDER_MARK = "byte_order_mark"
    """Label files that begin with a byte order mark."""
    CARRIAGE_RETURN = "carriage_return"
    """Label lines that end with CR LF or CR."""
    BLANK_LINE = "blank_line"
    """Label lines with nothing on them."""
    REPEATED_LINE = "repeated_line"
    """Label lines that repeat another line of the same file."""
    MEMBER_COUNT_DIFFERS = "member_count_differs"
    """Frames whose number of labelled members is not the count in the frame's name."""
    IMAGE_UNLABELLED = "image_unlabelled"
    """Images in the archives without a label."""
    ARCHIVE_REPEATED = "archive_repeated"
    """Archives that have the size and the directory of another one, which is read in their place."""
    ENTRY_IGNORED = "entry_ignored"
    """Entries of archives that are no images of the dataset: folders and files with other names."""
    IMAGE_REENCODED = "image_reencoded"
    """Images that were to be taken over as they are, but are no JPEGs, and were encoded anew."""
    IMAGE_ORIENTED = "image_oriented"
    """Images whose Exif data asks to show them turned or mirrored, which is not done."""
    MODEL_WITHOUT_TEXTURE = "model_without_texture"
    """Models that name no texture."""
    TEXTURE_LEFT_OUT = "texture_left_out"
    """Textures that models name and the source does not hold, where such models are taken all the same."""
    TEXTURE_UNUSED = "texture_unused"
    """Images of the source that no model names as a texture."""
    BAG_REPEATED = "bag_repeated"
    """Bags whose id an earlier bag has; they are left out."""
    BAG_LABEL_REPEATED = "bag_label_repeated"
    """Labels that occur several times in a bag."""
    BAG_FOLDER_MISSING = "bag_folder_missing"
    """Folders that a bag names and that do not exist."""
    FOLDER_WITHOUT_BAG = "folder_without_bag"
    """Folders that no bag names."""
    FRAME_WITHOUT_BOXES = "frame_without_boxes"
    """Frames that the labels name without a box."""
    PERSON_REPEATED = "person_repeated"
    """Boxes whose frame has an earlier box with the same person. All of them are kept."""
    ANNOTATION_IGNORED = "annotation_ignored"
    """Annotations that are no boxes of single persons: crowds, and those of other categories."""
    MASK_ENCODED = "mask_encoded"
    """Annotations with a run-length encoded mask, of which only the box is used."""
    COLUMN_IGNORED = "column_ignored"
    """Columns of tables that are left out: their values are no scalars or too long, or there are too many columns."""
    SAMPLE_WITHOUT_SPLIT = "sample_without_split"
    """Samples that are in no split of any protocol; they are not written."""
    GROUP_RESPELLED = "group_respelled"
    """Groups whose id the paths of their images spell with other zeros in front than the labels do."""
    GROUP_SPLITS_DIFFER = "group_splits_differ"
    """Groups whose frames are not all in the same splits. Images that belong to such a group as a whole are in each."""
    LABELS_DIFFER = "labels_differ"
    """Frames that are labelled differently in two places, of which no image is lost, because its box is of no use."""
    FRAME_WITHOUT_CROP = "frame_without_crop"
    """Labelled frames of which no crop is there, although there are crops of other frames of their group."""
    BOX_UNKNOWN = "box_unknown"
    """Samples whose frame is known, but whose box its labels leave open, so that it is null."""
    BOX_CLAMPED = "box_clamped"
    """Samples whose box lies partly outside the frame. They are cut as far as the frame goes, and the sidecar keeps the
    box as labelled."""


NOTE_EXAMPLES = 5
"""Most examples that are kept of a note."""

EXAMPLE_CHARACTERS = 300
"""Most characters of an example of a note; a longer one is cut off and ends with an ellipsis."""

Example = Annotated[str, Meta(min_length=1, max_length=EXAMPLE_CHARACTERS)]


class Noted(msgspec.Struct, frozen=True):
    """How often a note occurred, and where, for example."""

    count: PositiveCount
    """How often it occurred."""
    examples: Annotated[list[Example], Meta(min_length=1, max_length=NOTE_EXAMPLES)]
    """The first few different places or names: ``file:line`` of a label file, ``archive:entry``, or the name or key of
    what the note is about."""


class Reject(msgspec.Struct, frozen=True):
    """One line of ``rejects.jsonl``."""

    reason: RejectReason
    """Why it is lost."""
    where: str
    """``file:line`` of a label file, or ``archive:entry``."""
    name: str | None
    """Name of the unit or sample that is lost (in ``city1m``, of the frame); null where the line does not name one."""
    person_id: Ordinal | str | None
    """The person of the one sample that is lost, as labelled; null where a whole unit or line is lost, or the person is
    not known."""
    samples: Count
    """How many samples are lost by this reject. Samples that have a reject of their own do not count in that of their
    unit. 0 for a line that could not be read, because nobody can say how many samples it would have been."""
    detail: str
    """The values that led to it, for people."""

    def sort_key(self) -> tuple[str, str, str, tuple[int, int, str], int, str]:
        """Return what ``rejects.jsonl`` is sorted by. A person that is null comes first, and numbers before strings."""
        person = self.person_id
        rank = (0, 0, "") if person is None else (1, person, "") if isinstance(person, int) else (2, 0, person)
        return self.reason, self.where, self.name or "", rank, self.samples, self.detail


REJECTS_BYTES = 2 * 2**30
"""Size of the largest ``rejects.jsonl`` that is read: City1M's has less if every one of its members is a line."""

MOST_REJECTS = 5_000_000
"""Most lines of a ``rejects.jsonl``: as objects, they take 1 to 2 GB of memory. Whoever loses more has not lost single
images, but lacks archives or has the wrong lists."""

_decoder = msgspec.json.Decoder(Reject)


def check_rejects(count: int, what: str) -> None:
    """Raise ``UsageError`` if so many rejects are more than a set can name.

    Args:
        count: Number of rejects, which need not have been made yet.
        what: What was lost, and what to do about it.
    """
    if count > MOST_REJECTS:
        raise UsageError(f"{count:,} {what} (at most {MOST_REJECTS:,} losses can be recorded)")


def encode_rejects(rejects: Iterable[Reject]) -> bytes:
    """The bytes of ``rejects.jsonl``: one JSON object a line, sorted."""
    return msgspec.json.Encoder().encode_lines(sorted(rejects, key=Reject.sort_key))


def decode_rejects(data: bytes) -> list[Reject]:
    """The lines of ``rejects.jsonl``; raises ``SpecError`` for one that does not fit, or for too many."""
    lines = data.count(b"\n")
    if lines > MOST_REJECTS:
        raise SpecError(f"it has {lines:,} lines, but at most {MOST_REJECTS:,} are allowed")
    return decode_json_lines(_decoder, data)
