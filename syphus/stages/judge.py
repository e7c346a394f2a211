"""A model as the judge of whatever has a rubric: each query is asked about with it, its verdict is read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from syphus.endpoints.answers import unusable
from syphus.ledger.records import Answer, Row
from syphus.pipeline.stage import Judgement
from syphus.sampling import Sampling
from syphus.selection import VERDICT_SCHEMA, Candidate, read_verdict, rubric_messages
from syphus.types import Completion, Message, Outcome, Query, Request, State

TEMPERATURE = 0.0


class Rubric(NamedTuple):
    """What a judge is asked about a query, the JSON schema of its verdict, and why an answer is none ("" if it is)."""

    messages: Callable[[Query], Sequence[Message]]
    schema: Mapping[str, object]
    problem: Callable[[str], str]


def to_judge(candidate: Candidate, asked_with: str) -> Query:
    """A candidate as a query to a judge; `asked_with` is a digest of the judge's settings."""
    system, user = rubric_messages(candidate)
    meta = {"rubric": system["content"], "asked with": asked_with}
    return Query(candidate.key, user["content"], meta=meta)


def _about_candidate(query: Query) -> list[Message]:
    return [Message(role="system", content=str(query.meta["rubric"])), Message(role="user", content=query.text)]


#: For candidates as in-context examples.
OF_CANDIDATES = Rubric(_about_candidate, VERDICT_SCHEMA, lambda text: read_verdict(text).problem)


class Judge:
    """Asks for verdicts; they are kept as the `detail` of their outcomes.

    A server that takes no schema for an answer is asked without: what comes is read as strictly.
    """

    def __init__(self, name: str, sampling: Sampling, rubric: Rubric) -> None:
        self.name = name
        self._sampling = sampling
        self._rubric = rubric
        schema = {"name": "verdict", "strict": True, "schema": rubric.schema}
        self._own = {
            "temperature": TEMPERATURE,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def request(self, row: Row, last: Answer | None) -> Request | Outcome:  # noqa: ARG002 - nothing is asked again
        """The rubric, then what is judged as data."""
        return self._sampling.request(self._rubric.messages(row.query), row.used, offered=self._own)

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002 - a verdict is read by itself
        """A verdict that can be read is kept; anything else counts as none."""
        outcome = unusable(completion)
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
        return self._sampling.adapt(parameter)
