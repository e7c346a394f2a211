"""Names of people in an annotation, which a data set of strangers must not repeat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.cleaning.rules import Check, Context, Rule, at, in_small_letters, parts, straight
from syphus.types import Pair

_NAME = r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)*"
_DOES = r"(?=,? (?:[a-z]+s|and|do|does|has|is|are|was|were|can|then)\b|,|'s? )"
_NAMED = re.compile(
    rf"(?:^|(?<=\. ))(?:\d+\. )?({_NAME}){_DOES}"
    rf"|\b(?:and|tells|asks|gives|hands|shows|hugs|kisses|calls|helps|hits|pushes|follows|joins) ({_NAME})",
    re.MULTILINE,
)
_NO_NAMES = frozenset((  # with which a sentence may begin
    "a", "after", "again", "all", "also", "an", "and", "another", "as", "at", "because", "before", "behind", "both",
    "boy", "but", "child", "close", "different", "doctors", "dr", "each", "everybody", "everyone", "finally",
    "first", "five", "four", "friends", "from", "girl", "guests", "he", "her", "here", "his", "if", "in", "inside",
    "it", "its", "kids", "lastly", "later", "man", "many", "meanwhile", "men", "more", "mr", "mrs", "ms",
    "multiple", "next", "nobody", "now", "numerous", "nurses", "on", "once", "one", "other", "others", "outside",
    "patients", "people", "players", "police", "several", "she", "since", "six", "so", "some", "somebody",
    "someone", "still", "suddenly", "text", "that", "the", "their", "then", "there", "these", "they", "this",
    "those", "three", "tv", "two", "various", "water", "we", "when", "while", "with", "woman", "women", "words",
))  # fmt: skip


def names_in(annotation: str) -> frozenset[str]:
    """Words with a capital letter that seem to be people: they do something where a sentence begins, or something is
    done to them. What is there in small letters as well is no name.
    """
    text = straight(annotation)
    found = {
        word.removesuffix("'s")
        for match in _NAMED.finditer(text)
        for word in (match[1] or match[2]).split()
        if word.lower().removesuffix("'s") not in _NO_NAMES
    }
    return frozenset(name for name in found if not re.search(rf"\b{re.escape(name.lower())}\b", text))


def _repeated(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    small = in_small_letters(pairs)
    named = [re.escape(name) for name in names_in(context.query.text) if name.lower() in small]
    if not named:
        return
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(named))})(?!\w)")
    for place, text in parts(pairs):
        if found := pattern.search(straight(text)):
            yield at(place, found[0])


#: For annotations that call people by names of which a reader of the pairs knows nothing.
no_names_of_the_annotation: Rule = Check("a name of the annotation", _repeated)
