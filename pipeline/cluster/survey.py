"""The parts of a survey, or of another work on a source, as Ray tasks."""

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.exceptions

from pipeline.archives import KeptResults, KeptTasks, Part, Work
from pipeline.cluster.installation import PACKAGE_FOLDER, Installation, check_installation
from pipeline.cluster.session import ClusterError, RaySession, describe
from pipeline.shards.versions import byte_bearing_versions
from shards_spec.layout import WORK_FOLDER
from shards_spec.storage import Store, open_store

SURVEY_FOLDER = f"{WORK_FOLDER}/survey"
"""Where the results of parts are kept, in the folder of the set."""

FEWEST_AHEAD = 64
"""Parts that are submitted ahead, or twice as many as the cluster has cores: there may be thousands of parts, and their
arguments take memory."""

_RETRIES = 3
"""How often Ray does a part again whose worker was lost, or to which the store reported a fault."""


class RayTasks(KeptTasks):
    """Does parts in Ray tasks of one core each, and keeps their results in the folder of the set.

    Args:
        session: The Ray session, which may still be starting.
        source: The store with the archives.
        out: The store of the set.
        folder: The folder in there for the results.
        fewest: Fewest parts for which to wait until Ray has started, if they are not those of a survey.
    """

    def __init__(
        self, session: RaySession, source: Store, out: Store, folder: str = SURVEY_FOLDER, fewest: int | None = None
    ) -> None:
        super().__init__(source, KeptResults(out, folder), fewest)
        self._session = session
        self._places = source.url, out.url, folder

    def _gives_away(self, parts: int) -> bool:
        return super()._gives_away(parts) or (parts > 1 and self._session.is_ready)

    def _run_elsewhere(self, work: Work, parts: Sequence[Part]) -> Generator[tuple[int, None], None, None]:
        self._session.wait()
        driver = Installation(byte_bearing_versions(), PACKAGE_FOLDER if self._session.is_local else None)
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": _RETRIES, "retry_exceptions": [OSError]}
        remote: Any = ray.remote(scheduling_strategy="SPREAD", **options)(_do_part)
        waiting: dict[Any, int] = {}
        try:
            todo = iter(enumerate(parts))
            while True:
                resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
                ahead = max(FEWEST_AHEAD, 2 * int(resources.get("CPU", 1)))
                while len(waiting) < ahead and (following := next(todo, None)) is not None:
                    position, part = following
                    waiting[remote.remote(work, part, *self._places, driver)] = position
                if not waiting:
                    return
                (reference, *_), _ = ray.wait(list(waiting), num_returns=1)
                ray.get(reference)
                yield waiting.pop(reference), None
        except (OSError, EOFError, MemoryError):  # Ray's error for a task is also the task's own
            raise
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"a task failed: {describe(error)}. What is finished is kept: the same command continues"
            ) from error
        finally:
            # A local Ray ends together with this process, and may abort it if a task ends while it is cancelled.
            for reference in () if self._session.is_local else waiting:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(reference, force=True)


def _do_part(work: Work, part: Part, source_url: str, out_url: str, folder: str, driver: Installation) -> None:
    """Do a part. This runs in a Ray worker."""
    check_installation(driver)
    pa.set_cpu_count(1)  # a task has one core
    KeptResults(open_store(out_url), folder).save(part, work(open_store(source_url), part.argument))
