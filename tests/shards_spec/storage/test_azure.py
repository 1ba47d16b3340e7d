"""What Azure does in its own way: credentials, names of errors, uploads in blocks."""

import pickle
from collections.abc import Callable

import pytest

from shards_spec.storage import Store, location, open_store
from shards_spec.storage.object import PART_BYTES
from tests.support.azurite import KEY, Azurite
from tests.support.proxy import Proxy, Request, at_random
from tests.support.stores import write_and_read

SECRET = "c2VjcmV0"

USES: tuple[Callable[[Store], object], ...] = (
    lambda store: store.size("a"),
    lambda store: store.read("a", 0, 1),
    lambda store: store.read_whole("a"),
    lambda store: list(store.list()),
    lambda store: store.put("a", b"x"),
    lambda store: store.create("a", b"x"),
)


def test_wrong_credentials_are_no_permission(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", SECRET)
    store = open_store(f"az://{container}/set")
    for use in USES:
        with pytest.raises(PermissionError, match=rf"403 Forbidden.*az://{container}/set") as caught:
            use(store)
        assert SECRET not in str(caught.value)
        assert "Signature" not in str(caught.value)


@pytest.mark.usefixtures("container")
def test_a_missing_container_is_named() -> None:
    store = open_store("az://no-such-container/set")
    for use in USES:
        with pytest.raises(FileNotFoundError, match="az://no-such-container/set"):
            use(store)
    with pytest.raises(FileNotFoundError, match=r"404 Not Found, ContainerNotFound"):
        store.put("a", b"x")


def test_no_secret_is_shown_or_pickled(container: str) -> None:
    store = open_store(f"az://{container}/set")
    store.put("a", b"x")
    assert KEY not in f"{store!r} {store.url} {pickle.dumps(store)!r}"


@pytest.mark.parametrize("seed", range(3))
def test_passing_faults_are_not_noticed(
    azurite_server: Azurite, container: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(location, "STALL_SECONDS", 0.5)
    with Proxy(azurite_server.endpoint, at_random(seed, 0.4)) as proxy:
        monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", proxy.url)
        write_and_read(open_store(f"az://{container}/set"), seed)
    assert len(proxy.faults) > 5


def test_an_upload_whose_last_answer_is_lost_is_found_to_be_whole(
    azurite_server: Azurite, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(request: Request) -> str | None:
        return "cut answer" if "comp=blocklist" in request.path and not proxy.faults else None

    with Proxy(azurite_server.endpoint, choose) as proxy:
        monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", proxy.url)
        store = open_store(f"az://{container}/set")
        with store.open_write("large") as file:
            file.write(bytes(2 * PART_BYTES))
        assert len(proxy.faults) == 1
        assert store.size("large") == 2 * PART_BYTES
