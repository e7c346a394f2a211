"""What a cold start does, what it finds, and what it will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from syphus.answers.scoring import Candidate, Scored
from syphus.cold_start.evaluation import MIN_QUERIES, AblationResult, Proof, Thresholds
from syphus.config.options import ColdStartOptions
from syphus.errors import InputError
from syphus.exchange import BYTES_PER_TOKEN, Usage
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.cost_estimate import template_bytes
from syphus.runs.prepare import PreparedRun
from syphus.runs.token_forecast import TYPICAL_ANSWER_TOKENS
from syphus.text import format_dollar_range, format_tokens, pluralize

MIN_DISTINCT_QUERIES = 2 * MIN_QUERIES  #: distinct ones, for a sample and a held-out part
_MARGIN = 0.2  # of an estimate, up and down
_ANSWERS_PER_COPY = 40  #: one copied example among this many answers is chance


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan(ColdStartOptions):
    """What a cold start does: its options, the seed of its samples, and what counts as satisfactory."""

    seed: int = 0
    thresholds: Thresholds | None = None  #: None: see `effective_thresholds`
    own_examples: bool = False  #: the prompt has examples of its own, which the set is compared with

    @classmethod
    def from_options(cls, options: ColdStartOptions, seed: int) -> SearchPlan:
        """Return the plan of these options."""
        return cls(**asdict(options), seed=seed)

    @property
    def effective_thresholds(self) -> Thresholds:
        """What satisfactory means. By default one copied example is allowed for each 40 held-out queries."""
        return self.thresholds or Thresholds(copies=self.held_out // _ANSWERS_PER_COPY)

    @property
    def enough_queries(self) -> int:
        """The number of distinct queries beyond which more make no difference to the plan."""
        return 2 * max(self.sample, self.held_out)

    def fit_to(self, distinct: int) -> SearchPlan:
        """Return the plan for an input with `distinct` different queries. At least half of them are left for samples.

        Raises `InputError` if there are too few.
        """
        if distinct < MIN_DISTINCT_QUERIES:
            raise InputError(
                f"Only {pluralize(distinct, 'different query', 'different queries')} can be sent: too few for a "
                f"cold start, which needs {MIN_DISTINCT_QUERIES} to choose examples and to test them. "
                "Write the examples by hand."
            )
        held_out = min(self.held_out, distinct // 2)
        return replace(self, held_out=held_out, sample=min(self.sample, distinct - held_out))

    def max_requests(self, rounds: int | None = None, judged: bool | None = None) -> int:
        """Return the maximum number of requests of `rounds` rounds, by default of all.

        A round asks for candidates, has them judged with `--judge`, and asks the held-out queries. All but the last
        also leave out each example in turn. The held-out queries are asked once without examples, and once with those
        of the prompt, if it has any. Their pairs are judged each time, but not where an example is left out.
        """
        rounds = self.rounds if rounds is None else rounds
        candidates = self.sample * self.answers
        held_out = self.held_out * (1 + self.judge_held_out)
        each = candidates * (1 + (self.judge if judged is None else judged)) + held_out
        once = held_out * (1 + self.own_examples)
        return once + rounds * each + (rounds - 1) * self.examples * self.held_out


@dataclass(frozen=True, slots=True)
class SearchRound:
    """One round: the candidates scored so far, the chosen ones, and what their proof has shown.

    `asked_with` is the prompt that the new candidates answered, `template` the one with the chosen examples. `with_set`
    and `without` are the held-out answers with and without them. `fates` says in a few words what became of each
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
    own: tuple[Scored, ...] = ()  #: the held-out answers with the prompt's own examples, if it has any
    harmful: tuple[AblationResult, ...] = ()
    fates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a cold start found. `best` is the round with the best set; None if no answer could become an example.

    `missing` says what keeps the set from being satisfactory, `advice` what to try.
    """

    rounds: tuple[SearchRound, ...] = ()
    best: SearchRound | None = None
    missing: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    accepted: bool = False  #: the best set is taken although it is not satisfactory, as the user asked for

    @property
    def is_better(self) -> bool:
        """Whether the best set is better than no examples by more than chance."""
        return self.best is not None and self.best.proof is not None and self.best.proof.is_better

    @property
    def is_taken(self) -> bool:
        """Whether the best set is used: it is satisfactory, or was accepted."""
        return self.satisfactory or self.accepted

    @property
    def satisfactory(self) -> bool:
        """Whether the best set was proven to help."""
        return self.best is not None and self.best.proof is not None and self.best.proof.satisfactory

    @property
    def examples(self) -> tuple[Candidate, ...]:
        """The chosen examples."""
        return tuple(each.candidate for each in self.best.chosen) if self.best else ()


def search_forecast(prepared: PreparedRun, plan: SearchPlan, askable: int, annotation_bytes: float) -> list[str]:
    """Return the lines that say what a cold start will do, and its minimum and maximum cost.

    `plan` fits the input; `askable` is the number of queries, `annotation_bytes` the size of an average annotation. A
    line says so if the budget is too small for one round.
    """
    options, model = prepared.options, prepared.config.model
    least, most = plan.max_requests(1), plan.max_requests()
    sample = f"{plan.sample} of {pluralize(askable, 'query', 'queries')}"
    what = f"{sample} per round to choose from, {plan.held_out} others to test with"
    lines = [f"{options.name} {options.dataset_version}: cold start: {what}, {model} at {prepared.endpoint}"]
    requests = f"{least:,} requests for one round"
    requests += f", at most {most:,} for {plan.rounds}" if plan.rounds > 1 else " at most"
    if options.max_requests is not None and options.max_requests < least:
        lines.append(f"--max-requests {options.max_requests} is not enough for one round.")
    if options.offline:
        return [*lines, requests]
    annotation = annotation_bytes / BYTES_PER_TOKEN
    # Half of what the examples may take, because the first queries are asked without them.
    examples = min(plan.tokens, plan.examples * (annotation + TYPICAL_ANSWER_TOKENS)) / 2
    system_message = replace(prepared.template, in_context=())
    prompt = template_bytes(system_message) / BYTES_PER_TOKEN + examples + annotation
    each = Usage(int(prompt), int(TYPICAL_ANSWER_TOKENS))
    lines.append(f"{requests}; {_cost(prepared, each, least, most)}")
    return lines


def _cost(prepared: PreparedRun, each: Usage, least: int, most: int) -> str:
    tokens = each.prompt_tokens + each.completion_tokens
    fewest, all_of_them = (format_tokens(count * tokens, short=True) for count in (least, most))
    total = f"about {fewest}{f' to {all_of_them}' if most > least else ''} tokens"
    if prepared.price is None:
        return f"{total}, cost unknown (no price for this model)"
    price = prepared.price.cost(each)
    return f"{total}, {format_dollar_range(least * price * (1 - _MARGIN), most * price * (1 + _MARGIN))}"
