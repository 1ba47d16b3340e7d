"""``reid-shards report``: where it writes, what it leaves out, and that the code on the page works."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.pages import Page
from tests.support.processes import run_command


def test_it_writes_into_the_set_which_stays_sound(lossy_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(lossy_folder, tmp_path / "set")
    done = run_command("report", folder)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{folder}/report\.html: [0-9.]+ kB$", done.stdout, re.MULTILINE)
    assert (folder / "report.html").as_uri() in done.stdout
    assert run_command("verify", folder).returncode == 0


def test_without_images_it_reads_no_shard(lossy_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(lossy_folder, tmp_path / "set")
    for shard in folder.glob("*/*.tar"):
        shard.write_bytes(bytes(shard.stat().st_size))  # as large, and nothing of what was in it
    page = tmp_path / "page.html"
    done = run_command("report", folder, "--no-images", "--to", page)
    assert done.returncode == 0, done.stderr
    assert not (folder / "report.html").exists()
    parsed = Page(page.read_text())
    assert "image" not in {tag for tag, _ in parsed.tags}
    assert any("Images are left out" in text for text in parsed.texts)


@pytest.mark.parametrize("sets", [["s3://bucket/set"], ["{set}", "{set}"]])
def test_where_the_page_has_no_place_the_user_names_one(sets: list[str], lossy_folder: Path) -> None:
    done = run_command("report", *(one.format(set=lossy_folder) for one in sets))
    assert done.returncode == 2
    assert "such as --to report.html" in done.stderr


def test_a_place_that_cannot_be_written_to_is_named(lossy_folder: Path, tmp_path: Path) -> None:
    done = run_command("report", lossy_folder, "--no-images", "--to", tmp_path / "missing" / "page.html")
    assert done.returncode == 2
    assert "name another file with --to" in done.stderr


def test_a_set_in_a_bucket_gives_the_same_page(lossy_folder: Path, bucket: str, tmp_path: Path) -> None:
    from shards_spec.storage import open_store  # noqa: PLC0415

    there = f"s3://{bucket}/set"
    store = open_store(there)
    for file in lossy_folder.rglob("*"):
        if file.is_file():
            store.put(file.relative_to(lossy_folder).as_posix(), file.read_bytes())
    near, far = tmp_path / "near.html", tmp_path / "far.html"
    for url, page in ((lossy_folder, near), (there, far)):
        done = run_command("report", url, "--to", page)
        assert done.returncode == 0, done.stderr
    assert far.read_text().replace(there, "SET") == near.read_text().replace(str(lossy_folder), "SET")


def test_the_code_on_the_page_runs(page: Page, lossy_folder: Path) -> None:
    codes = [html.unescape(code) for code in re.findall(r"<pre[^>]*>(.*?)</pre>", page.html, re.DOTALL)]
    queries = [code for code in codes if code.startswith("select")]
    assert len(queries) == 5
    for query in queries:
        assert str(lossy_folder) in query
        found = duckdb.sql(query)
        assert found is not None
        assert found.fetchall()
    programs = [code for code in codes if "import" in code]
    assert len(programs) == 2
    for program in programs:
        subprocess.run([sys.executable, "-c", program], check=True)
