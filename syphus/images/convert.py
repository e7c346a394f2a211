"""From a dataset's stills and videos to its image store, part by part: what is done is not done again after a stop."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from syphus.errors import InputError, RunError
from syphus.images import part_writer as outputs
from syphus.images.catalog import SourceListing
from syphus.images.convert_options import ConvertOptions, check
from syphus.images.index import FILE as INDEX
from syphus.images.part_writer import PartWriter, note_of
from syphus.images.progress import ConversionState, SourcePosition
from syphus.images.store import part_paths
from syphus.images.unit_results import FileResults, ImageResult, StoreResults, file_size
from syphus.images.worker_protocol import require_decoders
from syphus.io.durable import storage_faults
from syphus.io.parquet import require_pyarrow
from syphus.text import format_duration, pluralize

_FORMAT = 1  # goes up when the same settings give other bytes
_ENOUGH = 100  # images, before their share that is bad means something


class ConversionProgress(NamedTuple):
    """How far it is: images, skipped ones, and the share of the work that is done."""

    images: int
    skipped: int
    share: float


class ConversionResult(NamedTuple):
    """What came out. `new` is what this start did of it."""

    images: int
    skipped: int
    new: int
    bytes: int
    parts: int
    files: tuple[Path, ...]


class ConversionMeter:
    """Formats the progress of a conversion, and passes each line to `show`."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._began: tuple[float, ConversionProgress] | None = None

    def tick(self, progress: ConversionProgress) -> None:
        """Take the progress after an image."""
        now = time.monotonic()
        if self._began is None:
            self._began = now, progress
        self._show(self.line(now, progress))

    def fetched(self, photos: int, new: int) -> None:
        """Take the progress of a download after a photo."""
        self._show(f"{pluralize(photos, 'photo')}, {new:,} downloaded")

    def line(self, now: float, progress: ConversionProgress) -> str:
        """Return `12,300 images  3 skipped  41%  480/s  left 2 min`."""
        began, first = self._began or (now, progress)
        seconds, done = now - began, progress.share - first.share
        parts = [pluralize(progress.images, "image")]
        parts += [f"{progress.skipped:,} skipped"] if progress.skipped else []
        parts.append(f"{progress.share:.0%}")
        if seconds > 0:
            parts.append(f"{(progress.images - first.images) / seconds:,.0f}/s")
        if done > 0:
            parts.append(f"left {format_duration(seconds * (1 - progress.share) / done)}")
        return "  ".join(parts)


Tick = Callable[[ConversionProgress], None]


def convert(
    wish: ConvertOptions, tick: Tick, say: Callable[[str], None], fetched: Callable[[int, int], None]
) -> ConversionResult:
    """Converts, or goes on where the same command was stopped; `fetched` hears of photos that are downloaded before.

    Raises `UsageError` for what can't be meant, for other settings or sources than those before the stop, and where
    more than `max_bad` of the images are bad; `StorageError` where the disk fails. What is done stays done.
    """
    check(wish)
    if not wish.from_:
        require_decoders(videos=False)
    require_pyarrow("An image store")
    if wish.restart:
        _forget(wish)
    sources = StoreResults(wish.from_) if wish.from_ else FileResults(wish, say, fetched)
    settings = _settings(wish, sources.listing)
    if not wish.work.exists() and (done := _finished(wish, settings)):
        return done
    with storage_faults(wish.work):
        wish.work.mkdir(parents=True, exist_ok=True)
    with closing(ConversionState(wish.work)) as state:
        if state.settings != settings and state.position != SourcePosition():
            raise RunError(
                f"{wish.output} was begun with other settings, or from other files than there are now. Give the same "
                "ones again, or --restart to begin anew."
            )
        if state.settings != settings:
            if wish.output.is_dir() and not outputs.is_free(wish.output):
                raise RunError(f"{wish.output} is there already, and is not empty. Name another one with --output.")
            state.begin(settings)
        elif state.images or state.skipped:
            say(f"Going on after {state.images:,} images.")
        before = state.images
        _fill(wish, state, sources, settings, tick)
        if not state.images:
            outputs.write_skipped(wish.skipped, state)
            _remove_work(wish)
            raise InputError(f"None of the images can be taken. {wish.skipped} says why.")
        done = _put_in_place(wish, state)._replace(new=state.images - before)
    _remove_work(wish)
    return done


