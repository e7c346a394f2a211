"""Have a model judge queries by a rubric. Verdicts are read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.structured import AnswerFormat, answer_request, asked_format
from syphus.ledger.records import Row, StoredAnswer
from syphus.pipeline.stage import Judgement
from syphus.types import Completion, Message, Outcome, Query, Request, State

JUDGE_TEMPERATURE = 0.0


class Rubric(NamedTuple):
    """The messages to a judge, the JSON schema of a verdict, and why one is invalid ("" if valid)."""

    messages: Callable[[Query], Sequence[Message]]
    schema: Mapping[str, object]
    problem: Callable[[str], str]


class JudgeStage:
    """Asks for verdicts, and stores them as the `detail` of their outcomes.

    A server that does not accept the schema, or does not keep to it, is asked in a looser form; its answers are read as
    strictly.
    """

    def __init__(self, name: str, request_builder: RequestBuilder, rubric: Rubric) -> None:
        self.name = name
        self.title = "verdicts"
        self._request_builder = request_builder
        self._rubric = rubric

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """Return the rubric, then what is judged, as data."""
        builder = self._request_builder
        answer = answer_request(builder.formats.choose(row.reason, last), "verdict", self._rubric.schema)
        fields = {"temperature": JUDGE_TEMPERATURE}
        return builder.request(self._rubric.messages(row.query), row.used, extra_fields=fields, answer=answer)

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002 - a verdict is read by itself
        """Accept a valid verdict; ask once more, in a looser form, for one that was asked for as JSON and is not."""
        outcome = unusable_outcome(completion)
        if outcome is not None:
            return Judgement(outcome)
        problem, asked = self._rubric.problem(completion.text), asked_format(completion)
        if asked is not None:
            self._request_builder.formats.count(asked, kept=not problem)
        if problem:
            again = asked is not None and asked is not AnswerFormat.TEXT
            return Judgement(Outcome(State.INVALID, reason=problem), ask_again=again, another_form=again)
        return Judgement(Outcome(State.OK, detail=completion.text))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - verdicts are no pairs
        """Return no lines."""
        return ""
