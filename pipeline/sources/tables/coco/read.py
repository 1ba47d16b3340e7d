"""Reading all files of COCO JSON of a source, and deciding which field names the person and which category is one."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from pipeline.samples import Notes
from pipeline.sources.tables.coco.file import CocoFile, read_coco
from pipeline.sources.tables.coco.types import NO_FIELD, OTHER_PERSON_FIELDS, PERSON_FIELD
from pipeline.sources.tables.labels.table import Labels, join_batches, label_where
from pipeline.sources.tables.options import TableOptions
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision
from shards_spec.rejects import Note
from shards_spec.storage import FileInfo, Store
from shards_spec.variants.tables.evidence import CategoryEvidence, PersonFieldEvidence


def read_coco_files(
    store: Store, files: Sequence[FileInfo], options: TableOptions, progress: Callable[[str], None]
) -> Labels:
    """Read files of COCO detection JSON.

    Raises:
        UsageError: A file cannot be read, or it is not clear which field names the person or which category is one.
    """
    read: list[CocoFile] = []
    for number, file in enumerate(files):
        read.append(read_coco(store, file, number, options.person_field))
        progress(f"{file.path}: {read[-1].annotations:,} annotations")
    person = _decide_person_field(store.url, read, options.person_field)
    category = _decide_category(store.url, read, options.category)
    notes = Notes()
    batches = []
    for one in read:
        wanted = [place for place, name in enumerate(one.names) if name == category.choice]
        notes.update(one.notes.total())
        for batch, codes in zip(one.batches, one.categories, strict=True):
            is_person = np.isin(codes, wanted) | ((codes < 0) & (not one.names))
            notes.add_rows(Note.ANNOTATION_IGNORED, ~is_person, _spell_row(one.source.file, batch["row"]))
            batches.append(batch if is_person.all() else batch.filter(pa.array(is_person)))
    table = join_batches(batches)
    listed = sorted({name for one in read for name in one.unused_images})
    notes.add_all(Note.FRAME_WITHOUT_BOXES, len(listed), listed)
    return Labels(
        table=table,
        sources=[one.source for one in read],
        rejects=[lost for one in read for lost in one.rejects],
        listed=listed,
        decisions={"person_field": person, "category": category},
        notes=notes,
    )


def _spell_row(file: str, rows: pa.Array) -> Callable[[int], str]:
    """Return a function that spells the place of a row of a batch."""
    return lambda row: label_where(file, rows[row].as_py())


def _decide_person_field(where: str, read: Sequence[CocoFile], asked: str) -> Decision:
    if asked != "auto":
        return Decision(asked, dict(GIVEN))
    counts = sum((one.fields for one in read), Counter[str]())
    total = sum(one.annotations for one in read)
    others = max((counts[name] for name in OTHER_PERSON_FIELDS), default=0)
    evidence = PersonFieldEvidence(total, counts[PERSON_FIELD], others)
    choice = evidence.choice()
    if choice is None:
        named = ", ".join(f"{counts[name]:,} have {name}" for name in OTHER_PERSON_FIELDS if counts[name])
        best = max(OTHER_PERSON_FIELDS, key=lambda name: counts[name])
        raise UsageError(
            f"{where}: which field names the person is not clear: of {total:,} annotations, none has person_id, but "
            f"{named}: look at some, then say --person-field {best}, or --person-field {NO_FIELD} if nobody is "
            "identified"
        )
    return Decision(choice, {"boxes": total, "person_id": evidence.person_id, "others": others})


def _decide_category(where: str, read: Sequence[CocoFile], asked: str) -> Decision:
    counts: Counter[str] = Counter()
    for one in read:
        counts.update(dict.fromkeys(one.names, 0))
        codes = np.concatenate([np.empty(0, np.int32), *one.categories])
        for place, count in zip(*np.unique(codes[codes >= 0], return_counts=True), strict=True):
            counts[one.names[place]] += int(count)
    if asked != "auto":
        if asked not in counts:
            raise UsageError(f"{where}: --category {asked}: the categories are {', '.join(sorted(counts)) or 'none'}")
        return Decision(asked, dict(GIVEN))
    used = {name: count for name, count in sorted(counts.items()) if count} or dict(sorted(counts.items()))
    evidence = CategoryEvidence(used)
    choice = evidence.choice()
    if choice is None:
        named = ", ".join(f"{name} ({count:,} boxes)" for name, count in list(used.items())[:20])
        raise UsageError(f"{where}: which category means a person is not clear: there are {named}: say --category NAME")
    return Decision(choice, {"categories": used})
