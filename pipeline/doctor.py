"""What bears on whether reid-shards works here: versions, the crop core, Ray, places, limits, and names in the way.

Nothing here writes anywhere, and no value of an environment variable is told, because keys are among them.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import shards_spec
from shards_spec.cores import usable_cores
from shards_spec.errors import UsageError
from shards_spec.manifest import MANIFEST_FILE
from shards_spec.storage import explain_error, is_remote, reach_store
from shards_spec.version import SPEC_VERSION, __version__

OPEN_FILES = 1024
"""Open files that a process should be allowed at least: Ray's need some hundreds."""
SHARED_MEMORY = 512 * 2**20
"""Bytes that /dev/shm should have: PyTorch's workers and Ray hand over what they read through it."""
_SHARED = "/dev/shm"  # noqa: S108 - it is only measured
FREE_BYTES = 2**30
"""Bytes that should be free where files are written."""

_PACKAGES = {
    "base": ("msgspec", "numpy", "obstore", "pyarrow", "rich", "typer", "webdataset", "zlib-ng"),
    "convert": ("jinja2", "pillow-simd", "ray"),
    "train": ("pillow", "torch", "torchvision"),
}
_WEBP = (
    "apt-get install libwebp-dev, then pip install --force-reinstall --no-deps --no-cache-dir --no-binary pillow-simd "
    "pillow-simd"
)
_STORE_VARIABLES = ("AWS_", "GOOGLE_", "AZURE_", "RAY_", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact, and what is wrong with it."""

    topic: str
    fact: str
    problem: str = ""
    """What to do about it, which is empty if nothing is wrong."""


def examine(places: Sequence[str]) -> Iterator[Finding]:
    """Yield what was found out about this machine and installation.

    Args:
        places: Folders and URLs of sources and sets that should be within reach.
    """
    yield Finding("reid-shards", f"{__version__}, shard format {SPEC_VERSION}, in {_folder('pipeline')}")
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("system", f"{platform.platform()}, {platform.machine()}")
    cores = usable_cores()
    yield Finding("cores", f"{cores} of {os.cpu_count()} may be used")
    yield Finding("memory", _memory())
    for extra, names in _PACKAGES.items():
        yield Finding(f"packages ({extra})", ", ".join(f"{name} {_version(name)}" for name in names))
    yield _pillow()
    yield _compiled("crop core", "pipeline.crop._core")
    yield _compiled("packing core", "pipeline.shards._core")
    yield _ray()
    yield from _names()
    yield _open_files()
    yield _shared_memory()
    for name, folder in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        yield _space(name, folder)
    variables = sorted(name for name in os.environ if name.upper().startswith(_STORE_VARIABLES))
    yield Finding("environment", ", ".join(variables) + " are set" if variables else "nothing set for stores or Ray")
    for place in places:
        yield _place(place)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _memory() -> str:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    limit = Path("/sys/fs/cgroup/memory.max")
    limited = limit.read_text().strip() if limit.is_file() else "max"
    told = f"{_gigabytes(total)}, of which {_gigabytes(free)} are free"
    return told if limited == "max" else f"{told}; this process may use {_gigabytes(int(limited))}"


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _pillow() -> Finding:
    try:
        pixels = importlib.import_module("pipeline.crop.pixels")
    except ModuleNotFoundError:
        return Finding("Pillow", "not installed; decoding and converting need one")
    except (ImportError, OSError) as error:
        return Finding("Pillow", f"cannot be imported: {error}", "reinstall the one that this machine should have")
    running, owners = pixels.pillow_version(), pixels.installed_pillows()
    if len(owners) > 1:
        remedy = "pip uninstall --yes pillow && pip install --force-reinstall --no-deps pillow-simd"
        return Finding("Pillow", f"{running}; installed: {', '.join(owners)}", f"two overwrite each other: {remedy}")
    if "WEBP" not in running:
        running = f"{running}; for WebP: {_WEBP}"
    return Finding("Pillow", running)


def _compiled(topic: str, name: str) -> Finding:
    try:
        core = importlib.import_module(name)
    except ImportError as error:
        return Finding(topic, f"cannot be imported: {error}", "reinstall reid-shards; from a clone, make setup")
    return Finding(topic, f"loaded from {core.__file__}")


def _ray() -> Finding:
    try:
        version = importlib.import_module("ray").__version__
    except ModuleNotFoundError:
        return Finding("Ray", "not installed; converting needs it")
    except (ImportError, OSError) as error:
        return Finding("Ray", f"cannot be imported: {error}", "pip install --force-reinstall ray")
    address = "RAY_ADDRESS names a cluster" if os.environ.get("RAY_ADDRESS") else "no cluster named in RAY_ADDRESS"
    return Finding("Ray", f"{version}, {address}")


def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    return str(next(iter(spec.submodule_search_locations or []), spec.origin)) if spec else "nowhere"


def _names() -> Iterator[Finding]:
    """Yield whether the import names of this project belong to it."""
    ours = {"pipeline": Path(__file__).parent, "shards_spec": Path(shards_spec.__file__).parent}
    owners = importlib.metadata.packages_distributions()
    for name, folder in ours.items():
        found = sorted({owner for owner in owners.get(name, []) if owner != "reid-shards"})
        here = Path.cwd() / name
        fact = f"{name} is {folder}"
        if found:
            yield Finding("names", fact, f"{', '.join(found)} installs a package of this name, too: uninstall one")
        elif here.resolve() != folder.resolve() and (here.is_dir() or here.with_suffix(".py").is_file()):
            yield Finding(
                "names",
                f"{fact}; there is a {name} in this folder, too",
                "python -m and scripts here would import that",
            )
        else:
            yield Finding("names", fact)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = [("unlimited" if limit == resource.RLIM_INFINITY else f"{limit:,}") for limit in (soft, hard)]
    is_low = soft != resource.RLIM_INFINITY and soft < OPEN_FILES
    return Finding("open files", f"{told[0]}, at most {told[1]}", f"ulimit -n {OPEN_FILES}" if is_low else "")


def _shared_memory() -> Finding:
    folder = Path(_SHARED)
    if not folder.is_dir():
        return Finding(_SHARED, "missing", "mount one; in a container, run it with --shm-size 2g")
    usage = shutil.disk_usage(folder)
    fact = f"{_gigabytes(usage.free)} of {_gigabytes(usage.total)} free"
    return Finding(_SHARED, fact, "" if usage.total >= SHARED_MEMORY else "in a container, run it with --shm-size 2g")


def _space(name: str, folder: Path) -> Finding:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Finding(name, f"{folder}: {error.strerror}", "choose another one")
    fact = f"{folder}: {_gigabytes(usage.free)} of {_gigabytes(usage.total)} free"
    writable = os.access(folder, os.W_OK)
    problem = "" if usage.free >= FREE_BYTES else "little space is left"
    return Finding(name, fact if writable else f"{fact}, not writable", problem)


def _place(place: str) -> Finding:
    """Return whether a source or a set is within reach."""
    try:
        if not is_remote(place):
            return _space("place", Path(place))
        store = reach_store(place, MANIFEST_FILE)
        first = next(store.list_top(), None)
    except UsageError as error:
        return Finding("place", place, str(error))
    except OSError as error:
        return Finding("place", place, f"cannot be read: {explain_error(place, error)}")
    return Finding("place", f"{store.url}: answers" + ("" if first else ", and holds no file at its top"))
