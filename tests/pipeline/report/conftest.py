"""A set with rejects, notes and clamped boxes, and its report."""

from pathlib import Path

import pytest

from pipeline.report.page import Report, make_report
from pipeline.report.render import render
from shards_spec.storage import LocalStore
from tests.support.pages import Page
from tests.support.sets import make_set
from tests.support.source import MiniSource, label_line, mini_source


def lossy_source() -> MiniSource:
    """A source of which a frame, a line and two boxes are lost, and some boxes are clamped. One line is blank."""
    source = mini_source()
    archive = source.archives["Images_2.zip"]
    frames = sorted(name.split("/")[1].removesuffix(".jpg") for name in archive)
    del archive[f"Images_2/{frames[0]}.jpg"]
    lines = source.labels["train_part1.txt"]
    lines += ["this is no label", ""]
    for place, line in enumerate(lines[:4]):
        frame = line.split(".jpg")[0]
        others = [(person, (10.0, 20.0, 30.0, 90.0), 4.0) for person in range(1, int(frame.split("_pCount")[1][0]))]
        first = (-7.5, 12.0, 40.0, 90.0) if place % 2 else (10.0, 10.0, 0.0, 50.0)
        changed = label_line(frame, [(0, first, 2.5), *others])
        for name, labelled in source.labels.items():
            source.labels[name] = [changed if line == one else one for one in labelled]
    return source


@pytest.fixture(scope="session")
def lossy_source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lossy_source().write(tmp_path_factory.mktemp("lossy-source"))


@pytest.fixture(scope="session")
def lossy_folder(lossy_source_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lossy") / "set"
    make_set(lossy_source_folder, out)
    return out


@pytest.fixture(scope="session")
def report(lossy_folder: Path) -> Report:
    return make_report(LocalStore(lossy_folder), images=True)


@pytest.fixture(scope="session")
def page(report: Report) -> Page:
    return Page(render("report", report=report))
