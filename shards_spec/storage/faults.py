"""Translate errors of object stores into those that files raise, without their secrets."""

import contextlib
import errno
import re
from collections.abc import Iterator

from obstore.exceptions import AlreadyExistsError, BaseError

_STATUS = re.compile(r"status code: ((\d{3})[A-Za-z ]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_CAUSE = re.compile(r'(?:message: "([\w ]+)"|kind: (TimedOut|Timeout))')
_URL = re.compile(r"\S*://\S*")
_METADATA_SERVICES = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
_NUMBERS = {"401": errno.EACCES, "403": errno.EACCES, "404": errno.ENOENT, "416": errno.ENODATA}

_BROKEN_OFF = "request or response body error"
_NO_SUCH_UPLOAD = "InvalidBlockList"
"""Azure's code, with status 400, for completing an upload whose blocks do not exist. S3 answers 404."""


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate an error of obstore into the ``OSError`` that a file would raise.

    obstore's own text is not passed on, because it contains the request and the answer, and with them signatures and
    tokens.

    Args:
        where: URL of the file or the store, for the message.

    Raises:
        FileExistsError: The file was to be created, but exists.
        FileNotFoundError: There is no such file, bucket or pending upload.
        PermissionError: The credentials are missing, wrong or insufficient.
        ConnectionAbortedError: The answer broke off.
        TimeoutError: The answer did not come, or not all of it.
        OSError: With ``ENODATA``, a range begins behind the end of its file.
        OSError: Anything else, after the retries.
    """
    try:
        yield
    except (BaseError, OSError, ValueError) as error:  # obstore raises plain OSErrors as well
        if isinstance(error, AlreadyExistsError):
            raise FileExistsError(errno.EEXIST, "exists already", where) from None
        number, reason = _explain(str(error), missing=isinstance(error, FileNotFoundError))
        raise OSError(number, reason, where) from None  # the number determines the subclass


def _explain(text: str, *, missing: bool) -> tuple[int, str]:
    """Derive an error's number and reason from obstore's text: a line, then the cause as Rust prints it."""
    if any(service in text for service in _METADATA_SERVICES):
        return errno.EACCES, "no credentials: none are in the environment, and this machine has no role of its own"
    status, code = _STATUS.search(text), _CODE.search(text)
    if status is not None:
        missing = missing or (code is not None and code[1] == _NO_SUCH_UPLOAD)
        number = errno.ENOENT if missing else _NUMBERS.get(status[2], errno.EIO)
        return number, f"the store answers {status[1].strip()}" + (f", {code[1]}" if code else "")
    if missing:
        return errno.ENOENT, "no such file"
    if "Invalid range" in text:
        return errno.ENODATA, "the range begins behind the file's end"
    line = text.partition("\n\nDebug source")[0].rpartition(" - ")[2]
    cause = _CAUSE.search(text)
    shown = _URL.sub("...", line)
    if cause is not None and cause[2]:
        return errno.ETIMEDOUT, f"{shown} (timed out)"
    number = errno.ECONNABORTED if _BROKEN_OFF in line else errno.EIO
    return number, shown + (f" ({cause[1]})" if cause else "")
