"""Reduces an export to what reviewers let through, with their edits in place of the texts of the model.

An edit counts as accepted. A pair that some accept and others reject is disputed: it is left out until they agree. A
round of a conversation needs its earlier rounds; without one of them it is left out, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import compress

from syphus.formats.source import Translations
from syphus.ledger.results import QueryResult
from syphus.ledger.reviews import PairReview, ReviewLog, ReviewState, text_hash
from syphus.ledger.serialization import StoredPair
from syphus.text import pluralize


class Reviewed(StrEnum):
    """Which pairs to export."""

    ACCEPTED = "accepted"  #: those that were accepted or edited
    NOT_REJECTED = "not-rejected"  #: all but those that anybody rejects
    EDITED = "edited"  #: those that were edited

    @property
    def states(self) -> frozenset[ReviewState]:
        """The states of pairs that are exported."""
        return _STATES[self]


_STATES = {
    Reviewed.ACCEPTED: frozenset({ReviewState.ACCEPTED, ReviewState.EDITED}),
    Reviewed.NOT_REJECTED: frozenset({ReviewState.UNSEEN, ReviewState.ACCEPTED, ReviewState.EDITED}),
    Reviewed.EDITED: frozenset({ReviewState.EDITED}),
}


class ReviewedPairs:
    """Which pairs of `results` are exported, in one language; the results are read once.

    Holds no more ids in memory than there are decisions, and rounds after them.
    """

    def __init__(self, results: Iterable[QueryResult], log: ReviewLog, choice: Reviewed, language: str = "") -> None:
        self._log = log
        self.choice = choice
        self._language = language
        self._takes_unseen = ReviewState.UNSEEN in choice.states
        self._exceptions: set[str] = set()  # the pairs in if unseen ones are out, and otherwise the pairs out
        self._edits: dict[str, tuple[str, str]] = {}
        self._changed: set[str] = set()  # pairs with an edit, and rounds after them
        self.disputed = 0  #: pairs
        self.rounds = 0  #: left out because of an earlier round
        self.kept = self.edited = 0  #: pairs
        decided = {pair for pair, code in log.pairs() if code == language}
        for result in results:
            self._add(result, decided)

    def has(self, pair_id: str) -> bool:
        """Return whether a pair is exported."""
        return (pair_id in self._exceptions) is not self._takes_unseen

    def has_original(self, pair_id: str) -> bool:
        """Return whether a pair and its earlier rounds are exported with the texts of the model, without edits."""
        return self.has(pair_id) and pair_id not in self._changed

    def originals(self, result: QueryResult) -> QueryResult | None:
        """Return a query with those exported pairs that `has_original` accepts; None if there are none."""
        kept = [self.has_original(pair.id) for pair in result.pairs]
        return _select(result, kept, self.has_original) if any(kept) else None

    def notes(self) -> Iterator[str]:
        """Yield what the user should know, one line each."""
        if self.disputed:
            pairs = pluralize(self.disputed, "disputed pair is", "disputed pairs are")
            yield f"{pairs} left out: their reviewers disagree"
        if self.rounds:
            yield f"{pluralize(self.rounds, 'round is', 'rounds are')} left out, because an earlier round is"

    def take(self, result: QueryResult) -> QueryResult | None:
        """Return a query with the pairs that are exported, and with their edits; None if none are."""
        kept = [self.has(pair.id) for pair in result.pairs]
        if not any(kept):
            return None
        edited = [pair.id in self._edits for pair in result.pairs]
        if all(kept) and not any(edited) and result.nearest is None:
            return result
        pairs = [self._with_edit(pair) for pair in result.pairs]
        return _select(result._replace(pairs=pairs, edited=edited), kept, self.has)

    def _with_edit(self, pair: StoredPair) -> StoredPair:
        instruction, answer = self._edits.get(pair.id, (pair.instruction, pair.answer))
        return pair._replace(instruction=instruction, answer=answer)

    def _add(self, result: QueryResult, decided: set[str]) -> None:
        reviews = [self._review(pair.id, pair.instruction, pair.answer, decided) for pair in result.pairs]
        kept: list[bool] = []
        for number, (pair, review) in enumerate(zip(result.pairs, reviews, strict=True), 1):
            self.disputed += review.state is ReviewState.DISPUTED
            is_kept = review.state in self.choice.states
            if is_kept and result.nearest is None and not all(kept[each - 1] for each in _earlier(result, number)):
                is_kept = False
                self.rounds += 1
            kept.append(is_kept)
            if is_kept is not self._takes_unseen:
                self._exceptions.add(pair.id)
            if is_kept and (edit := review.edit):
                self._edits[pair.id] = (edit.of.instruction, edit.of.answer)
                self.edited += 1
            if pair.id in self._edits or any(result.pairs[n - 1].id in self._changed for n in _earlier(result, number)):
                self._changed.add(pair.id)
        self.kept += sum(kept)

    def _review(self, pair_id: str, instruction: str, answer: str, decided: set[str]) -> PairReview:
        if pair_id not in decided:
            return PairReview()
        return self._log.review(pair_id, text_hash(instruction, answer), self._language)


def _earlier(result: QueryResult, number: int) -> Iterator[int]:
    """Yield the numbers of a pair's earlier rounds. As for translation, pairs that name each other are not rounds."""
    pairs = result.pairs
    return (each for each in pairs[number - 1].related if each < number and number not in pairs[each - 1].related)


