"""The surprises of models and textures. Each is planted once, so that a run over the demo meets all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.demo.models.fbx import Card, binary_fbx, text_fbx

TEXTURES = "Texture"
"""The folder of textures."""
ABSOLUTE = "D:\\City1M\\Texture\\"
"""Where the textures lay on the machine of whoever made the models."""

Effect = Literal["nothing", "note", "reject"]
"""What a conversion does about a trap: nothing, make a note, or reject a model."""

_FIRST_ID = 40_001
"""Ids from here on are those of models that are traps."""
_FRONT = ((-45.0, 0.0, 1.0), (45.0, 0.0, 1.0), (45.0, 180.0, 1.0), (-45.0, 180.0, 1.0))


@dataclass(frozen=True, slots=True)
class Planted:
    """A place at which a trap shows, and an object in ``traps.json``.

    Attributes:
        trap: The trap's name.
        effect: What a conversion does about it.
        path: The path of the model or texture.
    """

    trap: str
    effect: Effect
    path: str


def plant_traps(folder: str, packed: Mapping[str, bytes]) -> tuple[list[Planted], dict[str, bytes], dict[str, str]]:
    """Make the models and textures that are traps.

    Args:
        folder: The folder for models.
        packed: Models of the demo's zip, by name.

    Returns:
        What was planted, the content of each file by path, and the target of each symbolic link by path.
    """
    texture = b"\x89PNG\r\n\x1a\n" + bytes(200)
    models: list[tuple[str, Effect, str, bytes]] = []

    def add(trap: str, effect: Effect, data: bytes, name: str = "{}.fbx") -> None:
        models.append((trap, effect, name.format(_FIRST_ID + len(models)), data))

    def card(name: str) -> Card:
        return Card("front", _FRONT, f"..\\{TEXTURES}\\{name}", f"{ABSOLUTE}{name}")

    add(
        "backslashes and other case",
        "nothing",
        binary_fbx([replace(card("skin.PNG"), relative="..\\TEXTURE\\SKIN.png")]),
    )
    add("FBX of text", "nothing", text_fbx([card("skin.png")]))
    add("path on another machine alone", "nothing", binary_fbx([replace(card("skin.png"), relative="")]))
    add("texture with another extension", "nothing", binary_fbx([card("skin.tga")]))
    add("texture in the model", "nothing", binary_fbx([replace(card("inner.png"), content=texture)]))
    add("texture in a model of text", "nothing", text_fbx([replace(card("inner.png"), content=texture)]))
    add("two numbers in the name", "nothing", binary_fbx([card("skin.png")]), "model_2_{}.FBX")
    add("no texture", "note", binary_fbx([]))
    add("missing texture", "reject", binary_fbx([card("skin.png"), card("gone.png")]))
    add("empty texture", "reject", binary_fbx([card("empty.png")]))
    add("texture that could be two", "reject", binary_fbx([card("hair.png")]))
    add("cut off", "reject", binary_fbx([card("skin.png")])[:-1500])
    add("text named FBX", "reject", b"This is not a model.\n")
    add("empty model", "reject", b"")
    add("id beyond 46,000", "reject", binary_fbx([card("skin.png")]), "46001.fbx")
    add("no id in the name", "reject", binary_fbx([card("skin.png")]), "mannequin.fbx")
    planted = [Planted(trap, effect, f"{folder}/{name}") for trap, effect, name, _ in models]
    files = {f"{folder}/{name}": data for _, _, name, data in models}
    twice, again = next(iter(packed.items()))
    files |= {
        f"{folder}/copies/{twice}": again,
        f"{TEXTURES}/Skin.png": texture,
        f"{TEXTURES}/empty.png": b"",
        f"{TEXTURES}/men/hair.png": texture,
        f"{TEXTURES}/women/hair.png": texture + b"\0",
        f"{TEXTURES}/nobody.png": texture,
        f"{TEXTURES}/Thumbs.db": b"thumbnails",
    }
    link = f"{folder}/{_FIRST_ID + len(models)}.fbx"
    planted += [
        Planted("one FBX twice", "reject", f"{folder}/copies/{twice}"),
        Planted("symbolic link", "reject", link),
        Planted("texture that no model names", "note", f"{TEXTURES}/nobody.png"),
        Planted("file that is no model", "note", f"{TEXTURES}/Thumbs.db"),
    ]
    return planted, files, {link: models[0][2]}
