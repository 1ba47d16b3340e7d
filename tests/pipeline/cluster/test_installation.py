"""What is an import fault, and what is said of workers that run something else."""

from collections.abc import Callable
from typing import Any

import pytest
from ray.exceptions import ObjectLostError, RaySystemError, RayTaskError, WorkerCrashedError

from pipeline.cluster.installation import (
    PACKAGE_FOLDER,
    Installation,
    NodeUnfitError,
    OtherPackageError,
    check_installation,
    is_import_fault,
)
from pipeline.shards.versions import byte_bearing_versions

SYSTEM_ERROR: Callable[[str], Exception] = RaySystemError  # Ray's constructors have no types
TASK_ERROR: Callable[..., Any] = RayTaskError


def raised(cause: Exception) -> Exception:
    """The error that Ray raises in the driver for what a task raised."""
    name = "_convert_shard"
    error: Exception = TASK_ERROR(name, "traceback", cause, f"ray::{name}", 1, "127.0.0.1").as_instanceof_cause()
    return error


@pytest.mark.parametrize(
    "cause",
    [
        ModuleNotFoundError("No module named 'pipeline.crop._core'"),
        ImportError("libjpeg.so.62: cannot open shared object file"),
        SYSTEM_ERROR("System error: x\ntraceback: Traceback ...\nAttributeError: Can't get attribute 'ShardTask'"),
        RuntimeError("The remote function failed to import on the worker.\nModuleNotFoundError: No module named 'x'"),
    ],
)
def test_what_no_worker_can_import_is_an_import_fault(cause: Exception) -> None:
    assert is_import_fault(raised(cause))


@pytest.mark.parametrize(
    "error",
    [
        raised(SYSTEM_ERROR("System error: x\ntraceback: Traceback ...\nMemoryError")),
        raised(RuntimeError("a fault of ours")),
        raised(OSError("failed to import")),
        SYSTEM_ERROR("the raylet is gone"),
        WorkerCrashedError(),
        ObjectLostError("00", None, ""),
    ],
)
def test_what_may_pass_is_none(error: Exception) -> None:
    assert not is_import_fault(error)


def test_a_worker_of_another_folder_is_refused_on_this_machine_alone() -> None:
    versions = byte_bearing_versions()
    check_installation(Installation(versions))
    check_installation(Installation(versions, folder=None))
    with pytest.raises(OtherPackageError, match=f"workers run {PACKAGE_FOLDER}, and this process runs /elsewhere"):
        check_installation(Installation(versions, folder="/elsewhere"))


def test_other_versions_make_a_node_unfit() -> None:
    with pytest.raises(NodeUnfitError, match=f"instead of 0.0.1, in {PACKAGE_FOLDER}"):
        check_installation(Installation({**byte_bearing_versions(), "msgspec": "0.0.1"}, folder=None))
