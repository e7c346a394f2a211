"""A model as the judge of whatever has a rubric: each query is asked about with it, its verdict is read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.ledger.records import Row, StoredAnswer
from syphus.pipeline.stage import Judgement
from syphus.types import Completion, Message, Outcome, Query, Request, State

TEMPERATURE = 0.0


class Rubric(NamedTuple):
    """What a judge is asked about a query, the JSON schema of its verdict, and why an answer is none ("" if it is)."""

    messages: Callable[[Query], Sequence[Message]]
    schema: Mapping[str, object]
    problem: Callable[[str], str]


class JudgeStage:
    """Asks for verdicts; they are kept as the `detail` of their outcomes.

    A server that takes no schema for an answer is asked without: what comes is read as strictly.
    """

    def __init__(self, name: str, request_builder: RequestBuilder, rubric: Rubric) -> None:
        self.name = name
        self._request_builder = request_builder
        self._rubric = rubric
        schema = {"name": "verdict", "strict": True, "schema": rubric.schema}
        self._own = {
            "temperature": TEMPERATURE,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:  # noqa: ARG002 - nothing is asked again
        """The rubric, then what is judged as data."""
        return self._request_builder.request(self._rubric.messages(row.query), row.used, extra_fields=self._own)

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002 - a verdict is read by itself
        """A verdict that can be read is kept; anything else counts as none."""
        outcome = unusable_outcome(completion)
        if outcome is not None:
            return Judgement(outcome)
        problem = self._rubric.problem(completion.text)
        if problem:
            return Judgement(Outcome(State.INVALID, reason=problem))
        return Judgement(Outcome(State.OK, detail=completion.text))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - nothing of it is a result
        """None."""
        return ""

    def adapt(self, parameter: str) -> bool:
        """Does without a sampling parameter, or a schema, that the model does not take."""
        return self._request_builder.adapt(parameter)
