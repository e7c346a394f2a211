"""Have a model judge queries by a rubric. Verdicts are read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
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

    A server that does not accept a schema is asked without one; its answers are read as strictly.
    """

    def __init__(self, name: str, request_builder: RequestBuilder, rubric: Rubric) -> None:
        self.name = name
        self._request_builder = request_builder
        self._rubric = rubric
        schema = {"name": "verdict", "strict": True, "schema": rubric.schema}
        self._extra_fields = {
            "temperature": JUDGE_TEMPERATURE,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:  # noqa: ARG002 - asked once
        """Return the rubric, then what is judged, as data."""
        return self._request_builder.request(
            self._rubric.messages(row.query), row.used, extra_fields=self._extra_fields
        )

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002 - a verdict is read by itself
        """Accept a valid verdict."""
        outcome = unusable_outcome(completion)
        if outcome is not None:
            return Judgement(outcome)
        problem = self._rubric.problem(completion.text)
        if problem:
            return Judgement(Outcome(State.INVALID, reason=problem))
        return Judgement(Outcome(State.OK, detail=completion.text))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - verdicts are no pairs
        """Return no lines."""
        return ""
