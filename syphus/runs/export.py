"""Export a run from its ledger into other formats, in the order of the input, each with a dataset card.

A format's folder is written beside its place, under a hidden name, and takes its place when it is complete: what looks
like an export is a whole one. What the user has put into the folder of an earlier export stays in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from syphus.declarations import Frame, Still, Video
from syphus.errors import ConfigError, ImageError, RunError
from syphus.formats import FORMAT_NAMES
from syphus.formats.card import CARD_FILE, IMAGES_KEY, CardContents, LanguageFiles, read_front_matter, write_card
from syphus.formats.export_images import (
    IMAGES_FOLDER,
    VIDEOS_FOLDER,
    ExportImages,
    ImageSources,
    VideoSources,
    WantedImages,
)
from syphus.formats.llava import DATASET_INFO
from syphus.formats.mimicit.writer import dataset_meta, file_names
from syphus.formats.registry import FORMATS, TRAINERS, Format
from syphus.formats.related_pairs import pairs_with_context, read_train_file
from syphus.formats.report import Report, make_report
from syphus.formats.reviewed_pairs import Reviewed, ReviewedExport
from syphus.formats.source import ExportSource, SplitPlan, Translations
from syphus.formats.train import OwnTrainFile, TrainFile, TranslatedTrainFile
from syphus.images.convert_options import require_decoders
from syphus.io.durable import replace_folder, storage_faults
from syphus.io.parquet import require_pyarrow
from syphus.ledger.relations import stored_choice
from syphus.ledger.results import QueryResult, max_images_per_query
from syphus.ledger.reviewed import ReviewCounts, count_reviews, reviews_now
from syphus.ledger.reviews import ReviewLog, ReviewState
from syphus.ledger.store import Store, open_for_reading
from syphus.model_names import is_simulated, public_name
from syphus.plugins.contract import AbstractDataset
from syphus.plugins.discovery import find_plugin
from syphus.plugins.hook_results import image_sources
from syphus.plugins.legacy import short_name_of_run
from syphus.runs.export_options import ExportOptions
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import evenly_spaced
from syphus.runs.run_settings import stored_prices
from syphus.text import did_you_mean, pluralize, short_path

EXPORT_FOLDER = "export"  #: in the run's folder, if no output folder is given


def export_run(
    folder: Path,
    formats: Sequence[str],
    output: Path | None,
    datasets_dir: Iterable[Path],
    options: ExportOptions | None = None,
) -> tuple[str, ...]:
    """Write the pairs of the run in `folder` to `output`/FORMAT/ for each format; return the paths.

    An unfinished run is exported as it is. Raises
    `ConfigError` for an unknown format, `RunError` if the folder is no run or has no pairs, or if images are missing,
    `PluginError` if its plugin is not found, `InputError` if an image can't be read, `StorageError` if the disk fails.
    """
    options = options or ExportOptions()
    formats = [name.strip() for name in formats if name.strip()]
    _check(formats, options)
    store = open_for_reading(folder)
    try:
        with store.snapshot(), ExitStack() as stack:  # a snapshot, so that all files show the same moment
            export = _Export(store, datasets_dir, options, stack)
            export.prepare([FORMATS[name] for name in formats], output or folder / EXPORT_FOLDER)
            written = []
            for name in dict.fromkeys(formats):
                written += export.write(name, (output or folder / EXPORT_FOLDER) / name)
            for note in export.notes():
                if options.on_note:
                    options.on_note(note)
            return tuple(written)
    finally:
        store.close()


def _check(formats: Sequence[str], options: ExportOptions) -> None:
    for name in formats:
        if name not in FORMAT_NAMES:
            form = TRAINERS.get(name.lower().replace("_", "-"))
            hint = f". {name} trains on --format {form}." if form else did_you_mean(name, FORMAT_NAMES) or "."
            raise ConfigError(f"--format {name}: must be one of {', '.join(FORMAT_NAMES)}{hint}")
        if FORMATS[name].needs_pyarrow or (name == "mimicit" and options.images):
            require_pyarrow(f"--format {name}")
        if options.videos and not options.images and FORMATS[name].images == "bytes":
            raise ConfigError(f"--format {name} takes images, not videos: add --images with their frames.")
    if not formats:
        raise ConfigError(f"Add --format: {', '.join(FORMAT_NAMES)}.")
    if options.max_images is not None and options.max_images < 1:
        raise ConfigError(f"--max-images {options.max_images}: must be at least 1.")
    if options.images:
        require_decoders(videos=False)


class _Written(NamedTuple):
    """What a format holds: the pairs that were written, and the queries that were left out."""

    pairs: int
    left_out: int
    queries: int


class _Export:
    """One export of a run, in any number of formats. `stack` closes what is open after it."""

    def __init__(self, store: Store, datasets_dir: Iterable[Path], options: ExportOptions, stack: ExitStack) -> None:
        self._store = store
        self._options = options
        self._stack = stack
        self._report: Report = make_report(store, GenerateStage.name, stored_prices(store))
        if not self._report.counts.pairs:
            raise RunError(f"{store.folder} holds no pairs yet.")
        newest = self._report.settings[-1]
        self._plugin: type[AbstractDataset] = find_plugin(str(newest["dataset"]), datasets_dir).cls
        choice = stored_choice(store)
        self._name = choice.short_name if choice else short_name_of_run(self._plugin, newest)
        self._sources: ImageSources | None = None
        self._videos: VideoSources | None = None
        self._plan: SplitPlan | None = None
        self._translations: Translations | None = None
        self._notes: list[str] = []
        self._reviewed: ReviewedExport | None = None
        self._review_counts: ReviewCounts | None = None

    def prepare(self, formats: Sequence[Format], output: Path) -> None:
        """Look for images and translations, and assign queries to splits. Raises `RunError` if any are missing."""
        options = self._options
        if options.translations:
            self._translations = options.translations(self._store)
            self._stack.callback(self._translations.close)
            for code, count in self._translations.missing().items():
                pairs = pluralize(count, "pair is", "pairs are") + " not translated, and left out"
                self._notes.append(f"{code}: {pairs}")
        self._read_reviews()
        named = self._max_images()
        if options.images or options.videos:
            if not named:
                raise RunError("The pairs of this run name no images: its rows have no image_ids. Leave --images out.")
        elif named and (form := next((form for form in formats if form.needs_images), None)):
            name = next(name for name, each in FORMATS.items() if each is form)
            raise ConfigError(f"--format {name} holds images: add --images with the image store, or a folder of files.")
        if options.videos:
            self._videos = VideoSources(options.videos, self._listed(options.videos))
            self._stack.callback(self._videos.close)
        if options.splits:
            self._plan = SplitPlan(options.splits)
            self._stack.callback(self._plan.close)
        wanted = WantedImages()
        self._stack.callback(wanted.close)
        if self._plan or options.images:
            frames = self._videos if all(form.images == "files" for form in formats) else None
            self._read_through(wanted, frames)
        if options.images:
            with storage_faults(output):
                output.mkdir(parents=True, exist_ok=True)
            self._sources = ImageSources(options.images, wanted, output, self._lister())
            self._stack.callback(self._sources.close)
            self._sources.check(wanted, options.allow_missing_images)

    def write(self, name: str, target: Path) -> list[str]:
        """Write a format with its card; return the paths."""
        form = FORMATS[name]
        before = read_front_matter(target / CARD_FILE)
        self._check_foreign(target, before)
        with replace_folder(target, lambda entry: self._is_ours(entry, IMAGES_KEY in before)) as folder:
            images = None
            if self._sources or self._videos:
                images = ExportImages(self._sources, folder if form.images == "files" else None, self._videos)
                self._stack.callback(images.close)
            written: dict[str, LanguageFiles] = {}
            counted = _Written(0, 0, 0)
            for split in [split.name for split in self._options.splits] or [""]:
                parts = self._write_split(form, folder, _Part(split, images), written)
                counted = _Written(*(a + b for a, b in zip(counted, parts, strict=True)))
                if not parts.pairs:
                    self._notes.append(f"{name}: the split {split} is empty" if split else f"{name}: no pairs are left")
            translated = {code: each for code, each in written.items() if code}
            contents = CardContents(
                *(name, form, written[""].files, written[""].pairs, images is not None, translated),
                self._review_counts,
                self._options.reviewed,
            )
            write_card(folder, self._plugin, self._report, contents)
            if images and hasattr(os, "sync"):
                os.sync()  # one for all images
        if counted.left_out:
            queries = pluralize(counted.left_out, "query", "queries")
            self._notes.append(f"{name}: {queries} of {counted.queries:,} left out, because images are missing")
        self._notes += images.notes if images else []
        return [short_path(target / file) for file in (*contents.all_files, CARD_FILE)]

    def _write_split(self, form: Format, folder: Path, part: _Part, written: dict[str, LanguageFiles]) -> _Written:
        """Write a split in each language; add its files and pairs to `written`, return what the English ones hold."""
        english = part
        for code in ("", *(self._translations.codes if self._translations else ())):
            if code:
                part = _Part(english.split, english.images, code, english.left_out)
            files = form.write(folder, self._source(part))
            models = self._translations.models(code) if self._translations and code else ()
            before = written.get(code, LanguageFiles({}, 0))
            pairs = before.pairs + part.written.pairs
            written[code] = LanguageFiles({**before.files, part.split: files}, pairs, tuple(models))
        return english.written

    def notes(self) -> list[str]:
        """Return what the user should know, one line each."""
        return self._notes

    def _source(self, part: _Part) -> ExportSource:
        return ExportSource(
            self._name,
            lambda: self._results(part),
            self._max_images,
            self._meta(part.language),
            lambda: self._train_file(part),
            part.images,
            part.split,
            self._options.system,
            self._options.names_images,
            part.language,
            bool(self._reviewed),
        )

    def _read_reviews(self) -> None:
        """Read what people decided, and which pairs it lets through. Raises `RunError` if it lets no pair through."""
        log, choice = ReviewLog(self._store.folder), self._options.reviewed
        decisions = log.refresh()
        self._notes += log.notes
        if decisions:
            self._review_counts = count_reviews(reviews_now(self._store, GenerateStage.name, log), log)
            rejected = self._review_counts.states.get(ReviewState.REJECTED, 0)
            if rejected and choice is None:
                pairs = pluralize(rejected, "pair that reviewers rejected is", "pairs that reviewers rejected are")
                self._notes.append(f"{pairs} in the export; to leave them out, add --reviewed {Reviewed.NOT_REJECTED}")
        if choice is None:
            return
        self._reviewed = ReviewedExport(self._all_results, log, choice, self._translations)
        self._notes += self._reviewed.notes()
        if not self._reviewed.kept:
            folder = short_path(self._store.folder)
            raise RunError(f"{folder} has no pairs that are {choice}: review some first, with syphus view {folder}")

    def _meta(self, language: str) -> dict[str, object]:
        meta = dataset_meta(self._report)
        if not self._translations or not language:
            return meta
        models = self._translations.models(language)
        return {key: meta[key] for key in ("version", "time", "author")} | {  # as `translate` writes it
            "translated_from": file_names(self._name)[0],
            "models": list(map(public_name, models)),
            "simulated": any(map(is_simulated, models)),
            "language": language,
        }

    def _max_images(self) -> int:
        most = max_images_per_query(self._store, GenerateStage.name)
        return min(most, self._options.max_images or most)

    def _all_results(self) -> Iterator[QueryResult]:
        return pairs_with_context(self._store, GenerateStage.name)

    def _thin(self, image_ids: tuple[str, ...]) -> tuple[str, ...]:
        most = self._options.max_images
        return tuple(evenly_spaced(image_ids, most)) if most and len(image_ids) > most else image_ids

    def _results(self, part: _Part) -> Iterator[QueryResult]:
        """Yield the queries of a split with their images ready; leave those out whose images are missing."""
        pairs = queries = 0
        for position, result in enumerate(self._all_results()):
            if self._plan and self._plan.split_of(position) != part.split:
                continue
            queries += 1
            if part.language and position in part.left_out:
                continue
            reviewed = self._reviewed.take(result) if self._reviewed else result
            if reviewed is None:
                continue
            kept = reviewed._replace(image_ids=self._thin(result.image_ids))
            if self._plan and kept.nearest is not None:
                kept = kept._replace(nearest=[self._within(part.split, ids) for ids in kept.nearest])
            translated = self._translated(part, kept)
            if translated is None:
                continue
            if part.images:
                try:
                    part.images.take(kept.image_ids)
                except ImageError as error:
                    if not self._options.allow_missing_images:
                        raise RunError(f"{error}. Leave its query out with --allow-missing-images.") from error
                    part.left_out.add(position)
                    continue
            pairs += len(translated.pairs)
            yield translated
        part.written = _Written(pairs, len(part.left_out), queries)

    def _translated(self, part: _Part, result: QueryResult) -> QueryResult | None:
        if not self._translations or not part.language:
            return result
        if part.train:
            part.train.take(result)
        return (self._reviewed or self._translations).translate(part.language, result)

    def _within(self, split: str, pair_ids: Iterable[str]) -> list[str]:
        assert self._plan is not None
        return [pair_id for pair_id in pair_ids if self._plan.is_in(split, pair_id)]

    def _train_file(self, part: _Part) -> TrainFile:
        train = read_train_file(self._store, GenerateStage.name)
        if self._plan and isinstance(train, OwnTrainFile):
            entries = ((key, self._within(part.split, context)) for key, context in train.own_entries)
            train = OwnTrainFile([(key, context) for key, context in entries if self._within(part.split, [key])])
        if self._reviewed and isinstance(train, OwnTrainFile):
            has = self._reviewed.has
            train = OwnTrainFile([(key, list(filter(has, ids))) for key, ids in train.own_entries if has(key)])
        if self._translations and part.language:
            has_translation = self._reviewed.has_translation if self._reviewed else self._translations.has
            part.train = TranslatedTrainFile(train, partial(has_translation, part.language))
            return part.train
        return train

    def _read_through(self, wanted: WantedImages, videos: VideoSources | None) -> None:
        """Note the images of all queries, and which queries share some. Frames of `videos` are not wanted."""
        plan = self._plan
        own_train = plan is not None and isinstance(read_train_file(self._store, GenerateStage.name), OwnTrainFile)
        for position, result in enumerate(self._all_results()):
            if plan:
                plan.add(result.query, result.image_ids)
                if own_train or result.nearest is not None:
                    plan.note_pairs(position, [pair.id for pair in result.pairs])
            if self._reviewed and self._reviewed.take(result) is None:
                continue
            image_ids = self._thin(result.image_ids)
            if self._options.images and not (videos and videos.find(image_ids)):
                wanted.add(image_ids)

    def _lister(self) -> Callable[[Path], Iterator[Still | Frame | Video]] | None:
        has_images = self._plugin._load_images is not AbstractDataset._load_images
        return self._listed if has_images else None

    def _listed(self, folder: Path) -> Iterator[Still | Frame | Video]:
        return image_sources(self._plugin(), str(folder.absolute()))

    def _is_ours(self, entry: Path, had_images: bool) -> bool:
        """Return whether an entry of an earlier export's folder is what it has written."""
        if entry.is_dir():
            ours = entry.name in (IMAGES_FOLDER, VIDEOS_FOLDER, "data") and had_images
            return ours or (entry / file_names(self._name)[0]).is_file()
        written = re.compile(rf"{re.escape(self._name)}[-_.].*(?:json|jsonl|parquet|tar)", re.DOTALL)
        return entry.name in (CARD_FILE, DATASET_INFO) or bool(written.fullmatch(entry.name))

    def _check_foreign(self, target: Path, before: dict[str, object]) -> None:
        """Raise `RunError` if the export would replace a folder of images that is not its own."""
        if self._options.images and IMAGES_KEY not in before:
            for name in (IMAGES_FOLDER, VIDEOS_FOLDER, "data"):
                if (target / name).exists():
                    raise RunError(f"{target / name} is not from an export: move it away, or choose another --output.")


class _Part:
    """One split of a format in one language; `written` is known when it has been written.

    `left_out` are the positions of the queries whose images are missing; the English part finds them.
    """

    def __init__(
        self, split: str, images: ExportImages | None, language: str = "", left_out: set[int] | None = None
    ) -> None:
        self.split = split
        self.images = images
        self.language = language
        self.left_out: set[int] = left_out or set()
        self.train: TranslatedTrainFile | None = None
        self.written = _Written(0, 0, 0)
