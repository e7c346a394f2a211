"""The images that go into a store, one by one in a fixed order, from any position on."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from syphus.errors import ImageError, InputError, UsageError
from syphus.images.conversion_units import (
    ConversionUnit,
    RequestedImages,
    SourceSummary,
    conversion_units,
    summarize_units,
)
from syphus.images.convert_options import MISSING, ConvertOptions, EncodeOptions, ImageJob, require_decoders
from syphus.images.convert_state import DOWNLOADS_FILE, DownloadLog, SourcePosition
from syphus.images.pool import DecoderPool
from syphus.images.store import part_paths, read_images
from syphus.io.media import media_kind, unread_reason
from syphus.io.text_files import BadRecords, missing
from syphus.plugins.contract import AbstractDataset, queries, skip_failing, with_bad_rows_hint
from syphus.plugins.discovery import find_plugin
from syphus.plugins.hook_results import image_sources

T = TypeVar("T")


class Decoders(Protocol):
    """Decodes files somewhere; `DecoderPool` does so in processes of this machine."""

    def results(self, jobs: Iterable[ImageJob]) -> Iterator[tuple[int, float, bytes | str]]:
        """Yield job number, key, and image or reason, in the order of `DecoderPool.results`."""
        ...


OpenPool: TypeAlias = Callable[[EncodeOptions, int, float], AbstractContextManager[Decoders]]


class ImageResult(NamedTuple):
    """An image with its ids, or the reason why it is skipped.

    `context` is what a skipped image is listed with, such as its file; `position` is the position after this result.
    """

    ids: Sequence[str]
    image: bytes | str
    context: dict[str, object]
    position: SourcePosition


class DatasetResults:
    """Images decoded from the files of a dataset. Creating it downloads missing photos if `options` ask for that.

    `open_pool` opens the decoders, from how images are encoded, the number of processes, and the seconds for an image.
    """

    def __init__(
        self,
        options: ConvertOptions,
        on_message: Callable[[str], None],
        on_download: Callable[[int, int], None],
        open_pool: OpenPool = DecoderPool,
    ) -> None:
        self._open_pool = open_pool
        plugin = find_plugin(options.name, options.datasets_dir)
        self._options = options
        self._dataset = plugin.create("", options.query_inputs_path)
        self._dataset.query_inputs_path = options.query_inputs_path
        self._roots = _roots(options)
        self.requested: RequestedImages | None = None
        self.bad_rows: list[str] = []
        if options.query_inputs_path:
            ids = self._readable(partial(_image_ids, self._dataset, options.query_inputs_path))
            self.requested = RequestedImages(ids())
        self._read_sources = self._readable(partial(image_sources, self._dataset, self._listing))
        if options.download:
            self._download(on_message, on_download)
        self.summary = summarize_units(self._units())
        require_decoders(self.summary.videos > 0)
        if not self.summary.units:
            named = f" that {options.query_inputs_path} names" if options.query_inputs_path else ""
            raise InputError(f"{plugin.name}: no images in {options.image_path}{named}")

    def results(self, position: SourcePosition) -> Iterator[ImageResult]:
        """Yield all results after a position."""
        remaining = islice(self._units(), position.units, None)
        units: dict[int, ConversionUnit] = {}
        processes = self._options.num_threads or os.cpu_count() or 1
        threads = max(1, processes // self.summary.videos) if self.summary.videos else 1
        roots = [os.path.realpath(root) for root in self._roots]

        def jobs() -> Iterator[ImageJob]:
            for number, unit in enumerate(remaining, position.units):
                units[number] = unit
                yield unit.job(number, roots, threads)

        count = min(processes, self.summary.units)
        with self._open_pool(self._options.encode_options, count, self._options.timeout) as pool:
            yield from self._with_ids(pool.results(jobs()), units, position)

    def _with_ids(
        self,
        results: Iterable[tuple[int, float, bytes | str]],
        units: dict[int, ConversionUnit],
        position: SourcePosition,
    ) -> Iterator[ImageResult]:
        """Add ids and positions to the results of the pool; `units` are those handed out so far, by number."""
        current, count, done = position.units, 0, position.done
        finished_keys: set[float] = set()  # of the current unit
        for number, key, image in results:
            while current < number:
                done += file_size(units.pop(current).path)
                current, count = current + 1, 0
                finished_keys.clear()
            count += 1
            finished_keys.add(key)
            if number == position.units and count <= position.results:
                continue  # committed before the stop
            unit = units[number]
            if image == MISSING and (unit.urls or self._options.download):
                image = self._missing_reason(unit.urls)
            for ids, context in _ids_and_context(unit, key, finished_keys):
                yield ImageResult(ids, image, context, SourcePosition(number, count, done))

    def _missing_reason(self, urls: Sequence[str]) -> str:
        if not urls:
            return "missing: the annotations have no address for it"
        if not (self._roots[0] / DOWNLOADS_FILE).is_file():
            return "missing; --download gets it"
        with closing(DownloadLog(self._roots[0])) as log:
            return log.reason(urls) or "missing; --download gets it"

    def _download(self, on_message: Callable[[str], None], on_progress: Callable[[int, int], None]) -> None:
        from syphus.images.download import DownloadPolicy, download  # here, as aiohttp is slow to import

        photos = ((unit.path, unit.urls) for unit in self._units() if unit.urls)
        policy = DownloadPolicy(per_second=self._options.requests_per_second, timeout=self._options.timeout)
        result = download(photos, self._roots[0], policy, on_progress, forget=self._options.restart)
        on_message(
            f"Downloaded {result.new:,} photos; {result.present:,} were already present, {result.gone:,} have expired, "
            f"{result.failed:,} failed."
        )

    @property
    def _listing(self) -> str:
        """The path for the plugin, absolute, so that paths built from it do not depend on the roots."""
        return str(Path(self._options.image_path).absolute())

    def _units(self) -> Iterator[ConversionUnit]:
        return conversion_units(self._read_sources(), self._roots, self.requested)

    def _readable(self, read: Callable[[BadRecords | None], Iterable[T]]) -> Callable[[], Iterable[T]]:
        """Return `read` without the bad rows if they are allowed; their problems go to `bad_rows`."""
        if not self._options.allow_bad_rows:
            return lambda: _with_hint(read(None))
        bad = BadRecords()
        skip_failing(lambda: read(bad), bad)
        bad.problems.clear()
        deque(read(bad), maxlen=0)
        self.bad_rows += [problem for problem in bad.problems if problem not in self.bad_rows]
        return lambda: read(bad)


class StoreResults:
    """The images of another store, unchanged; each is a unit of its own."""

    requested = None
    bad_rows: Sequence[str] = ()

    def __init__(self, source: Path) -> None:
        self._source = source
        files = part_paths(source) if source.is_dir() or source.suffix == ".parquet" else [source]
        if not source.exists():
            raise InputError(missing(source))
        statuses = [file.stat() for file in files]
        text = "".join(
            f"{file.absolute()}\0{status.st_size} {status.st_mtime_ns}\n"
            for file, status in zip(files, statuses, strict=True)
        )
        digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        self.summary = SourceSummary(len(files), 0, sum(status.st_size for status in statuses), digest)

    def results(self, position: SourcePosition) -> Iterator[ImageResult]:
        """Yield all images after a position."""
        done = position.done
        remaining = islice(read_images(self._source), position.units, None)
        for number, (image_id, image) in enumerate(remaining, position.units + 1):
            if isinstance(image, bytes):
                done += len(image) * 4 // 3
            yield ImageResult([image_id], _checked(image), {"id": image_id}, SourcePosition(number, 0, done))


def _checked(image: bytes | ImageError) -> bytes | str:
    """Return an image of a store, or why nothing would open it. Only the first bytes are looked at."""
    if isinstance(image, ImageError):
        return image.problem
    if not image:
        return "0 bytes"
    if media_kind(image) is None:
        return "not an image"
    return unread_reason(image) or image


def file_size(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is no file."""
    with suppress(OSError, ValueError):
        return path.stat().st_size
    return 0


