"""The two stages of translation: each pair into all languages, then retries of several texts at once.

Each language of a pair is a part of its query. The first stage asks for all parts of a query in one request, as far as
the answer fits. A translation that fails its checks stays pending, and the second stage asks for it again with the
reason: once in a batch with others, and alone from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from syphus.answers.translation import Term, Translatable, is_english
from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.structured import answer_request, asked_format
from syphus.exchange import BYTES_PER_TOKEN, Completion, Request
from syphus.formats.translation_report import RETRY_STAGE, TRANSLATE_STAGE
from syphus.ledger.parts import PartOutcome, StoredPart, chunk_id, parts_of, texts_by_id, texts_by_number
from syphus.ledger.records import Row, StoredAnswer
from syphus.ledger.store import Store
from syphus.pipeline.stage import Judgement, Stage
from syphus.translation.chunks import Chunk, dump_texts, load_texts, parse_chunk
from syphus.translation.prompts import RetryItem, Target, TranslationPrompt, items_prompt, languages_prompt
from syphus.translation.responses import AnswerMembers, read_members, read_translation
from syphus.translation.source_checker import SourceChecker, feedback
from syphus.types import Outcome, ReasonKind, State

# These texts are stored in ledgers.
INCOMPLETE = "not in every language"
NOTHING = "nothing to translate"
NOT_ENGLISH = "not English"

_MORE_LANGUAGES = "more languages"
_EARLIER_ROUNDS, _EARLIER_CHARACTERS = 3, 300  # rounds of a conversation that a prompt shows, and characters of each
_TOKENS_PER_SOURCE_TOKEN = 1.6  # of a translation, for each token of the English text
_OVERHEAD_TOKENS = 15  # keys and braces around a translation
_DEFAULT_MAX_TOKENS = 4_096  # of an answer
_TOKEN_MARGIN = 0.95  # share of `max_tokens` that a request plans to use


class TranslationPlan(NamedTuple):
    """The settings of a translation job, the same for all pairs."""

    targets: Mapping[str, Target]
    terms: Sequence[Term]
    per_language: bool
    max_attempts: int  #: translations of one text into one language
    max_tokens: int | None

    @property
    def answer_tokens(self) -> float:
        """The tokens that the translations of one answer may take."""
        return (self.max_tokens or _DEFAULT_MAX_TOKENS) * _TOKEN_MARGIN

    def languages_per_answer(self, source: Translatable) -> int:
        """Return how many translations of a source fit into one answer."""
        if self.per_language:
            return 1
        return max(1, int(self.answer_tokens / estimate_answer_tokens(source)))


def estimate_answer_tokens(source: Translatable) -> float:
    """Estimate the tokens of one translation."""
    source_bytes = len((source.instruction + source.answer).encode())
    return _OVERHEAD_TOKENS + _TOKENS_PER_SOURCE_TOKEN * source_bytes / BYTES_PER_TOKEN


class _TranslationStage(Stage):
    """What both stages share. All state is in the ledger; a stage remembers nothing."""

    def __init__(self, store: Store, builder: RequestBuilder, plan: TranslationPlan) -> None:
        self._store = store
        self._builder = builder
        self._plan = plan

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - translations are written at the end
        """Return "": translations are not lines of `pairs.jsonl`."""
        return ""

    def _request(self, prompt: TranslationPrompt, sample: int) -> Request:
        answer = answer_request(self._builder.formats.current, "translations", prompt.schema)
        return self._builder.request(prompt.messages, sample, shared=len(prompt.messages) - 1, answer=answer)

    def _read(self, completion: Completion) -> AnswerMembers:
        """Read the members of an answer; one that can't be used has none, but for those before a truncation."""
        unusable = unusable_outcome(completion)
        if unusable is None:
            members = read_members(completion.text)
            asked = asked_format(completion)
            if asked is not None:
                self._builder.formats.count(asked, kept=not members.problem)
            return members
        values = read_members(completion.text).values if unusable.state is State.TRUNCATED else {}
        return AnswerMembers(values, unusable.reason, unusable.state)

    def _earlier(self, chunk: Chunk) -> tuple[str, ...]:
        """Return the texts before a chunk: the last rounds of its conversation, or earlier chunks of its pair."""
        ids = chunk.context[-_EARLIER_ROUNDS:]
        if chunk.number > 1:
            ids = tuple(dict.fromkeys((chunk_id(chunk.pair_id, 1), chunk_id(chunk.pair_id, chunk.number - 1))))
        stored = texts_by_id(self._store, TRANSLATE_STAGE, [*ids, *(chunk_id(each, 1) for each in ids)])
        known = [each if each in stored else chunk_id(each, 1) for each in ids]
        texts = [load_texts(stored[each]) for each in known if each in stored]
        return tuple(_shorten(f"{text.instruction} {text.answer}".strip()) for text in texts)

    def _judge_part(
        self, n: int, code: str, key: str, stored: StoredPart | None, source: SourceChecker, members: AnswerMembers
    ) -> PartOutcome:
        """Judge the member `key` of an answer as part `code` of query `n`. `stored` is that part before the answer."""
        translation = read_translation(members, key, source.texts)
        is_last = (stored.asks if stored else 0) + 1 >= self._plan.max_attempts
        if isinstance(translation, str):
            return PartOutcome(n, code, members.state if is_last else State.PENDING, translation)
        text = dump_texts(translation)
        result = source.check(translation, self._plan.targets[code].language)
        if result.ok:
            return PartOutcome(n, code, State.OK, text=text)
        return PartOutcome(n, code, State.INVALID if is_last else State.PENDING, result.reason, feedback(result), text)


