"""Reading the report's pages as a browser without JavaScript would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "br", "rect", "line", "image", "link", "img", "input"}
_COUNTED = (("td", "n"), ("dd", None), ("p", "facts"))
"""Where a page has numbers: each of them must be a ``<data>`` element."""


@dataclass(frozen=True)
class Number:
    """A number of a page."""

    name: str
    value: float
    text: str
    attributes: dict[str, str | None]


@dataclass
class Page(HTMLParser):
    """A parsed page."""

    html: str
    numbers: list[Number] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    """Texts with digits that stand where numbers do, but are not marked as numbers."""
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, str | None]] = []
        self._data: dict[str, str | None] = {}
        self.feed(self.html)
        self.close()
        assert self._open == [], "elements that do not end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in _VOID:
            self._open.append((tag, attributes.get("class")))
        if tag == "data":
            self._data = attributes

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._open and self._open[-1][0] == "data":
            name, value = self._data["data-is"], self._data["value"]
            assert name is not None
            assert value is not None
            self.numbers.append(Number(name, float(value), data, self._data))
        elif any(character.isdigit() for character in data) and self._is_counted():
            self.bare.append(data)

    def _is_counted(self) -> bool:
        return any(
            tag == wanted and (kind is None or kind in (classes or "").split())
            for tag, classes in self._open
            for wanted, kind in _COUNTED
        )
