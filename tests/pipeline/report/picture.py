"""Makes the README's picture: a group and some samples of the demo, as the report shows them.

``python -m tests.pipeline.report.picture REPORT FILE`` photographs a page and writes a WebP.
"""

import base64
import sys
from pathlib import Path

from tests.support.browser import running_browser, visit

WIDTH = 960
_ARRANGE = """() => {
    const section = document.querySelector('#pictures');
    const groups = [...section.querySelectorAll('table.group')], sheet = section.querySelector('ul.sheet');
    for (const one of sheet.querySelectorAll('.key')) one.remove();
    for (const one of [...sheet.children].slice(14)) one.remove();
    section.replaceChildren(sheet);
    document.querySelector('.frame').replaceChildren(section);
    for (const [name, value] of [['grid-column', '1 / -1'], ['border', '0'], ['padding', '16px'], ['margin', '0']])
        section.style.setProperty(name, value);
}"""

_ENCODE = """async png => {
    const image = new Image();
    image.src = png;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.85);
}"""


def main(report: Path, file: Path) -> None:
    """Photograph the contact sheet of a report."""
    with running_browser() as browser, visit(browser, report, WIDTH) as opened:
        opened.page.evaluate(_ARRANGE)
        png = base64.b64encode(opened.page.locator("#pictures").screenshot()).decode()
        url = browser.new_page().evaluate(_ENCODE, f"data:image/png;base64,{png}")  # Pillow-SIMD may lack WebP
    file.write_bytes(base64.b64decode(url.partition(",")[2]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
