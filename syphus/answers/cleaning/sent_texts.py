"""Finds in an answer what was sent to the model: runs of words of the examples, the instructions or a correction.

A model that has little to say repeats its prompt. The annotation may be repeated, all the rest may not. A run counts if
it is long, and if some of its words carry meaning and are not the annotation's: "What is the difference between the two
images?" says nothing of the example that asks it, and may be asked again.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property, lru_cache
from typing import NamedTuple

_WORD = re.compile(r"\w+(?:'\w+)*")
_NO_WORD = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) in "_'")}
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")  # one character each, half a word
_QUOTED = re.compile(r"\"[^\"\n]*\"|\u201c[^\u201d\n]*\u201d|\u300c[^\u300d\n]*\u300d|`[^`\n]*`")
_GRAM = 4  #: consecutive words that are looked up
_STEP = 2  #: a run of five words has such words at one of every two places
_STRIDE = 3  #: at one of every three places, a run has all but two of its words
PHRASE = 5  #: words of a phrase that nobody takes from an example by chance, if its noun is not the annotation's
_ARTICLES = frozenset(("the", "a", "an"))
_STATEMENT = re.compile(r"[^.,;:!?\n]+(?![^.,;:!?\n]|\?)")
_WHOLE_FOREIGN = 2  #: words with a meaning, for a whole text


class SentKind(Enum):
    """What a text was sent as."""

    EXAMPLE = "example"
    INSTRUCTION = "instruction"
    CORRECTION = "correction"


#: The least words of a run that is a copy, and how many of them must carry meaning and not be the annotation's.
_LEAST = {SentKind.EXAMPLE: (8, 3), SentKind.INSTRUCTION: (8, 3), SentKind.CORRECTION: (5, 1)}


_Gram = tuple[str, ...]


class _Sent(NamedTuple):
    words: Sequence[str]
    kind: SentKind
    question: str  #: the user turn of the example


class _Run(NamedTuple):
    start: int
    end: int
    sent: _Sent


class SentTexts:
    """The texts that were sent besides the annotation.

    `examples` are texts of in-context examples, each with the user turn that it answers. In `instructions`, what stands
    in quotation marks is a wording that the answers are to use, and no instruction.
    """

    def __init__(
        self,
        examples: Iterable[tuple[str, str]] = (),
        instructions: Iterable[str] = (),
        corrections: Iterable[str] = (),
    ) -> None:
        questions: dict[str, set[str]] = {}
        for question, text in examples:
            questions.setdefault(text, set()).add(question)
        self._examples = [text for text, asked in questions.items() if len(asked) == 1]
        self._asked = frozenset[str]().union(*questions.values())
        sent = [  # a wording in several examples is one that all answers share
            _Sent(split_words(text), SentKind.EXAMPLE, next(iter(questions[text]))) for text in self._examples
        ]
        for text in dict.fromkeys(instructions):
            lines = (line for part in _QUOTED.split(text) for line in part.splitlines())
            sent += [_Sent(split_words(line), SentKind.INSTRUCTION, "") for line in lines]
        sent += [_Sent(split_words(text), SentKind.CORRECTION, "") for text in corrections]
        places: dict[_Gram, list[tuple[_Sent, int]]] = {}
        for each in sent:
            for place, gram in enumerate(_grams(each.words, _GRAM, 1)):
                places.setdefault(gram, []).append((each, place))
        self._places: Mapping[_Gram, Sequence[tuple[_Sent, int]]] = places
        self._sent = sent
        self.sample = " ".join(questions)  #: the texts of the examples
        self._last_search: tuple[Sequence[str], bool] = ((), False)

    @cached_property
    def _long_grams(self) -> Mapping[int, set[_Gram]]:
        """Words of texts that can be copied at all, by their number: a copy has some of them at one of three places."""
        found: dict[int, set[_Gram]] = {}
        for each in self._sent:
            least, foreign = _LEAST[each.kind]
            is_long = len(each.words) >= least
            if is_long and _count_foreign(each.words, "") >= min(foreign, _WHOLE_FOREIGN):
                length = least - _STRIDE + 1
                found.setdefault(length, set()).update(_grams(each.words, length, 1))
        return found

    @cached_property
    def example_phrases(self) -> Mapping[str, frozenset[tuple[str, ...]]]:
        """The last five words of statements of the examples that end in a noun ("closer to the entrance"), by the noun.

        A noun is here a word with "the" or "a" one or two words before it, and a mark after it.
        """
        found: dict[str, set[tuple[str, ...]]] = {}
        for statement in _STATEMENT.findall("\n".join(self._examples)):
            run = tuple(split_words(statement)[-PHRASE:])
            if len(run) == PHRASE and not _ARTICLES.isdisjoint(run[-3:-1]):
                found.setdefault(run[-1], set()).add(run)
        return {noun: frozenset(runs) for noun, runs in found.items()}

    def is_example(self, question: str) -> bool:
        """Return whether a text is the user turn of an example."""
        return question in self._asked

    def may_be_in(self, words: Sequence[str]) -> bool:
        """Return whether anything of the texts may be in a text of these words. Hardly any answer has something."""
        last, found = self._last_search
        if words is not last:  # several rules ask about the same answer
            found = not all(
                known.isdisjoint(_grams(words, length, _STRIDE)) for length, known in self._long_grams.items()
            )
            self._last_search = words, found
        return found

    def find_copy(self, text: str, own: str, asked: str, kinds: frozenset[SentKind]) -> str:
        """Return the first run of words in a text that copies a sent text of these kinds, or "".

        `own` is the annotation, and `asked` the user turn: an example about this very annotation is not copied.
        """
        words = split_words(text)
        if not self.may_be_in(words):
            return ""
        seen: set[tuple[int, int]] = set()
        for place in range(0, len(words) - _GRAM + 1, _STEP):
            for sent, there in self._places.get(tuple(words[place : place + _GRAM]), ()):
                if sent.kind not in kinds or (sent.question and sent.question in (own, asked)):
                    continue
                run = _extend(words, place, sent, there)
                if (run.start, run.end) not in seen and _is_copy(words, run, f"{own}\n{asked}"):
                    return " ".join(words[run.start : run.end])
                seen.add((run.start, run.end))
        return ""


NOTHING_SENT = SentTexts()


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; each character of a script without spaces is one."""
    text = text.lower().replace("\u2019", "'")
    if not text.isascii():
        return _WORD.findall(_UNSPACED.sub(r" \g<0> ", text))
    words = text.translate(_NO_WORD).split()  # takes a third of searching
    if "'" in text:
        words = [each for word in words for each in (_WORD.findall(word) if "'" in word else (word,))]
    return words


