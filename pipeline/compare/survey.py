"""Surveying and planning the source of a set again, with the options in the set's manifest."""

from collections.abc import Callable

from pipeline.cluster.probe import probe_source
from pipeline.options import Options
from pipeline.plan import Plan, make_plan
from pipeline.sources.city1m import build_catalog
from shards_spec.manifest import Manifest
from shards_spec.storage import open_store


def survey_again(
    manifest: Manifest, source_url: str, labels_url: str | None = None, progress: Callable[[str], None] | None = None
) -> Plan:
    """Survey a source with the options of a set, and plan it for the versions that made the set.

    Args:
        manifest: The manifest of the set.
        source_url: Folder or URL of the archives.
        labels_url: Folder or URL of the label files; None where they lie beside the archives.
        progress: A function that is called with a sentence about the progress now and then.

    Raises:
        UsageError: The source cannot be read or converted.
        SpecError: The manifest's options are not those of a conversion.
    """
    options = Options.from_manifest(manifest.options)
    for url in filter(None, (source_url, labels_url)):
        probe_source(url)
    source = open_store(source_url)
    labels = source if labels_url is None else open_store(labels_url)
    return make_plan(build_catalog(source, labels, options, progress), options, manifest.versions)
