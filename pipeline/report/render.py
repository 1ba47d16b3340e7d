"""Fills the templates. All text is escaped, and what cannot be printed is spelled out, whatever a set's files say."""

import base64
import functools
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import page, plots, snippets, splits
from pipeline.report.codes import meaning_of
from pipeline.report.histogram import Bar
from shards_spec.text import spell_bytes
from shards_spec.variants import variant_named
from shards_spec.variants.explanation import explain

LONGEST = 300
"""Characters of a text that are shown: any true name is shorter."""
_LONGEST_CODE = 4000


def render(template: str, **context: Any) -> str:
    """Return a page made from a template.

    Args:
        template: Its name among the templates of this package, without ``.html.jinja``.
        context: What the template shows.
    """
    return _environment().get_template(f"{template}.html.jinja").render(**context)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loader = environment.loader
    assert loader is not None
    style = loader.get_source(environment, "style.css")[0]
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - a file of this package
        "style_digest": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        "camera_name": page.camera_name,
        "camera_names": page.camera_names,
        "title_of": page.title_of,
        "overlap_names": splits.overlap_names,
        "variant_named": variant_named,
        "meaning_of": meaning_of,
        "share_of": share_text,
        "histogram_chart": plots.histogram_chart,
        "stacked_chart": plots.stacked_chart,
        "explain": explain,
        "find_samples": snippets.find_samples,
        "snippets": snippets.snippets,
    }
    environment.filters |= {
        "figure": plots.number,
        "size": spell_bytes,
        "bar": bar_text,
        "code": _code,
        "data_url": _data_url,
    }
    return environment


def _printable(value: object) -> object:
    """Return a text with an escape in place of each character that is no visible one, and cut where it is too long."""
    if hasattr(value, "__html__") or not isinstance(value, str):
        return value
    if len(value) > LONGEST:
        value = f"{value[:LONGEST]}... ({len(value):,} characters)"
    return _spelled(value)


def _spelled(text: str) -> str:
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _code(text: str) -> Markup:
    """Return code to copy, which may be longer than other texts."""
    return Markup.escape(_spelled(text[:_LONGEST_CODE]))


def _data_url(url: str) -> Markup:
    """Return the URL of a picture that this package encoded, which is longer than other texts."""
    return Markup.escape(url)


def bar_text(bar: Bar, *, is_whole: bool) -> str:
    """Return which values a bar of a histogram stands for."""
    if is_whole:
        return plots.number(bar.low)
    if bar.high is None:
        return f"{plots.number(bar.low)} and more"
    return f"{plots.number(bar.low)} to {plots.number(bar.high)}"


def share_text(part: float, whole: float) -> str:
    """Return a share in percent. Only nothing is 0%, and only everything is 100%."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1%"
    if 99.9 < percent < 100:
        return "over 99.9%"
    return f"{percent:.3g}%"
