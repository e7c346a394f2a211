"""Build an image store from a dataset's stills and videos, or from another store, and resume after a stop.

The store is written part by part. Each finished part is committed to the state file, and is never made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from syphus.errors import InputError, RunError
from syphus.images import part_writer as outputs
from syphus.images.conversion_results import DatasetResults, ImageResult, OpenPool, StoreResults, file_size
from syphus.images.conversion_units import SourceSummary
from syphus.images.convert_options import ConvertOptions, check_options, require_decoders
from syphus.images.convert_state import ConversionState, SourcePosition
from syphus.images.index import FILE as INDEX
from syphus.images.part_writer import PartWriter, read_note
from syphus.images.pool import DecoderPool
from syphus.images.store import part_paths
from syphus.io.durable import storage_faults
from syphus.io.parquet import require_pyarrow
from syphus.io.text_files import text_problem
from syphus.text import format_duration, pluralize

_FORMAT = 1  # increase it when the same settings give other bytes
_MIN_SAMPLE = 100  # images; the share of bad ones among fewer says little


class ConversionProgress(NamedTuple):
    """How far a conversion is: images, skipped images, and the share of the work that is done, from 0 to 1."""

    images: int
    skipped: int
    share: float


class ConversionResult(NamedTuple):
    """What a conversion wrote. `new` counts the images of this run; the others were there before it."""

    images: int
    skipped: int
    new: int
    bytes: int
    parts: int
    files: tuple[Path, ...]
    reasons: Mapping[str, int] = MappingProxyType(
        {}
    )  #: skipped images by why they were skipped, the most frequent first


class ConversionProgressFormatter:
    """Formats the progress of a conversion as a line, and passes it to `show`."""

    def __init__(self, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._clock = clock
        self._start: tuple[float, ConversionProgress] | None = None

    def update(self, progress: ConversionProgress) -> None:
        """Show the progress after an image."""
        if self._start is None:
            self._start = self._clock(), progress
        self._show(self.line(progress))

    def update_download(self, photos: int, new: int) -> None:
        """Show the progress of a download after a photo."""
        self._show(f"{pluralize(photos, 'photo')}, {new:,} downloaded")

    def line(self, progress: ConversionProgress) -> str:
        """Return `12,300 images  3 skipped  41%  480/s  2 min left`."""
        now = self._clock()
        start, first = self._start or (now, progress)
        seconds, done = now - start, progress.share - first.share
        parts = [pluralize(progress.images, "image")]
        parts += [f"{progress.skipped:,} skipped"] if progress.skipped else []
        parts.append(f"{progress.share:.0%}")
        if seconds > 0:
            parts.append(f"{(progress.images - first.images) / seconds:,.0f}/s")
        if done > 0:
            parts.append(f"{format_duration(seconds * (1 - progress.share) / done)} left")
        return "  ".join(parts)


ProgressCallback = Callable[[ConversionProgress], None]


def convert(
    options: ConvertOptions,
    on_progress: ProgressCallback,
    on_message: Callable[[str], None],
    on_download: Callable[[int, int], None],
    *,
    open_pool: OpenPool = DecoderPool,
) -> ConversionResult:
    """Convert the images, or resume the same conversion after a stop.

    `on_download` gets the numbers of photos checked and downloaded so far, before the conversion starts. `open_pool`
    opens the decoders. Raises `UsageError` for bad options, for settings or sources that differ from those before the
    stop, and if more than `max_bad` of the images are bad; `StorageError` if the disk fails. Finished parts are kept.
    """
    check_options(options)
    if not options.from_:
        require_decoders(videos=False)
    require_pyarrow("An image store")
    if options.restart:
        _remove_previous(options)
    sources = (
        StoreResults(options.from_) if options.from_ else DatasetResults(options, on_message, on_download, open_pool)
    )
    settings = settings_digest(options, sources.summary)
    if not options.work_dir.exists() and (existing := _existing_result(options, settings)):
        return existing
    with storage_faults(options.work_dir):
        options.work_dir.mkdir(parents=True, exist_ok=True)
    with closing(ConversionState(options.work_dir)) as state:
        if state.settings != settings:
            _begin(options, state, settings)
        elif state.images or state.skipped:
            on_message(f"Resuming after {state.images:,} images.")
        images_before = state.images
        _write_parts(options, state, sources, settings, on_progress)
        result = _write_output(options, state)._replace(new=state.images - images_before)
    _remove_work_dir(options)
    return result


def settings_digest(options: ConvertOptions, sources: SourceSummary) -> str:
    """Return a digest of everything that the bytes of the store depend on.

    State files and finished stores hold it, so the hashed text must not change. It still spells the names that the
    options had at first.
    """
    encode = options.encode_options
    encoding = (
        f"Look(size={encode.size}, keep_aspect={encode.keep_aspect}, format={encode.format!r}, "
        f"quality={encode.quality}, passing={encode.passthrough_formats}, most_pixels={encode.max_pixels}, "
        f"lenient={encode.lenient})"
    )
    rest = (options.layout, options.file_type, options.part_mb, bool(options.from_), sources.digest)
    text = f"({_FORMAT}, {encoding}, {', '.join(map(repr, rest))})"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _begin(options: ConvertOptions, state: ConversionState, settings: str) -> None:
    """Note the settings of a new conversion. Raises `RunError` if another one was begun, or something is there."""
    if state.position != SourcePosition():
        raise RunError(
            f"{options.store} was begun with other settings, or its source files have changed. Use the same settings "
            "and files, or start over with --restart."
        )
    if options.store.is_dir() and not outputs.is_free(options.store):
        raise RunError(f"{options.store} already exists and is not empty. Choose another --output.")
    state.begin(settings)


def _write_parts(
    options: ConvertOptions,
    state: ConversionState,
    sources: DatasetResults | StoreResults,
    settings: str,
    on_progress: ProgressCallback,
) -> None:
    """Write all parts that are still missing."""
    folder = options.work_dir if options.file_type else options.store
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    writer = PartWriter(folder, options.layout, options.part_mb * 1_000_000, settings, len(state.parts))
    position, total_bytes = state.position, max(1, sources.summary.bytes)
    try:
        for result in sources.results(position):
            position = result.position
            _add(result, state, writer)
            on_progress(ConversionProgress(state.images, state.skipped, min(1.0, position.done / total_bytes)))
            _stop_if_bad(options, state, at_least=_MIN_SAMPLE)
            if writer.is_full:
                state.commit(*writer.finish(), position)
        for image_id in sources.requested or ():
            if not state.is_known(image_id):
                state.add_skipped(image_id, {"id": image_id, "reason": "no file for it"})
        for problem in sources.bad_rows:
            state.add_skipped("", {"reason": f"bad row: {problem}"})
        _stop_if_bad(options, state, at_least=1)
        state.commit(*writer.finish(), SourcePosition(1 << 62, 0, total_bytes))
    finally:
        writer.close()


def _add(result: ImageResult, state: ConversionState, writer: PartWriter) -> None:
    """Add one image under each of its ids, or note why it is skipped."""
    if any(text_problem(image_id) for image_id in result.ids):
        result = result._replace(image="the name of its file is not UTF-8: rename it")
    if isinstance(result.image, str):
        for image_id in result.ids or [""]:
            named = {"id": image_id} if image_id else {}
            state.add_skipped(image_id, {**result.context, **named, "reason": result.image})
        return
    for image_id in result.ids:
        if state.add_image(image_id, *writer.next_location):
            writer.add(image_id, result.image)
        else:
            reason = "duplicate id; the first image is kept"
            state.add_skipped(image_id, {**result.context, "id": image_id, "reason": reason})


def _stop_if_bad(options: ConvertOptions, state: ConversionState, at_least: int) -> None:
    total = state.images + state.skipped
    if state.skipped > options.max_bad * max(at_least, total):
        outputs.write_skipped(options.skipped_path, state)
        raise InputError(
            f"{state.skipped:,} of {total:,} images can't be used, more than --max-bad {options.max_bad:g}. "
            f"{options.skipped_path} says why."
        )


def _write_output(options: ConvertOptions, state: ConversionState) -> ConversionResult:
    """Turn the finished parts into the output. Raises `InputError` if they hold no image."""
    outputs.write_skipped(options.skipped_path, state)
    if not state.images:
        _remove_work_dir(options)
        raise InputError(f"None of the images can be used. {options.skipped_path} says why.")
    files = [options.skipped_path] if state.skipped else []
    folder = options.work_dir if options.file_type else options.store
    parts = [folder / name for name, _ in state.parts]
    if options.file_type == ".parquet":
        outputs.join_parquet(parts, options.store)
    elif options.file_type == ".json":
        outputs.join_json(parts, options.store)
    else:
        outputs.finish_folder(options.store, state)
    size = file_size(options.store) if options.file_type else sum(size for _, size in state.parts)
    reasons = _count_reasons(options.skipped_path) if state.skipped else {}
    return ConversionResult(state.images, state.skipped, 0, size, len(parts), (options.store, *files), reasons)


def _count_reasons(skipped: Path) -> dict[str, int]:
    """Count the reasons in a file of skipped images, without what differs from image to image."""
    with skipped.open("rb") as file:
        reasons = Counter(str(json.loads(line)["reason"]).partition(":")[0] for line in file)
    return dict(reasons.most_common())


def _existing_result(options: ConvertOptions, settings: str) -> ConversionResult | None:
    """Return the result of an earlier run with the same settings; None if there is no output yet.

    Raises `RunError` if the output is something else.
    """
    if outputs.is_free(options.store):
        return None
    pyarrow = require_pyarrow("An image store")
    if options.file_type == ".json":
        raise RunError(f"{options.store} already exists. Use --restart to overwrite it.")
    try:
        paths = part_paths(options.store)
        notes = {read_note(pyarrow, path) for path in paths}
        images = sum(pyarrow.parquet.read_metadata(path).num_rows for path in paths)
    except (pyarrow.ArrowException, OSError, InputError):
        notes = {""}
    if notes != {settings}:
        if all(notes):
            raise RunError(
                f"{options.store} already exists, with other settings or from other files. Use --restart to overwrite "
                "it."
            )
        raise RunError(
            f"{options.store} already exists, and not all of it was written by convert. Choose another --output."
        )
    skipped = len(options.skipped_path.read_bytes().splitlines()) if options.skipped_path.is_file() else 0
    files = (options.store, options.skipped_path) if skipped else (options.store,)
    reasons = _count_reasons(options.skipped_path) if skipped else {}
    return ConversionResult(images, skipped, 0, sum(map(file_size, paths)), len(paths), files, reasons)


def _remove_work_dir(options: ConvertOptions) -> None:
    with storage_faults(options.work_dir):
        shutil.rmtree(options.work_dir)


def _remove_previous(options: ConvertOptions) -> None:
    """Remove what an earlier conversion left, and nothing else: a part is recognized by its note."""
    pyarrow = require_pyarrow("An image store")
    with storage_faults(options.store):
        shutil.rmtree(options.work_dir, ignore_errors=True)
        options.skipped_path.unlink(missing_ok=True)
        parts = [*options.store.glob("part-*.parquet")] if options.store.is_dir() else []
        for part in parts:
            if read_note(pyarrow, part):
                part.unlink()
        if parts:
            (options.store / INDEX).unlink(missing_ok=True)
        if options.file_type and options.store.is_file():
            options.store.unlink()
