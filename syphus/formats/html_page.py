"""Writes HTML pages that stand alone: one file with its look, its pictures and its fonts, without network and script.

They look like the pages of the viewer, whose style sheet they carry. Whatever is not `Html` is text, and is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

from syphus.formats.page_fonts import EmbeddedFonts, embedded_fonts
from syphus.io.durable import replace_file

_STYLE_FILE = Path(__file__).parents[1] / "viewer" / "static" / "style.css"
_EMPTY = frozenset({"br", "img", "meta", "wbr"})  # elements without an end tag
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}
# Nothing in a text may load or run anything, whatever a browser makes of it.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
)
_LETTERS_SHOWN = 8


class Html(str):
    """Markup. Any other string is text, and is escaped where markup is made of it."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(value: str) -> Html:
    """Return a text as markup. Control characters, which HTML does not allow, are shown as unknown ones."""
    return Html(escape(value.translate(_CONTROLS)))


def join(*children: Child) -> Html:
    """Return children as markup: texts escaped, lists joined, None and booleans left out."""
    parts = []
    for child in children:
        if child is None or isinstance(child, bool):
            continue
        if isinstance(child, Html):
            parts.append(str(child))
        elif isinstance(child, str):
            parts.append(str(text(child)))
        elif isinstance(child, int | float):
            parts.append(f"{child:,}")
        else:
            parts.append(str(join(*child)))
    return Html("".join(parts))


def tag(name: str, attributes: Mapping[str, str | bool | None] | None = None, *children: Child) -> Html:
    """Return an element. An attribute that is None or False is left out; True has no value."""
    written = "".join(
        f" {key}" if value is True else f' {key}="{text(value)}"'
        for key, value in (attributes or {}).items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>" if name in _EMPTY else f"<{name}{written}>{join(*children)}</{name}>")


def card(title: str, *children: Child) -> Html:
    """Return a box with a heading."""
    return tag("section", {"class": "card"}, tag("h2", None, title) if title else None, *children)


def prose(value: str, name: str = "div", lang: str | None = None, mono: bool = False) -> Html:
    """Return a text with its lines, in the direction of its first letter."""
    return tag(name, {"class": "prose mono" if mono else "prose", "dir": "auto", "lang": lang}, value)


def more(summary: Child, *children: Child, is_open: bool = False) -> Html:
    """Return a section that opens on a click."""
    return tag("details", {"open": is_open}, tag("summary", None, summary), tag("div", {"class": "inside"}, *children))


def meter(part: float) -> Html:
    """Return a thin bar for a share of 1."""
    width = f"width:{100 * min(max(part, 0.0), 1.0):.1f}%"
    return tag("span", {"class": "meter", "role": "img", "aria-label": f"{part:.1%}"}, tag("span", {"style": width}))


def table(
    heads: Sequence[Child], rows: Iterable[Sequence[Child]], caption: str = "Table", first_number: int = 99
) -> Html:
    """Return a table that scrolls in its own box. Columns from `first_number` on, from 0, are numbers."""

    def kind(column: int) -> str | None:
        return "numeric" if column >= first_number else None

    head = [tag("th", {"scope": "col", "class": kind(column)}, each) for column, each in enumerate(heads)]
    body = [
        tag("tr", None, [tag("td", {"class": kind(column)}, cell) for column, cell in enumerate(row)]) for row in rows
    ]
    inside = tag("table", None, tag("caption", {"class": "unseen"}, caption), tag("thead", None, tag("tr", None, head)))
    inner = Html(f"{inside.removesuffix('</table>')}{tag('tbody', None, body)}</table>")
    return tag("div", {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": "0"}, inner)


def write_document(
    path: Path,
    title: str,
    body: Iterable[Child],
    note: Child = None,
    fonts: Sequence[Path] | None = (),
    wide: bool = False,
) -> EmbeddedFonts:
    """Write a page in UTF-8 with its one heading, and return the fonts that it carries.

    `note` stands below the heading; `fonts` are folders with fonts, or font files, that come before those of this
    machine; None embeds none, for a page that is soon written again. Raises `StorageError` if the disk fails.
    """
    head = tag("div", {"class": "page-head"}, tag("div", None, tag("h1", None, title), _note(note)))
    inner = join(tag("div", {"class": "page wide" if wide else "page"}, head, *body))
    embedded = EmbeddedFonts("", "") if fonts is None else embedded_fonts(f"{title}{inner}", fonts)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
        f'<title>{text(title)}</title>\n<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<style>\n{style_sheet()}{embedded.css}\n</style>\n</head>\n<body>\n<main>\n",
        inner,
        tag("footer", {"class": "page note"}, tag("p", None, "Written by Syphus. ", _about(embedded))),
        "\n</main>\n</body>\n</html>\n",
    )
    with replace_file(path) as file:
        file.write("".join(page).encode(errors="backslashreplace"))
    return embedded


@cache
def style_sheet() -> str:
    """Return the look of all pages, as CSS."""
    return _STYLE_FILE.read_text("utf-8")


def _note(note: Child) -> Html | None:
    return tag("p", {"class": "note"}, note) if note else None


def _about(embedded: EmbeddedFonts) -> str:
    if not embedded.missing:
        return ""
    letters = " ".join(embedded.missing[:_LETTERS_SHOWN])
    return (
        f"Where you see empty boxes, your system has no font for letters such as {letters}; this page has none, either."
    )
