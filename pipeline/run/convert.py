"""The beginning of a conversion: the checks before any work, and the start of Ray while everything else is imported."""

import contextlib
from typing import TYPE_CHECKING

from pipeline.cluster.probe import probe_out, probe_source, refuse_nested
from pipeline.cluster.session import RaySession
from pipeline.options import Options
from pipeline.run.events import Message, Tell
from pipeline.run.work import refuse_foreign
from pipeline.sources.base import Source
from shards_spec.storage import FIRST_LOOK_SECONDS, open_store

if TYPE_CHECKING:
    from pipeline.run.driver import Conversion


def convert_dataset(
    source: Source,
    source_url: str,
    out_url: str,
    options: Options,
    tell: Tell,
    *,
    workers: int | None = None,
    address: str | None = None,
) -> "Conversion":
    """Plan a conversion and carry it out.

    Args:
        source: The kind of the source.
        source_url: Folder of the source.
        out_url: Folder of the set.
        options: The options of the conversion.
        tell: A function that is called with each event of the run as it happens.
        workers: Number of cores of this machine to use; None for all.
        address: Address of a Ray cluster to use instead.

    Raises:
        UsageError: The source cannot be read, ``out_url`` cannot be written to, a node of the cluster is not fit, or
            the source or the options make no sense.
    """
    # This comes before the probe of OUT creates a folder in it, before Ray starts, and before planning, which takes a
    # minute.
    for url in (source_url, *options.places()):
        probe_source(url)
    refuse_nested(source_url, out_url)
    is_complete = False
    with contextlib.suppress(OSError):  # the probe explains the error
        is_complete = refuse_foreign(open_store(out_url, retry_seconds=FIRST_LOOK_SECONDS))
    probe_out(out_url)
    with RaySession(workers, address) as session:
        if not is_complete:  # otherwise there is nothing to do, or OUT holds another set
            session.start()
        if not session.is_local:
            tell(Message(f"{session} ..."))
        from pipeline.run.driver import plan_and_carry_out

        return plan_and_carry_out(source, source_url, out_url, options, tell, session)
