"""What stands in the eight streets. This is a table; other modules draw it."""

from dataclasses import dataclass, field

from pipeline.demo.appearance import Colour

BRICK: tuple[Colour, ...] = ((142, 84, 66), (166, 104, 78), (120, 72, 62), (178, 134, 104), (152, 96, 84))
PLASTER: tuple[Colour, ...] = ((214, 196, 160), (206, 178, 150), (190, 196, 192), (222, 214, 196), (186, 166, 150))
PASTEL: tuple[Colour, ...] = ((214, 168, 140), (170, 190, 176), (226, 206, 150), (176, 182, 204), (208, 150, 140))
STONE: tuple[Colour, ...] = ((168, 164, 154), (186, 180, 166), (150, 148, 144), (196, 188, 170), (140, 136, 130))
GLASS: tuple[Colour, ...] = ((118, 132, 146), (146, 156, 162), (96, 112, 130), (168, 172, 174), (110, 118, 122))


@dataclass(frozen=True, slots=True)
class Street:
    """A straight street: walls of houses left, right and at its end, and furniture in rows along it.

    Attributes:
        walls: ``x`` of the left and of the right row of houses, in metres.
        end: ``z`` of the row of houses that closes the street.
        road: The range of ``x`` that is asphalt; None if the whole street is paved.
        houses: Colours of the houses.
        storeys: The lowest and the highest number of storeys.
        park: The wall that is a hedge below open sky: "left", "right" or none.
        paving: Colour of the pavement.
        trees: ``x`` of each row of trees.
        lamps: ``x`` of each row of lamps.
        cars: ``x`` of each row of parked cars.
        zebra: ``z`` at which a pedestrian crossing begins.
        sun: The side from which the sun shines: -1 for left, 1 for right.
        cloudy: Fraction of the sky that clouds cover.
        tint: Factors by which the camera renders red, green and blue.
    """

    walls: tuple[float, float]
    end: float
    houses: tuple[Colour, ...]
    storeys: tuple[int, int]
    paving: Colour
    road: tuple[float, float] | None = None
    park: str = ""
    trees: tuple[float, ...] = ()
    lamps: tuple[float, ...] = ()
    cars: tuple[float, ...] = ()
    zebra: float | None = None
    sun: float = 1.0
    cloudy: float = 0.4
    tint: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0))


STREETS: dict[int, Street] = {
    1: Street(
        walls=(-9.0, 9.0), end=95, houses=PASTEL, storeys=(3, 5), paving=(172, 160, 148),
        trees=(-6.2, 6.4), lamps=(-5.2, 5.2), sun=1, cloudy=0.35, tint=(1.03, 1.0, 0.95),
    ),
    2: Street(
        walls=(-15.5, 6.2), end=120, houses=BRICK, storeys=(4, 6), paving=(158, 154, 148), road=(-10.5, -1.9),
        trees=(-1.2, -12.0), lamps=(-1.0,), cars=(-3.0, -9.4), sun=-1, cloudy=0.55, tint=(0.97, 1.0, 1.04),
    ),
    3: Street(
        walls=(-6.0, 16.0), end=110, houses=PLASTER, storeys=(3, 4), paving=(180, 172, 160), road=(1.9, 11.0),
        trees=(12.6,), lamps=(1.1, 12.0), cars=(3.0,), sun=1, cloudy=0.15, tint=(1.04, 1.0, 0.93),
    ),
    4: Street(
        walls=(-12.5, 12.5), end=130, houses=STONE, storeys=(5, 8), paving=(150, 150, 150), road=(-7.5, 7.5),
        trees=(-9.4, 9.4), lamps=(-8.1, 8.1), cars=(-6.3, 6.3), zebra=7.0, sun=-1, cloudy=0.7,
    ),
    5: Street(
        walls=(-24.0, 22.0), end=48, houses=PLASTER, storeys=(3, 5), paving=(190, 178, 156),
        trees=(-13.0, 12.0), lamps=(-9.0, 9.2), sun=-1, cloudy=0.25, tint=(1.02, 1.0, 0.97),
    ),
    6: Street(
        walls=(-8.0, 13.0), end=140, houses=STONE, storeys=(4, 6), paving=(166, 150, 128), road=(4.6, 10.4),
        park="left", trees=(-5.4, -7.4), lamps=(-4.0, 4.2), cars=(5.7,), sun=1, cloudy=0.5, tint=(0.98, 1.02, 0.98),
    ),
    7: Street(
        walls=(-3.6, 3.6), end=60, houses=BRICK, storeys=(3, 4), paving=(128, 122, 116),
        lamps=(-3.1, 3.1), sun=1, cloudy=0.5, tint=(1.0, 0.99, 0.98),
    ),
    8: Street(
        walls=(-17.0, 17.0), end=150, houses=GLASS, storeys=(7, 12), paving=(168, 168, 170), road=(-9.5, 9.5),
        trees=(-13.0, 13.0), lamps=(-10.4, 10.4), cars=(-8.2, 8.2), zebra=13.0, sun=1, cloudy=0.2,
        tint=(0.96, 1.0, 1.05),
    ),
}  # fmt: skip
"""The street in front of each camera, by the camera's number."""
