"""A disposable Azure blob server: Microsoft's Azurite, in memory, on loopback only. npm install --global azurite."""

import base64
import contextlib
import email.utils
import hashlib
import hmac
import shutil
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.ceph import free_port, wait_for_answer

PROGRAM = "azurite-blob"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, as printed in its manual: no secret."""


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azure blob server."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know, as environment variables."""
        return {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        }

    def make_container(self) -> str:
        """Make an empty container, for which obstore has no method; returns its name."""
        container = f"test-{uuid.uuid4().hex}"
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed_headers = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
        text = "PUT" + "\n" * 12 + signed_headers + resource
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
        url = f"{self.endpoint}/{ACCOUNT}/{container}?restype=container"
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="PUT"), timeout=30).close()
        return container


def is_installed() -> bool:
    """Whether there is an Azurite to run."""
    return shutil.which(PROGRAM) is not None


@contextlib.contextmanager
def run_azurite() -> Iterator[Azurite]:
    """Run a server of one's own."""
    port = free_port()
    options = [
        "--blobPort",
        str(port),
        "--inMemoryPersistence",
        "--silent",
        "--disableTelemetry",
        "--skipApiVersionCheck",
    ]
    # Killed with this process, whatever kills that.
    command = ["setpriv", "--pdeathsig", "KILL", PROGRAM, *options]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        azurite = Azurite(f"http://127.0.0.1:{port}")
        wait_for_answer(azurite.endpoint)
        yield azurite
    finally:
        server.kill()
        server.wait()
