"""The types of scoring: a candidate, the context that it is scored in, a heuristic, and a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf

from syphus.answers.cleaning import GENERAL_RULES
from syphus.answers.cleaning.rules import Rule
from syphus.types import Message, Pair, Query, State


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer to one query, which may become an in-context example.

    `pairs` were parsed from `answer`, the raw completion; a rejected answer may have pairs or none. `state` and
    `reason` are its outcome. `asked` is the user turn if it differs from the query's text. `round` counts the
    proposals; 0 stands for an answer that a person wrote.
    """

    query: Query
    pairs: tuple[Pair, ...]
    answer: str
    state: State = State.OK
    reason: str = ""
    model: str = ""
    round: int = 1
    asked: str = ""

    @property
    def key(self) -> str:
        """16 hex digits that identify the query and the answer in reports and verdicts."""
        identity = f"{self.query.id}\0{self.answer}".encode(errors="surrogatepass")
        return blake2b(identity, digest_size=8).hexdigest()

    @property
    def user_turn(self) -> str:
        """What the model was asked, which becomes the user turn of the in-context example."""
        return self.asked or self.query.text


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity, so that results for it can be cached
class ScoringContext:
    """What candidates are compared with.

    `examples` are the in-context turns in the prompt of the candidates, `rules` the dataset's cleaning rules, `others`
    all candidates, with or without the scored one. `least` and `most` bound the number of pairs; if both are None,
    `expected_pairs` derives the bounds from the rules or the system message.
    """

    system_message: str = ""
    examples: tuple[Message, ...] = ()
    rules: tuple[Rule, ...] = GENERAL_RULES
    others: tuple[Candidate, ...] = ()
    least: int | None = None
    most: int | None = None

    @property
    def example_answers(self) -> tuple[str, ...]:
        """The answers in the in-context examples."""
        return tuple(turn["content"] for turn in self.examples if turn["role"] == "assistant")


@dataclass(frozen=True, slots=True)
class Heuristic:
    """One named criterion for candidates.

    `score` returns a number from 0 (bad) to 1 (good) and a short note that explains a low score, or "". A candidate
    with a score below `floor` is never chosen, whatever its total. `explained` is one sentence for the report.
    Raises `ValueError` if the weight is negative or infinite, or the floor is not from 0 to 1.
    """

    name: str
    weight: float
    score: Callable[[Candidate, ScoringContext], tuple[float, str]]
    explained: str
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < inf or not 0 <= self.floor <= 1:
            given = f"weight {self.weight:g} and floor {self.floor:g}"
            raise ValueError(f"heuristic {self.name!r}: {given}; a weight is 0 or more, a floor is from 0 to 1")


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its scores (0 to 1) and its non-empty notes, both by the name of the heuristic.

    `total` is the weighted mean of the scores. `barred` names the heuristics whose floor the candidate does not reach:
    if there is one, the candidate is never chosen and its total is halved.
    """

    candidate: Candidate
    scores: Mapping[str, float]
    total: float
    notes: Mapping[str, str] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