def _settings(wish: ConvertOptions, listing: SourceListing) -> str:
    """A digest of everything that the bytes depend on."""
    told = repr((_FORMAT, wish.look, wish.layout, wish.kind, wish.part_mb, bool(wish.from_), listing.digest))
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _fill(
    wish: ConvertOptions, state: ConversionState, sources: FileResults | StoreResults, settings: str, tick: Tick
) -> None:
    """Makes all parts that are still to be made."""
    folder = wish.work if wish.kind else wish.output
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    writer = PartWriter(folder, wish.layout, wish.part_mb * 1_000_000, settings, len(state.parts))
    position, whole = state.position, max(1, sources.listing.bytes)
    try:
        for result in sources.results(position):
            position = result.position
            _take(result, state, writer)
            tick(ConversionProgress(state.images, state.skipped, min(1.0, position.done / whole)))
            _stop_if_bad(wish, state, at_least=_ENOUGH)
            if writer.full:
                state.commit(*writer.finish(), position)
        for name in sources.wanted or ():
            if not state.accounts_for(name):
                state.skip(name, {"id": name, "reason": "no file for it"})
        _stop_if_bad(wish, state, at_least=1)
        state.commit(*writer.finish(), SourcePosition(1 << 62, 0, whole))
    finally:
        writer.close()


def _take(result: ImageResult, state: ConversionState, writer: PartWriter) -> None:
    if isinstance(result.image, str):
        for name in result.ids or [""]:
            state.skip(name, {**result.told, **({"id": name} if name else {}), "reason": result.image})
        return
    for name in result.ids:
        if state.claim(name, *writer.place):
            writer.add(name, result.image)
        else:
            state.skip(name, {**result.told, "id": name, "reason": "the id comes twice; the first is kept"})


def _stop_if_bad(wish: ConvertOptions, state: ConversionState, at_least: int) -> None:
    seen = max(at_least, state.images + state.skipped)
    if state.skipped > wish.max_bad * seen:
        outputs.write_skipped(wish.skipped, state)
        raise InputError(
            f"{state.skipped:,} of {state.images + state.skipped:,} images can't be taken, more than --max_bad "
            f"{wish.max_bad:g}. {wish.skipped} says why."
        )


def _put_in_place(wish: ConvertOptions, state: ConversionState) -> ConversionResult:
    """The last step."""
    outputs.write_skipped(wish.skipped, state)
    files = [wish.skipped] if state.skipped else []
    folder = wish.work if wish.kind else wish.output
    parts = [folder / name for name, _ in state.parts]
    if wish.kind == ".parquet":
        outputs.join_parquet(parts, wish.output)
    elif wish.kind == ".json":
        outputs.join_json(parts, wish.output)
    else:
        outputs.finish_folder(wish.output, state)
    size = file_size(wish.output) if wish.kind else sum(size for _, size in state.parts)
    return ConversionResult(state.images, state.skipped, 0, size, len(parts), (wish.output, *files))


def _finished(wish: ConvertOptions, settings: str) -> ConversionResult | None:
    """What is there already, where it is what was asked for; None where there is nothing. Raises `RunError`."""
    if outputs.is_free(wish.output):
        return None
    pyarrow = require_pyarrow("An image store")
    if wish.kind == ".json":
        raise RunError(f"{wish.output} is there already. --restart writes it anew.")
    try:
        paths = part_paths(wish.output)
        noted = {note_of(pyarrow, path) for path in paths}
        images = sum(pyarrow.parquet.read_metadata(path).num_rows for path in paths)
    except (pyarrow.ArrowException, OSError, InputError):
        noted = {""}
    if noted != {settings}:
        hint = "--restart writes it anew." if all(noted) else "Name another one with --output."
        raise RunError(f"{wish.output} is there already, and is something else. {hint}")
    skipped = len(wish.skipped.read_bytes().splitlines()) if wish.skipped.is_file() else 0
    files = (wish.output, *([wish.skipped] if skipped else []))
    return ConversionResult(images, skipped, 0, sum(map(file_size, paths)), len(paths), files)


def _remove_work(wish: ConvertOptions) -> None:
    with storage_faults(wish.work):
        shutil.rmtree(wish.work)


def _forget(wish: ConvertOptions) -> None:
    """Removes what an earlier conversion has left, and nothing else: a part is known by its note."""
    pyarrow = require_pyarrow("An image store")
    with storage_faults(wish.output):
        shutil.rmtree(wish.work, ignore_errors=True)
        wish.skipped.unlink(missing_ok=True)
        parts = [*wish.output.glob("part-*.parquet")] if wish.output.is_dir() else []
        for file in parts:
            if note_of(pyarrow, file):
                file.unlink()
        if parts:
            (wish.output / INDEX).unlink(missing_ok=True)
        if wish.kind and wish.output.is_file():
            wish.output.unlink()
