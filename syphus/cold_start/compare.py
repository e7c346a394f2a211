"""Compare prompts and models: ask the same sampled queries with each, score the answers alike, and show both.

The numbers become one table, the answers a page with those to each query beside each other. Both are made of what is in
the ledger, so the same comparison shows them again without a request.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from syphus.answers.scoring import Scored
from syphus.cold_start.candidates import Scorer
from syphus.cold_start.evaluation import MIN_QUERIES, Interval, paired_bootstrap, resamples, share_interval
from syphus.cold_start.example_selection import sample_random
from syphus.cold_start.page import COMPARISON_FILE, ComparedVariant, most_different, write_comparison
from syphus.cold_start.trials import TrialResult, TrialRunner
from syphus.config.options import Options
from syphus.config.pricing import Price
from syphus.errors import ConfigError, InputError, SyphusError, UsageError
from syphus.ledger.results import askable_queries, queries_by_id
from syphus.ledger.store import Store
from syphus.model_names import is_simulated
from syphus.pipeline.observer import Observer
from syphus.plugins.prompts import prompt_digest
from syphus.runs.cost_estimate import CostEstimator, QuoteLine, Speed, asked_models, example_answer_tokens
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun, go_on_as_begun, prepare
from syphus.runs.quote import ANSWERS_BEFORE_RUN, Surveyor
from syphus.runs.run_log import keep_log
from syphus.runs.run_settings import refuse_mixing
from syphus.runs.session import StageRunner, open_run_folder
from syphus.runs.token_forecast import fit
from syphus.text import format_dollars, one_line, pluralize, printable, short_path
from syphus.types import Query, State

_RESAMPLES = 1_000
TOKENS_PER_PAIR, DOLLARS_PER_PAIR = "tokens a pair", "dollars a pair"


class Variant(NamedTuple):
    """One prompt with one model, and the results of all queries, in the same order for all variants."""

    name: str
    prompt: str
    model: str
    price: Price | None
    trials: Sequence[TrialResult]
    scored: Sequence[Scored]

    def pairs(self) -> list[float]:
        """Return the number of accepted pairs of each query."""
        answers = [each.candidate for each in self.trials]
        return [float(len(each.pairs)) if each.state is State.OK else 0.0 for each in answers]

    def tokens(self) -> list[float]:
        """Return the tokens of each query."""
        return [float(each.usage.prompt_tokens + each.usage.completion_tokens) for each in self.trials]

    def spent(self) -> list[float] | None:
        """Return the dollars of each query, None if the price is unknown."""
        return None if self.price is None else [self.price.cost(each.usage) for each in self.trials]

    def numbers(self, seed: int) -> dict[str, Interval]:
        """Return each number with its interval (Wilson, or bootstrap over queries); costs if the price is known."""
        answers = [each.candidate for each in self.trials]
        pairs, tokens, dollars = self.pairs(), self.tokens(), self.spent()
        numbers = {
            "valid share": share_interval([each.state is State.OK for each in answers]),
            "pairs a query": _mean(pairs, seed),
            "score": _mean([each.total for each in self.scored], seed),
        }
        for name in self.scored[0].scores if self.scored else ():
            numbers[name] = _mean([each.scores[name] for each in self.scored], seed)
        if any(pairs):
            numbers[TOKENS_PER_PAIR] = _ratio(tokens, pairs, seed)
        if any(pairs) and dollars is not None:
            numbers[DOLLARS_PER_PAIR] = _ratio(dollars, pairs, seed)
        return numbers


class ComparisonResult(NamedTuple):
    """The variants compared so far, and what stopped the comparison, if anything."""

    variants: tuple[Variant, ...]
    queries: int
    seed: int
    stopped_by: SyphusError | None = None
    files: tuple[str, ...] = ()  #: the page with the answers; none if no variant was finished

    @property
    def simulated(self) -> bool:
        """Whether any answers are simulated."""
        return any(is_simulated(each.candidate.model) for variant in self.variants for each in variant.trials)

    def rows(self) -> list[tuple[str, list[str]]]:
        """Return the table: each number by its name, as text for each variant."""
        numbers = [each.numbers(self.seed) for each in self.variants]
        names = dict.fromkeys(name for each in numbers for name in each)
        return [(name, [_format(name, each.get(name)) for each in numbers]) for name in names]

    def gains(self) -> list[tuple[str, Interval]]:
        """Return how much higher each further variant scores than the first, paired by query."""
        if not self.variants:
            return []
        first, *others = self.variants
        base = [each.total for each in first.scored]
        return [
            (other.name, paired_bootstrap([each.total for each in other.scored], base, self.seed)) for other in others
        ]

    def gain_lines(self) -> list[tuple[str, str]]:
        """Return the gains in words, by the names of the variants."""
        return [(name, _verdict(gain, self.variants[0].name, self.queries)) for name, gain in self.gains()]

    def costs(self) -> list[tuple[str, str, Interval]]:
        """Return what an accepted pair of each further variant costs, as a multiple of one of the first, by query.

        With each name, whether it is of dollars or, if a price is unknown or nothing is paid, of tokens. A variant
        without an accepted pair is left out.
        """
        spent = [each.spent() for each in self.variants]
        unit = "dollars" if all(each is not None and any(each) for each in spent) else "tokens"
        both = zip(spent, self.variants, strict=True)
        sums = [each if unit == "dollars" and each else variant.tokens() for each, variant in both]
        found = []
        for other, cost in zip(self.variants[1:], sums[1:], strict=True):
            first_pairs, pairs = self.variants[0].pairs(), other.pairs()
            if any(first_pairs) and any(pairs):
                found.append((other.name, unit, _ratio_of_ratios(cost, pairs, sums[0], first_pairs, self.seed)))
        return found

    def cost_lines(self) -> list[tuple[str, str]]:
        """Return the costs in words, by the names of the variants."""
        first = self.variants[0].name if self.variants else ""
        return [(name, _cost_verdict(times, unit, first, self.queries)) for name, unit, times in self.costs()]

    def answer_lines(self, count: int) -> Iterator[str]:
        """Yield `count` queries as lines for people, with all answers to each; those that differ most come first."""
        for number in most_different([each.scored for each in self.variants])[:count]:
            asked = self.variants[0].scored[number].candidate
            yield f"=== {one_line(asked.query.id)}"
            yield from printable(asked.user_turn).splitlines()
            for variant in self.variants:
                yield from _answer_lines(variant.name, variant.scored[number])
            yield ""


def compare(
    options: Options,
    prompts: Sequence[str],
    models: Sequence[str],
    count: int,
    environ: Mapping[str, str],
    observer: Observer,
) -> ComparisonResult:
    """Ask `count` sampled queries with each prompt file and each model, within the run's budget.

    The answers are written beside each other into `compare.html` in the run's folder. Raises `UsageError` if nothing
    could be sent, `StorageError` if the disk failed.
    """
    variants = [
        (prompt, prepare(replace(options, prompt_path=prompt, model=model or options.model), environ))
        for model in (models or [""])
        for prompt in dict.fromkeys(prompts)
    ]
    if len(variants) < 2:
        raise ConfigError("Nothing to compare: give --prompt or --model at least twice.")
    first = variants[0][1]
    first.require_endpoint()
    with open_run_folder(first.options.folder) as store, keep_log(store, first, observer, "compare") as log:
        refuse_mixing(store, options.offline)
        variants = [(prompt, go_on_as_begun(prepared, store, GenerateStage.name, log)) for prompt, prepared in variants]
        first = variants[0][1]
        with closing(first.attachments(store.folder)) as attachments:
            sync_input(store, GenerateStage.name, first, log.reading, attachments)
        ids = _sample(variants, store, count)
        if not ids:
            raise InputError(f"{options.name} has no query that can be sent to a model.")
        queries = queries_by_id(store, GenerateStage.name, ids)
        for line in _opening_lines(variants, queries, store, log):
            log.say(line)
        finished: list[Variant] = []
        stopped_by = _ask(variants, queries, store, log, finished.append)
        done = ComparisonResult(tuple(finished), len(queries), options.seed, stopped_by)
        log.end(None, stopped_by, stopped_by.exit_code if stopped_by else 0)
        return _with_page(done, f"{options.name} {first.options.dataset_version}", store.folder)


def _with_page(done: ComparisonResult, title: str, folder: Path) -> ComparisonResult:
    """Write the page of what was finished."""
    if not done.variants:
        return done
    variants = [ComparedVariant(each.name, f"{each.prompt}, {each.model}", each.scored) for each in done.variants]
    lines = [f"{name}: {verdict}" for name, verdict in (*done.gain_lines(), *done.cost_lines())]
    if done.stopped_by is not None:
        lines.append(f"Stopped before all was compared: {one_line(str(done.stopped_by))}")
    path = folder / COMPARISON_FILE
    write_comparison(path, f"{title}: comparison", variants, done.rows(), lines, done.simulated)
    return done._replace(files=(short_path(path),))


def _sample(variants: Sequence[tuple[str, PreparedRun]], store: Store, count: int) -> list[str]:
    """Return the ids of random queries that are an example in none of the prompts."""
    shown = {turn["content"] for _, prepared in variants for turn in prepared.template.in_context}
    rows = ((query_id, text) for query_id, text in askable_queries(store, GenerateStage.name) if text not in shown)
    return sample_random(rows, count, f"{variants[0][1].options.seed} compare")


def as_json(comparison: ComparisonResult) -> dict[str, object]:
    """Return the comparison as JSON values: means with the bounds of their 95% intervals."""
    return {
        "queries": comparison.queries,
        "simulated": comparison.simulated,
        "variants": [
            {
                "name": each.name,
                "prompt": each.prompt,
                "model": each.model,
                "numbers": {name: interval_json(interval) for name, interval in each.numbers(comparison.seed).items()},
            }
            for each in comparison.variants
        ],
        "score_against_the_first": {name: interval_json(interval) for name, interval in comparison.gains()},
        "answers": [
            {
                "query": asked.candidate.query.id,
                "annotation": asked.candidate.query.text,
                "variants": {each.name: _answer_json(each.scored[number]) for each in comparison.variants},
            }
            for number, asked in enumerate(comparison.variants[0].scored if comparison.variants else ())
        ],
        "files": list(comparison.files),
    }


def _answer_json(scored: Scored) -> dict[str, object]:
    candidate = scored.candidate
    pairs = [{"instruction": each.instruction, "answer": each.answer} for each in candidate.pairs]
    verdict = {"state": candidate.state.value, "reason": candidate.reason, "score": scored.total}
    return {**verdict, "scores": dict(scored.scores), "pairs": pairs, "answer": candidate.answer}


def _answer_lines(name: str, scored: Scored) -> Iterator[str]:
    """Yield an answer: its verdict, and its pairs or, if it was not accepted, its raw text."""
    candidate = scored.candidate
    why = f": {one_line(candidate.reason)}" if candidate.reason else ""
    yield f"--- {one_line(name)}: score {scored.total:.2f}, {candidate.state}{why}"
    if candidate.state is not State.OK:
        yield from (f"  | {line}" for line in printable(candidate.answer).splitlines())
        return
    for number, pair in enumerate(candidate.pairs, 1):
        first, *rest = printable(f"{pair.instruction}\n{pair.answer}").splitlines()
        yield f"{f'{number}.':<3} {first}"
        yield from (f"    {line}" for line in rest)


def interval_json(interval: Interval) -> dict[str, float]:
    """Return an interval as JSON values."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _ask(
    variants: Sequence[tuple[str, PreparedRun]],
    queries: Sequence[Query],
    store: Store,
    observer: Observer,
    add: Callable[[Variant], None],
) -> SyphusError | None:
    """Ask with each variant, and add each one that is finished; return what stopped it."""
    for name, (prompt, prepared) in zip(_names(variants), variants, strict=True):
        model = prepared.config.model
        try:
            with closing(TrialRunner(prepared, store, observer)) as trials:
                stage = f"compare {prompt_digest(prepared.template)} {model}"
                results = trials.run(stage, prepared.template, queries, title=name)
        except UsageError:
            raise
        except SyphusError as error:
            return error
        scored = Scorer(prepared.dataset).score([each.candidate for each in results], prepared.template)
        add(Variant(name, prompt, model, prepared.price, results, scored))
    return None


