"""The parts of pages that are written as files: the same as those of `static/components.js`, as markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from syphus.formats.html_page import Child, Html, join, prose, tag
from syphus.text import format_duration
from syphus.types import State

Json = Mapping[str, Any]  #: an object as the viewer's API sends it
_HINT = "Pictures are not shown: this run names no image store or folder that is here. Name one with --images PATH."


def state_bar(counts: Mapping[str, int]) -> Html:
    """Return the states of rows as one bar, with a legend that adds up."""
    total = sum(counts.get(state.value, 0) for state in State)
    shown = [(state.value, counts[state.value]) for state in State if counts.get(state.value)]
    label = ", ".join(f"{count:,} {state}" for state, count in shown) or "no rows"
    bar = [tag("span", {"data-state": name, "style": f"flex-grow:{n / total:.6f}"}) for name, n in shown]
    legend = [
        tag(
            "li",
            {"class": None if counts.get(state.value) else "none"},
            tag("span", None, _dot(state.value), tag("span", None, state.value), tag("b", None, counts[state.value])),
        )
        for state in State
        if state.value in counts
    ]
    last = tag("li", {"class": "sum"}, tag("span", None, tag("span", None, "total"), tag("b", None, total)))
    track = tag("div", {"class": "track", "role": "img", "aria-label": label}, bar)
    return tag("div", {"class": "state-bar"}, track, tag("ul", {"class": "legend"}, legend, last))


def state_chip(state: str) -> Html:
    """Return a state with its colour."""
    return tag("span", {"class": "chip state"}, _dot(state), state)


def _dot(state: str) -> Html:
    return tag("i", {"class": "dot", "data-state": state})


def chip(label: str, kind: str = "quiet") -> Html:
    """Return a small label; `kind` is ok, warn, bad or quiet."""
    return tag("span", {"class": "chip", "data-kind": kind}, label)


def stats(figures: Iterable[tuple[str, str, str]]) -> Html:
    """Return figures side by side: label, value, note."""
    cells = [
        tag("div", {"class": "stat"}, tag("dt", None, label), tag("dd", None, value), _note(note))
        for label, value, note in figures
    ]
    return tag("dl", {"class": "stats"}, cells)


def _note(note: str) -> Html | None:
    return tag("dd", {"class": "note"}, note) if note else None


def facts(values: Iterable[tuple[str, Child]], sums: bool = False) -> Html:
    """Return names with their values; with `sums`, the values are numbers at the right."""
    rows = [join(tag("dt", None, name), tag("dd", None, value)) for name, value in values]
    return tag("dl", {"class": "facts sums" if sums else "facts"}, rows)


def about(*details: Child) -> Html:
    """Return a quiet line of details; None is left out."""
    return tag("p", {"class": "about"}, [tag("span", None, each) for each in details if each not in (None, "")])


def notice(kind: str, *children: Child) -> Html:
    """Return a message; `kind` is warn, bad, or "" for none of these."""
    return tag("p", {"class": "notice", "data-kind": kind or None}, *children)


def why(reason: str, detail: str) -> str:
    """Return a reason with its detail, once where the detail says it again."""
    return detail if reason in detail else f"{reason} · {detail}" if detail else reason


def plain(value: object) -> Child:
    """Return any JSON value for people."""
    if value is None or value == "":
        return tag("span", {"class": "muted"}, "–")  # noqa: RUF001 - a dash for nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return facts((str(name).replace("_", " "), plain(each)) for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tag("ul", None, [tag("li", None, plain(each)) for each in value])
    return value if isinstance(value, int | float) else prose(str(value), "span")


def marked(text: str, marks: Sequence[Sequence[Any]]) -> Html:
    """Return a text with places marked: start, end and title each. Of marks that overlap, the first is shown."""
    parts: list[Child] = []
    at = 0
    for start, end, *title in sorted(marks, key=lambda mark: int(mark[0])):
        if start < at or end <= start or end > len(text):
            continue
        parts += [text[at:start], tag("mark", {"title": str(title[0]) if title else None}, text[start:end])]
        at = end
    return tag("div", {"class": "prose mono", "dir": "auto"}, *parts, text[at:])


def money(value: float | None) -> str:
    """Return dollars; a small amount is never shown as zero."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash for nothing
    return f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.2g}"


def took(seconds: float | None) -> str:
    """Return how long an answer took."""
    return "" if seconds is None else f"{seconds:.1f} s" if seconds < 100 else format_duration(seconds)


def date(seconds: float | None) -> str:
    """Return a time in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC" if seconds is not None else ""


def pictures(images: Sequence[Json], large: bool = False) -> Html | None:
    """Return pictures as the file carries them, frames with their seconds; one that it does not carry is named."""
    images = [image for image in images if image["url"] is not None]
    if not images:
        return None
    items = []
    for image in images:
        name = str(image.get("name") or "picture")
        seconds = image.get("seconds")
        source = image.get("data")
        shown = (
            tag("img", {"src": source, "alt": name}) if source else tag("span", {"class": "missing"}, _why_no(image))
        )
        caption = tag("span", {"class": "seconds"}, f"{seconds:g} s") if seconds is not None else None
        items.append(tag("li", None, tag("span", {"class": "thumb"}, shown), caption))
    frames = all(image.get("seconds") is not None for image in images)
    return tag("ul", {"class": "filmstrip" if frames else "pictures large" if large else "pictures"}, items)


def images_hint(holders: Sequence[Json]) -> Html | None:
    """Return a sentence on images that can't be looked for, None if there are none. `holders` have `images`."""
    if any(image["url"] is None for holder in holders for image in holder.get("images") or []):
        return tag("p", {"class": "note"}, _HINT)
    return None


def _why_no(image: Json) -> str:
    return str(image.get("problem") or image.get("left_out") or "no picture")
