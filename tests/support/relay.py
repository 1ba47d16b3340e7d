"""A TCP relay on loopback that makes a server as far away as another region: each byte arrives later, none is lost.

Unlike ``proxy``, it knows nothing of requests and passes on what it gets, so that it takes little of the processor that
it shares with the server and the client. It runs in a process of its own.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit


@contextlib.contextmanager
def run_relay(target: str, round_trip: float) -> Iterator[str]:
    """Run a relay until the block ends; yield its URL.

    Args:
        target: URL of the server behind it.
        round_trip: Seconds that the way there and back takes, beside the server's own time.
    """
    command = [sys.executable, "-m", __name__, urlsplit(target).netloc, str(round_trip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(relay.stdout.readline())}"
        finally:
            relay.terminate()


class _Side(asyncio.Protocol):
    """One side of a connection: what arrives here leaves at the other side, later."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self.loop = asyncio.get_running_loop()
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.loop.call_later(self.delay, self._pass, data)

    def _pass(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.other is not None and self.other.transport is not None:
            self.loop.call_later(self.delay, self.other.transport.close)


class _Near(_Side):
    """The client's side. It connects to the server, which takes a round trip before the first byte leaves."""

    def __init__(self, host: str, port: int, delay: float) -> None:
        super().__init__(delay)
        self.address = host, port
        self.opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.opening = self.loop.create_task(self._open())

    async def _open(self) -> None:
        await asyncio.sleep(2 * self.delay)
        far = _Side(self.delay)
        far.other = self
        await self.loop.create_connection(lambda: far, *self.address)
        self.other = far
        early, self.early = self.early, []
        for data in early:
            self._pass(data)


async def serve(host: str, port: int, round_trip: float) -> None:
    """Relay until the process is terminated, after writing the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Near(host, port, round_trip / 2), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    name, _, number = sys.argv[1].rpartition(":")
    asyncio.run(serve(name, int(number), float(sys.argv[2])))
