"""One person's picture: a skeleton in metres, turned, walking, and drawn as rounded limbs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.demo.appearance import Appearance, Colour

OVERSAMPLING = 2
"""Persons are drawn this many times larger than they are shown and averaged down, which smooths their edges."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn person.

    Attributes:
        image: An RGBA image, cropped to what is not transparent.
        left: The frame column of the image's first column.
        top: The frame row of the image's first row.
    """

    image: Image.Image
    left: int
    top: int


def draw_person(
    looks: Appearance, *, column: float, feet: float, scale: float, turn: float, phase: float, light: float
) -> Sprite:
    """Draw a person.

    Args:
        looks: What the person looks like.
        column: The frame column, in pixels, of the body's axis.
        feet: The frame row, in pixels, of the ground that the person stands on.
        scale: Pixels per metre at the person's depth.
        turn: The angle in radians between the directions of view and of walking: 0 shows the back, pi the face.
        phase: The phase of the walking cycle in radians.
        light: The direction that light comes from: -1 for left, 1 for right.
    """
    left, right = int(column - 0.95 * scale) - 1, int(column + 0.95 * scale) + 2
    top, bottom = int(feet - 2.2 * scale) - 1, int(feet + 0.3 * scale) + 2
    size = (OVERSAMPLING * (right - left), OVERSAMPLING * (bottom - top))
    # Transparent pixels have the trousers' colour instead of black, so that averaging draws no dark rim.
    image = Image.new("RGBA", size, (*looks.bottom, 0))
    body = _Body(looks, turn, phase)
    origin = (OVERSAMPLING * (column - left), OVERSAMPLING * (feet - top))
    pen = _Pen(ImageDraw.Draw(image), body, origin, OVERSAMPLING * scale, light)
    for _, part in sorted(_parts(pen, body, looks), key=lambda pair: -pair[0]):
        part()
    image = image.reduce(OVERSAMPLING)
    box = image.getchannel("A").getbbox()
    if box is None:
        raise RuntimeError(f"nothing was drawn of a person {scale * looks.stature:.1f} pixels tall")
    return Sprite(image.crop(box), left + box[0], top + box[1])


class _Body:
    """Joints in metres right of, above and in front of the point between the feet; in pairs, left comes first."""

    def __init__(self, looks: Appearance, turn: float, phase: float) -> None:
        self.height = height = looks.stature
        self.build = looks.build
        self.cosine, self.sine = float(np.cos(turn)), float(np.sin(turn))
        swing = np.array([phase, phase + np.pi])
        thigh = 0.37 * np.sin(swing) + 0.05
        shin = thigh - (0.12 + 0.75 * np.clip(np.sin(swing - 2.0), 0, None))
        arm = -0.34 * np.sin(swing)
        forearm = arm + 0.28
        side = np.array([-1.0, 1.0])
        hip = _joints(side * 0.052 * height * looks.build, 0.525 * height, 0.0)
        knee = hip + _limb(thigh, 0.245 * height)
        ankle = knee + _limb(shin, 0.235 * height)
        toe = ankle + np.stack([side * 0.02, np.sin(shin - 0.15) * 0.05 - 0.02, np.cos(shin) * 0.15], axis=1)
        shoulder = _joints(side * 0.103 * height * looks.build, 0.805 * height, 0.0)
        elbow = shoulder + _limb(arm, 0.18 * height) + np.stack([side * 0.035, [0, 0], [0, 0]], axis=1)
        wrist = elbow + _limb(forearm, 0.165 * height)
        # The lower foot is on the ground, so the body bobs as it walks.
        self.lift = 0.05 * height - float(min(ankle[:, 1].min(), toe[:, 1].min() + 0.02))
        self.hip, self.knee, self.ankle, self.toe = hip, knee, ankle, toe
        self.shoulder, self.elbow, self.wrist = shoulder, elbow, wrist

    def half_width(self, share: float) -> float:
        """Return the trunk's visible half width in metres at a fraction of the way from hip (0) to neck (1)."""
        stations = [0.0, 0.12, 0.4, 0.75, 0.93, 1.0]
        across = np.interp(share, stations, [0.098, 0.100, 0.088, 0.104, 0.108, 0.045])
        deep = np.interp(share, stations, [0.070, 0.072, 0.062, 0.070, 0.055, 0.040])
        return float(np.hypot(across * self.cosine, deep * self.sine) * self.height * self.build)


