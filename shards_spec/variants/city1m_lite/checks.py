"""What a set of City1M-Lite must be beside what every set is: its samples and its manifest."""

import math
from collections.abc import Iterator, Mapping

from shards_spec.errors import SpecError
from shards_spec.keys import path_keys
from shards_spec.manifest import Manifest
from shards_spec.variants.city1m.checks import source_faults
from shards_spec.variants.city1m.names import LITE, parse_frame_name
from shards_spec.variants.city1m.sidecar import make_identity
from shards_spec.variants.city1m_lite.paths import parse_crop_path
from shards_spec.variants.city1m_lite.sidecar import Sidecar


def sample_keys(sidecar: Sidecar) -> tuple[str, ...]:
    """Return the two forms of a sample's key."""
    return path_keys(sidecar.image)


def is_global(manifest: Manifest) -> bool:
    """Return whether a person id alone names a person, by a manifest that has been found sound."""
    return manifest.decisions["identity_scope"].choice == "global"


def check_sample(sidecar: Sidecar, _files: Mapping[str, bytes], ids_are_global: bool) -> None:
    """Raise ``SpecError`` if a sidecar contradicts the path of its image, or itself."""
    path = parse_crop_path(sidecar.image)
    if path is None:
        raise SpecError(f"{sidecar.image!r} is not the path of a crop")
    said = None if path.frame is None else parse_frame_name(path.frame)
    identity = make_identity(sidecar.group_id, sidecar.person_id, is_global=ids_are_global)
    for name, value, expected in (
        ("frame", sidecar.frame, path.frame),
        ("group_id", sidecar.group_id, said.group_id if said else _respelled(path.group, sidecar.group_id)),
        ("person_id", sidecar.person_id, path.person_id),
        ("identity", sidecar.identity, identity),
        ("camera", sidecar.camera, said.camera if said else None),
        ("time", sidecar.time, said.time if said else None),
        ("roi", sidecar.roi, (0, 0, *sidecar.image_size)),
    ):
        if value != expected:
            raise SpecError(f"{name} is {value!r}, but by the path of its image and the manifest it is {expected!r}")
    if (sidecar.box is None) != (sidecar.depth is None) or (sidecar.box is not None and sidecar.frame is None):
        raise SpecError("a box goes with a frame and a depth, but it has only some of them")
    if sidecar.box is not None and not all(map(math.isfinite, sidecar.box)):
        raise SpecError(f"box is {sidecar.box}")


def _respelled(in_path: str | None, in_labels: str) -> str | None:
    """Return the group as the labels spell it, if the path means the same number, else as the path does."""
    same = in_path is not None and in_labels.isdecimal() and in_labels.lstrip("0") == in_path.lstrip("0")
    return in_labels if same else in_path


def manifest_faults(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with a manifest whose accounts add up and whose options and decisions have their types."""
    yield from source_faults(manifest, LITE)