def _names(variants: Sequence[tuple[str, PreparedRun]]) -> Iterator[str]:
    """Yield a name for each variant: the prompt's name or, if that is not unique, its path; and the model if needed."""
    prompts = {prompt for prompt, _ in variants}
    stems = Counter(Path(prompt).stem for prompt in prompts)
    several = len({prepared.config.model for _, prepared in variants}) > 1
    for prompt, prepared in variants:
        name = Path(prompt).stem if stems[Path(prompt).stem] == 1 else prompt
        yield f"{name} {prepared.config.model}" if several else name


def _opening_lines(
    variants: Sequence[tuple[str, PreparedRun]], queries: Sequence[Query], store: Store, observer: Observer
) -> Iterator[str]:
    options = variants[0][1].options
    what = f"{pluralize(len(variants), 'variant')}, {pluralize(len(queries), 'query', 'queries')} each"
    yield f"{options.name} {options.dataset_version}: {what}: at most {len(variants) * len(queries):,} requests"
    if options.offline:
        return
    expected = [_quote(prepared, queries, store, observer) for _, prepared in variants]
    tokens = sum(each.prompt_tokens.middle + each.answer_tokens.middle for each in expected)
    costs = [each.dollars.high for each in expected if each.dollars is not None]
    cost = (
        f"up to {format_dollars(sum(costs))}" if len(costs) == len(expected) else "cost unknown (a model has no price)"
    )
    yield f"about {tokens / 1000:,.0f}k tokens, {cost}"


