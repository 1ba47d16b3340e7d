"""Samples of City1M-Full: the sidecar of each crop."""

from collections.abc import Sequence

from pipeline.archives import EntryFault
from pipeline.options import CutOptions
from pipeline.samples import Cut, Outcome, cut_samples
from pipeline.sources.city1m.full.frames import Frame
from shards_spec.variants.city1m import Sidecar, make_identity, make_key
from shards_spec.version import SPEC_VERSION


def make_samples(
    frames: Sequence[Frame],
    contents: Sequence[Sequence[bytes | EntryFault]],
    *,
    splits: dict[str, list[str]],
    identity_is_global: bool,
    options: CutOptions,
) -> Outcome:
    """Cut the members of frames of one cell.

    Args:
        frames: Rows of the catalog.
        contents: For each row the frame's file, or the reason why it could not be read.
        splits: The sorted splits of the frames' cell, by protocol.
        identity_is_global: Whether a person id alone names an identity.
        options: The options of cutting.
    """

    def describe(frame: Frame, cut: Cut) -> tuple[str, Sidecar]:
        person_id = frame.person_ids[cut.position]
        sidecar = Sidecar(
            spec=SPEC_VERSION,
            frame=frame.name,
            group_id=frame.group,
            person_id=person_id,
            identity=make_identity(frame.group, person_id, is_global=identity_is_global),
            camera=frame.camera,
            time=frame.time,
            depth=frame.depths[cut.position],
            box=cut.box,
            frame_size=cut.frame_size,
            crop=cut.crop.rectangle,
            image_size=cut.crop.image_size,
            roi=cut.crop.roi,
            encoding=cut.crop.encoding,
            members=cut.members,
            splits=splits,
        )
        return make_key(frame.name, person_id), sidecar

    return cut_samples(frames, contents, options, describe)
