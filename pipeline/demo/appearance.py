from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.demo.seeds import generator

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

SKINS: tuple[Colour, ...] = ((244, 208, 177), (229, 184, 143), (198, 142, 99), (150, 100, 66), (98, 64, 44))
HAIRS: tuple[Colour, ...] = ((30, 24, 22), (62, 42, 28), (110, 74, 40), (176, 134, 76), (120, 118, 116), (120, 46, 24))
CLOTHES: tuple[Colour, ...] = (
    (188, 36, 40), (226, 112, 36), (236, 190, 50), (54, 138, 66), (28, 104, 108), (44, 92, 178),
    (30, 40, 78), (108, 58, 140), (214, 96, 140), (238, 236, 228), (150, 152, 156), (44, 46, 50),
    (128, 84, 52), (196, 174, 136), (92, 106, 60), (120, 184, 216),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (38, 46, 74), (64, 86, 126), (34, 34, 38), (92, 94, 98),
    (168, 148, 112), (72, 62, 50), (70, 78, 52), (206, 202, 192),
)  # fmt: skip

Pattern = Literal["plain", "stripes", "bands", "checks", "print"]
Garment = Literal["trousers", "shorts", "skirt"]
Bag = Literal["none", "backpack", "handbag"]
Headwear = Literal["none", "cap", "beanie"]


@dataclass(frozen=True, slots=True)
class Appearance:
    """What one person looks like in every frame: the features by which a person is re-identified.

    Attributes:
        stature: Height in metres.
        build: Width relative to the average.
        skin: Colour of face and hands.
        hair: Colour of the hair.
        long_hair: Whether the hair reaches the shoulders.
        top: Colour of shirt or jacket.
        pattern: The pattern of the top.
        accent: The pattern's colour.
        long_sleeves: Whether the top covers the forearms.
        coat: Whether the top reaches to the thighs.
        garment: What the person wears on the legs.
        bottom: Colour of that garment.
        shoes: Colour of the shoes.
        bag: What the person carries.
        bag_colour: Colour of the bag.
        headwear: What the person wears on the head.
    """

    stature: float
    build: float
    skin: Colour
    hair: Colour
    long_hair: bool
    top: Colour
    pattern: Pattern
    accent: Colour
    long_sleeves: bool
    coat: bool
    garment: Garment
    bottom: Colour
    shoes: Colour
    bag: Bag
    bag_colour: Colour
    headwear: Headwear


def dress(seed: int, group_number: int, person_id: int) -> Appearance:
    """Return a person's appearance, which depends only on the three arguments."""
    random = generator(seed, "appearance", group_number, person_id)
    top, accent, bag_colour = (CLOTHES[int(index)] for index in random.choice(len(CLOTHES), 3, replace=False))
    patterns: tuple[Pattern, ...] = ("plain", "plain", "stripes", "bands", "checks", "print")
    garments: tuple[Garment, ...] = ("trousers", "trousers", "trousers", "shorts", "skirt")
    bags: tuple[Bag, ...] = ("none", "none", "backpack", "handbag")
    headwear: tuple[Headwear, ...] = ("none", "none", "none", "none", "cap", "beanie")
    return Appearance(
        stature=float(np.clip(random.normal(1.72, 0.09), 1.48, 1.96)),
        build=float(np.clip(random.normal(1.0, 0.09), 0.82, 1.25)),
        skin=_vary(random, SKINS[int(random.integers(len(SKINS)))]),
        hair=_vary(random, HAIRS[int(random.integers(len(HAIRS)))]),
        long_hair=bool(random.random() < 0.4),
        top=_vary(random, top),
        pattern=patterns[int(random.integers(len(patterns)))],
        accent=accent,
        long_sleeves=bool(random.random() < 0.6),
        coat=bool(random.random() < 0.25),
        garment=garments[int(random.integers(len(garments)))],
        bottom=_vary(random, TROUSERS[int(random.integers(len(TROUSERS)))]),
        shoes=_vary(random, ((36, 32, 30), (236, 234, 230), (110, 70, 42))[int(random.integers(3))]),
        bag=bags[int(random.integers(len(bags)))],
        bag_colour=bag_colour,
        headwear=headwear[int(random.integers(len(headwear)))],
    )


def _vary(random: np.random.Generator, colour: Colour) -> Colour:
    """Return a slightly different colour, so that two persons in the same garment still differ."""
    red, green, blue = np.clip(np.array(colour) * random.uniform(0.88, 1.08) + random.normal(0, 5, 3), 0, 255)
    return int(red), int(green), int(blue)
