"""The demos by the name of the source that each looks like."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.demo.city1m.lite.make import make_city1m_lite
from pipeline.demo.city1m.make import make_city1m
from pipeline.demo.folder import DemoSummary
from pipeline.demo.models.make import make_person_models
from pipeline.demo.sysu30k.make import make_sysu30k
from pipeline.demo.tables.crops import make_crops_folder, make_crops_table
from pipeline.demo.tables.frames import make_boxes_table, make_coco


class MakeDemo(Protocol):
    """A function that makes a demo; see ``make_demo`` for its arguments."""

    def __call__(
        self,
        out: Path,
        *,
        images: int,
        seed: int,
        traps: bool,
        workers: int | None,
        progress: Callable[[int, int], None] | None,
    ) -> DemoSummary:
        """Draw the images and write the archives and labels."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A kind of demo."""

    make: MakeDemo
    images: int
    """How many images it draws by default."""


DEMOS = {
    "city1m": Demo(make_city1m, 400),
    "person-models": Demo(make_person_models, 60),
    "city1m-lite": Demo(make_city1m_lite, 400),
    "sysu30k": Demo(make_sysu30k, 2000),
    "coco": Demo(make_coco, 120),
    "boxes-table": Demo(make_boxes_table, 120),
    "crops-table": Demo(make_crops_table, 600),
    "crops-folder": Demo(make_crops_folder, 600),
}
"""The demos by the name of their source, as ``--source`` takes it."""


def make_demo(
    out: Path,
    *,
    source: str = "city1m",
    images: int | None = None,
    seed: int = 0,
    traps: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Draw a small look-alike of a dataset.

    The same arguments give the same bytes, whatever the number of workers. Files appear in ``out`` only when all of
    them are complete. A demo that is already there is overwritten.

    Args:
        out: The folder, which is created if it is missing.
        source: A name in ``DEMOS``.
        images: How many images to draw, frames or crops or models; None for the demo's own number.
        seed: The seed of the drawings.
        traps: Whether to plant every surprise that the real dataset may have; ``traps.json`` then says where.
        workers: Number of processes that draw; None for one per core.
        progress: A function that is called with the number of images done and of images to draw.

    Raises:
        DemoError: ``out`` holds something else than a demo, or an argument is out of range.
    """
    demo = DEMOS[source]
    count = demo.images if images is None else images
    return demo.make(out, images=count, seed=seed, traps=traps, workers=workers, progress=progress)
