"""Reading all tables of a source."""

from collections.abc import Callable, Sequence

from pipeline.samples import Notes
from pipeline.sources.tables.labels.table import Labels, join_batches
from pipeline.sources.tables.rows.further import join_further, stack_further
from pipeline.sources.tables.rows.table import read_table
from shards_spec.manifest import Decision
from shards_spec.rejects import Note
from shards_spec.storage import FileInfo, Store
from shards_spec.variants.tables.evidence import PersonFieldEvidence


def read_tables(store: Store, files: Sequence[FileInfo], progress: Callable[[str], None], *, has_boxes: bool) -> Labels:
    """Read tables with a row for each box or crop.

    Raises:
        UsageError: A table cannot be read, or lacks a column that it must have.
    """
    batches, further, rows, sources, rejects = [], [], [], [], []
    notes = Notes()
    has_person = False
    ignored: set[str] = set()
    for number, file in enumerate(files):
        found = read_table(store, file, number, has_boxes=has_boxes)
        count = sum(batch.num_rows for batch in found.batches)
        progress(f"{file.path}: {count:,} rows")
        batches += found.batches
        counts = [batch.num_rows for batch in found.batches]
        further.append(join_further(list(zip(counts, found.extra, strict=True)), are_texts=found.are_texts))
        rows.append(count)
        sources.append(found.source)
        rejects += found.rejects
        ignored |= {*found.ignored}
        notes.add_all(Note.COLUMN_IGNORED, len(found.ignored), [f"{file.path}: {name}" for name in found.ignored])
        has_person |= "person_id" in found.columns
    further = [one.select([name for name in one.column_names if name not in ignored]) for one in further]
    extra, types, left_out = stack_further(further, rows)
    table = join_batches(batches)
    total = table.num_rows
    named = total if has_person else 0
    evidence = PersonFieldEvidence(total, named, 0)
    decisions = {
        "person_field": Decision(str(evidence.choice()), {"boxes": total, "person_id": named, "others": 0}),
        "category": Decision("all", {"categories": {}}),
    }
    notes.add_all(Note.COLUMN_IGNORED, len(left_out), left_out)
    return Labels(table, sources, rejects, extra, types, decisions=decisions, notes=notes)
