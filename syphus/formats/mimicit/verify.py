"""Checks MIMIC-IT files by any author: one pass over each file, in constant memory, one finding for each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from syphus.errors import InputError
from syphus.formats.card import CARD_FILE, PAIRS_KEY, read_front_matter
from syphus.formats.mimicit.data_yaml import TEXT_ONLY, Finding, MixtureGroup, MixturePart
from syphus.formats.mimicit.discovery import file_language, untranslated_files
from syphus.formats.mimicit.entries import read_entries, text_list
from syphus.formats.mimicit.ids import IdSet
from syphus.formats.mimicit.images import (
    DecodeLevel,
    check_images,
    is_image_folder,
    read_image_ids,
    read_images,
    require_pillow,
)
from syphus.io.records import DuplicateKeyObject, Record, read_json_items, type_name
from syphus.text import pluralize

OnFinding = Callable[[Finding], None]
_Reference: TypeAlias = tuple[list[str], str, str, str]  # ids, owner, file, reason: see `IdSet.require`

_BATCH = 5_000  # pairs that are checked together: most relations stay within a batch
_TEXT_KEYS, _LIST_KEYS = ("instruction", "answer"), ("image_ids", "rel_ins_ids")
_MEDIA_TOKENS = ("<image>", "<video>", "<audio>")  # trainers look for a file for each


class PartCount(NamedTuple):
    """One dataset: its number of pairs, and of keys in its train file (None without one)."""

    group: MixtureGroup
    part: MixturePart
    pairs: int
    trained: int | None


class VerifySummary(NamedTuple):
    """The result of a check. `images` counts the images in the stores, None without a store.

    `problems` counts the findings by kind, `decode` says how thoroughly images were checked. `notes` say what is
    unusual about the files and is not a fault.
    """

    parts: list[PartCount]
    images: int | None
    problems: Counter[str]
    decode: DecodeLevel = DecodeLevel.NONE
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """The result of a check: problems by kind, and each finding, unless they were reported one by one."""

    problems: Mapping[str, int]
    findings: Sequence[Finding] = field(repr=False)
    summary: VerifySummary = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def verify(
    groups: Sequence[MixtureGroup],
    findings: Iterable[Finding],
    on_finding: OnFinding,
    decode: DecodeLevel = DecodeLevel.NONE,
    allow_unused: bool = False,
) -> VerifySummary:
    """Check all files of the groups; report each finding at once, after the earlier `findings`.

    `decode` says how thoroughly to check images. An image that no pair uses is a fault unless `allow_unused`, or
    the store was found and is for several datasets. A file
    that can't be read is a finding, too. Raises `ConfigError` if Parquet files need pyarrow, or images Pillow, and it
    is missing.
    """
    stores = [store for group in groups for part in group.parts for store in part.images]
    if decode is not DecodeLevel.NONE and stores:
        require_pillow()  # before the pairs are read
    problems: Counter[str] = Counter()

    def report(finding: Finding) -> None:
        problems[finding.kind] += 1
        on_finding(finding)

    for finding in findings:
        report(finding)
    with IdSet() as used:
        checks = [_GroupCheck(group, report, decode, None if allow_unused else used) for group in groups]
        parts = [count for check in checks for count in check.run()]
        if not allow_unused and all(check.has_all_pairs for check in checks):
            shared = {store for group in groups for part in group.parts for store in part.shared}
            for finding in unused_images(used, (store for store in stores if store not in shared)):
                report(finding)
    stored = [check.stored_images for check in checks if check.stored_images is not None]
    notes = tuple(note for check in checks for note in check.notes)
    level = decode if stored else DecodeLevel.NONE
    return VerifySummary(parts, sum(stored) if stored else None, problems, level, notes)


def unused_images(used: IdSet, stores: Iterable[Path]) -> Iterator[Finding]:
    """Yield a finding for each store with images outside `used`, with the first of them and their number.

    Several groups may share a store, so `used` must hold the images of all pairs.
    """
    for store in dict.fromkeys(stores):
        first, count, in_folder = "", 0, is_image_folder(store)
        with suppress(InputError):  # an unreadable store was reported before
            for name in read_image_ids(store):
                if used.id_of_file(name, in_folder) not in used:
                    first, count = first or name, count + 1
        if count:
            more = f", and {count - 1:,} more" if count > 1 else ""
            yield Finding(str(store), "", "unused images", f"{first}{more}")


def entry_problems(
    name: str, entry: Record, needs_images: bool | None, expected: Collection[str] = _LIST_KEYS
) -> Iterator[tuple[str, str]]:
    """Yield the faults of one pair by itself, as (kind, detail).

    `needs_images` says whether the pair must have images, None if both are fine. `expected` are the keys of lists that
    must not be missing.
    """
    if not isinstance(entry, dict):
        yield "not an object", f"this is {type_name(entry)}"
        return
    if isinstance(entry, DuplicateKeyObject):
        yield "duplicate key", ""
    for key in _TEXT_KEYS:
        text = entry.get(key)
        if not isinstance(text, str):
            yield _type_fault(entry, key, "text")
        elif not text or text.isspace():
            yield f"the {key} is empty", ""
    for key in _LIST_KEYS:
        values = entry.get(key)
        may_be_absent = (key not in entry and key not in expected) or (
            key == "image_ids" and needs_images is False and values is None
        )
        if not may_be_absent and not (type(values) is list and all(type(each) is str for each in values)):
            yield _type_fault(entry, key, "a list of text")
    if needs_images and entry.get("image_ids") == []:
        yield "no images", ""
    related = text_list(entry, "rel_ins_ids")
    if name in related:
        yield "names itself as its context", ""
    if len(related) > 1 and len(set(related)) < len(related):
        yield "duplicate context", next(each for each in related if related.count(each) > 1)


def _type_fault(entry: dict[str, Record], key: str, expected: str) -> tuple[str, str]:
    if key not in entry:
        return f'no "{key}"', ""
    value = entry[key]
    if key in _LIST_KEYS and type(value) is list:
        wrong = next(each for each in value if type(each) is not str)
        return f'"{key}" must be {expected}', f"it holds {type_name(wrong)}"
    return f'"{key}" must be {expected}', f"this is {type_name(value)}"


class _GroupCheck:
    """The check of one group, whose datasets share their ids."""

    def __init__(self, group: MixtureGroup, report: OnFinding, decode: DecodeLevel, used: IdSet | None) -> None:
        self.stored_images: int | None = None
        self._used = used
        self._group = group
        self._report = report
        self._decode = decode
        self._needs_images = group.kind != TEXT_ONLY if group.kind else None
        self._image_counts: set[int] = set()  # the numbers of images of the pairs
        self._broken: set[Path] = set()  # files that could not be read to their end, so their ids are unknown
        self._expected: set[str] = set()  # the keys of lists that pairs have
        self._media = Counter[str]()
        self._names_images = False
        self.notes: list[str] = []

    @property
    def has_all_pairs(self) -> bool:
        """Whether all instruction files could be read to their end."""
        return self._broken.isdisjoint(part.instructions for part in self._group.parts)

    def run(self) -> list[PartCount]:
        with IdSet() as pairs, IdSet() as images:
            counts = []
            for part in self._group.parts:
                count = self._check_pairs(part, pairs, images)
                trained = self._check_train(part.train, pairs) if part.train else None
                counts.append(PartCount(self._group, part, count, trained))
                self._check_card(part, count)
            if self.has_all_pairs:
                for name, owner, file, reason in pairs.missing():
                    self._report(Finding(file, owner, reason, "" if name == owner else name))
            self._check_stores(images)
        if self._group.kind.startswith("IMAGE_TEXT") and len(self._image_counts) > 1:
            kind = "pairs differ in their number of images"
            detail = f"from {min(self._image_counts)} to {max(self._image_counts)}; the loader stacks a batch"
            self._report(Finding(self._group.source, self._group.kind, kind, detail))
        return counts

    def _check_pairs(self, part: MixturePart, pairs: IdSet, images: IdSet) -> int:
        """Check every pair of a file; return their number."""
        file, count = str(part.instructions), 0
        self._expected, self._media = {"image_ids"} if self._needs_images else set(), Counter()
        self._names_images = False
        for batch in _batches(self._readable(part.instructions, read_entries(part.instructions))):
            count += len(batch)
            self._check_batch(file, batch, pairs, images)
        self._add_notes(part, count)
        if not count and part.instructions not in self._broken:
            self._report(Finding(file, "", "no pairs"))
        return count

    def _check_batch(self, file: str, batch: list[Record], pairs: IdSet, images: IdSet) -> None:
        """Check some pairs, and note what they refer to outside of the batch."""
        names = {name for name, _ in batch}
        contexts: list[_Reference] = []
        image_references: list[_Reference] = []
        batch_images: set[str] = set()
        self._expected |= {key for key in _LIST_KEYS if any(key in entry for _, entry in batch if type(entry) is dict)}
        for name, entry in batch:
            if not pairs.add(name):
                self._report(Finding(file, name, "duplicate id"))
            for kind, detail in entry_problems(name, entry, self._needs_images, self._expected):
                self._report(Finding(file, name, kind, detail))
            self._count_media(entry)
            if others := [other for other in text_list(entry, "rel_ins_ids") if other not in names]:
                contexts.append((others, name, file, "unknown context"))
            image_ids = text_list(entry, "image_ids")
            self._image_counts.add(len(image_ids))
            self._names_images = self._names_images or bool(image_ids)
            if new := [image for image in image_ids if image not in batch_images]:
                image_references.append((new, name, file, "unknown image"))
                batch_images.update(new)
        pairs.require(contexts)
        if any(each.images for each in self._group.parts):
            images.require(image_references)
            if self._used is not None:
                self._used.add_all(batch_images)

    def _count_media(self, entry: Record) -> None:
        texts = [entry.get(key) for key in _TEXT_KEYS] if isinstance(entry, dict) else []
        for text in texts:
            if isinstance(text, str) and "<" in text:
                self._media.update(token for token in _MEDIA_TOKENS if token in text)

    def _add_notes(self, part: MixturePart, count: int) -> None:
        """Note what is unusual about a file and its stores, and is not a fault."""
        self.notes += part.notes
        if count and part.train is None and "rel_ins_ids" not in self._expected:
            self.notes.append(f"{part.instructions}: no pair has rel_ins_ids; the loader must not populate_rel_ins")
        if self._group.kind == TEXT_ONLY and self._names_images:
            self.notes.append(f"{part.instructions}: its pairs name images, which {TEXT_ONLY} does not load")
        for token, times in self._media.items():
            texts = f"{pluralize(times, 'text')} with {token}"
            self.notes.append(f"{part.instructions}: {texts}, for which a trainer may look for a file")

    def _check_train(self, path: Path, pairs: IdSet) -> int:
        """Check every key of a train file and its context; return the number of keys."""
        file, count = str(path), 0
        with IdSet() as keys:
            for batch in _batches(self._readable(path, read_json_items(path))):
                count += len(batch)
                references: list[_Reference] = []
                for name, context in batch:
                    if not keys.add(name):
                        self._report(Finding(file, name, "duplicate id"))
                    references.append(([name], name, file, "unknown pair"))
                    if not (isinstance(context, list) and all(isinstance(each, str) for each in context)):
                        detail = f"this is {type_name(context)}"
                        self._report(Finding(file, name, "the context must be a list of text", detail))
                    else:
                        references.append((context, name, file, "unknown context"))
                pairs.require(references)
        return count

    def _check_stores(self, known: IdSet) -> None:
        """Check the images of all stores, then report the missing ones."""
        stores = dict.fromkeys(path for part in self._group.parts for path in part.images)
        for store in stores:
            in_folder = is_image_folder(store)
            for stem, fault in self._checked_images(store):
                name = known.id_of_file(stem, in_folder)
                if not known.add(name):
                    self._report(Finding(str(store), name, "duplicate image id"))
                if fault:
                    self._report(Finding(str(store), name, "the image can't be decoded", fault))
        if stores:
            self.stored_images = len(known)
        if self._broken.isdisjoint(stores):
            for name, owner, file, reason in known.missing(once=True):
                self._report(Finding(file, owner, reason, name))

    def _checked_images(self, store: Path) -> Iterator[tuple[str, str]]:
        """Yield the ids in a store, each with the fault of its image, or ""."""
        if self._decode is DecodeLevel.NONE:
            return ((name, "") for name in self._readable(store, read_image_ids(store)))
        return check_images(self._readable(store, read_images(store)), self._decode)

    def _check_card(self, part: MixturePart, count: int) -> None:
        """Compare the number of pairs with the dataset card. The card of several datasets states their sum."""
        if part.instructions in self._broken or file_language(part.instructions):
            return
        card = part.instructions.with_name(CARD_FILE)
        stated = read_front_matter(card).get(PAIRS_KEY)
        if isinstance(stated, int) and stated != count and len(untranslated_files(card.parent)) == 1:
            detail = f"{stated:,}, the file has {count:,} pairs"
            self._report(Finding(str(card), "", "the card states another count", detail))

    def _readable(self, path: Path, items: Iterator[Record]) -> Iterator[Record]:
        """Yield the items up to where the file breaks off; report that, and note the file as broken."""
        try:
            yield from items
        except InputError as error:
            self._broken.add(path)
            self._report(Finding(str(path), "", "can't be read", str(error).removeprefix(f"{path}: ")))


def _batches(items: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(items, _BATCH)):
        yield batch
