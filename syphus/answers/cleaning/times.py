"""Finds times that nobody can see: seconds and durations of a video, times of day that the annotation does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.rules import LIKE_ASCII, Check, Context, Rule, describe_match, texts_with_places
from syphus.types import Pair

_DIGIT = re.compile(r"\d")
_SECONDS = r"(?:s|secs?|seconds?)"
_WORDS = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred)"
)
_NUMBER = rf"(?:\d+(?:\.\d+)?|{_WORDS}(?:[ -]{_WORDS})?)"
_UNIT = r"(?:seconds?|secs?|minutes?|mins?|hours?)"
_TIMESTAMP = re.compile(
    r"\btimestamps?\b|\[\s*\d+(?:\.\d+)?\s*,\s*\d+(?:\.\d+)?\s*\]"
    rf"|\b\d+(?:\.\d+)?(?:st|nd|rd|th)?[ -]?{_SECONDS} (?:mark|into|in the video|of the video)\b"
    r"|\b(?:at|from|between|after|until|around|about) "
    r"(?!the (?:\d\d)?\d0s\b|\d{3}0s\b)(?:the )?(?:time |second |minute )?"  # "the 80s" are not seconds
    rf"\d+(?::\d\d)?(?:\.\d+)? ?{_SECONDS}\b"
    rf"|\b(?:from|between) \d+(?:\.\d+)? ?(?:to|and|until|-|\u2013) ?\d+(?:\.\d+)?(?: ?{_SECONDS}\b|(?=[.,;?!]|\Z))"
    rf"|\bthe (?:first|last|final|next) \d+ ?{_SECONDS}\b|\bthe \d+(?:st|nd|rd|th) second\b"
    r"|\b\d+:\d\d mark\b|\b(?:at|around|about|by|from|until) 0?\d:\d\d\b|\bat time \d"
    rf"|\bvideo (?:is|lasts|runs)(?: for)?(?: about| around)? {_NUMBER} ?{_SECONDS}\b"
    r"|\b(?:seconds?|minutes?) \d+\b",
    re.IGNORECASE,
)
#: A duration, in any wording that places something in the video or measures it, if the annotation does not tell it.
_DURATION = re.compile(
    rf"\b(?:about|around|over|under|nearly|almost|takes?|lasts|lasted|than|after|for|within|until|every) "
    rf"(?:about |around |over |nearly |almost |roughly )?{_NUMBER}(?: and a half)?[ -]{_UNIT}\b"
    rf"|\b{_NUMBER}(?: and a half)?[ -]{_UNIT} "
    r"(?:in|into|later|after|before|long|earlier|apart|has passed|have passed)\b(?! a row)"
    r"|\b(?:about|around|over|under|nearly|almost|takes|lasts|than|after) (?:an?|half an?) (?:minute|hour)\b(?! or two)"
    r"|\b(?:a|half a) minute (?:and a half|in|into|long)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\[[\d\s.,-]*\]")  #: the times of an annotation
_NEEDS = ("timestamp", "second", "minute", " sec", " min", "hour", *LIKE_ASCII)


def _find_timestamps(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find times of a video; a duration that a sentence of the annotation states is not one."""
    stated = ""
    for place, text in texts_with_places(pairs):
        if match := _TIMESTAMP.search(text):
            yield describe_match(place, match[0])
        elif match := _DURATION.search(text):
            stated = stated or _LISTED.sub(" ", context.query.text.lower())
            if match[0].lower() not in stated and _unit(match[0]) not in stated:
                yield describe_match(place, match[0])


def _unit(duration: str) -> str:
    return next(unit for unit in ("second", "sec", "minute", "min", "hour") if unit in duration.lower())


#: For videos: the model knows their times only from the annotation.
no_timestamps: Rule = Check("names a time of the video", _find_timestamps, needs=(_DIGIT, *_NEEDS))

_HOUR = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight|\d{1,2})"
_TIME_OF_DAY = re.compile(
    r"(?<![\d:])\d{1,2}:\d\d(?![\d:])(?: ?[ap]\.?m\b\.?)?|\b\d{1,2} ?[ap]\.?m\b"
    rf"|\b(?:(?:half|(?:a )?quarter|five|ten|twenty|\d{{1,2}} minutes) past|(?:a )?quarter to) {_HOUR}\b(?! [a-z])"
    rf"|\b{_HOUR} (?:o'clock|o\u2019clock)|\bat (?:exactly )?(?:noon|midnight)\b|\b(?:noon|midnight) sharp\b"
    rf"|\b(?:for|since|after|in|takes?|lasts?|took) (?:about |around |over |nearly |exactly )?{_NUMBER} {_UNIT}\b"
    rf"|\b{_NUMBER} {_UNIT} (?:late|early|ago|long|later|earlier|before)\b",
    re.IGNORECASE,
)
_GUESS = re.compile(
    r"\b(?:may|might|could|can|would|should|perhaps|maybe|possibly|probably|likely|seems?|appears?|if|often|usually"
    r"|typically|generally|every|each)\b",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[^\d\s][.!?])\s+|\n+")


def _find_times_of_day(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    if context.query.images or not context.query.text.strip():
        return  # a clock may be seen
    known = context.query.text.lower()
    for place, text in texts_with_places(pairs, "answer"):
        for match in _TIME_OF_DAY.finditer(text):
            time = match[0].lower()
            digits = re.findall(r"\d+", time)
            is_known = time in known or (digits and all(re.search(rf"\b0?{int(each)}\b", known) for each in digits))
            sentence = next((each for each in _SENTENCES.split(text) if match[0] in each), text)
            if not is_known and not _GUESS.search(sentence):
                yield describe_match(place, match[0])


_CLOCK = re.compile(r"\d:\d\d|\d[ap]m\b")

_CLOCK = re.compile(r"\d:\d\d|\d[ap]m\b")

#: What no annotation says of the time of day, of hours and minutes, nobody can know.
times_of_the_annotation: Rule = Check(
    "a time that the annotation does not hold",
    _find_times_of_day,
    needs=(
        " seconds",
        " minute",
        " hour",
        _CLOCK,
        "o'clock",
        "noon",
        "midnight",
        " past ",
        "quarter to",
        " am",
        " pm",
        "a.m",
        "p.m",
    ),
)
