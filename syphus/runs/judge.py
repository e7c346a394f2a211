"""Have a model judge queries by a rubric. Verdicts are read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from syphus.config.options import Options
from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.structured import AnswerFormat, answer_request, asked_format
from syphus.errors import ImageError
from syphus.exchange import Completion, Request
from syphus.ledger.records import Row, StoredAnswer
from syphus.pipeline.breaker import QualityBreaker
from syphus.pipeline.stage import AnswerWatch, Judgement, Stage, image_failure
from syphus.types import Message, Outcome, Query, State

JUDGE_TEMPERATURE = 0.0


class Rubric(NamedTuple):
    """The messages to a judge, the JSON schema of a verdict, and why one on a query is invalid ("" if valid)."""

    messages: Callable[[Query], Sequence[Message]]
    schema: Mapping[str, object]
    problem: Callable[[str, Query], str]
    shared: int = 0  #: messages at the beginning that are the same for many queries, for the prompt cache
    in_order: bool = False  #: ask for the members of the JSON in the order of the schema
    checks: Callable[[str, Query], Mapping[str, bool]] | None = None  #: what a valid verdict finds, by kind


def pair_key(annotation: str, instruction: str, answer: str) -> bytes:
    """Return 16 bytes that stand for a pair of an annotation. A verdict is about exactly these texts."""
    text = "\0".join((annotation, instruction, answer))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def make_breaker(options: Options, name_of: Callable[[Query], str] = lambda query: query.id) -> AnswerWatch:
    """Return what stops a stage if its answers get worse, unless the options switch it off."""
    return AnswerWatch() if options.no_breaker else QualityBreaker(options.breaker_rise, name_of)


class JudgeStage(Stage):
    """Asks for verdicts, and stores them as the `detail` of their outcomes.

    A server that does not accept the schema, or does not keep to it, is asked in a looser form; its answers are read as
    strictly.
    """

    def __init__(
        self, name: str, request_builder: RequestBuilder, rubric: Rubric, breaker: AnswerWatch | None = None
    ) -> None:
        self.name = name
        self.breaker = breaker or AnswerWatch()
        self.title = "verdicts"
        self._request_builder = request_builder
        self._rubric = rubric

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """Return the rubric, then what is judged, as data."""
        builder = self._request_builder
        rubric = self._rubric
        format_ = builder.formats.choose(row.reason, last)
        answer = answer_request(format_, "verdict", rubric.schema, rubric.in_order)
        try:
            messages = rubric.messages(row.query)
        except ImageError as error:
            return image_failure(error)
        fields = {"temperature": JUDGE_TEMPERATURE}
        return builder.request(messages, row.used, extra_fields=fields, shared=rubric.shared, answer=answer)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Accept a valid verdict; ask again, in a looser form, for one that was asked for as JSON and is not."""
        outcome = unusable_outcome(completion)
        if outcome is not None:
            return Judgement(outcome)
        problem, asked = self._rubric.problem(completion.text, row.query), asked_format(completion)
        if asked is not None:
            self._request_builder.formats.count(asked, kept=not problem)
        if problem:
            again = asked is not None and asked is not AnswerFormat.TEXT
            return Judgement(Outcome(State.INVALID, reason=problem), ask_again=again, another_form=again)
        checks = self._rubric.checks(completion.text, row.query) if self._rubric.checks is not None else {}
        return Judgement(Outcome(State.OK, detail=completion.text), checks=checks)

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - verdicts are not pairs
        """Return no lines."""
        return ""
