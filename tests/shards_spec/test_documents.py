"""The specification and the schemas say what the types say."""

import json
from pathlib import Path

import jsonschema
import pytest

from shards_spec.document import SCHEMA_FOLDER, SPEC_FILE, schemas, specification
from shards_spec.rejects import RejectReason
from shards_spec.variants.registry import VARIANTS
from shards_spec.version import SPEC_VERSION


def test_the_schemas_are_those_of_the_types() -> None:
    assert {path.name: path.read_text() for path in SCHEMA_FOLDER.iterdir()} == schemas()


def test_the_tables_of_the_specification_are_those_of_the_types() -> None:
    text = SPEC_FILE.read_text()
    assert specification(text) == text, "python -m shards_spec.document writes them anew"
    assert f"version {SPEC_VERSION}" in text
    for reason in RejectReason:
        assert f"| `{reason}` |" in text


def test_every_field_and_code_has_a_meaning() -> None:
    rows = [line for line in SPEC_FILE.read_text().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    columns = [line for line in rows if (line.count(" | ") == 1 and "int" in line) or "string" in line]
    assert [line for line in rows if line not in columns and line.endswith(("|  |", "| |"))] == []


def test_each_variant_has_a_section_and_a_schema() -> None:
    text = SPEC_FILE.read_text()
    for variant in VARIANTS:
        assert f"\n## The variant `{variant.name}`\n" in text
        assert f"sidecar.{variant.name}.json" in schemas()
        for name in ("sidecar", "index"):
            assert f"<!-- begin {name} of {variant.name} -->" in text


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schemas()[name]))


def test_a_set_passes_the_schemas(set_folder: Path) -> None:
    def validate(name: str, text: str | bytes) -> None:
        jsonschema.validate(json.loads(text), json.loads(schemas()[name]))

    validate("manifest.json", (set_folder / "dataset.json").read_bytes())
    for line in (set_folder / "rejects.jsonl").read_text().splitlines():
        validate("reject.json", line)
    validate("reject.json", '{"reason":"box_empty","where":"a:1","name":null,"person_id":null,"samples":1,"detail":""}')
    sidecar = '{"spec":"1.0"}'
    with pytest.raises(jsonschema.ValidationError):
        validate("sidecar.city1m.json", sidecar)
