"""What ``pipeline/deploy`` says fits the command line, the repository and Ray. No cluster is started."""

import functools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import ray.autoscaler
import yaml  # type: ignore[import-untyped]

from tests.support.processes import run_command

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "pipeline" / "deploy"
RECIPES = sorted(path.name for path in DEPLOY.iterdir() if path.name != "README.md")


def recipe(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


@functools.cache
def help_text(command: str) -> str:
    return run_command(command, "--help").stdout


def test_all_recipes_are_looked_at() -> None:
    assert RECIPES == ["Dockerfile", "kuberay-job.yaml", "ray-cluster.yaml"]


@pytest.mark.parametrize("name", RECIPES)
def test_commands_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    commands = re.findall(r"reid-shards ((?:convert|status|plan|verify|demo)\b[^'\n(]*)", (DEPLOY / name).read_text())
    assert commands or name == "Dockerfile"
    for command in commands:
        verb, *arguments = shlex.split(command)
        for option in (argument for argument in arguments if argument.startswith("-")):
            assert re.search(rf"^ *{option}\b", help_text(verb), re.MULTILINE), f"{verb} has no {option}"
        places = [argument for argument in arguments if "://" in argument]
        assert len(places) == (2 if verb == "convert" else 1)


def test_the_dockerfile_copies_what_exists_and_runs_as_nobody_special() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    steps = re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE)
    sources = [
        source for verb, what in steps if verb == "COPY" and "--from" not in what for source in what.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
    stages = [what for verb, what in steps if verb == "FROM"]
    assert stages[0] == stages[1] + " AS build", "compiled against the libraries that it runs with"
    assert re.match(r"python:3\.1[1-3]-", stages[0])
    assert [what for verb, what in steps if verb == "USER"] == ["ray"]


def test_the_cluster_file_is_what_ray_takes() -> None:
    cluster = recipe("ray-cluster.yaml")
    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] in types
    assert types[cluster["head_node_type"]]["resources"] == {"CPU": 0}
    assert cluster["max_workers"] == sum(node.get("max_workers", 0) for node in types.values())


def test_the_job_runs_what_the_image_holds() -> None:
    job = recipe("kuberay-job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
    assert images == {recipe("ray-cluster.yaml")["docker"]["image"]}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in groups:
        for container in group["template"]["spec"]["containers"]:
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
