"""The demo of City1M-PersonModels: figures as FBX files in a zip and a folder, and their textures in a folder."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from pipeline.demo.appearance import dress
from pipeline.demo.folder import DemoError, DemoSummary, check_arguments, publish, work_folder
from pipeline.demo.models.fbx import Card, binary_fbx
from pipeline.demo.models.traps import ABSOLUTE, TEXTURES, plant_traps
from pipeline.demo.parallel import processes
from pipeline.demo.person import draw_person
from shards_spec.cores import usable_cores

FEWEST_MODELS = 12
_MOST_MODELS = 30_000
_FIRST_STANDBY_ID = 45_001
_SOURCE = "person-models"
_ARCHIVE, _FOLDER = "PersonModels_1", "PersonModels_2"
_GROUND = "ground.png"
_SIZE = (64, 128)
"""Width and height of a texture in pixels."""
_TIME = (2022, 6, 19, 0, 0, 0)
_BACK, _FACE = 0.0, 3.1


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn model."""

    model: bytes
    textures: dict[str, bytes]
    """Its own textures by name."""


def make_person_models(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw a look-alike of City1M-PersonModels; see ``make_demo``.

    It has ``images`` models, at least 12, of which a sixth has the ids of models in reserve. Each is a figure of flat
    cards with two textures of its own and one that all share. How the dataset names its files is not public.
    """
    check_arguments(out, _SOURCE, images, FEWEST_MODELS, seed, workers)
    if images > _MOST_MODELS:
        raise DemoError(f"{images:,} models are too many for this demo: ask for {_MOST_MODELS:,} at most")
    reserve = images // 6
    ids = [*range(1, images - reserve + 1), *range(_FIRST_STANDBY_ID, _FIRST_STANDBY_ID + reserve)]
    figures: dict[int, Figure] = {}
    with work_folder(out) as work, processes(workers or usable_cores()) as run:
        for model_id, figure in zip(ids, run(partial(draw_figure, seed), ids), strict=True):
            figures[model_id] = figure
            if progress is not None:
                progress(len(figures), images)
        files = {f"{TEXTURES}/{_GROUND}": _png(Image.new("RGB", (8, 8), (120, 118, 116)))}
        for figure in figures.values():
            files |= {f"{TEXTURES}/{name}": data for name, data in figure.textures.items()}
        packed = {f"{model_id:05d}.fbx": figures[model_id].model for model_id in ids[: len(ids) // 2]}
        files |= {f"{_FOLDER}/{model_id:05d}.fbx": figures[model_id].model for model_id in ids[len(ids) // 2 :]}
        planted, more, links = plant_traps(_FOLDER, packed) if traps else ([], {}, {})
        folder = work / "files"
        folder.mkdir()
        _write_zip(folder / f"{_ARCHIVE}.zip", packed)
        _write_files(folder, files | more, links)
        return publish(
            folder,
            out,
            source=_SOURCE,
            seed=seed,
            counts={"models": images, "in reserve": reserve, "textures": 2 * images + 1},
            traps=Counter(place.trap for place in planted),
            planted=planted,
            rejected=sum(place.effect == "reject" for place in planted),
        )


def draw_figure(seed: int, model_id: int) -> Figure:
    """Draw a person from both sides, on two cards that stand back to back on a third."""
    names = [f"{model_id:05d}_{side}.png" for side in ("front", "back")]
    textures = {name: _draw(seed, model_id, turn) for name, turn in zip(names, (_FACE, _BACK), strict=True)}
    front, back, ground = figure_cards([*names, _GROUND])
    return Figure(binary_fbx([front, back, ground]), textures)


def figure_cards(textures: Sequence[str]) -> list[Card]:
    """Return cards for the front, the back and the ground, with these textures."""
    corners = (
        ((-45.0, 0.0, 1.0), (45.0, 0.0, 1.0), (45.0, 180.0, 1.0), (-45.0, 180.0, 1.0)),
        ((45.0, 0.0, -1.0), (-45.0, 0.0, -1.0), (-45.0, 180.0, -1.0), (45.0, 180.0, -1.0)),
        ((-45.0, 0.0, 45.0), (45.0, 0.0, 45.0), (45.0, 0.0, -45.0), (-45.0, 0.0, -45.0)),
    )
    names = ("front", "back", "ground")
    return [
        Card(name, places, f"..\\{TEXTURES}\\{texture}", f"{ABSOLUTE}{texture}")
        for name, places, texture in zip(names, corners, textures, strict=False)
    ]


def _draw(seed: int, model_id: int, turn: float) -> bytes:
    looks = dress(seed, 0, model_id)
    width, height = _SIZE
    sprite = draw_person(
        looks,
        column=width / 2,
        feet=height * 0.96,
        scale=height * 0.88 / looks.stature,
        turn=turn,
        phase=0.7,
        light=1.0,
    )
    image = Image.new("RGB", _SIZE, (236, 236, 232))
    image.paste(sprite.image.convert("RGB"), (sprite.left, sprite.top), sprite.image.getchannel("A"))
    return _png(image)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _write_zip(path: Path, entries: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)


def _write_files(folder: Path, files: Mapping[str, bytes], links: Mapping[str, str]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name, target in links.items():
        (folder / name).symlink_to(target)
