"""Examples of what was noted."""

from pathlib import Path

import duckdb

from pipeline.report.page import Report
from tests.support.pages import Page


def test_each_note_has_its_examples_on_the_page(report: Report, page: Page) -> None:
    examples = [example for noted in report.manifest.notes.values() for example in noted.examples]
    assert examples
    assert set(examples) <= set(page.texts)


def test_examples_of_clamped_boxes_are_keys_of_such_samples(report: Report, lossy_folder: Path) -> None:
    clamped = duckdb.sql(
        f"""select key from '{lossy_folder}/*/index.parquet'
        where box_x < 0 or box_y < 0 or box_x + box_w > frame_width or box_y + box_h > frame_height"""
    )
    assert clamped is not None
    noted = report.manifest.notes["box_clamped"]
    keys = {key for (key,) in clamped.fetchall()}
    assert noted.count == len(keys)
    assert set(noted.examples) <= keys
