"""Tars that other programs wrote: the entries and contents that GNU tar extracts."""

import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from pipeline.archives import EntryKind, join_paths
from tests.support.tars import contents_of, paths_of, survey

FOLDER = "SYSU-30k-released/SYSU-30k-released/sysu_train_set_all"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with short and long names, with odd ones, and with none or many bytes; links, and folders."""
    root = tmp_path_factory.mktemp("tree")
    generator = random.Random(0)
    names = [f"{FOLDER}/{group:010d}/{number:07d}.jpg" for group in range(3) for number in range(20)]
    names += [f"{FOLDER}/{'x' * 60}/{'y' * 90}.jpg", "a/" * 60 + "b.jpg", "z" * 200 + ".jpg"]
    names += ["ä/人.jpg", "with space/a b.jpg", "empty.jpg", "exact.bin", "large.bin"]
    sizes = {"empty.jpg": 0, "exact.bin": 1024, "large.bin": 300_000}
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(generator.randbytes(sizes.get(name, generator.randint(1, 4000))))
    (root / "link.jpg").symlink_to("exact.bin")
    (root / "hard.jpg").hardlink_to(root / "large.bin")
    return root


def command(tool: str, package: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed (Debian: {package})")
    return path


def check(folder: Path) -> None:
    """Compare with ``tar -t`` and, for each plain file, with ``tar -xO``."""
    tar = command("tar", "tar")
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    listing = subprocess.run(
        [tar, "-tf", "a.tar", "--quoting-style=literal"], cwd=folder, env=environment, capture_output=True, check=True
    )
    found = survey(folder)
    assert paths_of(found) == listing.stdout.decode().splitlines()
    contents = contents_of(folder, found)
    assert len(contents) > 60
    extracted = subprocess.run(
        [tar, "-xOf", "a.tar", "--no-wildcards", "--", *(path for path, _ in contents)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=True,
    )
    assert b"".join(data for _, data in contents) == extracted.stdout
    for path, data in random.Random(1).sample(contents, 8):
        alone = subprocess.run(
            [tar, "-xOf", "a.tar", "--no-wildcards", "--", path],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=True,
        )
        assert alone.stdout == data
    kinds = dict(zip(join_paths(found.entries).to_pylist(), found.entries.column("kind").to_pylist(), strict=True))
    assert sum(kind == EntryKind.LINK for kind in kinds.values()) == 2
    assert all(path.endswith("/") == (kind == EntryKind.FOLDER) for path, kind in kinds.items())


def members(tree: Path) -> list[str]:
    return sorted(path.name for path in tree.iterdir())


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_gnu_tar(tree: Path, tmp_path: Path, form: str) -> None:
    left_out = ["--exclude=a", "--exclude=*zzz*"] if form in {"ustar", "v7"} else []
    left_out += ["--exclude=*xxx*"] if form == "v7" else []  # longer than these can say
    names = members(tree)
    subprocess.run(
        [command("tar", "tar"), "-cf", tmp_path / "a.tar", f"--format={form}", *left_out, "--", *names],
        cwd=tree,
        check=True,
    )
    check(tmp_path)


@pytest.mark.parametrize("form", ["ustar", "pax", "gnutar", "v7"])
def test_bsdtar(tree: Path, tmp_path: Path, form: str) -> None:
    left_out = ["--exclude=a", "--exclude=*zzz*"] if form in {"ustar", "v7"} else []
    left_out += ["--exclude=*xxx*"] if form == "v7" else []
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    subprocess.run(
        [command("bsdtar", "libarchive-tools"), "-cf", tmp_path / "a.tar", "--format", form, *left_out, *members(tree)],
        cwd=tree,
        env=environment,
        check=True,
    )
    check(tmp_path)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_python(tree: Path, tmp_path: Path, form: int) -> None:
    def keep(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        too_long = info.name.startswith(("a/", "zzz")) or info.name == "a"
        return None if form == tarfile.USTAR_FORMAT and too_long else info

    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for name in members(tree):
            archive.add(tree / name, name, filter=keep)
    check(tmp_path)


def test_sparse_files_are_told_apart(tmp_path: Path) -> None:
    """GNU tar's three forms: the content in the archive is not that of the file."""
    with (tmp_path / "sparse.bin").open("wb") as file:
        for place in range(40):  # more holes than a header of the old form has room for
            file.seek(place * 200_000)
            file.write(b"x" * 5000)
    (tmp_path / "plain.jpg").write_bytes(b"plain")
    for form in ("gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix --sparse-version=1.0"):
        arguments = f"-cSf a.tar --format={form} sparse.bin plain.jpg".split()
        subprocess.run([command("tar", "tar"), *arguments], cwd=tmp_path, check=True)
        found = survey(tmp_path)
        assert paths_of(found) == ["sparse.bin", "plain.jpg"], form
        assert found.entries.column("kind").to_pylist() == [EntryKind.SPARSE, EntryKind.FILE], form
        assert contents_of(tmp_path, found) == [("plain.jpg", b"plain")]