def _select(result: QueryResult, kept: Sequence[bool], has: Callable[[str], bool]) -> QueryResult:
    """Return a query with some of its pairs, and with those of their context that are exported."""
    if all(kept) and result.nearest is None:
        return result
    number_of = {old: new for new, old in enumerate((n for n, here in enumerate(kept, 1) if here), 1)}
    pairs = [
        pair._replace(related=[number_of[number] for number in pair.related if number in number_of])
        for pair in compress(result.pairs, kept)
    ]
    nearest, translators, edited = result.nearest, result.translators, result.edited
    return result._replace(
        pairs=pairs,
        nearest=nearest and [list(filter(has, ids)) for ids in compress(nearest, kept)],
        translators=translators and list(compress(translators, kept)),
        edited=edited and list(compress(edited, kept)),
    )


class ReviewedExport:
    """What reviewers let through of a run, in English and in the languages of `translations`.

    A translation also needs its English pair to be exported, with the text that was translated. `results` yields the
    English pairs, and is called again for each language.
    """

    def __init__(
        self,
        results: Callable[[], Iterator[QueryResult]],
        log: ReviewLog,
        choice: Reviewed,
        translations: Translations | None,
    ) -> None:
        self._translations = translations
        self._english = ReviewedPairs(results(), log, choice)
        self._translated: dict[str, ReviewedPairs] = {}
        for code in translations.codes if translations else ():
            texts = (self._text(code, result) for result in results())
            self._translated[code] = ReviewedPairs((each for each in texts if each), log, choice, code)
        self.has = self._english.has
        self.take = self._english.take
        self.kept = self._english.kept  #: English pairs

    def translate(self, code: str, result: QueryResult) -> QueryResult | None:
        """Return the translations of a query's exported pairs that are exported, too; None if none are."""
        text = self._text(code, result)
        return self._translated[code].take(text) if text else None

    def has_translation(self, code: str, pair_id: str) -> bool:
        """Return whether a pair is exported in a language."""
        assert self._translations is not None
        is_let_through = self._english.has_original(pair_id) and self._translated[code].has(pair_id)
        return is_let_through and self._translations.has(code, pair_id)

    def notes(self) -> Iterator[str]:
        """Yield what the user should know, one line each."""
        yield from self._english.notes()
        if self._translated and self._english.edited:
            pairs = pluralize(self._english.edited, "edited pair is", "edited pairs are")
            yield f"{pairs} in English only: the translations are of the text before"
        for code, pairs_of in self._translated.items():
            yield from (f"{code}: {note}" for note in pairs_of.notes())
            if not pairs_of.kept and self._english.kept:
                yield f"{code}: its files are empty, because no translation of these pairs is {pairs_of.choice}"

    def _text(self, code: str, result: QueryResult) -> QueryResult | None:
        assert self._translations is not None
        originals = self._english.originals(result)
        return self._translations.translate(code, originals) if originals else None