def _quote(prepared: PreparedRun, queries: Sequence[Query], store: Store, observer: Observer) -> QuoteLine:
    """Return what one variant takes for the queries whose answers are not in the ledger yet."""
    with closing(StageRunner(prepared, store, observer)) as runner:
        stage = GenerateStage(GenerationContext.of_run(prepared, runner.request_builder, runner.attachments))
        models = asked_models(prepared)
        surveyor = Surveyor(store, stage, models, prepared.config)
        tokens = fit(surveyor.answered(ANSWERS_BEFORE_RUN), example_answer_tokens(prepared.template), max_further=0)
        sizes = surveyor.unanswered(queries)
    return CostEstimator(tokens, models, prepared.template, Speed.of(prepared)).line("", sizes, len(sizes))


def _mean(values: Sequence[float], seed: int) -> Interval:
    return paired_bootstrap(values, [0.0] * len(values), seed) if values else Interval(0.0, 0.0, 0.0)


def _ratio(numerators: Sequence[float], denominators: Sequence[float], seed: int) -> Interval:
    """Return the ratio of two sums, and its bootstrap percentile interval over the queries."""
    draws = resamples(seed, len(denominators), _RESAMPLES)
    totals = [sum(map(denominators.__getitem__, draw)) for draw in draws]
    ratios = sorted(
        sum(map(numerators.__getitem__, draw)) / total for draw, total in zip(draws, totals, strict=True) if total
    )
    cut = int(0.025 * len(ratios))
    return Interval(sum(numerators) / sum(denominators), ratios[cut], ratios[-1 - cut])