def _joints(right: NDArray[np.float64], up: float, forward: float) -> NDArray[np.float64]:
    return np.stack([right, np.full(2, up), np.full(2, forward)], axis=1)


def _limb(angle: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Return the vectors, (2, 3), from a joint to the next one of two limbs at angles from the vertical."""
    return np.stack([np.zeros(2), -np.cos(angle) * length, np.sin(angle) * length], axis=1)


class _Pen:
    """Draws rounded shapes, given in a body's metres, on a picture."""

    def __init__(self, draw: ImageDraw.ImageDraw, body: _Body, origin: Point, scale: float, light: float) -> None:
        self.draw, self.body, self.origin, self.scale, self.light = draw, body, origin, scale, light

    def place(self, joint: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
        """Return column and row on the picture (pixels) and how far behind the body's axis (metres) a joint lies."""
        right, up, forward = (float(number) for number in joint)
        across = right * self.body.cosine + forward * self.body.sine
        away = -right * self.body.sine + forward * self.body.cosine
        return self.origin[0] + across * self.scale, self.origin[1] - (up + self.body.lift) * self.scale, away

    def limb(self, joints: Sequence[NDArray[np.float64]], radii: Sequence[float], colour: Colour) -> None:
        """Draw a tapering limb with a radius in metres at each joint, dark at the rim and bright towards the light."""
        points = [self.place(joint) for joint in joints]
        for size, brightness in ((1.0, 0.66), (0.8, 0.88), (0.55, 1.04)):
            circles = [
                (x + self.light * (1 - size) * 0.75 * radius * self.scale, y, radius * self.scale * size)
                for (x, y, _), radius in zip(points, radii, strict=True)
            ]
            for start, end in pairwise(circles):
                self._capsule(start, end, shade(colour, brightness))

    def ball(self, joint: Sequence[float], radii: Point, colour: Colour) -> None:
        """Draw an upright ellipse with half axes in metres, brighter towards the light."""
        x, y, _ = self.place(joint)
        for size, brightness in ((1.0, 0.72), (0.84, 0.92), (0.6, 1.05)):
            a, b = radii[0] * self.scale * size, radii[1] * self.scale * size
            centre = x + self.light * (1 - size) * radii[0] * self.scale * 0.7
            self.draw.ellipse((centre - a, y - b, centre + a, y + b), fill=(*shade(colour, brightness), 255))

    def band(self, rims: Sequence[tuple[float, float]], colour: Colour, inset: Point = (-1.0, 1.0)) -> None:
        """Fill between rims around the body's axis, each (metres up, half width in metres).

        Args:
            rims: The rims from low to high.
            colour: The colour to fill with.
            inset: The part of the width to fill, from -1 to 1.
        """
        x, y = self.origin
        rows = [y - (up + self.body.lift) * self.scale for up, _ in rims]
        edges = [[x + width * self.scale * side for _, width in rims] for side in inset]
        points = [*zip(edges[0], rows, strict=True), *reversed(list(zip(edges[1], rows, strict=True)))]
        self.draw.polygon(points, fill=(*colour, 255))

    def round_band(self, rims: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill between rims, dark at the sides and bright towards the light."""
        self.band(rims, shade(colour, 0.68))
        for edge, brightness in ((0.84, 0.86), (0.62, 0.98), (0.3, 1.05)):
            centre = self.light * (1 - edge) * 0.6
            self.band(rims, shade(colour, brightness), (centre - edge, min(1.0, centre + edge)))

    def _capsule(self, start: tuple[float, float, float], end: tuple[float, float, float], colour: Colour) -> None:
        (x0, y0, r0), (x1, y1, r1) = start, end
        length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
        across, down = (y1 - y0) / length, -(x1 - x0) / length
        fill = (*colour, 255)
        for x, y, radius in (start, end):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        corners = [
            (x0 + across * r0, y0 + down * r0), (x1 + across * r1, y1 + down * r1),
            (x1 - across * r1, y1 - down * r1), (x0 - across * r0, y0 - down * r0),
        ]  # fmt: skip
        self.draw.polygon(corners, fill=fill)


def shade(colour: Colour, brightness: float) -> Colour:
    """Return a colour made brighter or darker."""
    red, green, blue = (min(255, max(0, round(part * brightness))) for part in colour)
    return red, green, blue


def _parts(pen: _Pen, body: _Body, looks: Appearance) -> list[tuple[float, Callable[[], None]]]:
    """Return what to draw: how far away each part lies, in metres, and the function that draws it."""
    thick = body.height * looks.build / 1.72
    parts: list[tuple[float, Callable[[], None]]] = []

    def add(away: float, draw: Callable[[], None]) -> None:
        parts.append((away, draw))

    for side in (0, 1):
        behind_trunk = 0.3 + pen.place(body.knee[side])[2]
        add(behind_trunk, partial(_draw_leg, pen, body, looks, side, thick))
        add(pen.place(body.shoulder[side])[2] * 1.15, partial(_draw_arm, pen, body, looks, side, thick))
    add(-0.02, partial(_draw_trunk, pen, body, looks))
    add(-0.05, partial(_draw_head, pen, body, looks))
    if looks.long_hair:  # hair falls onto the back, which is hidden by the trunk if the face is seen
        middle = (0.0, 0.885 * body.height, -0.05)
        add(0.1 if pen.place(middle)[2] > 0 else -0.04, partial(pen.ball, middle, (0.1, 0.15), shade(looks.hair, 0.85)))
    if looks.bag == "backpack":
        middle = (0.0, 0.69 * body.height, -0.15 * thick)
        half = float(np.hypot(0.15 * body.cosine, 0.09 * body.sine)) * thick
        add(pen.place(middle)[2] - 0.03, partial(pen.ball, middle, (half, 0.24 * thick), looks.bag_colour))
    return parts


def _draw_leg(pen: _Pen, body: _Body, looks: Appearance, side: int, thick: float) -> None:
    hip, knee, ankle, toe = body.hip[side], body.knee[side], body.ankle[side], body.toe[side]
    pen.limb((ankle, toe), (0.048 * thick, 0.036 * thick), looks.shoes)
    leg = looks.bottom if looks.garment == "trousers" else looks.skin
    pen.limb((hip, knee, ankle), (0.088 * thick, 0.063 * thick, 0.046 * thick), leg)
    if looks.garment == "shorts":
        pen.limb((hip, hip + (knee - hip) * 0.9), (0.092 * thick, 0.084 * thick), looks.bottom)


def _draw_arm(pen: _Pen, body: _Body, looks: Appearance, side: int, thick: float) -> None:
    shoulder, elbow, wrist = body.shoulder[side], body.elbow[side], body.wrist[side]
    if looks.bag == "handbag" and side == 1:
        strap = wrist - np.array([0.0, 0.16 * thick, 0.0])
        pen.limb((wrist, strap), (0.012, 0.012), shade(looks.bag_colour, 0.7))
        pen.ball(strap - np.array([0.0, 0.08, 0.0]), (0.13 * thick, 0.12 * thick), looks.bag_colour)
    upper, middle, lower = 0.054 * thick, 0.045 * thick, 0.034 * thick
    sleeve = shade(looks.top, 0.93)
    pen.limb((wrist, wrist + (wrist - elbow) * 0.22), (0.033 * thick, 0.03 * thick), looks.skin)
    if looks.long_sleeves:
        pen.limb((shoulder, elbow, wrist), (upper, middle, lower), sleeve)
    else:
        pen.limb((elbow, wrist), (middle, lower), looks.skin)
        pen.limb((shoulder, elbow), (upper, middle), sleeve)


def _draw_trunk(pen: _Pen, body: _Body, looks: Appearance) -> None:
    low, high = 0.50 * body.height, 0.845 * body.height

    def rims(start: float, end: float) -> list[tuple[float, float]]:
        return [(low + (high - low) * share, body.half_width(share)) for share in np.linspace(start, end, 9)]

    neck, chin = np.array([0.0, 0.83 * body.height, 0.0]), np.array([0.0, 0.88 * body.height, 0.01])
    pen.limb((neck, chin), (0.05, 0.048), looks.skin)
    if looks.garment == "skirt":
        hem = body.half_width(0.0)
        pen.round_band([(0.30 * body.height, hem * 1.35 + 0.03), (low + 0.05, hem)], looks.bottom)
    else:
        pen.round_band(rims(-0.08, 0.12), looks.bottom)
    pen.round_band(rims(0.06, 1.0), looks.top)
    if looks.coat:
        hip = body.half_width(0.0)
        pen.round_band([(0.40 * body.height, hip * 1.18), (low + 0.04, hip * 1.02)], looks.top)
    _draw_pattern(pen, body, looks, rims)


def _draw_pattern(
    pen: _Pen, body: _Body, looks: Appearance, rims: Callable[[float, float], list[tuple[float, float]]]
) -> None:
    """Draw the pattern of the top, whose sideways positions turn with the body."""
    dark, accent = shade(looks.accent, 0.8), looks.accent
    if looks.pattern in ("bands", "checks"):
        for start in np.arange(0.12, 0.9, 0.15):
            pen.band(rims(start, start + (0.075 if looks.pattern == "bands" else 0.03)), dark, (-1.0, 1.0))
            pen.band(rims(start, start + (0.075 if looks.pattern == "bands" else 0.03)), accent, (-0.7, 0.75))
    if looks.pattern in ("stripes", "checks"):
        for centre in np.arange(-0.8, 0.81, 0.32):
            pen.band(rims(0.08, 0.92), accent, (float(centre) - 0.045, float(centre) + 0.045))
    if looks.pattern == "print":
        facing = -body.cosine
        if abs(facing) > 0.3:  # prints on chest and back are not seen from the side
            pen.band(rims(0.42, 0.78), accent, (-0.45, 0.45))
            pen.band(rims(0.52, 0.66), shade(looks.top, 1.1), (-0.25, 0.25))
    if looks.coat and body.cosine < 0:  # the opening of a coat, seen from the front
        centre = 0.25 * body.sine
        pen.band(rims(0.06, 0.95), dark, (centre - 0.07, centre + 0.07))


def _draw_head(pen: _Pen, body: _Body, looks: Appearance) -> None:
    """Draw the head: hair around it, and the face as far as it is turned to the camera."""
    height = body.height
    middle = 0.932 * height
    facing = -body.cosine
    hair = looks.hair
    pen.ball((0.0, middle + 0.012, -0.012), (0.088, 0.116), hair)
    back_of_head = -0.6
    if facing > back_of_head:
        narrow = 0.078 if facing > 0 else 0.06 * (1 + facing)
        pen.ball((0.0, middle - 0.022, 0.040), (max(0.03, narrow), 0.094), looks.skin)
        if facing > 0.5:  # eyes and mouth are only seen from nearly in front
            for side in (-0.03, 0.03):
                pen.ball((side, middle + 0.004, 0.075), (0.010, 0.007), (40, 30, 28))
            pen.ball((0.0, middle - 0.062, 0.075), (0.022, 0.006), (150, 70, 66))
        if looks.long_hair and facing > 0.5:
            for side in (-0.08, 0.08):
                pen.ball((side, middle - 0.04, 0.0), (0.02, 0.10), hair)
    if looks.headwear != "none":
        colour = looks.bag_colour if looks.headwear == "cap" else looks.accent
        pen.ball((0.0, middle + 0.068, -0.005), (0.094, 0.062), colour)
        if looks.headwear == "cap":
            pen.ball((0.0, middle + 0.048, 0.10), (0.075, 0.016), shade(colour, 0.8))
