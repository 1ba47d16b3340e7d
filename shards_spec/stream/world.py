"""Which of the processes that share an epoch this is: its rank, and its index among the workers of a loader."""

import functools
import multiprocessing.context
import multiprocessing.process
import os
import sys
import threading
from typing import Any, NamedTuple

from shards_spec.errors import UsageError
from shards_spec.stream.sharing import Topology

Ranks = tuple[int, int]
"""A rank and the number of ranks."""


class Worker(NamedTuple):
    """A process among those that share an epoch."""

    rank: int
    number: int
    topology: Topology


def find_worker(given: Ranks | None, inherited: Ranks | None = None, workers: int | None = None) -> Worker:
    """Return which process this is. What the caller says comes first, then ``torch.distributed``, then ``RANK``.

    Args:
        given: Rank and number of ranks, as the caller of the stream gave them.
        inherited: Those of the process that sent the stream to this one, which are used if nothing else is known.
        workers: Number of workers of a loader that asks in its own process; None asks PyTorch whether this is a worker.

    Raises:
        UsageError: The values in the environment are not valid.
    """
    ranks = given or _distributed() or _environment() or inherited or (0, 1)
    info = worker_info() if workers is None else None
    if info is not None:
        return Worker(ranks[0], info.id, Topology(ranks[1], info.num_workers))
    return Worker(ranks[0], 0, Topology(ranks[1], max(1, workers or 1)))


def worker_info() -> Any:
    """Return PyTorch's information about this worker of a loader; None in other processes."""
    torch = sys.modules.get("torch")  # if it is not imported, this process is none of its workers
    return None if torch is None else torch.utils.data.get_worker_info()


def is_shared_again(stage: object) -> bool:
    """Return whether accelerate shares out what the pipeline with this stage yields, each rank's part once more.

    Its ``prepare`` takes every ``DataLoader`` for one that yields the same samples on all ranks.
    """
    state = sys.modules.get("accelerate.state")
    if state is None:
        return False
    # A forked worker has the loader that was iterated over when it was started.
    loader = state.GradientState().active_dataloader
    info = worker_info()
    datasets = [getattr(loader, "dataset", None), None if info is None else info.dataset]
    return any(
        stage in getattr(getattr(dataset, "dataset", dataset), "pipeline", ())
        and (loader is not None or type(dataset).__module__.startswith("accelerate."))
        for dataset in datasets
    )


@functools.cache
def end_with_parent() -> None:
    """Make a loader's worker end when the process that started it ends, for whatever reason.

    PyTorch's workers check whether their parent process is still the same. Under "forkserver", the default from Python
    3.14 on, the parent is the server, which lives until its last worker ends. A killed training process would leave all
    of them behind.
    """
    parent = multiprocessing.parent_process()
    if worker_info() is not None and parent is not None and parent.pid != os.getppid():
        threading.Thread(target=_end_after, args=(parent,), name="end-with-parent", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _distributed() -> tuple[int, int] | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return None
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _environment() -> tuple[int, int] | None:
    rank, world_size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if not rank or not world_size:
        return None
    try:
        numbers = int(rank), int(world_size)
    except ValueError:
        numbers = -1, 0
    if not 0 <= numbers[0] < numbers[1]:
        raise UsageError(f"RANK={rank}, WORLD_SIZE={world_size} in the environment: a rank is from 0 to WORLD_SIZE - 1")
    return numbers


def is_spawning() -> bool:
    """Return whether this process is pickling something for a process that it is about to start."""
    return multiprocessing.context.get_spawning_popen() is not None
