"""Writes a page of the viewer as one file that needs no network, no script and no viewer.

It asks the viewer's own API, so a file shows what the page shows; the pictures become part of it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import aiohttp

from syphus.errors import ConfigError, RunError
from syphus.formats.html_page import write_document
from syphus.formats.page_fonts import EmbeddedFonts
from syphus.text import install_hint, pluralize
from syphus.viewer.page_parts import Json
from syphus.viewer.server import serve
from syphus.viewer.viewer import Viewer
from syphus.viewer.written_pages import WrittenPage, overview_page, pairs_page, queries_page, query_page, report_page
from syphus.viewer.written_reports import cold_start_page, statistics_page, translation_page

_MOST_PICTURES = 300  #: of a file
_SIDE = 960  #: pixels, of a picture that is made smaller; needs Pillow
_MOST_BYTES = 400_000  #: of a picture that can't be made smaller
_REPORTS = {"translation": translation_page, "statistics": statistics_page, "cold-start": cold_start_page}
_OTHERS = {
    "worth": "Precision and recall of rules",
    "control": "Control",
}  #: shown as names and values, with their titles
#: And queries/N; lists may have filters, as in the address of the page.
PAGES = ("overview", "queries", "pairs", *_REPORTS, *_OTHERS)


class WrittenFile(NamedTuple):
    """A page that was written. `left_out` is the number of pictures that are too many or too large for it."""

    path: Path
    fonts: EmbeddedFonts
    pictures: int
    left_out: int

    def remarks(self) -> list[str]:
        """Return what the file lacks, and what to do about it, in lines."""
        lines = []
        if self.left_out:
            lines.append(f"{pluralize(self.left_out, 'picture')} left out: a page carries {_MOST_PICTURES} at most.")
        letters = " ".join(self.fonts.missing[:8])
        if self.fonts.tool_missing:
            lines.append(f"Letters such as {letters} are not embedded. Add fonttools: {install_hint('pages')}")
        elif letters:
            lines.append(
                f"No font here has letters such as {letters}. Name one with --fonts, or take those of the extra fonts: "
                f"{install_hint('fonts')}"
            )
        return lines


class _Client:
    """Asks the API about one run, and turns the addresses of pictures into data."""

    def __init__(self, session: aiohttp.ClientSession, run: str) -> None:
        self._session = session
        self._run = run
        self.pictures = 0
        self.left_out = 0

    async def get(self, path: str) -> Json:
        """Return the object at a path below the run. Raises `ConfigError` with what the API says."""
        async with self._session.get(f"/api/runs/{self._run}/{path}") as reply:
            value: dict[str, Any] = await reply.json()
        if reply.status != 200:
            raise ConfigError(f"--page {path}: {value.get('error', 'there is no such page')}")
        for image in _images(value):
            await self._take_in(image)
        return value

    async def _take_in(self, image: dict[str, Any]) -> None:
        if image.get("problem"):
            return
        data = None
        if self.pictures < _MOST_PICTURES:
            async with self._session.get(image["url"]) as reply:
                data = await reply.read() if reply.status == 200 else None
            if data is None:
                image["left_out"] = "no picture"
                return
            image["data"] = await asyncio.to_thread(_as_data, data, reply.content_type)
        if image.get("data"):
            self.pictures += 1
        else:
            self.left_out += 1
            image["left_out"] = "left out"


def write_page(
    paths: Sequence[Path], file: Path, page: str = "overview", fonts: Sequence[Path] = (), images: Sequence[Path] = ()
) -> WrittenFile:
    """Write a page of the one run in `paths`, UTF-8; `page` is as in its address: "queries?state=invalid".

    `fonts` are folders with fonts that come before those of this machine, `images` those with the images of the run.
    Raises `RunError` if there is no run or there are several, `ConfigError` for an unknown page, `StorageError` if the
    disk fails.
    """
    viewer = Viewer(paths, images=images)
    viewer.runs.check()
    runs = viewer.runs.all()
    if len(runs) != 1:
        raise RunError(f"--write takes one run; here are {len(runs)}: {', '.join(each.name for each in runs[:5])}.")
    with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop in its own one
        written, client = thread.submit(lambda: asyncio.run(_read(viewer, runs[0].key, page))).result()
    embedded = write_document(file, f"{written.title}", written.body, written.note, fonts, written.wide)
    return WrittenFile(file, embedded, client.pictures, client.left_out)


async def _read(viewer: Viewer, run: str, page: str) -> tuple[WrittenPage, _Client]:
    async with serve(viewer, (0,)) as address:
        headers = {"Authorization": f"Bearer {viewer.token}"}
        async with aiohttp.ClientSession(address.partition("/?")[0], headers=headers) as session:
            client = _Client(session, run)
            return await _page(client, page), client


async def _page(client: _Client, page: str) -> WrittenPage:
    name, _, query = page.strip("/").partition("?")
    filters = dict(parse_qsl(query))
    asked = f"{name}?{urlencode({'limit': '50', **filters})}"
    shown = ", ".join(f"{each}: {value}" for each, value in filters.items() if each not in ("after", "before", "limit"))
    if name == "overview":
        return overview_page(await client.get("overview"))
    if name == "queries":
        return queries_page(await client.get(asked), shown)
    if name.startswith("queries/") and name.count("/") == 1:
        return query_page(await client.get(name))
    if name == "pairs":
        return pairs_page(await client.get(asked), shown)
    if name in _REPORTS:
        return _REPORTS[name](await client.get(name))
    if name in _OTHERS:
        return report_page(_OTHERS[name], await client.get(name))
    raise ConfigError(f"--page {name}: there is no such page. Choose {', '.join(PAGES)} or queries/N.")


def _images(value: object) -> Iterator[dict[str, Any]]:
    """Yield the objects in a reply that describe pictures."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and "/images/" in value["url"]:
            yield value
        for each in value.values():
            yield from _images(each)
    elif isinstance(value, list):
        for each in value:
            yield from _images(each)


def _as_data(data: bytes, kind: str) -> str | None:
    """Return a picture as an address with its bytes, made smaller if it is large; None if it stays too large."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        from PIL import Image

        with Image.open(io.BytesIO(data)) as image:
            if max(image.size) > _SIDE or len(data) > _MOST_BYTES:
                image.thumbnail((_SIDE, _SIDE))
                smaller = io.BytesIO()
                image.convert("RGB").save(smaller, "JPEG", quality=82)
                data, kind = smaller.getvalue(), "image/jpeg"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}" if len(data) <= _MOST_BYTES else None
