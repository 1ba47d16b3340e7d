"""An HTTP server that passes requests on to another one, and does to some of them what networks and servers do."""

import http.client
import http.server
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

FAULTS = ("cut", "cut answer", "stall", "stall answer", "500", "503", "slow down")
"""The connection is closed before an answer, or amid it; no answer comes, or half of one and no more, while the
connection stays open; the server fails, or asks to wait."""

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a fault may depend on."""

    number: int
    """From 0, in the order of arrival."""
    method: str
    path: str


class Proxy:
    """A proxy on loopback, until the block ends.

    Args:
        target: URL of the server behind it.
        choose: the fault that a request meets, or None; from any thread, one at a time.
        delay: seconds before each request is passed on: the way there and back.
    """

    def __init__(
        self, target: str, choose: Callable[[Request], str | None] = lambda _: None, delay: float = 0.0
    ) -> None:
        self.target = urlsplit(target).netloc
        self.choose = choose
        self.delay = delay
        self.faults: list[tuple[str, Request]] = []
        self.requests: list[Request] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()  # stalled requests end now
        self._server.shutdown()
        self._server.server_close()

    def fault_of(self, method: str, path: str) -> str | None:
        """Count a request; returns what is to happen to it."""
        with self._lock:
            request = Request(len(self.requests), method, path)
            self.requests.append(request)
            fault = self.choose(request)
            if fault is not None:
                self.faults.append((fault, request))
        return fault


def at_random(seed: int, rate: float, faults: tuple[str, ...] = FAULTS) -> Callable[[Request], str | None]:
    """Choose a fault for a share ``rate`` of all requests, but never twice in a row for one method and path."""
    rng = random.Random(seed)
    disturbed: set[tuple[str, str]] = set()

    def choose(request: Request) -> str | None:
        if (request.method, request.path) in disturbed:
            disturbed.discard((request.method, request.path))
            return None
        if rng.random() >= rate:
            return None
        disturbed.add((request.method, request.path))
        return rng.choice(faults)

    return choose


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy

    def handle_error(self, *_: object) -> None:
        """Clients that give up are what is tested here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = proxy.fault_of(self.command, self.path)
        if proxy.delay:
            time.sleep(proxy.delay)
        match fault:
            case "cut":
                self._cut()
                return
            case "stall":
                proxy.ended.wait()
                self._cut()
                return
            case "500":
                self._fail(500, "InternalError")
                return
            case "503" | "slow down":
                self._fail(503, "SlowDown" if fault == "slow down" else "ServiceUnavailable")
                return
        status, headers, data = self._pass_on(body)
        if fault == "cut answer" and not data:  # there is nothing to cut but the whole of it
            self._cut()
        else:
            self._answer(status, headers, data, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, fault: str | None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        halved = fault in {"cut answer", "stall answer"}
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if halved else data)
        if halved:
            self.wfile.flush()
            if fault == "stall answer":
                self.server.proxy.ended.wait()
            self._cut()

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.proxy.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # with the host's name as the client signed it
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        finally:
            connection.close()
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(data))))
        return answer.status, headers, data

    def _fail(self, status: int, code: str) -> None:
        data = f"<Error><Code>{code}</Code></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Nothing: tests print what went wrong themselves."""
