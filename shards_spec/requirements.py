"""What a task needs in addition to the base install, and the command that installs it.

The base install has neither a Pillow nor PyTorch nor Ray. Code that needs one of them calls this module before the work
begins, so that the user sees one line with the remedy instead of a traceback from a worker process.

Pillow and Pillow-SIMD share an import name and overwrite each other's files, and torchvision depends on Pillow. So no
command that is suggested here installs one of the two over the other.
"""

import importlib
import importlib.metadata

from shards_spec.errors import UsageError

_DECODE, _CONVERT = "'reid-shards[decode]'", "'reid-shards[convert]'"


def require_pillow(task: str) -> None:
    """Check that images can be decoded, by Pillow or by Pillow-SIMD.

    Args:
        task: What needs it; the message begins with it.

    Raises:
        UsageError: There is no Pillow, or it cannot be imported.
    """
    _require(task, "Pillow", "PIL.Image", f"pip install {_DECODE}", _pillow_again())


def require_torch(task: str) -> None:
    """Check that PyTorch can be imported.

    Args:
        task: What needs it; the message begins with it.

    Raises:
        UsageError: There is no PyTorch, or it cannot be imported.
    """
    _require(task, "PyTorch", "torch", "pip install torch", "pip install --force-reinstall torch")


def require_jinja(task: str) -> None:
    """Check that Jinja2, which fills the templates of pages, can be imported.

    Args:
        task: What needs it; the message begins with it.

    Raises:
        UsageError: There is no Jinja2, or it cannot be imported.
    """
    _require(task, "Jinja2", "jinja2", "pip install jinja2", "pip install --force-reinstall jinja2")


def require_convert(task: str) -> None:
    """Check that Ray and a Pillow, which a conversion needs, are installed.

    If there is no Pillow, the message names ``reid-shards[convert]``, which installs Pillow-SIMD together with Ray.
    Otherwise it names only Ray.

    Args:
        task: What needs them; the message begins with it.

    Raises:
        UsageError: One of them is missing, or cannot be imported.
    """
    _require(task, "Pillow-SIMD", "PIL.Image", f"pip install {_CONVERT}", _pillow_again())
    _require(task, "Ray", "ray", "pip install ray", "pip install --force-reinstall ray")


def _require(task: str, name: str, module: str, install: str, reinstall: str) -> None:
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise UsageError(f"{task} needs {name}, which is not installed: {install}") from None
        raise _broken(task, name, error, reinstall) from error
    except (ImportError, OSError) as error:  # an OSError is raised if a shared library is missing
        raise _broken(task, name, error, reinstall) from error


def _broken(task: str, name: str, error: Exception, reinstall: str) -> UsageError:
    told = str(error).partition("\n")[0]
    return UsageError(f"{task} needs {name}, which is installed but cannot be imported ({told}): {reinstall}")


def _pillow_again() -> str:
    """Return the command that repairs the installed Pillow, whichever of the two it is."""
    try:
        importlib.metadata.version("pillow-simd")
    except importlib.metadata.PackageNotFoundError:
        return "pip install --force-reinstall --no-deps pillow"
    return "pip install --force-reinstall --no-deps pillow-simd"
