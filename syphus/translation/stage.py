"""The two stages of translation: each pair in all its languages, and then what was no good, several texts at once.

A language of a pair is a part of its query. The first stage asks for all parts of a query in one request, as far as the
answer fits; what is no good stays pending, and the second stage asks for it again, with the reason: once together with
others, and by itself from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from syphus.answers.translation import Term, Translatable, is_english
from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.formats.translation_report import RETRY_STAGE, TRANSLATE_STAGE
from syphus.ledger.parts import PartOutcome, StoredPart, chunk_id, parts_of, texts_by_id, texts_by_number
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.records import Row, StoredAnswer
from syphus.ledger.store import Store
from syphus.pipeline.stage import Judgement
from syphus.translation.checks import SourceChecker, feedback
from syphus.translation.chunks import Chunk, dump_texts, load_texts, parse_chunk
from syphus.translation.prompts import RetryItem, Target, TranslationPrompt, items_prompt, languages_prompt
from syphus.translation.responses import AnswerMembers, read_members, read_translation
from syphus.types import BYTES_PER_TOKEN, Completion, Outcome, Request, State

INCOMPLETE = "not in every language"
NOTHING = "nothing to translate"
NOT_ENGLISH = "not English"

_MORE = "more languages"
_ROUNDS_SEEN, _CHARACTERS_SEEN = 3, 300  # of a conversation, and of each round
_GROWTH = 1.6  # tokens of a translation for each of the English text
_FRAME = 15  # tokens of keys and braces around it
_USUAL_TOKENS = 4_096  # that an answer may have, where nobody says


class TranslationPlan(NamedTuple):
    """What is translated, and how: the same for all pairs."""

    targets: Mapping[str, Target]
    terms: Sequence[Term]
    per_language: bool
    max_attempts: int  #: translations of a text into a language that are asked for at the most
    max_tokens: int | None

    @property
    def answer_tokens(self) -> float:
        """Tokens that an answer may have."""
        return (self.max_tokens or _USUAL_TOKENS) * 0.95

    def languages_per_answer(self, source: Translatable) -> int:
        """How many translations of a source fit into one answer."""
        if self.per_language:
            return 1
        return max(1, int(self.answer_tokens / estimate_answer_tokens(source)))


def estimate_answer_tokens(source: Translatable) -> float:
    """Tokens, about, that one translation takes."""
    return _FRAME + _GROWTH * len((source.instruction + source.answer).encode()) / BYTES_PER_TOKEN


class _Translating:
    """What both stages share. The ledger alone says what has been asked: nothing is remembered here."""

    def __init__(self, store: Store, sampling: RequestBuilder, plan: TranslationPlan) -> None:
        self._store = store
        self._sampling = sampling
        self._plan = plan

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - there is no file of lines
        """None."""
        return ""

    def adapt(self, parameter: str) -> bool:
        """Does without a sampling parameter, or a schema, that the model does not take."""
        return self._sampling.adapt(parameter)

    def _request(self, ask: TranslationPrompt, sample: int) -> Request:
        return self._sampling.request(ask.messages, sample, extra_fields={"response_format": ask.schema})

    def _earlier(self, piece: Chunk) -> tuple[str, ...]:
        """What came before: the last rounds of the conversation, or the piece before of a long text."""
        names = piece.context[-_ROUNDS_SEEN:]
        if piece.number > 1:
            names = tuple(dict.fromkeys((chunk_id(piece.pair_id, 1), chunk_id(piece.pair_id, piece.number - 1))))
        found = texts_by_id(self._store, TRANSLATE_STAGE, [*names, *(chunk_id(name, 1) for name in names)])
        known = [each if each in found else chunk_id(each, 1) for each in names]
        texts = [load_texts(found[each]) for each in known if each in found]
        return tuple(_shortened(f"{text.instruction} {text.answer}".strip()) for text in texts)

    def _judged(
        self, n: int, name: str, key: str, kept: StoredPart | None, source: SourceChecker, members: AnswerMembers
    ) -> PartOutcome:
        """Part `name` of query `n` after one more answer, which has it under `key`."""
        given = read_translation(members, key, source.texts)
        last = (kept.asks if kept else 0) + 1 >= self._plan.max_attempts
        if isinstance(given, str):
            return PartOutcome(n, name, members.state if last else State.PENDING, given)
        result = source.check(given, self._plan.targets[name].language)
        if result.ok:
            return PartOutcome(n, name, State.OK, text=dump_texts(given))
        return PartOutcome(
            n, name, State.INVALID if last else State.PENDING, result.reason, feedback(result), dump_texts(given)
        )


class TranslateStage(_Translating):
    """A query is a pair, or a piece of a long one; its parts are the languages."""

    name = TRANSLATE_STAGE

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:  # noqa: ARG002 - the parts say it all
        """All languages that the pair was not asked for yet, as many as fit into one answer."""
        piece, parts = _piece(row), parts_of(self._store, row.n)
        if row.query.problem:
            return Outcome(State.FAILED, reason=ReasonKind.BAD_ROW, detail=row.query.problem)
        if not (piece.source.instruction.strip() or piece.source.answer.strip()):
            return Outcome(State.FAILED, reason=NOTHING)
        if not is_english(piece.source.instruction, piece.source.answer):
            return Outcome(State.FAILED, reason=NOT_ENGLISH)
        names = self._next(piece, parts)
        if not names:
            return self._outcome({name: part.state for name, part in parts.items()})
        targets = [self._plan.targets[name] for name in names]
        ask = languages_prompt(piece.source, targets, self._earlier(piece), self._plan.terms)
        return self._request(ask, row.used)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Each language by itself; of an answer that was cut off, those that are whole."""
        piece, kept = _piece(row), parts_of(self._store, row.n)
        names, bad = self._next(piece, kept), unusable_outcome(completion)
        source = SourceChecker(piece.source, self._plan.terms)
        members = _members(completion, bad)
        parts = tuple(self._judged(row.n, name, name, kept.get(name), source, members) for name in names)
        states = {name: part.state for name, part in kept.items()} | {part.name: part.state for part in parts}
        more = len(self._open(kept)) > len(names)
        return Judgement(self._outcome(states), ask_again=more, feedback=_MORE, parts=parts)

    def _open(self, kept: Mapping[str, StoredPart]) -> list[str]:
        """The languages that were not asked for yet."""
        return [
            name
            for name in self._plan.targets
            if name not in kept or (kept[name].state is State.PENDING and not kept[name].asks)
        ]

    def _next(self, piece: Chunk, kept: Mapping[str, StoredPart]) -> list[str]:
        return self._open(kept)[: self._plan.languages_per_answer(piece.source)]

    def _outcome(self, states: Mapping[str, State]) -> Outcome:
        if all(states.get(name) is State.OK for name in self._plan.targets):
            return Outcome(State.OK)
        return Outcome(State.INVALID, reason=INCOMPLETE)


