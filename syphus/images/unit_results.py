"""The images that go into a store, one by one in their order, from any point on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from syphus.errors import InputError
from syphus.images.catalog import ConversionUnit, RequestedImages, SourceListing, list_units, units
from syphus.images.convert_options import ConvertOptions
from syphus.images.download import FILE, DownloadLog
from syphus.images.pool import DecoderPool
from syphus.images.progress import SourcePosition
from syphus.images.store import part_paths, read_images
from syphus.images.worker_protocol import MISSING, ImageJob, require_decoders
from syphus.plugins.contract import AbstractDataset, queries
from syphus.plugins.discovery import find_plugin
from syphus.plugins.image_sources import image_sources


class ImageResult(NamedTuple):
    """An image with its ids, or the reason why there is none; and where the sources are after it."""

    ids: Sequence[str]
    image: bytes | str
    told: dict[str, object]
    position: SourcePosition


class FileResults:
    """The files of a dataset."""

    def __init__(self, wish: ConvertOptions, say: Callable[[str], None], tick: Callable[[int, int], None]) -> None:
        plugin = find_plugin(wish.name, wish.datasets_dir)
        self._wish = wish
        self._dataset = plugin.create("", wish.query_inputs_path)
        self._dataset.query_inputs_path = wish.query_inputs_path
        self._roots = _roots(wish)
        self.wanted = RequestedImages(_named(self._dataset, wish.query_inputs_path)) if wish.query_inputs_path else None
        if wish.download:
            self._download(say, tick)
        self.listing = list_units(self._units())
        require_decoders(self.listing.videos > 0)
        if not self.listing.units:
            named = f" that {wish.query_inputs_path} names" if wish.query_inputs_path else ""
            raise InputError(f"{plugin.name}: no images in {wish.image_path}{named}")

    def results(self, position: SourcePosition) -> Iterator[ImageResult]:
        """Everything from a position on."""
        following = islice(self._units(), position.units, None)
        shown: dict[int, ConversionUnit] = {}
        processes = self._wish.num_threads or os.cpu_count() or 1
        threads = max(1, processes // self.listing.videos) if self.listing.videos else 1
        roots = [os.path.realpath(root) for root in self._roots]

        def jobs() -> Iterator[ImageJob]:
            for number, unit in enumerate(following, position.units):
                shown[number] = unit
                yield unit.job(number, roots, threads)

        with DecoderPool(self._wish.look, min(processes, self.listing.units), self._wish.timeout) as pool:
            yield from self._placed(pool.results(jobs()), shown, position)

    def _placed(
        self,
        results: Iterable[tuple[int, float, bytes | str]],
        shown: dict[int, ConversionUnit],
        position: SourcePosition,
    ) -> Iterator[ImageResult]:
        at, count, done = position.units, 0, position.done
        known: set[float] = set()  # keys of the unit that have come
        for number, key, image in results:
            while at < number:
                done += file_size(shown.pop(at).path)
                at, count = at + 1, 0
                known.clear()
            count += 1
            known.add(key)
            if number == position.units and count <= position.results:
                continue
            unit = shown[number]
            if image == MISSING and unit.urls:
                image = self._why_missing(unit.path)
            for ids, told in _told(unit, key, known):
                yield ImageResult(ids, image, told, SourcePosition(number, count, done))

    def _why_missing(self, path: Path) -> str:
        if not (self._roots[0] / FILE).is_file():
            return "missing; --download gets it"
        with closing(DownloadLog(self._roots[0])) as downloads:
            return downloads.reason(path) or MISSING

    def _download(self, say: Callable[[str], None], tick: Callable[[int, int], None]) -> None:
        from syphus.images.download import DownloadPolicy, download  # aiohttp takes its time to import

        wishes = ((unit.path, unit.urls) for unit in self._units() if unit.urls)
        manners = DownloadPolicy(per_second=self._wish.requests_per_second)
        got = download(wishes, self._roots[0], manners, tick)
        say(f"Downloaded {got.new:,}; {got.there:,} were there, {got.gone:,} are expired, {got.failed:,} failed.")

    def _units(self) -> Iterator[ConversionUnit]:
        path = Path(self._wish.image_path).absolute()  # so that paths made of it start nowhere else
        return units(image_sources(self._dataset, str(path)), self._roots, self.wanted)


class StoreResults:
    """The images of another store."""

    wanted = None

    def __init__(self, source: Path) -> None:
        self._source = source
        files = part_paths(source) if source.is_dir() or source.suffix == ".parquet" else [source]
        if not source.exists():
            raise InputError(f"{source}: no such file or folder")
        found = [file.stat() for file in files]
        told = "".join(
            f"{file.absolute()}\0{each.st_size} {each.st_mtime_ns}\n" for file, each in zip(files, found, strict=True)
        )
        digest = hashlib.blake2b(told.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        self.listing = SourceListing(len(files), 0, sum(each.st_size for each in found), digest)

    def results(self, position: SourcePosition) -> Iterator[ImageResult]:
        """Everything from a position on; a unit is an image."""
        done = position.done
        for number, (name, image) in enumerate(islice(read_images(self._source), position.units, None), position.units):
            done += len(image) * 4 // 3
            yield ImageResult([name], image or "0 bytes", {"id": name}, SourcePosition(number + 1, 0, done))


def _roots(wish: ConvertOptions) -> list[Path]:
    """The folders that may be read: those that the user names, and the one of the images."""
    path = Path(wish.image_path)
    return [*wish.image_root, path if path.is_dir() else path.parent]


def _named(dataset: AbstractDataset, annotations: str) -> Iterator[str]:
    for query in queries(dataset, annotations):
        yield from query.image_ids


def _told(unit: ConversionUnit, key: float, known: set[float]) -> Iterator[tuple[Sequence[str], dict[str, object]]]:
    """The ids that a result is for; where it is about the rest of the file, each id of that, if they are known."""
    path: dict[str, object] = {"path": str(unit.path)}
    if key >= 0:
        second = {"second": key} if unit.is_video else {}
        ids = unit.ids_of(key)
        yield ids, {"id": ids[0], **path, **second}
    elif unit.ids:
        for name in (name for own, names in unit.ids.items() if own not in known for name in names):
            yield [name], {"id": name, **path}
    else:
        yield [], path


def file_size(path: Path) -> int:
    """Bytes; 0 where there is no file."""
    with suppress(OSError, ValueError):
        return path.stat().st_size
    return 0
