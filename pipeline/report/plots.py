"""Bar charts as SVG: where each rectangle and each label stands. The template writes them down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.histogram import Spread

WIDTH, HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 24
_X_LABELS = 6
"""Labels under the bars, about."""
_WIDEST = 44
"""Width of the widest bar."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A bar, or a part of a stacked one."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True)
class Label:
    """A label of an axis."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart of ``WIDTH`` by ``HEIGHT`` units."""

    bars: tuple[Rect, ...]
    x_labels: tuple[Label, ...]
    y_labels: tuple[Label, ...]
    """Each stands beside a horizontal line across the chart."""
    right: float
    """Where these lines end."""
    left: float = _LEFT
    base: float = HEIGHT - _BOTTOM


def histogram_chart(spread: Spread) -> Chart:
    """Draw a histogram: labels are under the edges of the bars, or under the bars if each is a whole number."""
    bars = spread.bars
    stacks = [(bar.count,) for bar in bars]
    if spread.is_whole:
        return _chart(stacks, [(place + 0.5, number(bar.low)) for place, bar in enumerate(bars)])
    edges: list[tuple[float, str]] = [(place, number(bar.low)) for place, bar in enumerate(bars)]
    last = bars[-1].high
    if last is not None:
        edges.append((len(bars), number(last)))
    return _chart(stacks, edges)


def stacked_chart(names: Sequence[str], stacks: Sequence[Sequence[int]]) -> Chart:
    """Draw a bar for each name, made of the counts of its stack."""
    return _chart(stacks, [(place + 0.5, name) for place, name in enumerate(names)])


def _chart(stacks: Sequence[Sequence[int]], labels: Sequence[tuple[float, str]]) -> Chart:
    chart_width, chart_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    ticks = _ticks(max((sum(stack) for stack in stacks), default=0))
    scale = chart_height / ticks[-1]
    step = min(chart_width / max(1, len(stacks)), _WIDEST)
    gap = min(4.0, step * 0.15)
    bars = []
    for place, stack in enumerate(stacks):
        top = float(HEIGHT - _BOTTOM)
        for series, count in enumerate(stack):
            height = max(count * scale, 0.8) if count else 0.0  # a single sample among millions shows as well
            top -= height
            if count:
                bars.append(
                    Rect(
                        round(_LEFT + place * step + gap / 2, 2),
                        round(top, 2),
                        round(step - gap, 2),
                        round(height, 2),
                        series,
                    )
                )
    every = max(1, math.ceil(len(labels) / _X_LABELS))
    return Chart(
        tuple(bars),
        tuple(Label(round(_LEFT + place * step, 2), HEIGHT - 8, text) for place, text in labels[::every]),
        tuple(Label(_LEFT - 6, round(HEIGHT - _BOTTOM - tick * scale, 2), short(tick)) for tick in ticks),
        right=round(_LEFT + step * max(1, len(stacks)), 2),  # few bars do not leave half of the axis empty
    )


def _ticks(most: int) -> list[int]:
    """Return zero and one to four round numbers, the last of which is not below ``most``."""
    step = max(1, most) / 3
    power = 10 ** max(0, math.floor(math.log10(step)))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step)
    return list(range(0, max(1, math.ceil(most / step)) * step + 1, step))


def short(count: float) -> str:
    """Return a count for an axis: ``1500`` as ``1.5k``."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            return f"{count / limit:g}{unit}"
    return f"{count:g}"


def number(value: float) -> str:
    """Return a value for people: whole numbers with commas, others with four digits."""
    if float(value).is_integer() and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
