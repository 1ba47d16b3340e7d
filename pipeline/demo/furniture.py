"""What stands in a street besides houses: trees, lamps and parked cars, drawn onto the picture from far to near."""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from pipeline.demo.appearance import CLOTHES, Colour
from pipeline.demo.person import shade
from pipeline.demo.seeds import generator
from pipeline.demo.streets import STREETS
from pipeline.demo.world import FRAME_WIDTH, Camera, Time

LAMP_METRES = 4.6
LAMP_SPACING = 11.0
CLOSEST_METRES = 5.0
NIGHT_FACTORS = (0.30, 0.32, 0.42)
Box3 = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@lru_cache(maxsize=16)
def lamp_places(camera: Camera) -> tuple[tuple[float, float], ...]:
    """Return ``x`` and ``z``, in metres, of the lamps of a camera's street."""
    return tuple((x, 6.0 + 1.5 * (row % 2) + LAMP_SPACING * step) for row, x in enumerate(STREETS[camera.number].lamps)
                 for step in range(7))  # fmt: skip


def furnish(image: Image.Image, seed: int, camera: Camera, time: Time) -> Image.Image:
    """Return the picture with its street's trees, lamps and cars."""
    street = STREETS[camera.number]
    things: list[tuple[float, Callable[[], None]]] = []
    random = generator(seed, "furniture", camera.number)

    def add(x: float, z: float, draw: Callable[[], None]) -> None:
        column, _, depth = camera.project(x, 0.0, z)
        if depth > CLOSEST_METRES and -FRAME_WIDTH < column < 2 * FRAME_WIDTH:
            things.append((float(depth), draw))

    for row in street.trees:
        for z in np.arange(8.5, 70, 8.5) + random.uniform(-1, 1, 8):
            tree = int(random.integers(3))
            height, where = float(random.uniform(6.0, 8.5)), row + float(random.uniform(-0.3, 0.3))
            add(where, z, partial(_draw_tree, image, seed, camera, time, (where, float(z)), (tree, height)))
    for x, z in lamp_places(camera):
        add(x, z, partial(_draw_lamp, image, camera, time, x, z))
    for row in street.cars:
        for z in np.arange(6.5, 75, 6.2) + random.uniform(-0.4, 0.4, 12):
            colour = CLOTHES[int(random.integers(len(CLOTHES)))]
            if random.random() < 0.7:  # some parking spaces are free
                add(row, z + 2, partial(_draw_car, image, camera, time, (row, float(z)), colour))
    for _, draw in sorted(things, key=lambda thing: -thing[0]):
        draw()
    return _glow(image, camera) if time == "night" else image


@lru_cache(maxsize=8)
def _tree(seed: int, kind: int) -> Image.Image:
    """Return an RGBA picture of a tree, 640 pixels tall."""
    random = generator(seed, "tree", kind)
    image = Image.new("RGBA", (1040, 1280), (60, 84, 44, 0))
    draw = ImageDraw.Draw(image)
    bark = (82, 66, 52, 255)
    draw.polygon([(492, 1280), (506, 560), (534, 560), (548, 1280)], fill=bark)
    for lean in (-150, -70, 80, 160):
        draw.line([(520, 800), (520 + lean, 480)], fill=bark, width=16)
    count = 700
    angle, radius = random.uniform(0, 2 * np.pi, count), np.sqrt(random.uniform(0, 1, count))
    bulge = 1 + 0.16 * np.sin(angle * 5 + kind)
    x, y = 520 + 400 * radius * bulge * np.cos(angle), 430 + 360 * radius * bulge * np.sin(angle)
    size = random.uniform(18, 46, count)
    # Leaves further up and to the left catch more light and are drawn last.
    light = (430 - y) / 700 + (520 - x) / 1600 + random.normal(0, 0.13, count)
    greens: tuple[Colour, ...] = ((84, 118, 52), (100, 126, 58), (72, 108, 66))
    for index in np.argsort(light):
        colour = shade(greens[kind], float(np.clip(0.92 + 0.75 * light[index], 0.35, 1.7)))
        a, b = size[index], size[index] * 0.7
        box = (x[index] - a, y[index] - b, x[index] + a, y[index] + b)
        draw.ellipse(box, fill=(*colour, 255))
    return image.reduce(2)


