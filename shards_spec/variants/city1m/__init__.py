"""The variant ``city1m``: person crops that were cut out of City1M's frames."""

from shards_spec.options import CommonOptions, CutOptions
from shards_spec.variants.base import Variant
from shards_spec.variants.city1m import checks
from shards_spec.variants.city1m.evidence import BoxOrderEvidence, IdentityScopeEvidence
from shards_spec.variants.city1m.options import City1MOptions
from shards_spec.variants.city1m.sidecar import Sidecar, make_identity, make_key
from shards_spec.variants.city1m.terms import CITATION, LICENSE

__all__ = ["CITY1M", "Sidecar", "make_identity", "make_key"]


def _keys(sidecar: Sidecar) -> tuple[str, ...]:
    return (make_key(sidecar.frame, sidecar.person_id),)


CITY1M = Variant(
    name="city1m",
    title="person crops",
    citation=CITATION,
    license=LICENSE,
    sidecar=Sidecar,
    keys=_keys,
    files=("jpg",),
    image="jpg",
    unit="frame",
    unit_field="frame",
    shared_fields=("group_id", "camera", "time", "frame_size"),
    array_fields={"person_id": (int, ()), "box": (float, (4,)), "depth": (float, ())},
    group_field="group_id",
    identity_field="identity",
    camera_field="camera",
    accounts=("lines", "frames", "members"),
    samples_account="members",
    units_account="frames",
    unread_account="lines",
    options=(CommonOptions, CutOptions, City1MOptions),
    decisions={"box_order": BoxOrderEvidence, "identity_scope": IdentityScopeEvidence},
    rules=checks.sample_rules,
    check_sample=checks.check_sample,
    check_unit=checks.check_frame,
    manifest_faults=checks.manifest_faults,
    reject_fault=checks.reject_fault,
    lost_key=checks.lost_key,
)
"""Person crops of City1M's frames."""
