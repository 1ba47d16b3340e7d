"""Surveying and planning the source of a set again, with the options in the set's manifest."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.cluster.probe import find_source, probe_source
from pipeline.plan import Plan, make_plan
from pipeline.sources.base import Source
from pipeline.sources.registry import SOURCES, make_options
from shards_spec.errors import UsageError
from shards_spec.manifest import Manifest
from shards_spec.storage import open_store


def survey_again(
    manifest: Manifest,
    source_url: str,
    given: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Survey a source with the options of a set, and plan it for the versions that made the set.

    Args:
        manifest: The manifest of the set.
        source_url: Folder or URL of the source.
        given: Values of options that no manifest has, such as the folder of the label files, by name.
        progress: A function that is called with a sentence about the progress now and then.

    Raises:
        UsageError: The source cannot be read or converted.
        SpecError: The manifest's options are not those of a conversion.
    """
    source = _source_of(manifest, source_url)
    make_options(source, given or {})  # refuses the options of other sources
    options = source.options_of(manifest.options, given or {})
    for url in (source_url, *options.places()):
        probe_source(url)
    catalog = source.survey(open_store(source_url), options, progress)
    return make_plan(catalog, options, manifest.versions)


def _source_of(manifest: Manifest, url: str) -> Source:
    """Return the kind of source that made a set: the only one of its variant, or as its dataset or the files tell."""
    probe_source(url)
    makers = [source for source in SOURCES.values() if source.variant == manifest.variant]
    makers = [source for source in makers if source.title == manifest.source.dataset] or makers
    if len(makers) == 1:
        return makers[0]
    source, what = find_source(url)
    if source not in makers:
        raise UsageError(f"{url} is a source of {source.title} ({what}), but the set's variant is {manifest.variant}")
    return source
