"""Text that somebody else chose, made fit for a terminal.

File names, error messages and whatever a manifest says may hold Rich's markup, control characters that move the cursor
or colour what follows, line ends that pretend to be a message, or a megabyte. All that is printed and is not this
project's own wording goes through ``shown``.
"""

from rich.markup import escape

LONGEST = 2000
"""Characters of one text that are shown: any true name or message is shorter."""


def shown(text: object) -> str:
    r"""Return Rich's markup for a text, with ``\x1b`` and the like in place of what cannot be printed."""
    whole = str(text)
    if len(whole) > LONGEST:
        whole = f"{whole[:LONGEST]}... ({len(whole):,} characters)"
    if not whole.isprintable():
        whole = "".join(char if char.isprintable() else _spelled(char) for char in whole)
    return escape(whole)


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
