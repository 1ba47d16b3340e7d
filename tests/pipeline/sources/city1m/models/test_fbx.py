"""Names of textures are found in any FBX file, and nothing that a file says does harm."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.demo.models.fbx import Card, binary_fbx, text_fbx
from pipeline.sources.city1m.models.fbx import NamedTexture, find_textures
from shards_spec.errors import SpecError

CORNERS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0))
ASSIMP = Path("/usr/share/assimp/models/FBX")
OBJ = "D:/projects/assimp_int/test/models/OBJ"


def card(relative: str, absolute: str = "", content: bytes = b"") -> Card:
    return Card("front", CORNERS, relative, absolute, content)


@pytest.mark.parametrize("form", [binary_fbx, text_fbx])
def test_both_forms_name_the_same_textures(form: Callable[[list[Card]], bytes]) -> None:
    cards = [card("..\\Texture\\ä b.PNG", "C:\\x\\ä b.PNG"), card("", "/home/x/B.tga"), card("in.png", "", b"PNG")]
    figure = form(cards)
    assert find_textures(figure) == [
        NamedTexture(("../Texture/ä b.PNG", "C:/x/ä b.PNG"), is_embedded=False),
        NamedTexture(("/home/x/B.tga",), is_embedded=False),
        NamedTexture(("in.png",), is_embedded=True),
    ]


def test_content_belongs_to_the_clip_that_has_it_although_it_has_one_path_alone() -> None:
    data = b'; FBX 7.4\nRelativeFilename: "a.png"\nFilename: "C:/b.png"\nContent: , "AAAA"\n'
    assert find_textures(data) == [
        NamedTexture(("a.png",), is_embedded=False),
        NamedTexture(("C:/b.png",), is_embedded=True),
    ]


names = st.text(
    st.characters(codec="utf-8", exclude_characters='":\r\n\0\\', exclude_categories=("C", "Z")), min_size=1
)


@settings(max_examples=40)
@given(st.lists(st.tuples(names, names), max_size=4))
def test_every_name_is_found_in_its_order(pairs: list[tuple[str, str]]) -> None:
    cards = [card(relative, f"{absolute}.png") for relative, absolute in pairs]
    found = [list(texture.paths) for texture in find_textures(binary_fbx(cards))]
    wanted: list[list[str]] = []
    for relative, absolute in pairs:
        paths = [path for path in dict.fromkeys((relative, f"{absolute}.png")) if not path.endswith("/")]
        if [path.casefold() for path in paths] not in [[path.casefold() for path in one] for one in wanted]:
            wanted.append(paths)
    assert found == wanted
    assert find_textures(text_fbx(cards)) == find_textures(binary_fbx(cards))


@pytest.mark.skipif(not ASSIMP.is_dir(), reason="Debian's assimp-testmodels is not installed")
def test_real_files_name_what_assimp_knows_of_them() -> None:
    found = {}
    for path in sorted(ASSIMP.rglob("*")):
        if path.suffix.lower() == ".fbx" and path.name != "transparentTest.fbx":  # its zeros were made blanks
            found[path.name] = find_textures(path.read_bytes())
    assert len(found) == 18
    assert [texture.paths for texture in found["spider.fbx"]] == [
        (f"{OBJ}/{name}.jpg",) for name in ("drkwood2", "wal67ar_small", "engineflare1", "SpiderTex")
    ]
    kinds = ("albedo", "metalness", "roughness", "occlusion", "normal", "emission", "opacity")
    assert [texture.name for texture in found["maxPbrMaterial_metalRough.fbx"]] == [f"{kind}.png" for kind in kinds]
    assert found["box.FBX"] == [
        NamedTexture(("../../../Desktop/uv_test.png", "C:/Users/HTC Vive 1/Desktop/uv_test.png"), is_embedded=True)
    ]
    assert {texture.is_embedded for texture in found["box_embedded_texture_fragmented.fbx"]} == {True}
    assert found["animation_with_skeleton.fbx"] == []  # it names the file of an animation


@pytest.mark.parametrize("data", [b"", b"FBX", b"\x89PNG\r\n", b"Kaydara FBX Binary", b"; FBX", bytes(100)])
def test_what_is_no_fbx_is_refused(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"empty|does not begin like an FBX file"):
        find_textures(data)


def test_a_binary_file_that_is_cut_off_is_refused_wherever_it_ends() -> None:
    whole = binary_fbx([card("a.png"), card("b.png")])
    find_textures(whole)
    for stop in range(27, len(whole) - 13, 13):
        with pytest.raises(SpecError, match=f"it is cut off: it has {stop} bytes"):
            find_textures(whole[:stop])


def test_damaged_files_name_something_or_are_refused() -> None:
    source = random.Random(1)
    for form in (binary_fbx, text_fbx):
        whole = form([card("..\\Texture\\a.png", "C:\\a.png", b"content"), card("b.png")])
        for _ in range(500):
            data = bytearray(whole)
            for _ in range(source.randint(1, 8)):
                data[source.randrange(len(data))] = source.choice((0, 255, 34, source.randrange(256)))
            try:
                textures = find_textures(bytes(data))
            except SpecError:
                continue
            assert all(0 < len(path) <= 1024 for texture in textures for path in texture.paths)


@pytest.mark.parametrize(
    "data",
    [
        b"; FBX 7.4\n" + b'FileName: "' * 200_000,
        b"; FBX 7.4\n" + b"RelativeFilename     :     " * 100_000,
        b"; FBX 7.4\n" + b"Content:        ,        " * 100_000,
        b"Kaydara FBX Binary  \0\x1a\0" + bytes(17) + b"\x08FileNameS\xff\xff\xff\xff" * 100_000,
        b"; FBX 7.4\n" + b"".join(b'RelativeFilename: "%d"' % number for number in range(12_000)),
    ],
)
def test_hostile_files_take_little_time(data: bytes) -> None:
    begin = time.process_time()
    try:
        assert find_textures(data) == []
    except SpecError as error:
        assert "more than 10,000 textures" in str(error)  # noqa: PT017
    assert time.process_time() - begin < 60 * len(data) / 1e6
