"""What is wrong with one pair of a MIMIC-IT file, looked at alone."""

from __future__ import annotations

from collections.abc import Iterator

from syphus.reading.nested import Repeated
from syphus.reading.records import Record, kind_of

_TEXTS, _LISTS = ("instruction", "answer"), ("image_ids", "rel_ins_ids")


def problems(name: str, entry: Record, images: bool | None) -> Iterator[tuple[str, str]]:
    """Kind and detail of each; nothing for a good pair. `images`: whether it must have some, None where nobody says."""
    if not isinstance(entry, dict):
        yield "no object", f"this is {kind_of(entry)}"
        return
    if isinstance(entry, Repeated):
        yield "a key comes twice", ""
    for key in _TEXTS:
        text = entry.get(key)
        if not isinstance(text, str):
            yield _absent(entry, key, "text")
        elif not text or text.isspace():
            yield f"the {key} is empty", ""
    for key in _LISTS:
        values = entry.get(key)
        needless = key == "image_ids" and images is False and values is None
        if not needless and not (type(values) is list and all(type(each) is str for each in values)):
            yield _absent(entry, key, "a list of text")
    if images and entry.get("image_ids") == []:
        yield "no images", ""
    related = list_of(entry, "rel_ins_ids")
    if name in related:
        yield "names itself as its context", ""
    if len(related) > 1 and len(set(related)) < len(related):
        yield "names a context twice", next(each for each in related if related.count(each) > 1)


def list_of(entry: Record, key: str) -> list[str]:
    """The texts in a list of an entry, whatever the entry is."""
    values = entry.get(key) if isinstance(entry, dict) else None
    return [each for each in values if type(each) is str] if type(values) is list else []


def _absent(entry: dict[str, Record], key: str, wanted: str) -> tuple[str, str]:
    if key not in entry:
        return f'no "{key}"', ""
    value = entry[key]
    if key in _LISTS and type(value) is list:
        return f'"{key}" must be {wanted}', f"it holds {kind_of(next(each for each in value if type(each) is not str))}"
    return f'"{key}" must be {wanted}', f"this is {kind_of(value)}"
