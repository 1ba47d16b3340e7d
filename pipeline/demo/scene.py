"""What a camera sees when nobody is there: sky, houses and ground, traced with one ray for each pixel.

Every surface is a plane, so the distance of a ray to a wall depends only on its column, and its distance to the ground
only on its row. Nearly everything below is therefore a product of a vector of rows and a vector of columns.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.demo.furniture import furnish, lamp_places
from pipeline.demo.seeds import generator
from pipeline.demo.streets import STREETS, Street
from pipeline.demo.world import FRAME_HEIGHT, FRAME_WIDTH, Camera, Time

Plane = NDArray[np.float32]
Flags = NDArray[np.bool_]
GROUND_FLOOR_METRES = 3.6
STOREY_METRES = 3.1
STRIP_ROWS = 24
LIT_WINDOWS, OPEN_LATE = 0.34, 0.55
"""Fractions of the windows and of the shops that are lit at night."""
HAZE_METRES = 160.0
NIGHT = np.array([0.20, 0.23, 0.33], np.float32)
LAMPLIGHT = np.array([1.0, 0.80, 0.52], np.float32)
LEFT, RIGHT, END = 0, 1, 2


def render_background(seed: int, camera: Camera, time: Time) -> NDArray[np.uint8]:
    """Return the empty street as an RGB array, (1080, 1920, 3)."""
    view = _cast(seed, camera)
    haze = np.array([202, 212, 222] if time == "day" else [30, 34, 48], np.float32)
    picture = _sky(seed, view, time)
    _paint_walls(picture, seed, view, time, haze)
    _paint_ground(picture, seed, view, time, haze)
    image = Image.fromarray(np.clip(picture * np.array(view.street.tint, np.float32), 0, 255).astype(np.uint8))
    image = furnish(image, seed, camera, time).filter(ImageFilter.GaussianBlur(0.7))
    return _develop(np.asarray(image), generator(seed, "grain", camera.number, int(time == "night")), time)


def ambient(camera: Camera, time: Time, x: float, z: float) -> NDArray[np.float32]:
    """Return the factors, (3,), by which the light at a place in the street colours what stands there."""
    if time == "day":
        return np.ones(3, np.float32)
    glow = sum(5.0 / (5.0 + (x - lamp_x) ** 2 + (z - lamp_z) ** 2) for lamp_x, lamp_z in lamp_places(camera))
    factors: NDArray[np.float32] = np.minimum(NIGHT * 1.5 + LAMPLIGHT * np.float32(min(glow, 0.8)), 1)
    return factors


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """The rays of a camera and the houses that they hit; vectors of rows are (1080, 1), those of columns (1920,).

    Attributes:
        camera: The camera.
        street: Its street.
        slope: By row: pixels below the horizon divided by the focal length.
        toward_x: By column: metres across the street for each metre of depth.
        toward_z: By column: metres along the street for each metre of depth.
        distance: By column: depth of the wall in metres.
        side: By column: which wall the ray hits.
        along: By column: metres along that wall.
        house: By column: index of the house.
        footprint: By column: width of a pixel on the wall in metres.
        height: By row and column: metres above the ground at which the ray hits the wall.
        heights: By column: height of the house in metres.
    """

    camera: Camera
    street: Street
    slope: Plane
    toward_x: Plane
    toward_z: Plane
    distance: Plane
    side: NDArray[np.intp]
    along: Plane
    house: NDArray[np.intp]
    footprint: Plane
    height: Plane
    heights: Plane


def _cast(seed: int, camera: Camera) -> _View:
    street = STREETS[camera.number]
    right = ((np.arange(FRAME_WIDTH) + 0.5 - FRAME_WIDTH / 2) / camera.focal).astype(np.float32)
    slope = ((np.arange(FRAME_HEIGHT) + 0.5 - camera.horizon) / camera.focal).astype(np.float32)[:, None]
    toward_x = right * np.float32(np.cos(camera.yaw)) + np.float32(np.sin(camera.yaw))
    toward_z = np.float32(np.cos(camera.yaw)) - right * np.float32(np.sin(camera.yaw))
    with np.errstate(divide="ignore"):
        reach = np.stack([
            (np.float32(street.walls[0]) - camera.offset) / toward_x,
            (np.float32(street.walls[1]) - camera.offset) / toward_x,
            np.float32(street.end) / toward_z,
        ])  # fmt: skip
    reach[reach <= 0] = np.inf
    side = reach.argmin(axis=0)
    distance = reach.min(axis=0)
    along = np.where(side == END, camera.offset + distance * toward_x + 200, distance * toward_z)
    random = generator(seed, "houses", camera.number)
    widths = random.uniform(8, 17, (3, 50))
    edges = np.cumsum(widths, axis=1)
    house = np.empty(FRAME_WIDTH, np.intp)
    for index in (LEFT, RIGHT, END):
        house[side == index] = index * 50 + np.searchsorted(edges[index], along[side == index])
    storeys = random.integers(street.storeys[0], street.storeys[1] + 1, 150)
    heights = (GROUND_FLOOR_METRES + storeys * STOREY_METRES + random.uniform(0.3, 1.2, 150))[house]
    if street.park:
        heights[side == (LEFT if street.park == "left" else RIGHT)] = 1.5
    return _View(
        camera, street, slope, toward_x, toward_z, distance, side,
        along=along.astype(np.float32),
        house=house,
        footprint=np.abs(np.gradient(along)).clip(distance / camera.focal, 5).astype(np.float32),
        height=np.float32(camera.height) - slope * distance,
        heights=heights.astype(np.float32),
    )  # fmt: skip


@lru_cache(maxsize=4)
def _noise(seed: int, power: float) -> Plane:
    """Return tileable (512, 512) noise of mean 0 and deviation 1; the greater ``power`` is, the smoother it is."""
    random = generator(seed, "noise", int(100 * power))
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None, :])
    frequency[0, 0] = np.inf
    waves = random.normal(size=(2, 512, 257))
    noise = np.fft.irfft2((waves[0] + 1j * waves[1]) / frequency**power)
    scaled: Plane = ((noise - noise.mean()) / noise.std()).astype(np.float32)
    return scaled


def _look_up(tile: Plane, down: Plane, across: Plane) -> Plane:
    """Return the values of the endlessly repeated tile at positions in tile pixels."""
    found: Plane = tile[down.astype(np.int32) & 511, across.astype(np.int32) & 511]
    return found


def _band(position: Plane, period: float, width: Plane | float, footprint: Plane) -> Plane:
    """Return which fraction of a pixel lies in bands of ``width``, one per period, without jagged edges.

    Bands finer than the pixels blur into their mean, as they do on a sensor.
    """
    off = np.abs(position - (np.floor(position / period) + 0.5) * period)
    covered = np.clip((width / 2 - off) / footprint + 0.5, 0, 1)
    blurred = np.clip(2 * footprint / period - 0.4, 0, 1)
    mixed: Plane = covered + (width / period - covered) * blurred
    return mixed


def _mix(picture: Plane, colour: NDArray[np.float32], share: Plane) -> None:
    """Blend a colour, (3,) or (..., 3), into a picture in place, with a weight of 0 to 1.

    This works strip by strip: intermediate values stay in the processor's cache, which halves the time.
    """
    colours = np.broadcast_to(colour, picture.shape)
    for top in range(0, len(picture), STRIP_ROWS):
        strip = slice(top, top + STRIP_ROWS)
        picture[strip] += (colours[strip] - picture[strip]) * share[strip, :, None]


def _sky(seed: int, view: _View, time: Time) -> Plane:
    up = np.clip(-view.slope / 0.9, 0, 1)  # (rows, 1)
    low, high = ([206, 216, 226], [92, 142, 204]) if time == "day" else ([58, 50, 56], [12, 15, 30])
    gradient = np.array(low, np.float32) + (np.array(high, np.float32) - np.array(low, np.float32)) * up**0.6
    picture = np.repeat(gradient[:, None, :], FRAME_WIDTH, axis=1).astype(np.float32)
    visible = max(1, int(view.camera.horizon))
    lift = 1 / (0.12 + up[:visible])  # clouds lie in a plane overhead, so they crowd towards the horizon
    bearing = np.arctan(view.toward_x / view.toward_z)
    cloud = _look_up(_noise(seed + view.camera.number, 1.7), lift * 90, (bearing * 220 + 900) * (0.4 + 0.25 * lift))
    threshold = 1.0 - 2.2 * view.street.cloudy
    share = np.clip((cloud - threshold) * 0.8, 0, 0.9) * (1 - np.exp(-6 * up[:visible]))
    white = np.array([246, 246, 246] if time == "day" else [44, 42, 54], np.float32)
    _mix(picture[:visible], white, share.astype(np.float32))
    return picture


@dataclass(frozen=True, slots=True, eq=False)
class _Facades:
    """What the houses' walls contain: the fraction of each pixel, 0 to 1, that it covers, each (rows, 1920).

    Attributes:
        frame: Windows with their frames.
        pane: The glass of the windows.
        cell: A random number for each window, 0 to 1.
        shop: Shop windows.
        sign: The bands above the shop windows, which bear the shops' names.
    """

    frame: Plane
    pane: Plane
    cell: Plane
    shop: Plane
    sign: Plane


def _facades(random: np.random.Generator, view: _View, height: Plane, vertical: Plane, park: Flags) -> _Facades:
    pitch, wide, high = random.uniform(
        [[2.3], [0.42], [1.3 / STOREY_METRES]], [[3.4], [0.6], [2.0 / STOREY_METRES]], (3, 150)
    ).astype(np.float32)[:, view.house]  # fmt: skip
    cells = random.random((512, 512)).astype(np.float32)
    across, fine = view.along / pitch, view.footprint / pitch
    storey, small = (height - GROUND_FLOOR_METRES) / STOREY_METRES, vertical / STOREY_METRES
    upstairs = (storey > 0) & (height < view.heights - 0.9) & ~park
    mullions = np.maximum(_band(view.along, 1.2, 0.07, view.footprint), _band(height - 0.6, 1.5, 0.06, vertical))
    shop = _band(view.along, 4.6, 3.6, view.footprint) * ((height > 0.5) & (height < 2.7) & ~park)
    return _Facades(
        frame=_band(across, 1, wide + np.float32(0.1), fine)
        * _band(storey, 1, high + np.float32(0.09), small)
        * upstairs,
        pane=_band(across, 1, wide, fine) * _band(storey, 1, high, small) * upstairs,
        cell=cells[(storey.astype(np.int32) * 7 + 3500) & 511, (across.astype(np.int32) * 13 + view.house * 31) & 511],
        shop=shop * (1 - np.float32(0.9) * mullions),
        sign=((height > 2.85) & (height < 3.45) & ~park).astype(np.float32),
    )


def _paint_walls(picture: Plane, seed: int, view: _View, time: Time, haze: Plane) -> None:
    """Paint houses: a ground floor of shops, storeys of windows above, and a cornice."""
    street, random = view.street, generator(seed, "facades", view.camera.number)
    palette = np.array(street.houses, np.float32)
    walls = palette[random.integers(len(palette), size=150)] * random.uniform(0.9, 1.08, (150, 1))
    accents = random.uniform(40, 190, (150, 3)).astype(np.float32)[view.house]
    park = view.side == {"left": LEFT, "right": RIGHT}.get(street.park, -1)
    lowest = view.camera.horizon + view.camera.focal * view.camera.height / view.distance.min()
    rows = slice(0, min(FRAME_HEIGHT, int(lowest) + 1))
    height = view.height[rows]
    vertical = view.distance / np.float32(view.camera.focal)  # height of a pixel on the wall in metres
    facades = _facades(random, view, height, vertical, park)

    sunny = np.where(view.side == (LEFT if street.sun > 0 else RIGHT), 1.06, np.where(view.side == END, 0.92, 0.72))
    colour = (walls[view.house] * sunny[:, None]).astype(np.float32)
    colour[park] = (66, 92, 48)
    grain = _look_up(_noise(seed, 0.8), height * 45 + 20000, view.along * 45)
    stain = _look_up(_noise(seed, 1.7), height * 9 + 20000, view.along * 9)
    painted = colour * (1 + 0.05 * grain + 0.05 * stain + 0.22 * park * grain)[..., None].astype(np.float32)
    _mix(painted, np.minimum(colour * 1.25 + 14, 240), facades.frame)
    glass = np.array([120, 128, 132], np.float32) * (facades.cell**3)[..., None]
    _mix(painted, glass + np.array([52, 62, 76], np.float32), facades.pane)
    goods = _shop_window(seed, view, height)
    _mix(painted, goods * np.float32(0.42) + np.array([14, 20, 26], np.float32), facades.shop)
    _mix(painted, accents, facades.sign * np.float32(0.85))
    cornice = (height > view.heights - 0.5) & ~park
    party_wall = np.diff(view.house, append=view.house[-1]) != 0
    painted *= np.where(cornice | party_wall, np.float32(0.7), np.float32(1))[..., None]
    if time == "night":
        painted *= NIGHT * np.float32(0.85)
        _light_walls(painted, view, height)
        lit = (facades.cell < LIT_WINDOWS) * facades.pane
        _mix(painted, np.array([255, 208, 136], np.float32) * (0.45 + 1.5 * facades.cell)[..., None], lit)
        open_late = random.random(150)[view.house] < OPEN_LATE
        _mix(painted, goods * np.array([1.25, 1.08, 0.8], np.float32), facades.shop * open_late * np.float32(0.9))
    _mix(painted, haze, np.broadcast_to(1 - np.exp(-view.distance / np.float32(HAZE_METRES)), height.shape))
    hedge = _look_up(_noise(seed, 0.8), np.zeros_like(view.along), view.along * 9)
    skyline = view.heights + np.float32(0.35) * park * hedge
    _mix(picture[rows], painted, np.clip((skyline - height) / vertical + np.float32(0.5), 0, 1))


def _shop_window(seed: int, view: _View, height: Plane) -> Plane:
    """Return what is behind shop windows, (rows, 1920, 3): a bright room with goods of all colours on the floor."""
    random = generator(seed, "goods", view.camera.number)
    greys, hues = random.uniform(50, 190, (512, 1)), random.uniform(-45, 45, (512, 3))
    colours, tops = greys + hues, random.uniform(0.6, 1.7, 512)
    item = (view.along / 0.28).astype(np.intp) & 511
    room = np.array([206, 200, 188], np.float32) * (0.62 + 0.16 * height)[..., None]
    _mix(room, colours[item].astype(np.float32), np.clip((tops[item] - height) / 0.05, 0, 1).astype(np.float32) * 0.9)
    return room


def _light_walls(painted: Plane, view: _View, height: Plane) -> None:
    """Brighten the houses near the lamps."""
    depth_z, depth_x = view.distance * view.toward_z, view.camera.offset + view.distance * view.toward_x
    glow = np.zeros_like(height)
    for lamp_x, lamp_z in lamp_places(view.camera):
        near = (depth_x - lamp_x) ** 2 + (depth_z - lamp_z) ** 2
        glow += 9 / (9 + near + (height - 4.5) ** 2)
    painted *= 1 + LAMPLIGHT * (3.2 * np.clip(glow, 0, 1.2))[..., None]


def _paint_ground(picture: Plane, seed: int, view: _View, time: Time, haze: Plane) -> None:
    """Paint asphalt with its markings, kerbs, paving and, by day, the shadow of the houses."""
    camera, street = view.camera, view.street
    first = int(camera.horizon) + 1
    depth = np.float32(camera.height) / view.slope[first:]  # (rows, 1)
    x, z = camera.offset + depth * view.toward_x, depth * view.toward_z
    across, along = depth / np.float32(camera.focal), depth**2 / np.float32(camera.height * camera.focal)
    fade = np.clip(1.2 - along * 2, 0.15, 1)
    fine = _look_up(_noise(seed, 0.35), z * 110 + 9000, x * 110 + 9000) * fade
    coarse = _look_up(_noise(seed, 1.7), z * 14 + 9000, x * 14 + 9000)

    joints = np.maximum(_band(x, 0.8, 0.03, across), _band(z, 0.8, 0.03, along)) * 0.35
    slab = _look_up(_noise(seed, 0.35), np.floor(z / 0.8) * 7 + 9000, np.floor(x / 0.8) * 11 + 9000) * fade
    ground = np.array(street.paving, np.float32) * (
        (1 + 0.05 * fine + 0.04 * coarse + 0.035 * slab) * (1 - joints)
    )[..., None]  # fmt: skip
    if street.road is not None:
        left, right = street.road
        asphalt = np.array([88, 88, 92], np.float32) * (1 + 0.08 * fine + 0.06 * coarse)[..., None]
        middle, width = (left + right) / 2, right - left
        dashes = _band(x - middle + 50, 100, 0.16, across) * _band(z, 6.0, 3.0, along)
        lines = _band(x - left - 0.3 + 50, 100, 0.12, across) + _band(x - right + 0.3 + 50, 100, 0.12, across)
        paint = np.maximum(dashes, lines)
        if street.zebra is not None:
            crossing = _band(z - street.zebra - 1.8 + 100, 200, 3.6, along)
            paint = paint * (1 - crossing) + crossing * _band(x - left, 1.1, 0.55, across)
        _mix(asphalt, np.array([226, 224, 214], np.float32), paint * (0.86 + 0.06 * np.clip(fine, -2, 1)))
        kerb = _band(x - middle + 50, 100, width + 0.5, across)
        _mix(ground, np.array([184, 180, 172], np.float32), kerb * 0.9)
        _mix(ground, asphalt, _band(x - middle + 50, 100, width, across))
    if time == "day":
        wall = street.walls[1] if street.sun > 0 else street.walls[0]
        reach = 0.35 * (street.walls[1] - street.walls[0])
        shaded = np.clip((reach - np.abs(x - wall) + 0.8 * np.sin(z / 5)) / (0.1 + 2 * across), 0, 1)
        ground *= (1.06 - 0.38 * shaded * (1 - 0.8 * street.cloudy))[..., None]
    else:
        glow = np.zeros_like(x)
        for lamp_x, lamp_z in lamp_places(camera):
            glow += 5 / (5 + (x - lamp_x) ** 2 + (z - lamp_z) ** 2)
        ground *= NIGHT + LAMPLIGHT * (0.85 * np.clip(glow, 0, 1.1))[..., None]
    _mix(ground, haze, np.broadcast_to(1 - np.exp(-depth / HAZE_METRES), x.shape).astype(np.float32))
    _mix(picture[first:], ground, (view.height[first:] < 0).astype(np.float32))


def _develop(picture: NDArray[np.uint8], random: np.random.Generator, time: Time) -> NDArray[np.uint8]:
    """Add the effects of a lens and a sensor: dark corners, and grain, which is coarser at night."""
    rows = np.linspace(-1, 1, FRAME_HEIGHT, dtype=np.float32)[:, None] ** 2
    columns = np.linspace(-1, 1, FRAME_WIDTH, dtype=np.float32) ** 2
    corners = (1 - 0.09 * (rows + columns))[..., None]
    grain = random.standard_normal((FRAME_HEIGHT, FRAME_WIDTH, 1), np.float32) * (2.5 if time == "day" else 3.2)
    tinted = random.standard_normal((FRAME_HEIGHT // 2, FRAME_WIDTH // 2, 3), np.float32).repeat(2, 0).repeat(2, 1)
    developed: NDArray[np.uint8] = np.clip(picture * corners + grain + tinted * 1.1, 0, 255).astype(np.uint8)
    return developed