class TranslateStage(_TranslationStage):
    """Asks for pairs. A query is a pair, or a chunk of a long pair; its parts are the languages."""

    name = TRANSLATE_STAGE
    title = "translations"

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:  # noqa: ARG002 - the parts say it all
        """Ask for the languages that the pair was not asked for yet, as many as fit into one answer."""
        chunk, parts = _chunk_of(row), parts_of(self._store, row.n)
        if row.query.problem:
            return Outcome(State.FAILED, reason=ReasonKind.BAD_ROW, detail=row.query.problem)
        if not (chunk.source.instruction.strip() or chunk.source.answer.strip()):
            return Outcome(State.FAILED, reason=NOTHING)
        if not is_english(chunk.source.instruction, chunk.source.answer):
            return Outcome(State.FAILED, reason=NOT_ENGLISH)
        codes = self._next_codes(chunk, parts)
        if not codes:
            return self._outcome({code: part.state for code, part in parts.items()})
        targets = [self._plan.targets[code] for code in codes]
        prompt = languages_prompt(chunk.source, targets, self._earlier(chunk), self._plan.terms)
        return self._request(prompt, row.used)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Judge each language by itself. A truncated answer keeps its complete languages."""
        chunk, stored = _chunk_of(row), parts_of(self._store, row.n)
        codes, members = self._next_codes(chunk, stored), self._read(completion)
        source = SourceChecker(chunk.source, self._plan.terms)
        parts = tuple(self._judge_part(row.n, code, code, stored.get(code), source, members) for code in codes)
        states = {code: part.state for code, part in stored.items()} | {part.name: part.state for part in parts}
        more = len(self._open_codes(stored)) > len(codes)
        return Judgement(self._outcome(states), ask_again=more, feedback=_MORE_LANGUAGES, parts=parts)

    def _open_codes(self, stored: Mapping[str, StoredPart]) -> list[str]:
        """Return the languages that the pair was not asked for yet."""
        return [
            code
            for code in self._plan.targets
            if code not in stored or (stored[code].state is State.PENDING and not stored[code].asks)
        ]

    def _next_codes(self, chunk: Chunk, stored: Mapping[str, StoredPart]) -> list[str]:
        """Return the languages of the next request."""
        return self._open_codes(stored)[: self._plan.languages_per_answer(chunk.source)]

    def _outcome(self, states: Mapping[str, State]) -> Outcome:
        if all(states.get(code) is State.OK for code in self._plan.targets):
            return Outcome(State.OK)
        return Outcome(State.INVALID, reason=INCOMPLETE)


class _BatchItem(NamedTuple):
    """One text of a batch: part `code` of query `n`, as stored."""

    n: int
    code: str
    chunk: Chunk
    stored: StoredPart


class RetryTranslateStage(_TranslationStage):
    """Asks again. A query is a batch: parts of other queries whose last translation was rejected."""

    name = RETRY_STAGE
    title = "translations, again"

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:  # noqa: ARG002 - the parts say it all
        """Ask for all texts of the batch, each with its language and with what was wrong."""
        items = [self._retry_item(each) for each in self._batch(row)]
        return self._request(items_prompt(items, self._plan.terms), row.used)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Judge each text by itself."""
        members = self._read(completion)
        parts = []
        for number, item in enumerate(self._batch(row), 1):
            source = SourceChecker(item.chunk.source, self._plan.terms)
            parts.append(self._judge_part(item.n, item.code, str(number), item.stored, source, members))
        if all(part.state is State.OK for part in parts):
            return Judgement(Outcome(State.OK), parts=tuple(parts))
        return Judgement(Outcome(State.INVALID, reason=INCOMPLETE), parts=tuple(parts))

    def _batch(self, row: Row) -> list[_BatchItem]:
        batch = parts_in_batch(row.query.meta)
        texts = texts_by_number(self._store, {n for n, _ in batch})
        items = []
        for n, code in batch:
            query_id, text, meta = texts[n]
            chunk = parse_chunk(query_id, text, orjson.loads(meta))
            items.append(_BatchItem(n, code, chunk, parts_of(self._store, n)[code]))
        return items

    def _retry_item(self, item: _BatchItem) -> RetryItem:
        rejected = item.stored.detail or item.stored.reason
        target = self._plan.targets[item.code]
        return RetryItem(item.chunk.source, target, self._earlier(item.chunk), rejected, item.stored.asked)


def parts_in_batch(meta: Mapping[str, object]) -> list[tuple[int, str]]:
    """Return the parts of a batch, as the number of their query and their name."""
    parts = meta["parts"]
    assert isinstance(parts, list)
    return [(n, name) for n, name in parts]


def _chunk_of(row: Row) -> Chunk:
    return parse_chunk(row.query.id, row.query.text, row.query.meta)


def _shorten(text: str) -> str:
    return text if len(text) <= _EARLIER_CHARACTERS else f"{text[:_EARLIER_CHARACTERS]} ..."
