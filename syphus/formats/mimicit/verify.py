"""Checks MIMIC-IT files, whoever wrote them: one pass over each, in constant memory, and a finding for each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from syphus.errors import InputError
from syphus.formats.card import CARD_FILE, PAIRS_KEY, read_front_matter
from syphus.formats.mimicit.data_yaml import TEXT_ONLY, Finding, MixtureGroup, MixturePart
from syphus.formats.mimicit.discovery import file_language, untranslated_files
from syphus.formats.mimicit.ids import IdSet
from syphus.formats.mimicit.images import DecodeLevel, check_images, read_image_ids, read_images, require_pillow
from syphus.io.records import DuplicateKeyObject, Record, read_json_items, read_nested_items, type_name

# FOLDED from unused.py:
# Images that are in a store and that no pair names, over everything that is checked together.
#
# Several datasets may share a store, in groups of their own: so this is known only when all pairs have been seen.


def unused_images(used: IdSet, stores: Iterable[Path]) -> Iterator[Finding]:
    """A finding for each store that has images besides those `used`, with the first of them and their number."""
    for store in dict.fromkeys(stores):
        first, count = "", 0
        with suppress(InputError):  # it was told before that it can't be read
            for name in read_image_ids(store):
                if name not in used:
                    first, count = first or name, count + 1
        if count:
            more = f", and {count - 1:,} more" if count > 1 else ""
            yield Finding(str(store), "", "images that no pair names", f"{first}{more}")


# FOLDED from entries.py:
# What is wrong with one pair of a MIMIC-IT file, looked at alone.

_TEXTS, _LISTS = ("instruction", "answer"), ("image_ids", "rel_ins_ids")


def entry_problems(name: str, entry: Record, images: bool | None) -> Iterator[tuple[str, str]]:
    """Kind and detail of each; nothing for a good pair. `images`: whether it must have some, None where nobody says."""
    if not isinstance(entry, dict):
        yield "no object", f"this is {type_name(entry)}"
        return
    if isinstance(entry, DuplicateKeyObject):
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
    related = text_list(entry, "rel_ins_ids")
    if name in related:
        yield "names itself as its context", ""
    if len(related) > 1 and len(set(related)) < len(related):
        yield "names a context twice", next(each for each in related if related.count(each) > 1)


def text_list(entry: Record, key: str) -> list[str]:
    """The texts in a list of an entry, whatever the entry is."""
    values = entry.get(key) if isinstance(entry, dict) else None
    return [each for each in values if type(each) is str] if type(values) is list else []


def _absent(entry: dict[str, Record], key: str, wanted: str) -> tuple[str, str]:
    if key not in entry:
        return f'no "{key}"', ""
    value = entry[key]
    if key in _LISTS and type(value) is list:
        return (
            f'"{key}" must be {wanted}',
            f"it holds {type_name(next(each for each in value if type(each) is not str))}",
        )
    return f'"{key}" must be {wanted}', f"this is {type_name(value)}"


OnFinding = Callable[[Finding], None]
Wanted: TypeAlias = tuple[list[str], str, str, str]

_BATCH = 5_000  # pairs that are looked at together: most relations lead no further


class PartCount(NamedTuple):
    """One dataset: its pairs, and the keys of its train file (None without one)."""

    group: MixtureGroup
    part: MixturePart
    pairs: int
    trained: int | None


class VerifySummary(NamedTuple):
    """All of it in numbers. `images` is how many the stores hold, None where there is no store to look into.

    `depth` is how closely those were looked at.
    """

    parts: list[PartCount]
    images: int | None
    problems: Counter[str]
    decode: DecodeLevel = DecodeLevel.NONE


def verify(
    groups: Sequence[MixtureGroup],
    found: Iterable[Finding],
    tell: OnFinding,
    depth: DecodeLevel = DecodeLevel.NONE,
    allow_unused: bool = False,
) -> VerifySummary:
    """Checks everything in the groups; each fault, those `found` before too, is told as soon as it is seen.

    `depth` is how closely images are looked at. An image that no pair names is a fault unless they are allowed. What
    can't be read is a fault, too. Raises `ConfigError` where parquet files are to be read without pyarrow, or images
    without Pillow.
    """
    if depth is not DecodeLevel.NONE and any(part.images for group in groups for part in group.parts):
        require_pillow()  # before the pairs are read
    kinds: Counter[str] = Counter()

    def told(finding: Finding) -> None:
        kinds[finding.kind] += 1
        tell(finding)

    for finding in found:
        told(finding)
    with IdSet() as used:
        checked = [_Check(group, told, depth, None if allow_unused else used) for group in groups]
        parts = [count for check in checked for count in check.carry_out()]
        if not allow_unused and all(check.has_all_pairs for check in checked):
            for finding in unused_images(
                used, (store for group in groups for part in group.parts for store in part.images)
            ):
                told(finding)
    stores = [check.stored for check in checked if check.stored is not None]
    return VerifySummary(parts, sum(stores) if stores else None, kinds, depth if stores else DecodeLevel.NONE)


class _Check:
    """The check of one group, whose datasets share their ids."""

    def __init__(self, group: MixtureGroup, tell: OnFinding, depth: DecodeLevel, used: IdSet | None) -> None:
        self.stored: int | None = None
        self._used = used
        self._group = group
        self._tell = tell
        self._depth = depth
        self._needs_images = group.kind != TEXT_ONLY if group.kind else None
        self._counts: set[int] = set()  # how many images a pair has
        self._broken: set[Path] = set()  # what could not be read to its end: nobody knows which ids it has

    @property
    def has_all_pairs(self) -> bool:
        """Whether all instruction files so far could be read to their end."""
        return self._broken.isdisjoint(part.instructions for part in self._group.parts)

    def carry_out(self) -> list[PartCount]:
        with IdSet() as pairs, IdSet() as images:
            counts = []
            for part in self._group.parts:
                count = self._pairs(part, pairs, images)
                trained = self._train(part.train, pairs) if part.train else None
                counts.append(PartCount(self._group, part, count, trained))
                self._card(part, count)
            if self.has_all_pairs:
                for name, owner, place, reason in pairs.missing():
                    self._tell(Finding(place, owner, reason, "" if name == owner else name))
            self._stores(images)
        if self._group.kind.startswith("IMAGE_TEXT") and len(self._counts) > 1:
            detail = f"from {min(self._counts)} to {max(self._counts)}; the loader stacks a batch"
            self._tell(Finding(self._group.source, self._group.kind, "pairs differ in their number of images", detail))
        return counts

    def _pairs(self, part: MixturePart, pairs: IdSet, images: IdSet) -> int:
        """Looks at every pair of a file; returns how many there are."""
        place, count = str(part.instructions), 0
        for batch in _batches(self._whole(part.instructions, _items(part.instructions))):
            count += len(batch)
            known = {name for name, _ in batch}
            wanted: list[Wanted] = []
            images_wanted: list[Wanted] = []
            seen: set[str] = set()  # images, in this batch
            for name, entry in batch:
                if not pairs.add(name):
                    self._tell(Finding(place, name, "the id comes twice"))
                for kind, detail in entry_problems(name, entry, self._needs_images):
                    self._tell(Finding(place, name, kind, detail))
                if others := [other for other in text_list(entry, "rel_ins_ids") if other not in known]:
                    wanted.append((others, name, place, "unknown context"))
                own = text_list(entry, "image_ids")
                self._counts.add(len(own))
                if new := [image for image in own if image not in seen]:
                    images_wanted.append((new, name, place, "unknown image"))
                    seen.update(new)
            pairs.require(wanted)
            if any(each.images for each in self._group.parts):
                images.require(images_wanted)
                if self._used is not None:
                    self._used.add_all(seen)
        if not count and part.instructions not in self._broken:
            self._tell(Finding(place, "", "no pairs"))
        return count

    def _train(self, path: Path, pairs: IdSet) -> int:
        """Looks at every key of a train file and its context; returns how many keys there are."""
        place, count = str(path), 0
        with IdSet() as keys:
            for batch in _batches(self._whole(path, read_json_items(path))):
                count += len(batch)
                wanted: list[Wanted] = []
                for name, context in batch:
                    if not keys.add(name):
                        self._tell(Finding(place, name, "the id comes twice"))
                    wanted.append(([name], name, place, "unknown pair"))
                    if not (isinstance(context, list) and all(isinstance(each, str) for each in context)):
                        detail = f"this is {type_name(context)}"
                        self._tell(Finding(place, name, "the context must be a list of text", detail))
                    else:
                        wanted.append((context, name, place, "unknown context"))
                pairs.require(wanted)
        return count

    def _stores(self, known: IdSet) -> None:
        paths = dict.fromkeys(path for part in self._group.parts for path in part.images)
        for path in paths:
            for name, fault in self._looked_at(path):
                if not known.add(name):
                    self._tell(Finding(str(path), name, "the image comes twice"))
                if fault:
                    self._tell(Finding(str(path), name, "the image can't be decoded", fault))
        if paths:
            self.stored = len(known)
        if self._broken.isdisjoint(paths):
            for name, owner, place, reason in known.missing(once=True):
                self._tell(Finding(place, owner, reason, name))

    def _looked_at(self, path: Path) -> Iterator[tuple[str, str]]:
        """The ids in a store, each with what is wrong with its image."""
        if self._depth is DecodeLevel.NONE:
            return ((name, "") for name in self._whole(path, read_image_ids(path)))
        return check_images(self._whole(path, read_images(path)), self._depth)

    def _card(self, part: MixturePart, count: int) -> None:
        card = part.instructions.with_name(CARD_FILE)
        counted = part.instructions not in self._broken and not file_language(part.instructions)
        said = _said(card) if counted else None
        if (
            said is not None and said != count and len(untranslated_files(card.parent)) == 1
        ):  # a card of several tells their sum
            self._tell(Finding(str(card), "", "the card has another count", f"{said:,}, the file has {count:,} pairs"))

    def _whole(self, path: Path, items: Iterator[Record]) -> Iterator[Record]:
        """The items up to where the file breaks, which is told, and remembered."""
        try:
            yield from items
        except InputError as error:
            self._broken.add(path)
            self._tell(Finding(str(path), "", "can't be read", str(error).removeprefix(f"{path}: ")))


def _batches(items: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(items, _BATCH)):
        yield batch


def _items(path: Path) -> Iterator[tuple[str, Record]]:
    return read_nested_items(path, "data")


def _said(card: Path) -> int | None:
    """How many pairs a dataset card speaks of, in the front matter that Syphus writes; None where it does not."""
    said = read_front_matter(card).get(PAIRS_KEY)
    return said if isinstance(said, int) else None
