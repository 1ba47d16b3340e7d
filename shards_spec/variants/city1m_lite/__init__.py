"""The variant ``city1m-lite``: person crops that City1M-Lite delivers."""

from shards_spec.options import CommonOptions
from shards_spec.variants.base import Variant
from shards_spec.variants.city1m.evidence import BoxOrderEvidence, IdentityScopeEvidence
from shards_spec.variants.city1m.options import City1MOptions
from shards_spec.variants.city1m.terms import CITATION, LICENSE
from shards_spec.variants.city1m_lite import checks
from shards_spec.variants.city1m_lite.sidecar import Sidecar

__all__ = ["CITY1M_LITE", "Sidecar"]

CITY1M_LITE = Variant(
    name="city1m-lite",
    title="person crops",
    citation=CITATION,
    license=LICENSE,
    sidecar=Sidecar,
    keys=checks.sample_keys,
    files=("jpg",),
    image="jpg",
    group_field="group_id",
    identity_field="identity",
    camera_field="camera",
    accounts=("crops",),
    samples_account="crops",
    options=(CommonOptions, City1MOptions),
    decisions={"box_order": BoxOrderEvidence, "identity_scope": IdentityScopeEvidence},
    rules=checks.is_global,
    check_sample=checks.check_sample,
    manifest_faults=checks.manifest_faults,
)
"""Person crops of City1M-Lite."""
