"""How many cores this process may use."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, own_cgroups: Path = _OWN_CGROUPS) -> int:
    """Return the number of cores that this process may use: at least 1.

    These are the cores that it may run on, and no more than a control group gives it time on: that is how containers
    are limited (``docker run --cpus``, Kubernetes' ``resources.limits.cpu``). Parts of a core count as one.

    Args:
        cgroups: Where the control groups are mounted.
        own_cgroups: The file that names those of this process.
    """
    quotas = [math.ceil(quota) for quota in _quotas(cgroups, own_cgroups)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def _quotas(cgroups: Path, own_cgroups: Path) -> Iterator[float]:
    """Yield the cores that each control group of this process gives it time on, where it limits them.

    https://www.kernel.org/doc/Documentation/admin-guide/cgroup-v2.rst (``cpu.max``) and
    https://www.kernel.org/doc/Documentation/scheduler/sched-bwc.rst (version 1) describe the files.
    """
    with contextlib.suppress(OSError):  # no control groups
        for line in own_cgroups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            mount = cgroups / "cpu" if controllers else cgroups
            # In a container, the path may be the host's, while the mount begins at the container's own group.
            own = Path(path.lstrip("/"))
            for group in (own, *own.parents):
                with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                    yield _quota(mount / group, is_version_1=bool(controllers))


def _quota(group: Path, *, is_version_1: bool) -> float:
    """Return a control group's limit in cores.

    Raises:
        OSError: The group is not there.
        ValueError: It has no limit.
    """
    if is_version_1:
        quota, period = (int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    else:
        quota, period = map(int, (group / "cpu.max").read_text().split())
    if quota <= 0 or period <= 0:
        raise ValueError(quota)
    return quota / period
