"""Servers that the processes of a test run share.

A server is started by whichever process needs it first. It runs below a process that all who use it hold a connection
to, and ends with the last of these, however that ends.
"""

import contextlib
import fcntl
import importlib
import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def shared(server: str, folder: Path) -> Iterator[Any]:
    """Yield what a server says of itself, and start it if it does not run yet.

    Args:
        server: ``module:function`` of a context manager without arguments that runs the server and yields what is to
            be known of it, as anything that JSON can hold.
        folder: A folder that the processes of the run have in common.
    """
    name = server.replace(":", ".")
    with contextlib.ExitStack() as keeper, socket.socket(socket.AF_UNIX) as connection:
        # The path of a socket has at most 107 characters: it goes by the folder's descriptor.
        descriptor = os.open(folder, os.O_RDONLY)
        address = f"/proc/self/fd/{descriptor}/{name}.socket"
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                connection.connect(address)
            except OSError:
                keeper.enter_context(_start_keeper(server, name, folder))
                connection.connect(address)
        os.close(descriptor)
        yield json.loads(connection.makefile("rb").readline())


@contextlib.contextmanager
def _start_keeper(server: str, name: str, folder: Path) -> Iterator[None]:
    """Start the process that keeps the server; at the end wait for it, and so for the last of its users."""
    with (folder / f"{name}.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.sharing", server, f"{name}.socket"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which then let go of the server
        )
    with keeper:
        assert keeper.stdout is not None
        if keeper.stdout.readline() != b"ready\n":
            raise RuntimeError((folder / f"{name}.log").read_text())
        yield


def keep(server: str, address: str) -> None:
    """Run a server until nobody is connected to the socket at ``address`` any more."""
    module, _, function = server.partition(":")
    run = getattr(importlib.import_module(module), function)
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector, run() as known:
        listener.bind(address)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        users = 0
        while True:
            # The first user is about to connect, unless it was killed.
            for key, _ in selector.select(None if users else 10.0):
                if key.fileobj is listener:
                    user, _ = listener.accept()
                    user.sendall(json.dumps(known).encode() + b"\n")
                    selector.register(user, selectors.EVENT_READ)
                    users += 1
                else:  # users send nothing: this one is gone
                    selector.unregister(key.fileobj)
                    users -= 1
            if not users:
                return


if __name__ == "__main__":
    keep(*sys.argv[1:])
