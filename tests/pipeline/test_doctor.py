"""``reid-shards doctor``: what it tells, what it finds wrong, and what it keeps to itself."""

import json
import os
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline import doctor
from pipeline.crop.pixels import pillow_version
from pipeline.doctor import Finding, examine
from shards_spec.version import __version__
from tests.support.processes import PROGRAM, environment, run_command

LOW = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "


def facts(findings: list[Finding]) -> dict[str, str]:
    return {finding.topic: finding.fact for finding in findings}


def test_it_tells_what_an_issue_needs(tmp_path: Path) -> None:
    done = run_command("doctor", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        f"reid-shards: {__version__}, shard format ",
        f"Pillow: {pillow_version()}",
        "libjpeg-turbo",
        f"Ray: {version('ray')}",
        f"pyarrow {version('pyarrow')}",
        "crop core: loaded from ",
        "packing core: loaded from ",
        "/dev/shm: ",
        f"place: {tmp_path}: ",
    ):
        assert expected in done.stdout


def test_a_pillow_that_reads_no_webp_comes_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.crop.pixels.readable_formats", lambda: ("JPEG", "PNG"))
    fact = facts(list(examine([])))["Pillow"]
    assert "reads JPEG, " in fact
    assert "for WebP: apt-get install libwebp-dev, then pip install --force-reinstall" in fact


def test_json_is_one_object_with_the_same_findings(tmp_path: Path) -> None:
    done = run_command("doctor", "--json", tmp_path)
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    topics = [finding["topic"] for finding in found["findings"]]
    assert topics == [finding.topic for finding in examine([str(tmp_path)])]


def test_no_value_of_the_environment_is_told() -> None:
    secret = "do-not-tell-1234"
    names = ("AWS_SECRET_ACCESS_KEY", "GOOGLE_API_KEY", "AZURE_STORAGE_KEY", "RAY_AUTH_TOKEN", "HTTPS_PROXY")
    done = subprocess.run(
        [*PROGRAM, "doctor"],
        capture_output=True,
        text=True,
        env={**environment(), **dict.fromkeys(names, secret)},
        check=False,
    )
    assert "AWS_SECRET_ACCESS_KEY" in done.stdout
    assert secret not in done.stdout + done.stderr


def test_a_low_limit_of_open_files_is_a_problem() -> None:
    program = [sys.executable, "-c", LOW + PROGRAM[2], "doctor"]
    done = subprocess.run(program, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1
    assert "open files: 256, at most 256" in done.stdout
    assert f"problem: ulimit -n {doctor.OPEN_FILES}" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 256


@pytest.mark.parametrize("made", ["pipeline/__init__.py", "shards_spec.py"])
def test_a_module_of_the_same_name_in_the_folder_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    (tmp_path / made).parent.mkdir(exist_ok=True)
    (tmp_path / made).write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    (problem,) = [finding for finding in examine([]) if finding.topic == "names" and finding.problem]
    assert "in this folder, too" in problem.fact


def test_a_distribution_that_installs_the_same_name_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_pipeline-1.0.dist-info").mkdir()
    (tmp_path / "other_pipeline-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other-pipeline\n")
    (tmp_path / "other_pipeline-1.0.dist-info" / "top_level.txt").write_text("pipeline\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = [finding.problem for finding in examine([]) if finding.topic == "names" and finding.problem]
    assert problem.startswith("other-pipeline installs a package of this name")


def test_two_pillows_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.crop import pixels  # noqa: PLC0415

    monkeypatch.setattr(pixels, "installed_pillows", lambda: ["pillow 12.0.0", "pillow-simd 12.1.1"])
    (finding,) = [finding for finding in examine([]) if finding.topic == "Pillow"]
    assert "pip uninstall --yes pillow" in finding.problem


def test_it_works_where_nothing_but_the_base_is_installed() -> None:
    program = f"import sys; sys.modules.update(dict.fromkeys(['PIL', 'ray', 'pipeline.crop._core'])); {PROGRAM[2]}"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor"], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Ray: not installed" in done.stdout
    assert "Pillow: not installed" in done.stdout
    assert done.stdout.count("problem: ") == 1
    assert "crop core: cannot be imported" in done.stdout
    assert done.stderr == ""


def test_a_place_that_does_not_answer_is_a_problem(bucket: str) -> None:
    assert [finding.problem for finding in examine([f"s3://{bucket}/x"]) if finding.topic == "place"] == [""]
    found = [finding for finding in examine([f"s3://{bucket}-other/x", "nowhere/at/all"]) if finding.topic == "place"]
    assert all(finding.problem for finding in found)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(found)
