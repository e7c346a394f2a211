"""The values of scoring and selecting: a candidate, what it is compared with, a heuristic, a score."""

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

    `pairs` are what was read out of `answer`, the raw completion; an answer that was rejected may come with its pairs
    or without them. `state` and `reason` are its outcome as the stage judged it. `asked` is the user turn where it is
    not the query's text. Raise the number of the `round` with every new proposal; 0 is what a person wrote.
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
        """16 hex digits for the query and the answer: the candidate's name in reports and verdicts."""
        told = f"{self.query.id}\0{self.answer}".encode(errors="surrogatepass")
        return blake2b(told, digest_size=8).hexdigest()

    @property
    def user_turn(self) -> str:
        """What the model was asked: the user turn of the in-context example that this would be."""
        return self.asked or self.query.text


@dataclass(frozen=True, slots=True, eq=False)  # one is only equal to itself, so that work on it can be remembered
class ScoringContext:
    """What candidates are compared with.

    `examples` are the in-context turns that the candidates were made with, `rules` the dataset's rules of cleaning,
    `others` all candidates, the scored one among them or not. `least` and `most` bound the number of pairs; where both
    are None, the rules or else the system message say it (`form.wanted_pairs`).
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
    """One named way to look at a candidate.

    `score` gives a number from 0 to 1, where 1 is good, and a note in a few words why it is not ("" where nothing is to
    be said). A candidate that scores below `floor` is never chosen, whatever its total. `explained` is one sentence for
    the report. Raises ValueError for numbers that make no sense.
    """

    name: str
    weight: float
    score: Callable[[Candidate, ScoringContext], tuple[float, str]]
    explained: str
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < inf or not 0 <= self.floor <= 1:
            told = f"weight {self.weight:g} and floor {self.floor:g}"
            raise ValueError(f"heuristic {self.name!r}: {told}; a weight is 0 or more, a floor is from 0 to 1")


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its scores, 0 to 1, by the names of the heuristics, and the notes that are not empty.

    `total` is the weighted mean of the scores; it is halved where the candidate is `barred`: these are the heuristics
    whose floor it does not reach, and it is never chosen.
    """

    candidate: Candidate
    scores: Mapping[str, float]
    total: float
    notes: Mapping[str, str] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
