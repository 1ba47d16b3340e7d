"""A demo's report in Debian's Chromium: quiet, accessible, and usable with the keyboard alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from pipeline.demo import make_demo
from pipeline.report.difference import compare_reports
from pipeline.report.page import make_report
from pipeline.report.render import render
from pipeline.sources.tables import COCO
from shards_spec.storage import LocalStore
from tests.support.browser import chromium, running_browser, visit
from tests.support.sets import convert_source

pytestmark = pytest.mark.skipif(chromium() is None, reason="not installed: chromium (Debian: chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def files(set_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of a demo with every trap of its kind, and how the set differs from another one."""
    source, out, folder = (tmp_path_factory.mktemp(name) for name in ("demo", "set", "pages"))
    make_demo(source, source=COCO.name, images=35, traps=True, workers=1)
    convert_source(COCO, source, out, COCO.make_options({"samples_per_shard": 20}))
    stores = LocalStore(out), LocalStore(set_folder)
    report = make_report(stores[0], images=True)
    assert report.manifest.rejects
    assert report.manifest.notes
    difference = compare_reports(stores, (report, make_report(stores[1], images=False)))
    pages = {"report": render("report", report=report), "difference": render("difference", difference=difference)}
    for name, html in pages.items():
        (folder / f"{name}.html").write_text(html)
    return {name: folder / f"{name}.html" for name in pages}


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *(("report", width, scheme) for width in (1280, 360) for scheme in ("light", "dark")),
        ("difference", 360, "light"),
        ("difference", 1280, "dark"),
    ],
)
def test_it_is_quiet_accessible_and_fits(
    browser: Browser, files: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    with visit(browser, files[name], width, scheme) as opened:
        page = opened.page
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background[4:-1].split(","))) < 128 * 3) == (scheme == "dark")
        broken = page.evaluate(
            """() => Promise.all([...document.querySelectorAll('svg image')].map(one => {
                const image = new Image(); image.src = one.getAttribute('href');
                return image.decode().then(() => 0, () => 1)}))"""
        )
        assert sum(broken) == 0
        assert (len(broken) > 50) == (name == "report")
    assert opened.incidents == []


WHERE = """() => {
    const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
    return {tag: one.tagName, text: one.innerText.slice(0, 40), outline: style.outlineStyle,
            seen: box.bottom > 0 && box.top < innerHeight && box.left < innerWidth, place: all.indexOf(one)}}"""


@pytest.mark.parametrize("width", [1280, 360])
def test_a_walk_with_the_keyboard_reaches_everything_in_order(
    browser: Browser, files: dict[str, Path], width: int
) -> None:
    with visit(browser, files["report"], width) as opened:
        page = opened.page
        page.evaluate("window.all = [...document.querySelectorAll('a, summary, [tabindex=\"0\"]')]")
        total = page.evaluate("all.length")
        walked: list[Any] = []
        page.keyboard.press("Tab")
        skip = page.evaluate(WHERE)
        assert (skip["tag"], skip["text"], skip["seen"]) == ("A", "Skip to the report", True)
        while True:
            here = page.evaluate(WHERE)
            if walked and here["place"] <= walked[-1]["place"]:
                break
            assert here["outline"] != "none", here
            assert here["seen"], here
            walked.append(here)
            if here["tag"] == "SUMMARY":  # what it opens is walked through next
                page.keyboard.press("Enter")
                assert page.evaluate("document.activeElement.parentElement.open")
            page.keyboard.press("Tab")
        assert [one["place"] for one in walked] == list(range(total))
        assert sum(one["tag"] == "SUMMARY" for one in walked) > 10
        page.evaluate("all[0].focus()")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
    assert opened.incidents == []


def test_all_sections_are_reached_from_the_list_of_sections(browser: Browser, files: dict[str, Path]) -> None:
    with visit(browser, files["report"]) as opened:
        links = opened.page.locator("nav a")
        sections = opened.page.locator("main > section")
        assert links.count() == sections.count() == 10
        for place in range(links.count()):
            target = links.nth(place).get_attribute("href")
            assert target == f"#{sections.nth(place).get_attribute('id')}"


def test_print_shows_what_is_folded_away(browser: Browser, files: dict[str, Path]) -> None:
    with visit(browser, files["report"]) as opened:
        opened.page.emulate_media(media="print")
        folded = opened.page.locator("details table").first
        assert folded.bounding_box() is not None
        assert not opened.page.locator("nav").is_visible()
        assert len(opened.page.pdf()) > 10_000
    assert opened.incidents == []
