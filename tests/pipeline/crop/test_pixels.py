"""What is said of the running Pillow, which bears on the bytes of a set."""

from collections.abc import Iterator

import pytest
from PIL import features

from pipeline.crop import pixels
from pipeline.crop.pixels import pillow_version
from pipeline.shards.versions import byte_bearing_versions
from shards_spec.images import readable_formats, reads_arithmetic_coding


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What a Pillow was built with may be changed here."""
    readable_formats.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    readable_formats.cache_clear()


def test_the_version_names_what_the_build_reads() -> None:
    version = pillow_version()
    assert byte_bearing_versions()["pillow"] == version
    for feature, name in (("jpg", "JPEG"), ("zlib", "PNG"), ("webp", "WEBP")):
        assert features.check(feature) == (name in version.removesuffix(")").partition("; reads ")[2].split(", "))
    assert reads_arithmetic_coding() == ("arithmetic-coded JPEG" in version)


def test_builds_that_read_different_formats_have_different_versions(build: pytest.MonkeyPatch) -> None:
    versions = set()
    for able in (("jpg",), ("jpg", "zlib"), ("jpg", "zlib", "webp")):
        for arithmetic in (False, True):
            build.setattr(features, "check", lambda feature, able=able: feature in able)
            build.setattr(features, "version", lambda feature: f"the {feature} version")
            build.setattr(pixels, "reads_arithmetic_coding", lambda arithmetic=arithmetic: arithmetic)
            readable_formats.cache_clear()
            versions.add(pillow_version())
    assert len(versions) == 6
    assert sum("libwebp the webp version" in version for version in versions) == 2