def _ratio_of_ratios(
    cost: Sequence[float], pairs: Sequence[float], base: Sequence[float], base_pairs: Sequence[float], seed: int
) -> Interval:
    """Return how many times the base's the cost of a pair is; for the interval the same queries of both are drawn."""
    found = []
    for draw in resamples(seed, len(cost), _RESAMPLES):
        a, b, c, d = (sum(map(each.__getitem__, draw)) for each in (cost, pairs, base, base_pairs))
        if a and b and c and d:
            found.append((a / b) / (c / d))
    found.sort()
    cut = int(0.025 * len(found))
    whole = (sum(cost) / sum(pairs)) / (sum(base) / sum(base_pairs))
    return Interval(whole, found[cut], found[-1 - cut]) if found else Interval(whole, 0.0, math.inf)


def _cost_verdict(times: Interval, unit: str, first: str, queries: int) -> str:
    factor = f"{times.mean:.2f} times ({times.low:.2f} to {times.high:.2f})"
    line = f"{factor} the {unit} of {first} for each accepted pair: "
    if queries < MIN_QUERIES:
        return f"{line}too few queries to rule out chance"
    if times.high < 1:
        return f"{line}cheaper, by more than chance"
    return f"{line}dearer, by more than chance" if times.low > 1 else f"{line}the difference may be chance"


def _format(name: str, interval: Interval | None) -> str:
    if interval is None:
        return "-"
    digits = {DOLLARS_PER_PAIR: 5, TOKENS_PER_PAIR: 0}.get(name, 2)
    mean, low, high = (f"{value:.{digits}f}" for value in (interval.mean, interval.low, interval.high))
    return f"{mean} ({low} to {high})"


def _verdict(gain: Interval, first: str, queries: int) -> str:
    score = f"score {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) against {first}: "
    if queries < MIN_QUERIES:
        return f"{score}too few queries to rule out chance"
    if gain.low > 0:
        return f"{score}better, by more than chance"
    return f"{score}{'worse, by more than chance' if gain.high < 0 else 'no difference beyond chance'}"
