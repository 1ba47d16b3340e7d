"""A disposable S3 server: Ceph's radosgw with one monitor and one object daemon, in memory, on loopback only.

Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd.
"""

import base64
import contextlib
import email.utils
import hashlib
import hmac
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool")
START_SECONDS = 60.0
MEMORY_BYTES = 4 << 30

# Loopback only; cephx, because with no authentication the gateway never gets ready; one copy of everything, in memory;
# short intervals, because all waiting here is for daemons on the same machine. Without tcp_nodelay small ranges take
# five times as long.
CONFIGURATION = """[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file =
crash dir = {folder}/run
log file = {folder}/run/$name.log
log to stderr = false
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
osd objectstore = memstore
memstore device bytes = {memory}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 2000
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
mon tick interval = 0.5
osd mon heartbeat interval = 1
osd mon report interval = 1
mon client hunt interval = 0.5
osd mon report timeout = 900
rgw rados pool pg num min = 4
rgw override bucket index max shards = 1
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""

KEYRING = """[mon.]
 key = {mon}
 caps mon = "allow *"
[client.admin]
 key = {client}
 caps mon = "allow *"
 caps osd = "allow *"
 caps mgr = "allow *"
[client.rgw]
 key = {client}
 caps mon = "allow rwx"
 caps osd = "allow rwx"
[osd.0]
 key = {osd}
 caps mon = "allow profile osd"
 caps osd = "allow *"
"""


@dataclass(frozen=True, slots=True)
class Ceph:
    """A running S3 server."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know, as environment variables."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self) -> str:
        """Make an empty bucket; returns its name."""
        bucket = f"test-{uuid.uuid4().hex}"
        self.request("PUT", f"/{bucket}")
        return bucket

    def request(
        self, method: str, path: str, subresource: str = "", data: bytes | None = None, **amz_headers: str
    ) -> bytes:
        """A request that obstore has no method for, with S3's old and simple signature; ``x_amz_*`` add headers."""
        headers = {name.replace("_", "-"): value for name, value in amz_headers.items()}
        date = email.utils.formatdate(usegmt=True)
        resource = f"{path}?{subresource}" if subresource else path
        signed_headers = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        text = f"{method}\n\napplication/octet-stream\n{date}\n{signed_headers}{resource}"
        signature = base64.b64encode(hmac.digest(self.secret_key.encode(), text.encode(), hashlib.sha1)).decode()
        request = urllib.request.Request(self.endpoint + resource, data, method=method)
        request.add_header("Content-Type", "application/octet-stream")
        request.add_header("Date", date)
        request.add_header("Authorization", f"AWS {self.access_key}:{signature}")
        for name, value in headers.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: bytes = response.read()
        return answer


def missing_programs() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextlib.contextmanager
def serve() -> Iterator[list[str]]:
    """Run a server for ``tests.support.sharing``; yields the fields of ``Ceph``."""
    with run_ceph() as ceph:
        yield [ceph.endpoint, ceph.access_key, ceph.secret_key]


@contextlib.contextmanager
def run_ceph() -> Iterator[Ceph]:
    """Run a server of one's own."""
    with tempfile.TemporaryDirectory(prefix="ceph") as name, contextlib.ExitStack() as daemons:
        folder = Path(name)
        for part in ("mon", "osd", "rgw", "run"):
            (folder / part).mkdir()
        port, mon_port = free_port(), free_port()
        fsid, osd_id, access_key, secret_key = (str(uuid.uuid4()) for _ in range(4))
        configuration = folder / "ceph.conf"
        configuration.write_text(
            CONFIGURATION.format(fsid=fsid, folder=folder, port=port, mon_port=mon_port, memory=MEMORY_BYTES)
        )
        keyring = folder / "keyring"
        keyring.write_text(KEYRING.format(mon=_new_key(), client=_new_key(), osd=_new_key()))
        output = daemons.enter_context((folder / "run" / "output").open("wb"))

        def run(program: str, *arguments: object) -> None:
            command = [program, "-c", str(configuration), *map(str, arguments)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60)

        def start(program: str, *arguments: object) -> None:
            # Killed with this process, whatever kills that; by SIGKILL at the end, too: the daemons take seconds to
            # stop, and nothing is kept.
            command = ["setpriv", "--pdeathsig", "KILL", program, "-c", str(configuration), "-f", *map(str, arguments)]
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            daemons.callback(daemon.wait)
            daemons.callback(daemon.kill)

        monitor = f"[v2:127.0.0.1:{mon_port}/0]"
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, folder / "monmap")
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", folder / "monmap", "--keyring", keyring)
        start("ceph-mon", "-i", "a")
        run("ceph", "osd", "create", osd_id, "0")
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id)
        start("ceph-osd", "-i", "0")
        start("radosgw", "-n", "client.rgw", "--keyring", keyring)
        user = ("user", "create", "--uid=test", "--display-name=test")
        run("radosgw-admin", *user, f"--access-key={access_key}", f"--secret-key={secret_key}")
        endpoint = f"http://127.0.0.1:{port}"
        wait_for_answer(endpoint)
        yield Ceph(endpoint, access_key, secret_key)


def wait_for_answer(url: str) -> None:
    """Return when an HTTP server answers, whatever it says."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
            continue
        return


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _new_key() -> str:
    """A secret as Ceph writes it: type 1 (AES), seconds, nanoseconds, length, bytes."""
    return base64.b64encode(struct.pack("<HIIH", 1, int(time.time()), 0, 16) + os.urandom(16)).decode()
