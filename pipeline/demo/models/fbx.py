"""FBX files of a figure made of flat cards, each with a texture: in the binary form 7.4, and as text.

What a file must have is known from assimp's importer and from Blender's description of the format
(https://code.blender.org/2013/08/fbx-binary-file-format-specification/).
"""

import base64
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


class Id(int):
    """The number of an object, which takes eight bytes; others take four."""


Value = Id | int | str | bytes | list[int] | list[float]

_VERSION = 7400
_END = bytes(13)


@dataclass(frozen=True, slots=True)
class Card:
    """A rectangle that shows a texture."""

    name: str
    corners: tuple[tuple[float, float, float], ...]
    """Four corners in centimetres, counterclockwise from the lower left one."""
    relative: str
    """Path of the texture relative to the file."""
    absolute: str
    """Path of the texture on the machine of whoever made the file."""
    content: bytes = b""
    """The texture, if it is part of the file."""


@dataclass(frozen=True, slots=True)
class Node:
    """A property of an FBX file: its name, its values, and what it contains."""

    name: str
    values: tuple[Value, ...] = ()
    nodes: list["Node"] = field(default_factory=list)


def binary_fbx(cards: Sequence[Card]) -> bytes:
    """Return a figure as a binary FBX file."""
    data = bytearray(b"Kaydara FBX Binary  \x00\x1a\x00" + struct.pack("<I", _VERSION))
    for node in _figure(cards):
        _append(data, node, "\0\1")
    return bytes(data + _END)


def text_fbx(cards: Sequence[Card]) -> bytes:
    """Return a figure as an FBX file of text."""
    lines = ["; FBX 7.4.0 project file", "; ----------------------------------------------------", ""]
    for node in _figure(cards):
        lines += [*_lines(node, ""), ""]
    return "\n".join(lines).encode()


def _figure(cards: Sequence[Card]) -> list[Node]:
    objects: list[Node] = []
    links: list[Node] = []
    for number, card in enumerate(cards):
        geometry, model, material, texture, clip = (Id(1000 * (number + 1) + place) for place in range(5))
        objects += [
            _geometry(geometry, card),
            Node("Model", (model, f"Model::{card.name}", "Mesh"), [Node("Version", (232,))]),
            Node("Material", (material, f"Material::{card.name}", ""), [Node("ShadingModel", ("phong",))]),
            Node(
                "Texture",
                (texture, f"Texture::{card.name}", ""),
                [
                    Node("Type", ("TextureVideoClip",)),
                    Node("Version", (202,)),
                    Node("TextureName", (f"Texture::{card.name}",)),
                    Node("Media", (f"Video::{card.name}",)),
                    Node("FileName", (card.absolute,)),
                    Node("RelativeFilename", (card.relative,)),
                ],
            ),
            Node(
                "Video",
                (clip, f"Video::{card.name}", "Clip"),
                [
                    Node("Type", ("Clip",)),
                    Node("Filename", (card.absolute,)),
                    Node("RelativeFilename", (card.relative,)),
                    *([Node("Content", (card.content,))] if card.content else []),
                ],
            ),
        ]
        links += [
            Node("C", ("OO", model, Id(0))),
            Node("C", ("OO", geometry, model)),
            Node("C", ("OO", material, model)),
            Node("C", ("OP", texture, material, "DiffuseColor")),
            Node("C", ("OO", clip, texture)),
        ]
    header = [
        Node("FBXHeaderVersion", (1003,)),
        Node("FBXVersion", (_VERSION,)),
        Node("Creator", ("reid-shards demo",)),
    ]
    return [Node("FBXHeaderExtension", (), header), Node("Objects", (), objects), Node("Connections", (), links)]


def _geometry(number: int, card: Card) -> Node:
    corners = [coordinate for corner in card.corners for coordinate in corner]
    uv = Node(
        "LayerElementUV",
        (0,),
        [
            Node("Version", (101,)),
            Node("Name", ("UV",)),
            Node("MappingInformationType", ("ByPolygonVertex",)),
            Node("ReferenceInformationType", ("Direct",)),
            Node("UV", ([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0],)),
        ],
    )
    material = Node(
        "LayerElementMaterial",
        (0,),
        [
            Node("Version", (101,)),
            Node("Name", ("",)),
            Node("MappingInformationType", ("AllSame",)),
            Node("ReferenceInformationType", ("IndexToDirect",)),
            Node("Materials", ([0],)),
        ],
    )
    elements = [
        Node("LayerElement", (), [Node("Type", (kind,)), Node("TypedIndex", (0,))])
        for kind in ("LayerElementUV", "LayerElementMaterial")
    ]
    return Node(
        "Geometry",
        (number, f"Geometry::{card.name}", "Mesh"),
        [
            Node("Vertices", (corners,)),
            Node("PolygonVertexIndex", ([0, 1, 2, -4],)),
            uv,
            material,
            Node("Layer", (0,), [Node("Version", (100,)), *elements]),
        ],
    )


def _append(data: bytearray, node: Node, separator: str) -> None:
    """Append a property: where it ends, the number and size of its values, its name, the values, what it contains."""
    start = len(data)
    values = b"".join(_packed(value, separator) for value in node.values)
    name = node.name.encode()
    data += struct.pack("<IIIB", 0, len(node.values), len(values), len(name)) + name + values
    for inner in node.nodes:
        _append(data, inner, separator)
    if node.nodes:
        data += _END
    struct.pack_into("<I", data, start, len(data))


def _packed(value: Value, separator: str) -> bytes:
    if isinstance(value, str):
        kind, _, name = value.partition("::")
        text = f"{name}{separator}{kind}" if name else value  # a class stands behind the name
        return b"S" + struct.pack("<I", len(text.encode())) + text.encode()
    if isinstance(value, bytes):
        return b"R" + struct.pack("<I", len(value)) + value
    if isinstance(value, list):
        letter = "d" if isinstance(value[0], float) else "i"
        content = struct.pack(f"<{len(value)}{letter}", *value)
        return letter.encode() + struct.pack("<III", len(value), 0, len(content)) + content
    return struct.pack("<cq", b"L", value) if isinstance(value, Id) else struct.pack("<ci", b"I", value)


def _spelled(value: Value) -> str:
    if isinstance(value, bytes):
        return f',\n"{base64.b64encode(value).decode()}"'
    return f'"{value}"' if isinstance(value, str) else str(value)


def _lines(node: Node, indent: str) -> Iterator[str]:
    if len(node.values) == 1 and isinstance(node.values[0], list):
        numbers = ",".join(map(str, node.values[0]))
        yield f"{indent}{node.name}: *{len(node.values[0])} {{"
        yield f"{indent}\ta: {numbers}"
        yield f"{indent}}}"
        return
    values = ", ".join(map(_spelled, node.values))
    yield f"{indent}{node.name}: {values}".rstrip() + (" {" if node.nodes else "")
    for inner in node.nodes:
        yield from _lines(inner, f"{indent}\t")
    if node.nodes:
        yield f"{indent}}}"
