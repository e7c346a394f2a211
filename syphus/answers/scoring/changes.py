"""Finds answers that turn a change around: what is gone is "still there", what came "has left", less is "more"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from syphus.answers.cleaning.rules import Check, Context, Rule, describe_match, searchable, straighten_apostrophes
from syphus.answers.scoring.words import content_stems
from syphus.types import Pair

_GONE = re.compile(
    r"\b(?:no longer|(?:is|are) not there(?! before)|not (?:there )?any ?more|gone|missing"
    r"|(?:has|have|had) left|disappear\w*|vanish\w*"
    r"|dr(?:iven|ove) (?:off|away)|drives? (?:off|away|out)|taken (?:down|away)|removed|less|fewer|went away)\b"
)
_CAME = re.compile(
    r"\b(?:appear\w*|(?:has|have) come|came|come into|arriv\w*|show(?:n|ed)? up|was ?n[o']t there|were ?n[o']t there"
    r"|(?:one|two|three|four|five|six|\d+) more|a new|added|another)\b"
)
_STAYS = re.compile(r"\bstill\b")
_DENIED = re.compile(r"\b(?:no|not|never|nobody|none|nothing|neither|before|earlier|first|left image|disagree)\b|n't\b")
_PARTIAL = re.compile(r"\b(?:of the|of them|but|except|instead|swapped|moved|other)\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORDS = frozenset((
    "still", "gone", "missing", "left", "disappeared", "vanished", "removed", "less", "fewer", "appeared", "appears",
    "come", "came", "arrived", "shown", "showed", "more", "new", "added", "another", "driven", "drove", "drives",
    "taken",
))  # fmt: skip


class _Change(NamedTuple):
    stems: frozenset[str]  #: of the things that changed and of nothing else in the annotation
    gone: bool


def _polarities(annotation: str) -> list[tuple[str, bool | None]]:
    """Return the lines of an annotation, each with whether something is gone (True) or has come (False)."""
    found: list[tuple[str, bool | None]] = []
    for line in straighten_apostrophes(annotation.lower()).split("\n"):
        gone, came = _GONE.search(line) is not None, _CAME.search(line) is not None
        found.append((line, gone if gone != came and not _PARTIAL.search(line) else None))
    return found


@lru_cache(maxsize=1_000)
def _read_changes(annotation: str) -> tuple[_Change, ...]:
    """Return what an annotation says plainly to have come or gone."""
    lines = _polarities(annotation)
    found = []
    for number, (line, gone) in enumerate(lines):
        if gone is not None:
            others = frozenset[str]().union(
                *(content_stems(each) for at, (each, _) in enumerate(lines) if at != number)
            )
            found.append(_Change(content_stems(line) - others - _of_change(), gone))
    return tuple(found)


@cache
def _of_change() -> frozenset[str]:
    return content_stems(" ".join(sorted(_WORDS)))


def _find_opposites(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find sentences about what has changed, and about nothing else, that say the opposite without a denial."""
    if context.query.images or _WORDS.isdisjoint(searchable(pairs).vocabulary):
        return
    turned = {gone for _, gone in _polarities(context.query.text)}
    for number, pair in enumerate(pairs, 1) if turned != {None} else ():
        for sentence in _SENTENCE.split(straighten_apostrophes(pair.answer.lower())):
            stays = _STAYS.search(sentence) is not None
            gone, came = _GONE.search(sentence) is not None, _CAME.search(sentence) is not None
            if stays + gone + came != 1 or (not gone) not in turned:
                continue
            if _DENIED.search(sentence) or _PARTIAL.search(sentence):
                continue
            said = content_stems(sentence)
            about = [change for change in _read_changes(context.query.text) if change.stems & said]
            if about and all((not gone) if change.gone else (gone and not stays) for change in about):
                yield describe_match(f"answer {number}", sentence)


#: For notes on what differs between two images: an answer does not say the opposite of one.
changes_of_the_annotation: Rule = Check("says the opposite of the annotation", _find_opposites)
