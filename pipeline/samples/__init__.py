"""From bytes to samples: the bodies that sources share, and what ``verify --source`` compares."""

from pipeline.samples.compare import compare_copy, compare_fields, compare_image
from pipeline.samples.compare_cut import compare_crop, decode_frame
from pipeline.samples.copy import copy_images, copy_samples
from pipeline.samples.cut import Cut, cut_samples, frame_boxes
from pipeline.samples.notes import Notes
from pipeline.samples.sample import Outcome, Sample
from pipeline.samples.sizes import expected_crop_bytes

__all__ = [
    "Cut",
    "Notes",
    "Outcome",
    "Sample",
    "compare_copy",
    "compare_crop",
    "compare_fields",
    "compare_image",
    "copy_images",
    "copy_samples",
    "cut_samples",
    "decode_frame",
    "expected_crop_bytes",
    "frame_boxes",
]
