"""Rules that plugins choose from. Each is a rule, or a function that makes one.

class YourDataset(AbstractDataset):
    rules = (pairs_between(2, 5), no_timestamps, numbers_of_the_annotation)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.rules import Check, Context, Reject, Repair, Rule, at, in_small_letters, parts, straight
from syphus.types import Pair

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip

_SECONDS = r"(?:s|secs?|seconds?)"
_AT_THE_START = r"(?:\A|(?<=[.!?]\s)(?<!\b(?:Dr|Mr|Ms|St)\.\s)(?<!\bMrs\.\s)|(?<=\n))"  # of a sentence

#: Of a video, whose seconds the model knows from the annotation alone.
no_timestamps: Rule = Reject(
    "names a time of the video",
    r"\btimestamps?\b|\[\s*\d+(?:\.\d+)?\s*,\s*\d+(?:\.\d+)?\s*\]"
    rf"|\b\d+(?:\.\d+)?(?:st|nd|rd|th)?[ -]?{_SECONDS} (?:mark|into|in the video|of the video)\b"
    r"|\b(?:at|from|between|after|until|around|about) "
    r"(?!the (?:\d\d)?\d0s\b|\d{3}0s\b)(?:the )?(?:time |second |minute )?"  # the 80s are no seconds
    rf"\d+(?::\d\d)?(?:\.\d+)? ?{_SECONDS}\b"
    rf"|\b(?:from|between) \d+(?:\.\d+)? ?(?:to|and|until|-|\u2013) ?\d+(?:\.\d+)? ?{_SECONDS}\b"
    rf"|\bthe (?:first|last|final|next) \d+ ?{_SECONDS}\b|\bthe \d+(?:st|nd|rd|th) second\b"
    r"|\b\d+:\d\d mark\b|\b(?:at|around|about|by|from|until) 0?0:\d\d\b|\bat time \d"
    rf"|\bvideo (?:is|lasts|runs)(?: for)?(?: about| around)? \d+ ?{_SECONDS}\b"
    r"|\b(?:seconds?|minutes?) \d+\b",
)

_UNITS = (
    r"%|percent|(?:k|c|m|kilo|centi|milli)?(?:m|l|g|met(?:er|re)s?|lit(?:er|re)s?|grams?)\b|kg|mi(?:les?)?\b|inch|feet|foot|"
    r"yards?|hours?|minutes?|seconds?|euros?|dollars?|cents?|pounds?|degrees?|stars?|points?|million|billion"
)

#: Of images whose boxes the model is given: a reader sees things, and neither corners nor pixels. Prices, sizes and
#: other decimals are no boxes: those come in lists, as a share with two decimals or more, or as a place without a unit.
no_boxes: Rule = Reject(
    "gives coordinates",
    r"\[\s*\d+(?:\.\d+)?\s*,|\d+\.\d+\s*,\s*\d+\.\d+|\b[xy] ?[=:] ?\d"
    rf"|(?<![$€£\d.,])\b0\.\d\d+\b(?!-?\s?(?:{_UNITS}))"
    r"|\b(?:at|from|position(?:ed)?) \d+\.\d+(?=[.,;:!?)]|\s(?:and|to|of|horizontally|vertically)\b|\Z)"
    r"|\bcoordinates?\b(?! (?:the|a|an|with|his|her|its|their)\b)|\bpixels?\b(?! art\b)|\bbounding box(?:es)?\b",
)

_PERSON = re.compile(
    r"\b(?i:man|woman|person|lady|guy|boy|girl|child|kid|friend|individual|people|human) [A-HJ-Z]\b|#[A-Z]\b"
)
_LETTER = re.compile(
    r"(?:\b(\w+) )?(?<![\w\"\u201c'\u2018&/-])(?<!& )[B-HJ-Z](?![\w\"\u201d&/-]"
    r"| (?:&|batter|button|clamp|chord|drive|key|string))"
)
_NO_PERSON_BEHIND = frozenset((
    "a", "an", "the", "vitamin", "hepatitis", "plan", "letter", "size", "grade", "type", "class", "level", "row",
    "section", "side", "gate", "room", "key", "button", "option", "point", "number", "model", "usb", "reads", "says",
))  # fmt: skip


def _letters(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    for place, text in parts(pairs):
        if found := _PERSON.search(text):
            yield at(place, found[0])
        for found in _LETTER.finditer(text):
            if (found[1] or "").lower() not in _NO_PERSON_BEHIND:
                yield at(place, found[0])


#: "man X", "C picks up", "from C": letters that annotators write for people; "I", "vitamin C", "size M" are none.
no_letters_for_people: Rule = Check("a letter stands for a person", _letters)

_FIRST = re.compile(r"\b(?:I\b(?!-)|[Mm](?:y|e|ine|yself)\b)")
_SECOND = re.compile(r"\b(?:you|your|yours|yourself|you're|you've|you'd|you'll)\b", re.IGNORECASE)


def _wrong_person(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    for number, pair in enumerate(pairs, 1):
        if match := _SECOND.search(pair.instruction):
            yield at(f"question {number}", f"{match[0]} in a question of the wearer")
        if match := _FIRST.search(_without_quotes(pair.answer)):
            yield at(f"answer {number}", f"{match[0]} in an answer to the wearer")


#: Questions speak as "I", answers to "you": the person who wears the camera asks.
asked_by_the_wearer: Rule = Check("wrong person", _wrong_person)


def _foreign_numbers(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    if context.query.images:  # they may be counted there
        return
    text = context.query.text.casefold()
    known = set(_NUMBER.findall(text)) | {str(_WORDS[word]) for word in re.findall(r"[a-z]+", text) if word in _WORDS}
    if known.issuperset(_NUMBER.findall(in_small_letters(pairs))):
        return
    for place, part in parts(pairs):
        for number in _NUMBER.findall(part):
            if number not in known:
                yield at(place, number)


#: For annotations that hold all numbers that can be known; a small one may also be counted in the image.
numbers_of_the_annotation: Rule = Check("a number that the annotation does not hold", _foreign_numbers)


def pairs_between(least: int, most: int | None = None) -> Rule:
    """Rejects answers with fewer or more pairs."""

    def find(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
        if len(pairs) < least:
            yield f"{len(pairs)} of at least {least}"
        if most is not None and len(pairs) > most:
            yield f"{len(pairs)} of at most {most}"

    wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    return Check(f"not {wanted} pair{'' if wanted == '1' else 's'}", find)


def answers_of_words(least: int, most: int) -> Rule:
    """Rejects answers that are shorter or longer than so many words."""

    def find(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
        for place, text in parts(pairs, "answer"):
            words = len(text.split())
            if not least <= words <= most:
                yield f"{place}: {words} words"

    return Check(f"an answer is not {least} to {most} words long", find)


def no_names(name: str, words: Iterable[str]) -> Rule:
    """Rejects these words, with a capital first letter as they stand here: the characters of a series, say."""
    alternatives = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return Reject(name, rf"(?<!\w)(?:{alternatives})(?!\w)", exact=True)


def instead_of(name: str, pattern: str, replacement: str, needs: tuple[str, ...] = ()) -> tuple[Repair, Repair]:
    """Two repairs, counted as one, that write `replacement`, with a capital where a sentence begins."""
    capital = replacement[:1].upper() + replacement[1:]
    return (
        Repair(name, f"{_AT_THE_START}(?:{pattern})", capital, needs=needs),
        Repair(name, pattern, replacement, needs=needs),
    )


_IMAGE = r"(?:the )?(?:image|photo|picture)"

#: "image 1" and "photo B" are names out of the notes: the first and the second image of a pair.
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


# FOLDED from names.py:
# Names of people in an annotation, which a data set of strangers must not repeat.

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
