"""Examples of what was noted."""

from pathlib import Path

import duckdb

from pipeline.report.page import Report
from tests.support.pages import Page


def test_notes_that_samples_show_name_some(report: Report, lossy_folder: Path, page: Page) -> None:
    clamped = duckdb.sql(
        f"""select key from '{lossy_folder}/*/index.parquet'
        where box_x < 0 or box_y < 0 or box_x + box_w > frame_width or box_y + box_h > frame_height"""
    )
    assert clamped is not None
    shown = [report.pictures[row].key for row in report.noted["box_clamped"]]
    assert 0 < len(shown) <= 5
    assert set(shown) <= {key for (key,) in clamped.fetchall()}
    assert len(shown) == min(5, report.manifest.notes["box_clamped"])
    assert set(shown) <= set(page.texts)
    assert set(report.noted) <= set(report.manifest.notes)
