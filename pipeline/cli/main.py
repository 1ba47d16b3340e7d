"""The entry point of the command line: it runs the application, and turns errors into a line and an exit code."""

import io
import signal
import sys
from typing import NoReturn

from pipeline.cli.app import app
from pipeline.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, error_console
from pipeline.cli.shown import shown
from shards_spec.errors import ReidShardsError, UsageError

NO_MEMORY = "this machine has not enough memory for this: use fewer --workers, or a larger machine"


def main() -> NoReturn:
    """Run the command line; exits with the code that the help names."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop ends as cleanly as Ctrl-C
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no error
    try:
        app()
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            error_console.print("interrupted")  # Typer makes an exit of it, without a word
        code = int(end.code or 0)
    except KeyboardInterrupt:
        error_console.print("interrupted")
        code = EXIT_INTERRUPTED
    except UsageError as error:
        error_console.print(f"[bold red]error:[/] {shown(error)}")
        code = EXIT_USAGE
    except (ReidShardsError, OSError, EOFError) as error:  # the last of a file that is shorter than it was before
        error_console.print(f"[bold red]error:[/] {shown(error)}")
        code = EXIT_FAILED
    except MemoryError:
        error_console.print(f"[bold red]error:[/] {NO_MEMORY}")
        code = EXIT_FAILED
    session = sys.modules.get("pipeline.cluster.session")
    if session is not None:  # a conversion's Ray may be starting, or ending
        session.leave(code)
    sys.exit(code)
