"""Sets that lie or are damaged: the report says so, and nothing in them runs."""

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.page import make_report
from pipeline.report.render import render
from shards_spec.errors import SpecError
from shards_spec.storage import LocalStore
from tests.support.altered import Files, alter_shard
from tests.support.browser import chromium, running_browser, visit
from tests.support.pages import Page
from tests.support.processes import run_command
from tests.support.sets import edit_manifest

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href=javascript:alert(3)>\x1b[31m\u202egepj.exe"


@pytest.fixture
def folder(lossy_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(lossy_folder, tmp_path / "set<b>")


def first_shard(folder: Path) -> str:
    (file, *_) = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.tar"))
    return file


def with_sidecars(change: Callable[[dict[str, Any]], object]) -> Callable[[Files], Files]:
    def of_files(files: Files) -> Files:
        changed = []
        for name, data in files:
            if name.endswith(".json"):
                sidecar = json.loads(data)
                change(sidecar)
                data = json.dumps(sidecar, separators=(",", ":")).encode()  # noqa: PLW2901
            changed.append((name, data))
        return changed

    return of_files


def lie(sidecar: dict[str, Any]) -> None:
    sidecar |= {
        "identity": EVIL,
        "group_id": EVIL,
        "camera": 2**31 - 1,
        "depth": 1.7e308,
        "roi": [2**31 - 1] * 4,
        "image_size": [2**31 - 1] * 2,
        "box": [-1e300, 0.0, 1.0, 1e300],
    }


def html_everywhere(folder: Path) -> None:
    """Put markup wherever a set has a text of its source."""
    for file in sorted(folder.glob("*/*.tar")):
        alter_shard(folder, file.relative_to(folder).as_posix(), with_sidecars(lie))
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    for reject in rejects:
        reject |= {"detail": EVIL * 100, "name": EVIL, "where": f"{EVIL}:1"}
    text = "".join(f"{json.dumps(reject)}\n" for reject in rejects).encode()
    (folder / "rejects.jsonl").write_bytes(text)

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"]["rejects.jsonl"] = {"bytes": len(text), "sha256": sha256(text).hexdigest()}
        manifest["versions"]["machine"] = "<script>alert(4)</script>"

    edit_manifest(folder, change)


def made(folder: Path) -> Page:
    return Page(render("report", report=make_report(LocalStore(folder), images=True)))


def test_markup_in_names_stays_text(folder: Path) -> None:
    html_everywhere(folder)
    page = made(folder)
    assert {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "link", "form", "base"} == set()
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert (attributes.get("href") or "#").startswith(("#", "data:image/jpeg;base64,"))
    text = "".join(page.texts)
    assert "<script>alert(1)</script>" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u202e" in text
    assert len(page.html) < 8_000_000


@pytest.mark.skipif(chromium() is None, reason="not installed: chromium (Debian: chromium)")
def test_nothing_in_a_set_runs(folder: Path) -> None:
    html_everywhere(folder)
    file = folder / "report.html"
    file.write_text(made(folder).html)
    with running_browser() as browser, visit(browser, file) as opened:
        opened.page.mouse.move(300, 300)
        assert opened.page.locator("main > section").count() == 10
        opened.page.wait_for_timeout(200)
    assert opened.incidents == []


@pytest.mark.skipif(chromium() is None, reason="not installed: chromium (Debian: chromium)")
def test_the_policy_stops_what_would_run_all_the_same(folder: Path) -> None:
    file = folder / "report.html"
    file.write_text(made(folder).html.replace("</footer>", "<script>alert(1)</script><i style='color: red'>so</i>"))
    with running_browser() as browser, visit(browser, file) as opened:
        opened.page.wait_for_timeout(200)
    assert len(opened.incidents) == 2
    assert all("Content Security Policy" in incident for incident in opened.incidents), opened.incidents


@pytest.mark.parametrize("content", [b"no image", b"\xff\xd8\xff\xd9"])
def test_images_that_do_not_decode_are_named(folder: Path, content: bytes) -> None:
    for file in sorted(folder.glob("*/*.tar")):
        alter_shard(
            folder,
            file.relative_to(folder).as_posix(),
            lambda files: [(name, content if name.endswith(".jpg") else data) for name, data in files],
        )
    page = made(folder)
    assert "data:image" not in "".join(
        value or "" for tag, held in page.tags if tag == "image" for value in held.values()
    )
    assert any("Does not decode" in text for text in page.texts)


def test_images_that_are_others_than_the_indexs_are_not_shown(folder: Path) -> None:
    for file in folder.glob("*/*.tar"):
        data = bytearray(file.read_bytes())
        for place in range(700, len(data) - 1024, 512):
            data[place] ^= 1
        file.write_bytes(data)
    assert any("CRC-32" in text for text in made(folder).texts)


def damage_index(folder: Path) -> None:
    next(folder.glob("*/index.parquet")).write_bytes(b"PAR1 and no more")


def remove_index(folder: Path) -> None:
    next(folder.glob("*/index.parquet")).unlink()


def truncate_shard(folder: Path) -> None:
    os.truncate(folder / first_shard(folder), 1000)


def remove_shard(folder: Path) -> None:
    (folder / first_shard(folder)).unlink()


def remove_rejects(folder: Path) -> None:
    (folder / "rejects.jsonl").unlink()


def garble_rejects(folder: Path) -> None:
    (folder / "rejects.jsonl").write_bytes(b'{"reason": [[[[\n' * 100_000)


def remove_everything_else(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "dataset.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "damage",
    [damage_index, remove_index, truncate_shard, remove_shard, remove_rejects, garble_rejects, remove_everything_else],
)
def test_damage_is_on_the_page_and_in_the_exit_code(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    done = run_command("report", folder)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "fault: " in done.stdout
    page = Page((folder / "report.html").read_text())
    assert any("Not as the manifest says" in text for text in page.texts)


def test_a_manifest_that_contradicts_itself_is_refused(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest["totals"].update(samples=5))
    with pytest.raises(SpecError, match="verify lists all that is wrong"):
        make_report(LocalStore(folder), images=False)
