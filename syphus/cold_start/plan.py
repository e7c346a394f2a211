"""What a cold start is to do, and what comes of it: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from syphus.answers.scoring import Candidate, Scored
from syphus.cold_start.proof import MIN_QUERIES, AblationResult, Proof, Thresholds
from syphus.cold_start.selection import STRATEGIES
from syphus.errors import ConfigError, InputError
from syphus.runs.forecast import SPREAD, TYPICAL_ANSWER_TOKENS, template_tokens
from syphus.runs.prepare import PreparedRun
from syphus.text import format_dollars, pluralize
from syphus.types import BYTES_PER_TOKEN, PromptTemplate, Usage

STAGE_PREFIX = "cold start"  #: how the names of its stages begin
FEWEST_QUERIES = 2 * MIN_QUERIES  #: different ones, that a sample and a held-out part can be made of
_TO_A_COPY = 40  #: answers of which one may copy an example
MAX_EXAMPLE_TOKENS = 2_000  #: that all in-context examples may have together


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """How a cold start goes about it. Raises `ConfigError` for numbers that make no sense."""

    rounds: int = 3  #: at the most
    sample: int = 24  #: queries that are asked in each round, for candidates
    answers: int = 1  #: to each of them
    held_out: int = 40  #: queries that prove the set, and never become an example
    examples: int = 3
    tokens: int = MAX_EXAMPLE_TOKENS
    strategy: str = "diverse"
    judge: bool = False
    seed: int = 0
    thresholds: Thresholds | None = None  #: None: as `wanted` says

    def __post_init__(self) -> None:
        for name in ("rounds", "sample", "answers", "held_out", "examples", "tokens"):
            least = MIN_QUERIES if name == "held_out" else 1
            if getattr(self, name) < least:
                told = f"--{name.replace('_', '-')} {getattr(self, name)}"
                raise ConfigError(f"{told}: a number from {least} on is needed.")
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"--strategy {self.strategy}: there is {', '.join(STRATEGIES)}.")

    @property
    def effective_thresholds(self) -> Thresholds:
        """What satisfactory means; of 40 answers one may copy an example, which is chance, and of fewer none."""
        return self.thresholds or Thresholds(copies=self.held_out // _TO_A_COPY)

    @property
    def enough_queries(self) -> int:
        """How many different queries are enough: more make no difference to the plan."""
        return 2 * max(self.sample, self.held_out)

    def fit_to(self, different: int) -> SearchPlan:
        """The same for an input with so many different queries, at least half of which are left to choose from.

        Raises `InputError` where there are too few.
        """
        if different < FEWEST_QUERIES:
            raise InputError(
                f"{pluralize(different, 'different query', 'different queries')} can be asked about: too few for a "
                f"cold start, which needs {FEWEST_QUERIES} to choose from and to prove with. "
                "Write the examples by hand."
            )
        held_out = min(self.held_out, different // 2)
        return replace(self, held_out=held_out, sample=min(self.sample, different - held_out))

    def max_requests(self, rounds: int | None = None, judged: bool | None = None) -> int:
        """How many requests so many rounds take at the most, the first of which has no set to go by.

        A round proposes, judges where that is wanted, and proves; a round that is not the last also asks without each
        example.
        """
        rounds = self.rounds if rounds is None else rounds
        candidates = self.sample * self.answers
        each = candidates * (1 + (self.judge if judged is None else judged)) + self.held_out
        return self.held_out + rounds * each + (rounds - 1) * self.examples * self.held_out


@dataclass(frozen=True, slots=True)
class SearchRound:
    """One round: its candidates, all that were scored in it; the chosen ones, and what the proof has shown.

    `asked_with` is the prompt that the candidates were proposed with. `fates` says in a few words what became of each
    candidate, by its key.
    """

    number: int
    asked_with: PromptTemplate
    scored: tuple[Scored, ...]
    chosen: tuple[Scored, ...] = ()
    template: PromptTemplate = field(default_factory=lambda: PromptTemplate(""))
    proof: Proof | None = None
    with_set: tuple[Scored, ...] = ()
    without: tuple[Scored, ...] = ()
    harmful: tuple[AblationResult, ...] = ()
    fates: Mapping[str, str] = field(default_factory=dict)

    @property
    def proposed(self) -> int:
        """Candidates that came up in this round."""
        return sum(each.candidate.round == self.number for each in self.scored)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a cold start has come to. `best` is the round whose set is kept; None where no answer could be chosen.

    `missing` is what keeps it from being satisfactory, `advice` what to try.
    """

    rounds: tuple[SearchRound, ...] = ()
    best: SearchRound | None = None
    missing: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def satisfactory(self) -> bool:
        """Whether the best set has been proven, and nothing is missing."""
        return self.best is not None and self.best.proof is not None and self.best.proof.satisfactory

    @property
    def examples(self) -> tuple[Candidate, ...]:
        """The chosen examples."""
        return tuple(each.candidate for each in self.best.chosen) if self.best else ()


# FOLDED from forecast.py:
# What a cold start will take at the most, before it costs anything.


def search_forecast(prepared: PreparedRun, plan: SearchPlan, askable: int, annotation_bytes: float) -> list[str]:
    """Where from, how much at the least and at the most; `annotation_bytes` is the size of an average annotation.

    `plan` fits the input. Says so where the budget will not do for one round.
    """
    options, model = prepared.options, prepared.config.model
    least, most = plan.max_requests(1), plan.max_requests()
    of_all = f"{plan.sample} of {pluralize(askable, 'query', 'queries')}"
    what = f"{of_all} a round to choose from, {plan.held_out} others to prove with"
    lines = [f"{options.name} {options.dataset_version}: cold start: {what}, {model} at {prepared.endpoint}"]
    many_requests = f"{least:,} requests for one round" + (
        f", {most:,} at the most for {plan.rounds}" if plan.rounds > 1 else " at the most"
    )
    if options.max_requests is not None and options.max_requests < least:
        lines.append(f"--max-requests {options.max_requests} will not do for one round.")
    if options.offline:
        return [*lines, many_requests]
    asked = annotation_bytes / BYTES_PER_TOKEN
    examples = min(plan.tokens, plan.examples * (asked + TYPICAL_ANSWER_TOKENS)) / 2
    each = Usage(
        int(template_tokens(PromptTemplate(prepared.template.system_message), prepared.image_rules) + examples + asked),
        int(TYPICAL_ANSWER_TOKENS),
    )
    lines.append(f"{many_requests}; {_cost(prepared, each, least, most)}")
    return lines


def _cost(prepared: PreparedRun, each: Usage, least: int, most: int) -> str:
    tokens = each.prompt_tokens + each.completion_tokens
    fewest, all_of_them = (f"{count * tokens / 1000:,.0f}k" for count in (least, most))
    told = f"about {fewest}{f' to {all_of_them}' if most > least else ''} tokens"
    if prepared.price is None:
        return f"{told}, cost unknown (no price for this model)"
    price = prepared.price.cost(each)
    low, high = format_dollars(least * price * (1 - SPREAD)), format_dollars(most * price * (1 + SPREAD))
    return f"{told}, {low} to {high}" if low != high else f"{told}, {high}"
