"""Stops a run whose answers get worse by more than chance: a model that was replaced, a broken server, other data.

Each row counts once, by its first answer of the session, and in the order in which the rows were sent: short answers
come first, so the order of arrival would look like a drift at the start of every session. A row counts when it has its
outcome. So rows that are set aside because everybody gets the same text, which is an outage, do not count at all.

Every kind of bad answer is watched by a test of its own (`drift_test.py`); together they alarm falsely in at most
`ALPHA` of all runs whose rows come in no order of kind. A session learns its usual shares from its own answers. So a
run that is resumed after a stop takes the shares that it finds then as usual.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from syphus.errors import UnsatisfactoryError
from syphus.ledger.records import Row
from syphus.pipeline.drift_test import FEWEST_BEFORE, Drift, DriftTest
from syphus.pipeline.stage import AnswerWatch, Judgement
from syphus.text import one_line, pluralize
from syphus.types import Pair, Query, State

ALPHA = 0.005  #: the most runs that are stopped although nothing has changed
RISE = 0.2  #: the least rise of a share that stops a run, unless the user says more
REPEATED, OTHER_LANGUAGE = "repeated from other rows", "in another language"
_OF_STATES = {State.INVALID: "invalid", State.REFUSED: "refused", State.TRUNCATED: "cut off"}
_MOST_KINDS = 6  # that are watched in one stage
_LATELY = 48  # rows whose pairs an answer must not repeat
_MOST_WAITING = 512  # rows that have an outcome and wait for one that was sent before
_EXAMPLES = 3
_FEWEST_WORDS = 8  # whose language can be told

#: Short words that are frequent in one language, and rare in the others of this table.
_COMMON_WORDS = {
    "en": "the is are and of there on with what was this that",
    "de": "der die das ist und ein eine nicht auf mit den sind",
    "fr": "le les est et une dans des sur il du avec elle",
    "es": "el los las es una y del en con que hay está",
    "pt": "o os uma não em um da do com são há está",
    "it": "il è di che gli una nel della sono con c'è per",
    "nl": "het een van de en op zijn niet met er wordt naar",
}
_LANGUAGES_OF_WORDS: dict[str, tuple[str, ...]] = {}
for _code, _words in _COMMON_WORDS.items():
    _LANGUAGES_OF_WORDS |= {word: (*_LANGUAGES_OF_WORDS.get(word, ()), _code) for word in _words.split()}


class _Seen(NamedTuple):
    """What is known of the first answer of a row: whether it is bad, by kind, and what to show of it."""

    kinds: Mapping[str, bool]
    name: str
    reason: str


class QualityBreaker(AnswerWatch):
    """Watches the answers of a stage over its sessions. `name_of` returns what people call a query."""

    def __init__(self, rise: float = RISE, name_of: Callable[[Query], str] = lambda query: query.id) -> None:
        """Stop when the share of a kind of bad answers has risen by `rise`, a share between 0 and 1."""
        self._rise, self._name_of = rise, name_of
        self._open: dict[int, _Seen | None] = {}  # by row, in the order in which they were sent
        self._done: set[int] = set()  # rows that have an outcome, while one that was sent before has none
        self._learn()

    def _learn(self) -> None:
        """Learn the usual shares from now on."""
        self._tests: dict[str, DriftTest] = {}
        self._examples: dict[str, deque[_Seen]] = {}
        self._lately: deque[int] = deque(maxlen=_LATELY)
        self._languages: Counter[str] = Counter()

    def begin(self) -> Self:
        """Begin a session, and return this watch: what was in flight in the session before is not."""
        self._open.clear()
        self._done.clear()
        return self

    def sent(self, row: Row) -> None:
        """Note that a row is sent, if it is for the first time."""
        if row.used == row.opened and row.n not in self._open:
            self._open[row.n] = None

    def note(self, row: Row, judgement: Judgement) -> None:
        """Note what became of the first answer of a row; later ones, and those nobody waited for, do not count."""
        if row.n not in self._open or self._open[row.n] is not None:
            return
        outcome = judgement.outcome
        kinds = {kind: outcome.state is state for state, kind in _OF_STATES.items()}
        kinds |= judgement.checks
        kinds |= self._kinds_of_pairs(outcome.pairs) if outcome.pairs else {}
        self._open[row.n] = _Seen(kinds, self._name_of(row.query), outcome.reason)

    def lost(self, row: Row) -> None:
        """Note that a request got no answer: a row that has none yet loses its place in the order."""
        if self._open.get(row.n) is None:
            self.forget(row)

    def forget(self, row: Row) -> None:
        """Leave a row out, since what it got is said to everybody."""
        self._open.pop(row.n, None)

    def finished(self, row: Row) -> UnsatisfactoryError | None:
        """Count a row that has its outcome; return why the run must stop, if it must."""
        if row.n not in self._open:
            return None
        self._done.add(row.n)
        while self._open:
            first = next(iter(self._open))
            if first not in self._done and len(self._done) < _MOST_WAITING:
                break
            self._done.discard(first)
            seen = self._open.pop(first)
            if seen is not None and (problem := self._count(seen)) is not None:
                self._learn()
                return problem
        return None

    def _count(self, seen: _Seen) -> UnsatisfactoryError | None:
        for kind, is_bad in seen.kinds.items():
            if is_bad:
                self._examples.setdefault(kind, deque(maxlen=_EXAMPLES)).append(seen)
            test = self._tests.get(kind)
            if test is None:
                test = self._tests[kind] = DriftTest(ALPHA / _MOST_KINDS, self._rise)
            if (drift := test.add(is_bad)) is not None:
                return UnsatisfactoryError(_message(kind, drift, self._examples[kind]))
        return None

    def _kinds_of_pairs(self, pairs: Sequence[Pair]) -> dict[str, bool]:
        """Return whether pairs repeat those of other rows, or are in another language; not before that is known."""
        kinds: dict[str, bool] = {}
        text = hash(tuple((pair.instruction, pair.answer) for pair in pairs))
        if len(self._lately) == _LATELY:
            kinds[REPEATED] = text in self._lately
        self._lately.append(text)
        language = language_of(" ".join(pair.answer for pair in pairs))
        if language and self._languages.total() < FEWEST_BEFORE:
            self._languages[language] += 1
        elif language:
            kinds[OTHER_LANGUAGE] = language != self._languages.most_common(1)[0][0]
        return kinds


def language_of(text: str) -> str:
    """Return the language of a text, or its script, as a short name; "" if it is too short to tell.

    It tells a change of language, not which one of two hundred it is: Latin text without frequent words of a few
    languages is "other".
    """
    start = text[:400]
    others = [] if start.isascii() else [letter for letter in start if letter > "\u024f" and letter.isalpha()]
    if len(others) * 3 > len(start):
        return f"script {ord(others[len(others) // 2]) >> 8:x}"
    words = text[:600].lower().split()
    if len(words) < _FEWEST_WORDS:
        return ""
    found = dict.fromkeys(_COMMON_WORDS, 0)
    for word in words:
        for code in _LANGUAGES_OF_WORDS.get(word, ()):
            found[code] += 1
    best = max(found, key=lambda code: found[code])
    return best if found[best] * 10 >= len(words) else "other"


def _message(kind: str, drift: Drift, examples: Iterable[_Seen]) -> str:
    shown = ", ".join(
        f"{one_line(each.name, 60)}{f' ({one_line(each.reason, 80)})' if each.reason else ''}" for each in examples
    )
    return (
        f"The answers have got worse: {drift.bad_after / drift.after:.0%} of the last {drift.after:,} are {kind}, "
        f"{drift.bad_before / drift.before:.0%} of the {pluralize(drift.before, 'answer')} before: a significant rise. "
        f"The newest: {shown}; `syphus rows FOLDER --query ID` shows one. All other rows are pending. Find out what "
        "has changed (model, server, an input that is sorted by kind), then run the same command. It continues, and "
        "learns the usual shares anew. --no-breaker switches this check off."
    )
