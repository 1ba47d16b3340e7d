"""Options are declared once: what the format, the manifest and the command line say of them agrees."""

import re
from typing import get_type_hints

import pytest

from pipeline.options import Options, declared_options, option_name
from shards_spec.errors import UsageError
from shards_spec.options import OPTION_RANGES, ConversionOptions, find_range
from tests.support.processes import run_command


def test_the_manifest_records_what_bears_on_the_output_in_the_order_and_types_of_the_format() -> None:
    recorded = [name for name, _, option in declared_options() if option.bears_on_output]
    assert recorded == list(ConversionOptions.__struct_fields__)
    assert list(Options().output_bearing()) == recorded
    ours, theirs = get_type_hints(Options), get_type_hints(ConversionOptions)
    assert {name: ours[name] for name in recorded} == theirs
    assert {name: found for name, hint, _ in declared_options() if (found := find_range(hint))} == OPTION_RANGES


def test_options_come_back_from_a_manifest() -> None:
    options = Options(samples_per_shard=7, shuffle="none", seed=3, crop="reencode", size=(64, 32))
    assert Options.from_manifest(options.output_bearing()) == options


@pytest.mark.parametrize("name", OPTION_RANGES)
def test_each_end_of_a_range_is_taken_and_what_lies_beyond_is_refused_with_the_range(name: str) -> None:
    allowed = OPTION_RANGES[name]

    def options(number: int) -> Options:
        values = {name: (number, 1) if name == "size" else number}
        return Options(**values)  # type: ignore[arg-type]

    for number in (allowed.low, allowed.high):
        options(number)
    for number in (allowed.low - 1, allowed.high + 1):
        with pytest.raises(UsageError, match=re.escape(f"{option_name(name)} {number}")) as refused:
            options(number)
        assert str(refused.value).endswith(f": must be from {allowed}")


@pytest.mark.parametrize("command", ["plan", "convert"])
def test_help_lists_each_option_of_a_command_with_its_default_and_range(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    text = run_command(command, "--help").stdout
    for name, hint, option in declared_options():
        found = re.search(rf"│ {option_name(name)} .*(\n│   .*)*", text)
        assert (found is not None) == (command == "convert" or option.bears_on_plan)
        if found is None:
            continue
        allowed, default = find_range(hint), getattr(Options(), name)
        assert allowed is None or f"[range: {allowed}]" in found[0]
        assert default is None or f"[default: {default}]" in found[0]
        assert option.metavar is None or option.metavar in found[0]
    if command == "plan":
        assert "No such option: --margin" in run_command("plan", "SRC", "--margin", 4).stderr
