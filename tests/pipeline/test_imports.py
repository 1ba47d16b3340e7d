"""What the commands import: those that read sets run where nothing can be converted."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from tests.support.processes import environment

HEAVY = ("PIL", "ray", "torch")
MODULES = {
    module.name.removeprefix("pipeline."): module for module in pkgutil.walk_packages(pipeline.__path__, "pipeline.")
}
FOR_SETS = {
    *(
        "cli",
        "cli.answers",
        "cli.app",
        "cli.console",
        "cli.convert",
        "cli.demo",
        "cli.doctor",
        "cli.help",
        "cli.main",
        "cli.parameters",
        "cli.progress",
    ),
    *("cli.reconstruct", "cli.report", "cli.set_tables", "cli.sets", "cli.shown", "cli.values", "options"),
    *("run", "run.status", "run.work", "shards", "shards.record"),
    # The names and the own options of each kind of source, which help texts show.
    *("sources", "sources.base", "sources.demo_marker", "sources.misplaced", "sources.registry"),
    *(
        name
        for name, module in MODULES.items()
        if name.startswith("sources.") and (module.ispkg or name.endswith((".options", ".recognise")))
    ),
}
"""The modules of ``pipeline`` that commands need which read sets, beside ``report``. All others plan or make shards, or
serve those."""
WRITERS = tuple(f"pipeline.{name}" for name in MODULES if name not in FOR_SETS and not name.startswith("report"))

RUN = """
import sys
refused, arguments = sys.argv[1].split(","), sys.argv[2:]
for name in refused:
    sys.modules[name] = None  # importing it fails, as if it were not installed
sys.argv = ["reid-shards", *arguments]
from pipeline.cli.main import main
main()
"""


def run_without(refused: tuple[str, ...], *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run ``reid-shards`` where some modules cannot be imported."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, ",".join(refused), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--version"], ["--help"], ["demo", "--help"], ["plan", "--help"], ["convert", "--help"]),
        *(
            ["status", "--help"],
            ["verify", "--help"],
            ["stream", "--help"],
            ["report", "--help"],
            ["export", "wids", "--help"],
        ),
        *(
            ["status", "SET"],
            ["stream", "SET"],
            ["export", "wids", "SET", "--to", "LISTS"],
            ["export", "dali", "SET", "--to", "LISTS"],
        ),
    ],
    ids=" ".join,
)
def test_these_need_the_base_install_alone(arguments: list[str], set_folder: Path, tmp_path: Path) -> None:
    places = {"SET": set_folder, "LISTS": tmp_path / "lists"}
    done = run_without((*HEAVY, *WRITERS), *(places.get(argument, argument) for argument in arguments))
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == ""


def test_status_of_a_set_that_was_begun_needs_the_base_install_alone(set_folder: Path, tmp_path: Path) -> None:
    for path in (set_folder / ".work").rglob("*.json"):
        copy = tmp_path / path.relative_to(set_folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    plan = {
        "plan_digest": "",
        "variant": "city1m",
        "options": {},
        "versions": {},
        "decisions": {},
        "source": {},
        "shards": 7,
    }
    (tmp_path / ".work" / "plan.json").write_text(json.dumps(plan))
    done = run_without((*HEAVY, *WRITERS), "status", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "0 of 7 shards" in done.stdout


def test_verify_needs_a_pillow_and_nothing_of_the_writers(set_folder: Path) -> None:
    done = run_without(("ray", "torch", *WRITERS), "verify", set_folder, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "every byte is as the manifest says" in done.stdout


def test_report_needs_nothing_of_the_writers(set_folder: Path, tmp_path: Path) -> None:
    done = run_without(("ray", "torch", *WRITERS), "report", set_folder, "--to", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    done = run_without(
        ("ray", "torch", "PIL", *WRITERS), "report", set_folder, "--no-images", "--to", tmp_path / "page.html"
    )
    assert done.returncode == 0, done.stderr


DECODE = "pip install 'reid-shards[decode]'"
CONVERT = "pip install 'reid-shards[convert]'"


@pytest.mark.parametrize(
    ("arguments", "missing", "remedy"),
    [
        (["demo", "OUT"], "PIL", DECODE),
        (["plan", "SRC"], "PIL", CONVERT),
        (["plan", "SRC"], "ray", "pip install ray"),
        (["convert", "SRC", "OUT"], "PIL", CONVERT),
        (["convert", "SRC", "OUT"], "ray", "pip install ray"),
        (["verify", "SET"], "PIL", DECODE),
        (["report", "SET", "--to", "OUT"], "PIL", DECODE),
        (["report", "SET", "--to", "OUT"], "jinja2", "pip install jinja2"),
        (["stream", "SET", "--size", "64x32"], "PIL", DECODE),
        (["stream", "SET", "--workers", "1"], "torch", "pip install torch"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(
    arguments: list[str], missing: str, remedy: str, source_folder: Path, set_folder: Path, tmp_path: Path
) -> None:
    places = {"SRC": source_folder, "SET": set_folder, "OUT": tmp_path / "out"}
    done = run_without((missing,), *(places.get(argument, argument) for argument in arguments))
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f"which is not installed: {remedy}")
    assert not (tmp_path / "out").exists()
