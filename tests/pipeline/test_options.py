"""Options are declared once: what the format, the manifest and the command line say of them agrees."""

import re
from typing import get_args

import pytest

from pipeline.options import DeclaredOption, option_name
from pipeline.sources.city1m import CITY1M
from shards_spec.errors import SpecError, UsageError
from shards_spec.options import find_range, option_ranges
from shards_spec.variants.city1m import CITY1M as VARIANT
from tests.support.options import city1m_options
from tests.support.processes import run_command

DECLARED: list[DeclaredOption] = [option for group in CITY1M.groups for option in group.declared()]
OPTION_RANGES = {name: found for group in VARIANT.options for name, found in option_ranges(group).items()}
TYPES = {name: hint for group in VARIANT.options for name, hint in group.__annotations__.items()}
RECORDED = [option for option in DECLARED if option.option.bears_on_output]


def test_the_manifest_records_what_bears_on_the_output_in_the_order_and_types_of_the_format() -> None:
    assert [option.name for option in RECORDED] == list(TYPES)
    assert list(city1m_options().output_bearing()) == [option.name for option in RECORDED]
    for option in RECORDED:
        theirs = TYPES[option.name]
        ours = get_args(option.hint)[0]
        assert ours in {theirs, *get_args(theirs)}
    assert {option.name: found for option in DECLARED if (found := find_range(option.hint))} == OPTION_RANGES


def test_options_come_back_from_a_manifest() -> None:
    options = city1m_options(
        samples_per_shard=7, shuffle="none", seed=3, crop="reencode", size=(64, 32), box_order="xyhw"
    )
    assert CITY1M.options_of(options.output_bearing(), {}) == options
    elsewhere = CITY1M.options_of(options.output_bearing(), {"labels": "s3://labels"})
    assert elsewhere.places() == ["s3://labels"]
    assert elsewhere.output_bearing() == options.output_bearing()


@pytest.mark.parametrize(
    "change", [{"size": [64]}, {"seed": "0"}, {"box_order": "wh"}, {"margin": -1}, {"labels": "x"}, {"frills": 1}]
)
def test_options_that_no_conversion_has_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="the manifest's options are not those of a conversion"):
        CITY1M.options_of({**city1m_options().output_bearing(), **change}, {})


@pytest.mark.parametrize("name", OPTION_RANGES)
def test_each_end_of_a_range_is_taken_and_what_lies_beyond_is_refused_with_the_range(name: str) -> None:
    allowed = OPTION_RANGES[name]

    def make(number: int) -> None:
        city1m_options(**{name: (number, 1) if name == "size" else number})

    for number in (allowed.low, allowed.high):
        make(number)
    for number in (allowed.low - 1, allowed.high + 1):
        with pytest.raises(UsageError, match=re.escape(f"{option_name(name)} {number}")) as refused:
            make(number)
        assert str(refused.value).endswith(f": must be from {allowed}")


@pytest.mark.parametrize("command", ["plan", "convert"])
def test_help_lists_each_option_of_a_command_with_its_default_and_range(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    text = run_command(command, "--help").stdout
    common, own = re.split(rf"^{CITY1M.title}(?:, .+)?:\n", text, flags=re.MULTILINE)
    own_names = {option.name for option in CITY1M.options.declared()}
    for name, hint, option, default in DECLARED:
        panel = own if name in own_names else common
        found = re.search(rf"^  {option_name(name)}(?: .*)?\n(?:      .*\n)+", panel, re.MULTILINE)
        assert (found is not None) == (command == "convert" or option.bears_on_plan)
        if found is None:
            continue
        told = " ".join(found[0].split())
        allowed = find_range(hint)
        assert allowed is None or f"From {allowed}." in told
        if name == "samples_per_shard":
            assert "[default: 10,000; for sysu30k 50,000" in told
        else:
            assert default is None or f"[default: {default}]" in told
        assert option.metavar is None or option.metavar in told
    assert f"city1m ({CITY1M.title})" in common
    if command == "plan":
        assert "there is no option --margin" in run_command("plan", "SRC", "--margin", 4).stderr
