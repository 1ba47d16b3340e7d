"""The two consoles that the commands print on, and the exit codes that they end with."""

import sys

from rich.console import Console

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SHORT = 3
EXIT_INTERRUPTED = 130

WIDTH_OF_FILES = 200
"""Characters a line where standard output is no terminal: tables take what they need."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
error_console = Console(highlight=False, soft_wrap=True, stderr=True)
