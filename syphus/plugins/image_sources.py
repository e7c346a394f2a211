"""Reads and checks what a plugin's `_load_images` returns: where its images are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from syphus.declarations import Frame, Still, Video
from syphus.errors import PluginError
from syphus.io.text_files import text_problem
from syphus.plugins.contract import AbstractDataset, plugin_code, plugin_name
from syphus.plugins.rows import MAX_ID

_END = object()
_MOST_DIGITS = 20


def image_sources(dataset: AbstractDataset, path: str) -> Iterator[Still | Frame | Video]:
    """Yield the images of a plugin, read from `path`.

    Raises `InputError` or `PluginError`, in one line, for the first that is invalid or that the plugin fails on.
    """
    code = plugin_code(dataset)
    images = code.run(dataset._load_images, path)
    if not isinstance(images, Iterable):
        raise PluginError(f"{code.name}: _load_images must return or yield Still, Frame or Video")
    sources = code.run(iter, images)
    try:
        while (source := code.run(next, sources, _END)) is not _END:
            code.row += 1
            if problem := _problem(source):
                raise PluginError(f"{code.location()}: _load_images: {problem} ({plugin_name(type(dataset))})")
            assert isinstance(source, Still | Frame | Video)  # checked by _problem
            yield source
    finally:
        code.run(getattr(sources, "close", bool))


def _problem(source: object) -> str:
    if isinstance(source, Still):
        if any(not isinstance(url, str) for url in source.urls):
            return f"a URL must be text, not {source.urls!r:.80}"
        return _id_problem(source.id) or _path_problem(source.path)
    if isinstance(source, Frame):
        second = source.second
        if not isinstance(second, int | float) or not math.isfinite(second) or second < 0:
            return f"a second must be a number of at least 0, not {second!r:.40}"
        return _id_problem(source.id) or _path_problem(source.video)
    if isinstance(source, Video):
        if type(source.digits) is not int or not 0 < source.digits <= _MOST_DIGITS:
            return f"digits must be a number from 1 to {_MOST_DIGITS}, not {source.digits!r:.40}"
        return _id_problem(source.prefix) or _path_problem(source.path)
    return f"Still, Frame or Video is expected, this is {type(source).__name__}"


_UNDECODABLE = re.compile("[\udc80-\udcff]")  # bytes of a file's name that are not UTF-8, as Python shows them


def _id_problem(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_ID:
        return f"an id must be text of up to {MAX_ID} characters, not {name!r:.60}"
    problem = "" if _UNDECODABLE.search(name) else text_problem(name)  # of a file; it is listed as skipped
    return f"the id {name!r:.60} {problem}" if problem else ""


def _path_problem(path: object) -> str:
    return "" if isinstance(path, str | Path) and str(path) and "\0" not in str(path) else f"no path: {path!r:.60}"