def scripts_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the scripts that at least a tenth of the letters are in; Chinese and Japanese count as one."""
    counts = Counter(map(_script, filter(str.isalpha, "".join(texts))))
    return frozenset(script for script, count in counts.items() if 10 * count >= counts.total())


def is_mostly_foreign(text: str, scripts: frozenset[str]) -> bool:
    """Return whether more than half of the letters of a text are in none of the scripts."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(_script(letter) not in scripts for letter in letters) > len(letters)


@lru_cache(maxsize=4_000)
def _script(letter: str) -> str:
    """Return the script of a letter, by the first word of its name in Unicode: LATIN, CYRILLIC, CJK."""
    first = unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
    return "CJK" if first in ("HIRAGANA", "KATAKANA", "IDEOGRAPHIC") else first


def _grams(words: Sequence[str], length: int, step: int) -> Iterator[_Gram]:
    """Return `length` consecutive words from each place, or from one of every `step` places."""
    return zip(*(words[start::step] for start in range(length)), strict=False)


def _extend(words: Sequence[str], place: int, sent: _Sent, there: int) -> _Run:
    """Return the longest run around two equal places."""
    before = after = 0
    while before < min(place, there) and words[place - before - 1] == sent.words[there - before - 1]:
        before += 1
    most = min(len(words) - place, len(sent.words) - there)
    while after < most and words[place + after] == sent.words[there + after]:
        after += 1
    return _Run(place - before, place + after, sent)


def _is_copy(words: Sequence[str], run: _Run, own: str) -> bool:
    least, foreign = _LEAST[run.sent.kind]
    copied = words[run.start : run.end]
    length = len(copied) - sum(_UNSPACED.match(word) is not None for word in copied) / 2
    if length < least:
        return False
    if run.sent.kind is SentKind.INSTRUCTION and 2 * len(copied) < len(words):
        return False  # an instruction may state a fact, such as where the camera hangs, that an answer repeats
    if run.sent.kind is SentKind.EXAMPLE and len(copied) == len(run.sent.words):
        foreign = _WHOLE_FOREIGN
    return _count_foreign(copied, own) >= foreign


def _count_foreign(copied: Sequence[str], own: str) -> int:
    """Return how many words carry meaning and are not in the annotation."""
    from syphus.answers.scoring.words import is_common, tokenize  # imported late: scoring builds on this package

    known = {word.stem for word in tokenize(own)}
    found = {word.stem for word in tokenize(" ".join(copied)) if word.value is None and not is_common(word.stem)}
    return len(found - known)
