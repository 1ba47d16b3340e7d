"""The variants of labelled tables and folders: ``boxes``, which are cut out of frames, and ``images``, taken over."""

from shards_spec.variants.tables.boxes import BOXES, BoxSidecar, lost_box_name
from shards_spec.variants.tables.identity import IdKind, find_identity, id_scope, identity_prefix, make_identity
from shards_spec.variants.tables.images import IMAGES, ImageSidecar

__all__ = [
    "BOXES",
    "IMAGES",
    "BoxSidecar",
    "IdKind",
    "ImageSidecar",
    "find_identity",
    "id_scope",
    "identity_prefix",
    "lost_box_name",
    "make_identity",
]
