"""Help texts, and what is said of a command line that makes no sense. All of it runs in this process."""

import re
import signal
from collections.abc import Callable, Iterator

import pytest

from pipeline.cli import main as cli
from pipeline.demo import DEMOS
from pipeline.sources.registry import SOURCES

COMMANDS = (
    "demo",
    "plan",
    "convert",
    "status",
    "verify",
    "stream",
    "report",
    "reconstruct",
    "doctor",
    "export wids",
    "export dali",
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command line on a terminal of 80 columns; returns the exit code, and what went to both outputs."""
    monkeypatch.setenv("COLUMNS", "80")
    before = signal.getsignal(signal.SIGTERM)

    def run_line(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["anything", *line.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    yield run_line
    signal.signal(signal.SIGTERM, before)


def test_help_teaches(run: Run) -> None:
    code, text, errors = run("-h")
    assert (code, errors) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^  {command.split()[0]} +[A-Z]", text, re.MULTILINE)
    assert "Exit codes" in text
    assert run("") == (2, "", text)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_an_option_a_line_explained_below_it_within_80_columns(command: str, run: Run) -> None:
    _, text, _ = run(f"{command} -h")
    assert run(f"{command} --help")[1] == text
    assert text.startswith(" ".join(f"Usage: reid-shards {command}".split()))
    assert max(map(len, text.splitlines())) <= 80
    options = re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)(?: [^ ]+)?\n((?:      .*\n)+)", text, re.MULTILINE)
    assert len(options) == len(re.findall(r"^  -", text, re.MULTILINE)) > 0
    assert all(len(explained.split()) > 2 for _, explained in options)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_command_lines(command: str, run: Run) -> None:
    _, text, _ = run(f"{command} -h")
    examples = text.partition("\nExamples:\n")[2].splitlines()
    assert examples
    for line in examples:
        words = line.partition(" > ")[0].split()
        assert " ".join(words).startswith(f"reid-shards {command} ") or words == ["reid-shards", command]
        for word in words:
            assert not word.startswith("-") or re.search(rf"^  (?:-\w, )?{word}\b", text, re.MULTILINE), line


def test_help_tells_ranges_and_defaults_and_puts_last_what_few_need(run: Run) -> None:
    _, text, _ = run("convert -h")
    main, _, others = text.partition("\nCutting (")
    assert "From 1 to 1,000,000. [default: " in " ".join(main.split())
    assert "--workers N\n" in main
    assert re.search(r"--margin PIXELS\n.*From 0 to 10,000\. \[default: 0\]\n", others)
    panels = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert panels[:2] == ["Arguments", "Options"]
    for source in SOURCES.values():
        assert not list(source.options.declared()) or any(source.title in panel for panel in panels[2:])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plan", "SRC is missing: reid-shards plan -h says what there is"),
        ("convert x", "OUT is missing: reid-shards convert -h says what there is"),
        ("plan x --seed many", "--seed many: give a whole number from 0 to 2^63 - 1"),
        (f"plan x --seed {2**63}", f"--seed {2**63}: must be from 0 to 2^63 - 1"),
        ("plan x --seed", "--seed needs a value: reid-shards plan -h says what there is"),
        ("plan x --json=yes", "--json takes no value: reid-shards plan -h says what there is"),
        ("--version=1", "--version takes no value: reid-shards -h says what there is"),
        ("plan x --shuffle well", "--shuffle well: choose auto, groups, units or none"),
        ("plan x --sede 1", "there is no option --sede (is it --seed?): reid-shards plan -h says what there is"),
        ("plan x --margin 1", "there is no option --margin: reid-shards plan -h says what there is"),
        ("plan x y", "reid-shards plan takes no more arguments, but y is left: reid-shards plan -h says what there is"),
        ("stream x --batch-size 0", "--batch-size 0: must be from 1 to 1,000,000"),
        ("stream x --batch-size 1.5", "--batch-size 1.5: give a whole number from 1 to 1,000,000"),
        ("verify x -j all", "--workers all: give a whole number from 1 to 1,000,000"),
        (
            "demo x --source nothing",
            f"--source nothing: choose {' or '.join([', '.join(list(DEMOS)[:-1]), list(DEMOS)[-1]])}",
        ),
        ("demo x --images 0", "--images 0: must be from 1 to 100,000"),
        ("shred x", "no such command 'shred': reid-shards -h says what there is"),
        ("export", None),
    ],
)
def test_what_is_wrong_with_a_command_line_is_one_line_in_our_words(line: str, message: str | None, run: Run) -> None:
    code, output, errors = run(line)
    assert (code, output) == (2, "")
    if message is None:
        assert errors == run(f"{line} -h")[1]
    else:
        assert " ".join(errors.split()) == f"error: {message}"
