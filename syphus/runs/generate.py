"""The main stage: a plugin's queries become pairs of instruction and response."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from syphus.answers.cleaning import GENERAL_RULES, Context, Rule, clean
from syphus.answers.cleaning.rules import distinctive_texts
from syphus.answers.code_digest import ACCEPTANCE_FILES, code_digest
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.errors import ImageError, UsageError
from syphus.formats.run_files import pair_lines
from syphus.images.prompt.attachments import ImageAttachments
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.records import Row, StoredAnswer
from syphus.pipeline.stage import Judgement, PluginFaultError, image_failure
from syphus.plugins.contract import AbstractDataset, plugin_code
from syphus.plugins.hook_results import checked, checked_numbers, checked_text, checked_texts
from syphus.plugins.prompts import render_messages
from syphus.plugins.sandbox import time_limit
from syphus.types import (
    Completion,
    Message,
    Outcome,
    Pair,
    Parsed,
    PromptImage,
    PromptTemplate,
    Query,
    Request,
    State,
    is_simulated,
)

P = ParamSpec("P")
T = TypeVar("T")

_REMEMBERED = 1_000  # ids of pairs that later ones are compared with at once; the export compares all

_CORRECTION = "That answer can't be used: {}. Answer again, in exactly the form that was asked for and nothing else."


class GenerateStage:
    """Asks with the dataset's prefix, parses with its parser, accepts what its checks accept."""

    name = "generate"

    def __init__(
        self,
        dataset: AbstractDataset,
        prefix: PromptTemplate,
        request_builder: RequestBuilder,
        redactor: SecretRedactor,
        share_answers: bool = True,
        hook_seconds: float = 10.0,
        attachments: ImageAttachments | None = None,
    ) -> None:
        self._dataset = dataset
        self._prefix = prefix
        self._request_builder = request_builder
        self._redactor = redactor
        self._share_answers = share_answers
        self._hook_seconds = hook_seconds
        self._attachments = attachments
        self._code = plugin_code(dataset)
        self._rules = cleaning_rules(dataset)
        by_example = list(self._taught_texts())
        self._taught = distinctive_texts(text for _, texts in by_example for text in texts)
        self._own = {asked: distinctive_texts(texts) for asked, texts in by_example}
        self._named: dict[str, str] = {}  # the first ids of pairs, with their queries

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """The prefix, then the query; after an answer that was no good, also that answer and what was wrong."""
        if row.query.problem:
            return Outcome(State.FAILED, reason=ReasonKind.BAD_ROW, detail=row.query.problem)
        if row.query.pairs:  # they are here already: nobody is asked, and they are cleaned like all others
            return self._hook(self._accept, row.query, row.query.pairs).outcome
        if not row.query.text.strip() and not row.query.images:
            return Outcome(State.FAILED, reason=ReasonKind.EMPTY_ANNOTATION)
        try:
            images = self._images(row.query) if row.query.images else ()
        except ImageError as error:
            return image_failure(error)
        messages = render_messages(self._prefix, self._hook(self._render, row.query), images)
        owner = "" if self._share_answers else row.query.id
        if last is None or not row.reason:
            return self._request_builder.request(messages, row.used, owner)
        wrong = Message(role="assistant", content=last.completion.text)
        correction = Message(role="user", content=_CORRECTION.format(row.reason))
        return self._request_builder.request([*messages, wrong, correction], row.used, owner)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Pairs, or why not."""
        outcome = unusable_outcome(completion)
        if outcome is not None:
            filtered = ReasonKind.parse(outcome.reason) is ReasonKind.CONTENT_FILTER
            return Judgement(outcome, ask_again=outcome.state in (State.REFUSED, State.INVALID) and not filtered)
        return self._hook(self._read, row.query, completion.text)

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:
        """The accepted pairs, a line each."""
        return pair_lines(row.query.id, row.query.image_ids, outcome.pairs, is_simulated(model))

    def adapt(self, parameter: str) -> bool:
        """Does without a sampling parameter that the model does not take."""
        return self._request_builder.adapt(parameter)

    def _images(self, query: Query) -> Sequence[PromptImage]:
        assert self._attachments is not None, "whoever asks about images has an album"
        return self._attachments.known(query.images)

    def _taught_texts(self) -> Iterator[tuple[str, list[str]]]:
        """What each in-context example was asked, and the texts that the plugin's parser finds in it."""
        asked = ""
        for message in self._prefix.in_context:
            if message["role"] == "user":
                asked = message["content"]
                continue
            with suppress(UsageError), time_limit(self._hook_seconds):  # an example need not have the form of an answer
                yield asked, self._code.run(self._texts_of_example, message["content"], Query("example", asked))

    def _texts_of_example(self, answer: str, query: Query) -> list[str]:
        """What is in the example itself: a parser may put texts of its own beside those that it reads."""
        parsed = checked("parse_response", self._dataset.parse_response(answer, query), Parsed)
        return [text for pair in parsed.pairs for text in (pair.instruction, pair.answer) if text in answer]

    def _render(self, query: Query) -> str:
        return checked_text("render_query", self._dataset.render_query(query))

    def _read(self, query: Query, text: str) -> Judgement:
        """The plugin's own part in judging an answer."""
        parsed = checked("parse_response", self._dataset.parse_response(text, query), Parsed)
        problems = checked_texts("parse_response", parsed.problems)
        if problems or not parsed.pairs:
            return _rejected(problems or ("no pairs",))
        for pair in parsed.pairs:
            checked_texts("parse_response", (pair.instruction, pair.answer, pair.id))
        return self._accept(query, parsed.pairs)

    def _accept(self, query: Query, pairs: Sequence[Pair]) -> Judgement:
        """Cleans the pairs, checks them, and gives them names and relations."""
        cleaned = clean(pairs, self._rules, Context(query, self._taught_to(query)))
        own = checked_texts("check_pairs", self._dataset.check_pairs(query, cleaned.pairs))
        if cleaned.rejections or own:
            places = [f"{rule} ({place})" if place else rule for rule, place in cleaned.rejections.items()]
            return _rejected((*cleaned.rejections, *own), (*places, *own), tuple(cleaned.rejections))
        named = [
            Pair(pair.instruction, pair.answer, pair.id or self._name(query, number))
            for number, pair in enumerate(cleaned.pairs, 1)
        ]
        self._check_ids(query, [pair.id for pair in named])
        related = tuple(
            Pair(pair.instruction, pair.answer, pair.id, self._related(named, number))
            for number, pair in enumerate(named, 1)
        )
        return Judgement(Outcome(State.OK, related, repairs=dict(cleaned.repairs)))

    def _taught_to(self, query: Query) -> frozenset[str]:
        """What an answer may not copy: for a query that has become an example, all but what is its own."""
        rendered = type(self._dataset).render_query is not AbstractDataset.render_query
        own = self._own.get(self._render(query) if rendered and self._own else query.text)
        return self._taught - own if own else self._taught

    def _name(self, query: Query, number: int) -> str:
        return checked_text("instruction_id", self._dataset.instruction_id(query, number))

    def _related(self, pairs: Sequence[Pair], number: int) -> tuple[int, ...]:
        return checked_numbers("related", self._dataset.related(pairs, number), len(pairs))

    def _check_ids(self, query: Query, names: list[str]) -> None:
        """A plugin that names pairs alike does so from the start; found at the export, it would all be paid for."""
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"instruction_id names two pairs {name!r}")
            other = self._named.get(name, query.id)
            if other != query.id:
                raise ValueError(f"instruction_id names pairs of {other!r} and of {query.id!r} {name!r}")
        if len(self._named) < _REMEMBERED:
            self._named.update(dict.fromkeys(names, query.id))

    def _hook(self, hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the plugin's code for one row: what it raises is that row's fault alone, and it may not hang."""
        try:
            with time_limit(self._hook_seconds):
                return self._code.run(hook, *args, **kwargs)
        except UsageError as error:
            detail = "".join(traceback.format_exception(error.__cause__ or error))
            raise PluginFaultError(self._safe(str(error)), self._safe(detail)) from error

    def _safe(self, told: str) -> str:
        """What a plugin raised, fit for the ledger: without a key, and what is no UTF-8 written out."""
        return self._redactor.scrub(told).encode(errors="backslashreplace").decode()


def _rejected(problems: Sequence[str], places: Sequence[str] = (), rules: tuple[str, ...] = ()) -> Judgement:
    """An invalid answer: `problems` are counted, `places` say where, to the model and to whoever looks it up."""
    told = places or problems
    detail = "\n".join(places or problems[1:])
    outcome = Outcome(State.INVALID, reason=problems[0], detail=detail, rejected_by=rules)
    return Judgement(outcome, ask_again=True, feedback="; ".join(told))


def cleaning_rules(dataset: AbstractDataset) -> tuple[Rule, ...]:
    """The rules of cleaning that hold for a dataset: its own, and the general ones that it has not put aside."""
    return (*dataset.rules, *(rule for rule in GENERAL_RULES if rule.name not in dataset.without_rules))


def parser_digest(plugin: Path) -> str:
    """Return 16 hex digits that change with the code that judges answers: the parsers, the rules, the plugin's file."""
    return code_digest((*ACCEPTANCE_FILES, plugin))
