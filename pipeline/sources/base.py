"""A kind of source, as far as it must be known before anything is read: its name, its options, and how to recognise it.

The command line shows these for every kind of source. This module therefore imports nothing that reads or converts.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from pipeline.options import CommonOptions, CutOptions, OptionGroup, Options
from pipeline.sources.demo_marker import is_demo
from shards_spec.errors import SpecError, UsageError

if TYPE_CHECKING:
    from pipeline.archives import Tasks
    from pipeline.sources.catalog import Catalog
    from pipeline.sources.converter import Converter
    from pipeline.sources.reconstruction import PlanReconstruction
    from shards_spec.storage import Store  # imports a client for object stores

Group = TypeVar("Group", bound=OptionGroup)


class Look(NamedTuple):
    """What a look at the files at the top of a folder shows."""

    is_recognised: bool
    """Whether the folder is a source of the kind that was looked for."""
    what: str
    """What was found: the name of a file, or, if the folder is not recognised, what it lacks and where that may lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReconstruction:
    """How the frames that a kind of source names, but does not hold, are put together of what it holds."""

    options: type[OptionGroup]
    """The options of a reconstruction, each of which has a default."""
    planner: str
    """Module and name of a ``PlanReconstruction``: "package.module:function"."""

    def load(self) -> "PlanReconstruction":
        """Import the function that plans a reconstruction, and return it."""
        module, _, name = self.planner.partition(":")
        planner: PlanReconstruction = getattr(importlib.import_module(module), name)
        return planner


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A kind of source."""

    name: str
    """The value of ``--source``."""
    title: str
    """The name of the dataset or format. The help panel of the source's own options has it."""
    variant: str
    """The variant of the sets that are made from such sources."""
    options: type[OptionGroup] = OptionGroup
    """The source's own options, each of which has a default; ``OptionGroup`` itself if there are none."""
    cuts: bool = False
    """Whether samples are cut out of frames. Otherwise, images are taken over as they are."""
    samples_per_shard: int
    """The default of ``--samples-per-shard``."""
    recognises: Callable[["Store"], Look]
    """Looks at the names of the files in a folder, and reads the heads of a few only where names do not tell."""
    converter: str
    """Module and class of the working part: "package.module:Class"."""
    reconstruction: FrameReconstruction | None = None
    """How frames are put together, if such a source names frames that it does not hold."""

    def load(self) -> "Converter[Any]":
        """Import the working part, which surveys sources and makes samples, and return it."""
        module, _, name = self.converter.partition(":")
        converter: Converter[Any] = getattr(importlib.import_module(module), name)()
        return converter

    def survey(
        self,
        store: "Store",
        options: Options,
        progress: Callable[[str], None] = lambda _: None,
        tasks: "Tasks | None" = None,
    ) -> "Catalog":
        """Find out what a folder holds. See ``Converter.survey``."""
        catalog = self.load().survey(store, options, progress, tasks)
        catalog.check()
        return replace(catalog, demo=is_demo(store))

    @property
    def groups(self) -> tuple[type[OptionGroup], ...]:
        """Return the groups of options that a conversion of such a source has."""
        return (CommonOptions, CutOptions, self.options) if self.cuts else (CommonOptions, self.options)

    def make_options(self, given: Mapping[str, Any]) -> Options:
        """Return the options of a conversion.

        Args:
            given: The values that differ from the defaults, by the names of the fields.

        Raises:
            UsageError: A value is out of its range, or two contradict each other.
        """
        values = {"samples_per_shard": self.samples_per_shard, **given}
        return Options(
            common=_make_group(CommonOptions, values),
            cut=_make_group(CutOptions, values) if self.cuts else None,
            own=_make_group(self.options, values),
        )

    def options_of(self, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
        """Return the options that a manifest has, as ``Options.output_bearing`` gave them.

        Args:
            recorded: The options in the manifest.
            given: Values of options that no manifest has.

        Raises:
            SpecError: A recorded value is missing, unknown or out of its range.
        """
        declared = [option for group in self.groups for option in group.declared() if option.option.bears_on_output]
        differing = sorted(set(recorded) ^ {option.name for option in declared})
        if differing:
            raise SpecError(f"the manifest's options are not those of a conversion: see {', '.join(differing)}")
        try:
            values = {option.name: msgspec.convert(recorded[option.name], option.hint) for option in declared}
            return self.make_options({**given, **values})
        except (msgspec.ValidationError, UsageError) as error:
            raise SpecError(f"the manifest's options are not those of a conversion: {error}") from error


def _make_group(group: type[Group], values: Mapping[str, Any]) -> Group:
    """Return a group of options with the values that it declares."""
    return group(**{option.name: values[option.name] for option in group.declared() if option.name in values})
