"""What is said of a place that cannot be a source or an OUT."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster.probe import probe_source, refuse_nested
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore
from tests.support.source import mini_source


def message_of(url: str | Path) -> str:
    with pytest.raises(UsageError) as caught:
        probe_source(str(url))
    return str(caught.value)


def test_a_place_without_files_is_named_as_what_it_is(tmp_path: Path) -> None:
    assert message_of(tmp_path / "gone") == f"there is no folder {tmp_path}/gone: check the name"
    (tmp_path / "empty").mkdir()
    assert message_of(tmp_path / "empty") == f"{tmp_path}/empty holds no files itself: check the name"
    (tmp_path / "file.zip").write_bytes(b"")
    assert message_of(tmp_path / "file.zip") == (
        f"{tmp_path}/file.zip is a file: name the folder that it lies in, {tmp_path}"
    )
    mini_source(3).write(tmp_path / "outer" / "inner")
    assert message_of(tmp_path / "outer") == (
        f"{tmp_path}/outer holds no files itself; inner/Images_2.zip is there: name that folder"
    )
    (tmp_path / "crops" / "bounding_box_train").mkdir(parents=True)
    probe_source(str(tmp_path / "crops"))  # a folder of folders may be a source
    assert message_of("memory://nothing-here") == "memory://nothing-here holds no files itself: check the name"
    probe_source(str(tmp_path / "outer" / "inner"))


def test_a_folders_permissions_are_not_called_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: LocalStore) -> Iterator[None]:
        raise PermissionError(errno.EACCES, "Permission denied", store.url)

    monkeypatch.setattr(LocalStore, "list_top", refuse)
    assert message_of(tmp_path) == (f"{tmp_path} cannot be read: Permission denied: check who may read and write there")


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("s3://bucket/City1M", "s3://bucket/City1M/shards", "lies inside SRC"),
        ("s3://bucket", "s3://bucket/shards", "lies inside SRC"),
        ("s3://bucket/a/City1M/", "s3://bucket/a", "lies inside OUT"),
        ("s3://bucket/City1M", "s3://bucket/City1M/", "is SRC and OUT at once"),
        ("gs://bucket/a%20b", "gs://bucket/a b/c", "lies inside SRC"),
        ("s3://bucket/City1M", "s3://bucket/City1M-shards", None),
        ("s3://bucket/City1M", "s3://other/City1M/shards", None),
        ("s3://bucket/City1M", "gs://bucket/City1M/shards", None),
        ("s3://bucket/City1M?endpoint=https://one", "s3://bucket/City1M/shards?endpoint=https://other", None),
        ("s3://bucket/City1M?region=eu-west-1", "s3://bucket/City1M/shards", "lies inside SRC"),
        ("s3://bucket/City1M", "shards", None),
    ],
)
def test_places_in_object_stores_are_compared_by_their_prefixes(source: str, out: str, message: str | None) -> None:
    if message is None:
        refuse_nested(source, out)
    else:
        with pytest.raises(UsageError, match=message):
            refuse_nested(source, out)


def test_folders_are_compared_as_what_their_links_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "City1M").mkdir()
    (tmp_path / "link").symlink_to("City1M")
    monkeypatch.chdir(tmp_path)
    for source, out in (("City1M", "link/a/b"), ("link", f"{tmp_path}/City1M/a"), ("link", "City1M/../City1M/a")):
        with pytest.raises(UsageError, match="lies inside SRC"):
            refuse_nested(source, out)
    with pytest.raises(UsageError, match="lies inside OUT"):
        refuse_nested("link", ".")
    refuse_nested("City1M", "City1M-shards")
    refuse_nested("City1M", "elsewhere/City1M")