def _draw_tree(
    image: Image.Image,
    seed: int,
    camera: Camera,
    time: Time,
    place: tuple[float, float],
    shape: tuple[int, float],
) -> None:
    column, feet, depth = camera.project(place[0], 0.0, place[1])
    kind, metres = shape
    tall = max(2, int(metres * camera.focal / depth))
    tree = _tree(seed, kind)
    tree = tree.resize((max(1, tall * tree.width // tree.height), tall), Image.Resampling.BILINEAR)
    if time == "night":
        tree = _darken(tree)
    image.paste(tree, (int(column) - tree.width // 2, int(feet) - tall), tree)


def _darken(sprite: Image.Image) -> Image.Image:
    red, green, blue, alpha = sprite.split()
    dark = [
        band.point([round(level * factor) for level in range(256)])
        for band, factor in zip((red, green, blue), NIGHT_FACTORS, strict=True)
    ]
    return Image.merge("RGBA", (*dark, alpha))


def _draw_lamp(image: Image.Image, camera: Camera, time: Time, x: float, z: float) -> None:
    column, feet, depth = camera.project(x, 0.0, z)
    head = float(camera.project(x, LAMP_METRES, z)[1])
    pixels = camera.focal / float(depth)
    draw, at = ImageDraw.Draw(image), float(column)
    post = (52, 56, 58) if time == "day" else (26, 27, 32)
    width = max(0.6, 0.055 * pixels)
    draw.rectangle((at - width, head, at + width, float(feet)), fill=post)
    draw.rectangle((at - 2.2 * width, float(feet) - 0.8 * pixels, at + 2.2 * width, float(feet)), fill=post)
    globe = (232, 232, 224) if time == "day" else (255, 244, 206)
    radius = 0.20 * pixels
    draw.ellipse((at - radius, head - 1.4 * radius, at + radius, head + radius), fill=globe, outline=post)
    draw.rectangle((at - 1.1 * radius, head - 1.6 * radius, at + 1.1 * radius, head - 1.2 * radius), fill=post)


def _draw_car(image: Image.Image, camera: Camera, time: Time, place: tuple[float, float], paint: Colour) -> None:
    """Draw a parked car as two boxes, with wheels on the side that the camera sees."""
    x, z = place
    factor = 0.9 if time == "day" else 0.34
    paint, glass, tyre = shade(paint, factor), shade((52, 62, 74), factor), (22, 22, 24)
    draw = ImageDraw.Draw(image)
    _draw_box(draw, camera, ((x - 0.86, x + 0.86), (0.05, 0.4), (z + 0.2, z + 4.1)), (14, 14, 16))
    _draw_box(draw, camera, ((x - 0.88, x + 0.88), (0.28, 0.88), (z, z + 4.3)), paint)
    _draw_box(draw, camera, ((x - 0.78, x + 0.78), (0.88, 1.38), (z + 0.7, z + 3.3)), glass, 0.14)
    _draw_box(draw, camera, ((x - 0.68, x + 0.68), (1.38, 1.46), (z + 1.0, z + 3.0)), paint)
    near = x + 0.88 if x < camera.offset else x - 0.88
    angles = np.linspace(0, 2 * np.pi, 20)
    for middle in (z + 0.85, z + 3.45):
        for radius, colour in ((0.33, tyre), (0.19, shade((150, 152, 156), factor))):
            column, row, _ = camera.project(near, 0.33 + radius * np.sin(angles), middle + radius * np.cos(angles))
            draw.polygon(list(zip(column.tolist(), row.tolist(), strict=True)), fill=colour)
    for side in (-0.72, 0.5):
        left, top, _ = camera.project(x + side, 0.74, z)
        right, bottom, _ = camera.project(x + side + 0.22, 0.56, z)
        draw.rectangle((float(left), float(top), float(right), float(bottom)), fill=(178, 34, 30))
    left, top, _ = camera.project(x - 0.26, 0.66, z)
    right, bottom, _ = camera.project(x + 0.26, 0.54, z)
    draw.rectangle((float(left), float(top), float(right), float(bottom)), fill=shade((226, 226, 216), factor))


def _draw_box(draw: ImageDraw.ImageDraw, camera: Camera, box: Box3, colour: Colour, taper: float = 0.0) -> None:
    """Draw the visible sides of a box that narrows by ``taper`` metres on each side towards its top."""
    (x0, x1), (y0, y1), (z0, z1) = box
    side, inner = (x1, x1 - taper) if x1 < camera.offset else (x0, x0 + taper)
    faces = [
        (
            [(x0 + taper, y1, z0 + taper), (x1 - taper, y1, z0 + taper), (x1 - taper, y1, z1), (x0 + taper, y1, z1)],
            1.12,
        ),
        ([(side, y0, z0), (side, y0, z1), (inner, y1, z1), (inner, y1, z0 + taper)], 0.72),
        ([(x0, y0, z0), (x1, y0, z0), (x1 - taper, y1, z0 + taper), (x0 + taper, y1, z0 + taper)], 0.95),
    ]
    for corners, brightness in faces:
        points = [camera.project(*corner) for corner in corners]
        draw.polygon([(float(column), float(row)) for column, row, _ in points], fill=shade(colour, brightness))


def _glow(image: Image.Image, camera: Camera) -> Image.Image:
    """Return the picture with a halo of light added around each lamp."""
    light = Image.new("RGB", image.size)
    halo = Image.radial_gradient("L").point([round(210 * (1 - level / 255) ** 3.2) for level in range(256)])
    for x, z in lamp_places(camera):
        column, row, depth = camera.project(x, LAMP_METRES, z)
        if depth > CLOSEST_METRES:
            size = max(4, int(4.6 * camera.focal / depth))
            patch = halo.resize((size, size), Image.Resampling.BILINEAR)
            warm = Image.merge("RGB", [patch.point([round(v * f) for v in range(256)]) for f in (1.0, 0.82, 0.5)])
            left, top = int(column) - size // 2, int(row) - size // 2
            before = light.crop((left, top, left + size, top + size))
            light.paste(ImageChops.add(before, warm), (left, top))
    return ImageChops.add(image, light)
