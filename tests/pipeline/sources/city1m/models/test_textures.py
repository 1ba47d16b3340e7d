"""Which file is the texture that a model names."""

import time

import pytest

from pipeline.sources.city1m.models.entries import Entry
from pipeline.sources.city1m.models.fbx import NamedTexture
from pipeline.sources.city1m.models.textures import TextureFinder


def files(*paths: str) -> list[Entry]:
    return [Entry(path, "", path, 1) for path in paths]


def named(*paths: str) -> list[NamedTexture]:
    return [NamedTexture((path,), is_embedded=False) for path in paths]


@pytest.mark.parametrize(
    ("there", "name", "expected"),
    [
        (["Texture/a.png", "x/a.png"], "../Texture/a.png", "Texture/a.png"),
        (["TEXTURE/A.PNG"], "../Texture/a.png", "TEXTURE/A.PNG"),
        (["m/a.png", "other/a.png"], "C:/work/a.png", "m/a.png"),
        (["m/deep/er/a.png", "other/a.png"], "C:/work/a.png", "m/deep/er/a.png"),
        (["x/skin/a.png", "y/hair/a.png"], "D:/somebody/hair/a.png", "y/hair/a.png"),
        (["Texture/a.png", "Texture/a.tga"], "a.tga", "Texture/a.tga"),
        (["Texture/a.png"], "a.tga", "Texture/a.png"),
        (["Texture/a.txt"], "a.tga", None),
        (["a.png"], "../../../../a.png", "a.png"),
        (["etc/passwd"], "../../../../etc/shadow", None),
    ],
)
def test_the_nearest_file_of_that_name_is_the_texture(there: list[str], name: str, expected: str | None) -> None:
    (model,) = files("m/1.fbx")
    found = TextureFinder([model, *files(*there)]).find(model, named(name))
    assert [entry.path for entry in found.found] == ([expected] if expected else [])
    assert found.missing == ([] if expected else [name.rpartition("/")[2]])


def test_the_second_path_counts_where_the_first_leads_nowhere() -> None:
    (model,) = files("m/1.fbx")
    found = TextureFinder(files("t/b.png")).find(model, [NamedTexture(("a.png", "C:/b.png"), is_embedded=False)])
    assert [entry.path for entry in found.found] == ["t/b.png"]


def test_a_texture_that_is_named_twice_comes_once_and_an_embedded_one_is_not_missing() -> None:
    (model,) = files("m/1.fbx")
    textures = [*named("a.png", "A.PNG", "c:/x/a.png"), NamedTexture(("b.png",), is_embedded=True)]
    found = TextureFinder(files("t/a.png")).find(model, textures)
    assert ([entry.path for entry in found.found], found.missing) == (["t/a.png"], [])


def test_an_image_of_the_models_own_name_belongs_to_it() -> None:
    model, other = files("m/00001.fbx", "m/00002.fbx")
    finder = TextureFinder(files("Texture/00001.PNG", "Texture/00001_b.png"))
    assert [entry.path for entry in finder.find(model, []).found] == ["Texture/00001.PNG"]
    assert finder.find(other, []).found == []


def test_files_of_equal_content_are_one_and_others_are_ambiguous() -> None:
    (model,) = files("m/1.fbx")
    same = [Entry(f"t/{name}/a.png", "t.zip", f"{name}/a.png", 5, crc32=7) for name in "xy"]
    assert TextureFinder(same).find(model, named("a.png")).found == same[:1]
    found = TextureFinder([same[0], same[1]._replace(crc32=8)]).find(model, named("a.png"))
    assert (found.found, found.ambiguous) == ([], ["a.png"])


def test_of_files_at_one_path_the_spelling_decides_and_else_it_is_not_clear_which_is_meant() -> None:
    (model,) = files("m/1.fbx")
    finder = TextureFinder(files("m/A.png", "m/a.png"))
    assert [entry.path for name in ("A.png", "a.png") for entry in finder.find(model, named(name)).found] == [
        "m/A.png",
        "m/a.png",
    ]
    found = finder.find(model, named("a.PNG"))
    assert (found.found, found.ambiguous) == ([], ["a.PNG"])
    assert [entry.path for entry in sorted(found.meant)] == ["m/A.png", "m/a.png"]
    in_zip = Entry("m/a.png", "m.zip", "a.png", 1, crc32=7)
    assert TextureFinder([*files("m/a.png"), in_zip]).find(model, named("a.png")).ambiguous == ["a.png"]
    assert TextureFinder([in_zip, in_zip._replace(offset=99)]).find(model, named("a.png")).found == [in_zip]


def test_many_files_of_one_name_take_little_time() -> None:
    entries = files(*(f"models/{number}/diffuse.png" for number in range(20_000)))
    models = files(*(f"models/{number}/1.fbx" for number in range(0, 20_000, 10)), "elsewhere/1.fbx")
    finder = TextureFinder([*entries, *models])
    begin = time.process_time()
    for model in models[:-1]:
        (texture,) = finder.find(model, named("C:/x/diffuse.png")).found
        assert texture.path == model.path.replace("1.fbx", "diffuse.png")
    assert finder.find(models[-1], named("C:/x/diffuse.png")).ambiguous == ["diffuse.png"]
    assert time.process_time() - begin < 20
