import os
import subprocess
import sys
from pathlib import Path

import pytest

from shards_spec.requirements import require_convert, require_pillow, require_torch


def run_without(modules: tuple[str, ...], code: str, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run Python where modules cannot be imported, as if they were not installed."""
    hide = "".join(f"sys.modules[{name!r}] = None\n" for name in modules)
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{hide}{code}"],
        capture_output=True,
        text=True,
        check=False,
        env=None if path is None else {**os.environ, "PYTHONPATH": str(path)},
    )


def error_of(done: "subprocess.CompletedProcess[str]") -> str:
    """The message of the ``UsageError`` that ended a process."""
    kind, _, message = done.stderr.splitlines()[-1].partition(": ")
    assert kind == "shards_spec.errors.UsageError", done.stderr
    return message


def test_what_is_installed_is_no_error() -> None:
    require_pillow("a test")
    require_torch("a test")
    require_convert("a test")


@pytest.mark.parametrize(
    ("require", "hidden", "message"),
    [
        ("pillow", "PIL", "x needs Pillow, which is not installed: pip install 'reid-shards[decode]'"),
        ("torch", "torch", "x needs PyTorch, which is not installed: pip install torch"),
        ("convert", "PIL", "x needs Pillow-SIMD, which is not installed: pip install 'reid-shards[convert]'"),
        # The extra would put Pillow-SIMD over the Pillow that torchvision brought.
        ("convert", "ray", "x needs Ray, which is not installed: pip install ray"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(require: str, hidden: str, message: str) -> None:
    code = f"from shards_spec.requirements import require_{require}\nrequire_{require}('x')"
    assert error_of(run_without((hidden,), code)) == message


def test_a_pillow_that_is_damaged_is_said_to_be_so(tmp_path: Path) -> None:
    """As where pip removed Pillow-SIMD, and with it files that Pillow has under the same names."""
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL/__init__.py").touch()
    code = "from shards_spec.requirements import require_pillow\nrequire_pillow('x')"
    message = error_of(run_without((), code, path=tmp_path))
    assert "installed but cannot be imported" in message
    assert "pip install --force-reinstall --no-deps pillow" in message


@pytest.mark.parametrize(
    ("hidden", "code", "message"),
    [
        (
            ("PIL",),
            "stream(decode='rgb')",
            "decode=\"rgb\" needs Pillow, which is not installed: pip install 'reid-shards[decode]'",
        ),
        (
            ("PIL", "torch"),
            "stream(decode='torch')",
            "decode=\"torch\" needs Pillow, which is not installed: pip install 'reid-shards[decode]'",
        ),
        (
            ("torch",),
            "stream(decode='torch')",
            'decode="torch" needs PyTorch, which is not installed: pip install torch',
        ),
        (("torch",), "stream().loader(4)", ".loader() needs PyTorch, which is not installed: pip install torch"),
    ],
)
def test_a_stream_says_what_it_needs_before_it_reads(
    hidden: tuple[str, ...], code: str, message: str, set_folder: Path
) -> None:
    code = f"import shards_spec\nshards_spec.open_dataset({str(set_folder)!r}).{code}"
    assert error_of(run_without(hidden, code)) == message


def test_verify_says_what_it_needs_before_it_reads(set_folder: Path) -> None:
    done = run_without(("PIL",), f"from shards_spec.verify import verify\nverify({str(set_folder)!r})")
    assert error_of(done).startswith("verify needs Pillow")


@pytest.mark.parametrize(
    ("hidden", "arguments", "needed"),
    [
        ("torch", ["stream", "--workers", "2"], "pip install torch"),
        ("PIL", ["stream", "--size", "256x128"], "pip install 'reid-shards[decode]'"),
    ],
)
def test_the_command_line_says_what_it_needs_in_one_line(
    hidden: str, arguments: list[str], needed: str, set_folder: Path
) -> None:
    code = f"sys.argv[1:] = {[*arguments, str(set_folder)]!r}\nfrom pipeline.cli.main import main\nmain()"
    done = run_without((hidden,), code)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(needed)


def test_bytes_need_neither_pillow_nor_torch(set_folder: Path) -> None:
    code = f"sys.argv[1:] = ['stream', {str(set_folder)!r}]\nfrom pipeline.cli.main import main\nmain()"
    done = run_without(("PIL", "torch", "ray"), code)
    assert done.returncode == 0, done.stderr
