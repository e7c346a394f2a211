"""A model as the judge of candidates: each is asked about with the rubric, and its verdict is read strictly."""

from __future__ import annotations

from collections.abc import Mapping

from syphus.endpoints.answers import unusable
from syphus.ledger.records import Answer, Row
from syphus.pipeline.stage import Judgement
from syphus.sampling import Sampling
from syphus.selection import VERDICT_SCHEMA, Candidate, read_verdict, rubric_messages
from syphus.types import Completion, Message, Outcome, Query, Request, State

PLAIN: Mapping[str, object] = {"temperature": 0.0}  #: what goes out with a request besides its messages
STRICT: Mapping[str, object] = {  #: the same, with the form of the answer for servers that keep to one
    **PLAIN,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": VERDICT_SCHEMA},
    },
}


def to_judge(candidate: Candidate, asked_with: str) -> Query:
    """A candidate as a query to a judge; `asked_with` is a digest of the judge's settings."""
    system, user = rubric_messages(candidate)
    meta = {"rubric": system["content"], "asked with": asked_with}
    return Query(candidate.key, user["content"], meta=meta)


class Judge:
    """Asks for verdicts; they are kept as the `detail` of their outcomes."""

    def __init__(self, name: str, sampling: Sampling) -> None:
        self.name = name
        self._sampling = sampling

    def request(self, row: Row, last: Answer | None) -> Request | Outcome:  # noqa: ARG002 - nothing is asked again
        """The rubric, then the candidate as data."""
        rubric = Message(role="system", content=str(row.query.meta["rubric"]))
        return self._sampling.request([rubric, Message(role="user", content=row.query.text)], row.used)

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002 - a verdict is read by itself
        """A verdict that can be read is kept; anything else counts as none."""
        outcome = unusable(completion)
        if outcome is not None:
            return Judgement(outcome)
        problem = read_verdict(completion.text).problem
        if problem:
            return Judgement(Outcome(State.INVALID, reason=problem))
        return Judgement(Outcome(State.OK, detail=completion.text))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - nothing of it is a result
        """None."""
        return ""

    def adapt(self, parameter: str) -> bool:
        """Does without a sampling parameter that the model does not take."""
        return self._sampling.adapt(parameter)