def _roots(options: ConvertOptions) -> list[Path]:
    """Return the folders that may be read: those that the user names, and the folder of the images."""
    path = Path(options.image_path)
    return [*options.image_root, path if path.is_dir() else path.parent]


def _image_ids(dataset: AbstractDataset, annotations: str, bad_rows: BadRecords | None) -> Iterator[str]:
    problems = []
    for query in queries(dataset, annotations, bad_rows):
        problems += [query.problem] if query.problem else []
        yield from query.image_ids
    if bad_rows is not None:
        bad_rows.problems += problems  # `queries` has taken them out


def _with_hint(values: Iterable[T]) -> Iterator[T]:
    """Yield the values; an error in a single record gets the option that leaves it out."""
    try:
        yield from values
    except UsageError as error:
        raise with_bad_rows_hint(error) from error.__cause__


def _ids_and_context(
    unit: ConversionUnit, key: float, finished_keys: set[float]
) -> Iterator[tuple[Sequence[str], dict[str, object]]]:
    """Yield the ids of a result, with the context that it is listed with.

    A result with a negative key is about the rest of the file: it yields each id that has no result yet, if the ids are
    known.
    """
    context: dict[str, object] = {"path": str(unit.path)}
    if key >= 0:
        second = {"second": key} if unit.is_video else {}
        ids = unit.ids_of(key)
        yield ids, {"id": ids[0], **context, **second}
    elif unit.ids:
        for unit_key, ids in unit.ids.items():
            if unit_key not in finished_keys:
                for image_id in ids:
                    yield [image_id], {"id": image_id, **context}
    else:
        yield [], context
