"""The rules that plugins choose from. Each is a rule, or a function that returns one.

class YourDataset(AbstractDataset):
    rules = (pairs_between(2, 5), no_timestamps, no_boxes)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.rules import (
    LIKE_ASCII,
    Check,
    Context,
    Needs,
    Reject,
    Repair,
    Rule,
    describe_match,
    searchable,
    straighten_apostrophes,
    texts_with_places,
)
from syphus.types import Pair

_DIGIT = re.compile(r"\d")
_SENTENCE_START = r"(?:\A|(?<=[.!?]\s)(?<!\b(?:Dr|Mr|Ms|St)\.\s)(?<!\bMrs\.\s)|(?<=\n))"

_UNITS = (
    r"%|percent|(?:k|c|m|kilo|centi|milli)?(?:m|l|g|met(?:er|re)s?|lit(?:er|re)s?|grams?)\b|kg|mi(?:les?)?\b|inch|feet|foot|"
    r"yards?|hours?|minutes?|seconds?|euros?|dollars?|cents?|pounds?|degrees?|stars?|points?|million|billion"
)

#: For annotations with bounding boxes: a reader sees things, not corners or pixels. Prices, sizes and other decimals
#: are allowed. Rejected are lists of numbers, fractions with two or more decimals, and positions without a unit.
no_boxes: Rule = Reject(
    "gives coordinates",
    r"\[\s*\d+(?:\.\d+)?\s*,|(?<!\d)\d++\.\d++\s*+,\s*+\d+\.\d+|\b[xy] ?[=:] ?\d"
    rf"|(?<![$€£\d.,])\b0\.\d\d+\b(?!-?\s?(?:{_UNITS}))"
    r"|\b(?:at|from|position(?:ed)?) \d+\.\d+(?=[.,;:!?)]|\s(?:and|to|of|horizontally|vertically)\b|\Z)"
    r"|\bcoordinates?\b(?! (?:the|a|an|with|his|her|its|their)\b)|\bpixels?\b(?! art\b)|\bbounding box(?:es)?\b",
    needs=(_DIGIT, "coordinate", "pixel", "bounding box", *LIKE_ASCII),
)

_PERSON = re.compile(
    r"\b(?i:man|woman|person|lady|guy|boy|girl|child|kid|friend|individual|people|human) [A-HJ-Z]\b|#[A-Z]\b"
)
_LETTER = re.compile(
    r"(?:\b(\w+) )?(?<![\w\"\u201c'\u2018&/-])(?<!& )[B-HJ-Z](?![\w\"\u201d&/-]"
    r"| (?:&|batter|button|clamp|chord|drive|key|string))"
)
_NO_PERSON_AFTER = frozenset((
    "a", "an", "the", "vitamin", "hepatitis", "plan", "letter", "size", "grade", "type", "class", "level", "row",
    "section", "side", "gate", "room", "key", "button", "option", "point", "number", "model", "usb", "reads", "says",
))  # fmt: skip


def _find_letters(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    for place, text in texts_with_places(pairs):
        if found := _PERSON.search(text):
            yield describe_match(place, found[0])
        for found in _LETTER.finditer(text):
            if (found[1] or "").lower() not in _NO_PERSON_AFTER:
                yield describe_match(place, found[0])


#: Annotators write letters for people: "man X", "C picks up", "from C". "I", "vitamin C" and "size M" are allowed.
no_letters_for_people: Rule = Check("a letter stands for a person", _find_letters)

_FIRST_PERSON = re.compile(r"\b(?:I\b(?!-)|[Mm](?:y|e|ine|yself)\b)")
_SECOND_PERSON = re.compile(r"\b(?:you|your|yours|yourself|you're|you've|you'd|you'll)\b", re.IGNORECASE)


def _find_wrong_person(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    for number, pair in enumerate(pairs, 1):
        if match := _SECOND_PERSON.search(pair.instruction):
            yield describe_match(f"question {number}", f"{match[0]} in a question of the wearer")
        if match := _FIRST_PERSON.search(_without_quotes(pair.answer)):
            yield describe_match(f"answer {number}", f"{match[0]} in an answer to the wearer")


#: The person who wears the camera asks: questions say "I", answers say "you".
asked_by_the_wearer: Rule = Check("wrong person", _find_wrong_person)


def pairs_between(least: int, most: int | None = None) -> Rule:
    """Return a rule that rejects answers with fewer than `least` or more than `most` pairs (None: no upper limit)."""

    def find(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
        if len(pairs) < least:
            yield f"{len(pairs)} of at least {least}"
        if most is not None and len(pairs) > most:
            yield f"{len(pairs)} of at most {most}"

    expected = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    return Check(f"not {expected} pair{'' if expected == '1' else 's'}", find)


def answers_of_words(least: int, most: int) -> Rule:
    """Return a rule that rejects answers with fewer than `least` or more than `most` words."""

    def find(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
        for place, text in texts_with_places(pairs, "answer"):
            words = len(text.split())
            if not least <= words <= most:
                yield f"{place}: {words} words"

    return Check(f"an answer is not {least} to {most} words long", find)


def no_names(name: str, words: Iterable[str]) -> Rule:
    """Return a rule that rejects `words` as written here, case included: the characters of a series, for example."""
    alternatives = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return Reject(name, rf"(?<!\w)(?:{alternatives})(?!\w)", exact=True)


def instead_of(name: str, pattern: str, replacement: str, needs: Needs = ()) -> tuple[Repair, Repair]:
    """Return two repairs with one name that write `replacement`, with a capital letter at the start of a sentence."""
    capital = replacement[:1].upper() + replacement[1:]
    return (
        Repair(name, f"{_SENTENCE_START}(?:{pattern})", capital, needs=needs),
        Repair(name, pattern, replacement, needs=needs),
    )


_IMAGE = r"(?:the )?(?:image|photo|picture)"

#: "image 1" and "photo B" are how the notes call the first and the second image of a pair.
images_in_order: tuple[Rule, ...] = (
    *instead_of(
        "image 1",
        rf"{_IMAGE} (?:1|(?-i:A)|a(?=[,.;:?!]| (?:and|has|is|shows)\b))(?!\w)",
        "the first image",
        tuple(f"{image} {mark}" for image in ("image", "photo", "picture") for mark in "1a"),
    ),
    *instead_of(
        "image 2",
        rf"{_IMAGE} (?:2|(?-i:B)|b)(?!\w)",
        "the second image",
        tuple(f"{image} {mark}" for image in ("image", "photo", "picture") for mark in "2b"),
    ),
)


def _without_quotes(text: str) -> str:
    return re.sub(r"[\"“][^\"”]*[\"”]", " ", text)


# Names of people in an annotation, which the pairs must not repeat.

_NAME = r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)*"
_VERB_FOLLOWS = r"(?=,? (?:[a-z]+s|and|do|does|has|is|are|was|were|can|then)\b|,|'s? )"
_NAMED = re.compile(
    rf"(?:^|(?<=\. ))(?:\d+\. )?({_NAME}){_VERB_FOLLOWS}"
    rf"|\b(?:and|tells|asks|gives|hands|shows|hugs|kisses|calls|helps|hits|pushes|follows|joins) ({_NAME})",
    re.MULTILINE,
)
_NOT_NAMES = frozenset((  # words with which a sentence may begin
    "a", "after", "again", "all", "also", "an", "and", "another", "as", "at", "because", "before", "behind", "both",
    "boy", "but", "child", "close", "different", "doctors", "dr", "each", "everybody", "everyone", "finally",
    "first", "five", "four", "friends", "from", "girl", "guests", "he", "her", "here", "his", "if", "in", "inside",
    "it", "its", "kids", "lastly", "later", "man", "many", "meanwhile", "men", "more", "mr", "mrs", "ms",
    "multiple", "next", "nobody", "now", "numerous", "nurses", "on", "once", "one", "other", "others", "outside",
    "patients", "people", "players", "police", "several", "she", "since", "six", "so", "some", "somebody",
    "someone", "still", "suddenly", "text", "that", "the", "their", "then", "there", "these", "they", "this",
    "those", "three", "tv", "two", "various", "water", "we", "when", "while", "with", "woman", "women", "words",
))  # fmt: skip


#: A capital inside a sentence; after such a word it is a place, a day or a thing with a name.
_INSIDE = re.compile(r"\b([a-z]+),? ([A-Z][\w'-]+(?: [A-Z][\w'-]+)*)")
_BEFORE_PLACES = frozenset((
    "about", "across", "along", "around", "at", "by", "from", "in", "into", "near", "of", "on", "over", "the", "this",
    "to", "until", "toward", "towards", "called", "a", "an", "next", "last", "every", "since", "before", "after",
    "outside",
))  # fmt: skip
#: Capitalised words that are no names of people.
CALENDAR = frozenset((
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march",
    "april", "may", "june", "july", "august", "september", "october", "november", "december", "christmas", "easter",
    "halloween",
    "thanksgiving", "i", "i'm", "i'll", "i've", "ok", "tv", "pc", "cd", "dvd", "english", "french", "german", "spanish",
    "chinese", "italian", "american", "god",
))  # fmt: skip


def find_names(annotation: str) -> frozenset[str]:
    """Return the capitalised words of an annotation that seem to be people.

    They do something at the start of a sentence, or something is done to them, or they stand inside a sentence where no
    place stands. A word that the annotation also has in lower case is not a name.
    """
    text = straighten_apostrophes(annotation)
    inside = (match[2] for match in _INSIDE.finditer(text) if match[1] not in _BEFORE_PLACES)
    found = {
        word.removesuffix("'s")
        for name in (*(match[1] or match[2] for match in _NAMED.finditer(text)), *inside)
        for word in name.split()
        if word.lower().removesuffix("'s") not in _NOT_NAMES | CALENDAR
    }
    return frozenset(name for name in found if not re.search(rf"\b{re.escape(name.lower())}\b", text))


def _find_annotation_names(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    lowered = searchable(pairs).lowered
    names = [re.escape(name) for name in find_names(context.query.text) if name.lower() in lowered]
    if not names:
        return
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(names))})(?!\w)")
    for place, text in texts_with_places(pairs):
        if found := pattern.search(straighten_apostrophes(text)):
            yield describe_match(place, found[0])


#: For annotations that call people by names that a reader of the pairs cannot know.
no_names_of_the_annotation: Rule = Check("a name of the annotation", _find_annotation_names)