class RetryTranslateStage(_Translating):
    """A query is a batch: parts of other queries, by number and name, whose last translation was no good."""

    name = RETRY_STAGE

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:  # noqa: ARG002 - the parts say it all
        """All texts of the batch, each with its language and with what was wrong."""
        items = [self._item(piece, name, kept) for _, name, piece, kept in self._batch(row)]
        return self._request(items_prompt(items, self._plan.terms), row.used)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Each text by itself."""
        members = _members(completion, unusable_outcome(completion))
        parts = []
        for number, (n, name, piece, kept) in enumerate(self._batch(row), 1):
            source = SourceChecker(piece.source, self._plan.terms)
            parts.append(self._judged(n, name, str(number), kept, source, members))
        good = sum(part.state is State.OK for part in parts)
        done = Outcome(State.OK) if good == len(parts) else Outcome(State.INVALID, reason=INCOMPLETE)
        return Judgement(done, parts=tuple(parts))

    def _batch(self, row: Row) -> list[tuple[int, str, Chunk, StoredPart]]:
        wanted = batch_of(row.query.meta)
        texts = texts_by_number(self._store, {n for n, _ in wanted})
        found = []
        for n, name in wanted:
            row_name, text, meta = texts[n]
            found.append((n, name, parse_chunk(row_name, text, orjson.loads(meta)), parts_of(self._store, n)[name]))
        return found

    def _item(self, piece: Chunk, name: str, kept: StoredPart) -> RetryItem:
        rejected = kept.detail or kept.reason
        return RetryItem(piece.source, self._plan.targets[name], self._earlier(piece), rejected, kept.asked)


def batch_of(meta: Mapping[str, object]) -> list[tuple[int, str]]:
    """The parts of a batch, by the number of their query and their name."""
    parts = meta["parts"]
    assert isinstance(parts, list)
    return [(n, name) for n, name in parts]


def _members(completion: Completion, bad: Outcome | None) -> AnswerMembers:
    if bad is None:
        return read_members(completion.text)
    whole = read_members(completion.text).values if bad.state is State.TRUNCATED else {}
    return AnswerMembers(whole, bad.reason, bad.state)


def _piece(row: Row) -> Chunk:
    return parse_chunk(row.query.id, row.query.text, row.query.meta)


def _shortened(text: str) -> str:
    return text if len(text) <= _CHARACTERS_SEEN else f"{text[:_CHARACTERS_SEEN]} ..."
