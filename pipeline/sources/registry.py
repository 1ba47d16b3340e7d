"""The kinds of sources that this program knows. A new one is added to the list here, and named nowhere else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.options import CutOptions, Options, option_name
from pipeline.sources.base import Source
from pipeline.sources.city1m import CITY1M, CITY1M_LITE
from pipeline.sources.city1m.models import PERSON_MODELS
from pipeline.sources.sysu30k import SYSU30K
from pipeline.sources.tables import TABLES
from shards_spec.errors import UsageError

if TYPE_CHECKING:
    from shards_spec.storage import Store

SOURCES: Final[dict[str, Source]] = {
    source.name: source for source in (CITY1M, CITY1M_LITE, SYSU30K, PERSON_MODELS, *TABLES)
}
"""The kinds of sources by name. A program that converts a dataset of its own adds its kind here."""


def source_named(name: str) -> Source:
    """Return the kind of source of this name.

    Raises:
        UsageError: There is none.
    """
    if name not in SOURCES:
        raise UsageError(f"--source {name}: there is no such kind of source; the kinds are {', '.join(SOURCES)}")
    return SOURCES[name]


def recognise_source(store: "Store") -> tuple[Source, str]:
    """Find out what kind of source a folder is.

    Returns:
        The kind, and the names of the files by which it was recognised.

    Raises:
        UsageError: It is of no kind that is known, or it could be of several.
    """
    looks = [(source, source.recognises(store)) for source in SOURCES.values()]
    found = [(source, look.what) for source, look in looks if look.is_recognised]
    if len(found) == 1:
        return found[0]
    if found:
        kinds = "; ".join(f"{source.title} because of {what} (--source {source.name})" for source, what in found)
        raise UsageError(f"{store.url} could be a source of several kinds: {kinds}: say which with --source")
    kinds = "; ".join(f"{source.title} (--source {source.name}): {look.what}" for source, look in looks)
    raise UsageError(f"{store.url} is not recognised as a source. {kinds}. Give --source NAME if it is one of these")


def make_options(source: Source, given: Mapping[str, Any]) -> Options:
    """Return the options of a conversion.

    Args:
        source: The kind of source that is converted.
        given: The values that the user gave, by the names of the fields.

    Raises:
        UsageError: An option belongs to another kind of source, a value is out of its range, or two contradict each
            other.
    """
    taken = {option.name for group in source.groups for option in group.declared()}
    for name in given:
        if name in taken:
            continue
        if name in {option.name for option in CutOptions.declared()}:
            raise UsageError(
                f"{option_name(name)} is an option of sources whose samples are cut out of frames, but the images of "
                f"this source ({source.name}) are taken over as they are: leave it out"
            )
        owners = [
            other.name for other in SOURCES.values() if name in {option.name for option in other.options.declared()}
        ]
        if not owners:
            raise UsageError(f"{option_name(name)}: no kind of source has such an option")
        raise UsageError(
            f"{option_name(name)} is an option of {' and '.join(owners)}, but this source is {source.name}: leave it "
            "out, or give --source"
        )
    return source.make_options(given)
