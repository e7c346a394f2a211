"""Prompts and models compared: the same sampled queries, asked with each, scored alike, in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

from syphus.answers.scoring import Scored
from syphus.cold_start.candidates import Scorer
from syphus.cold_start.proof import MIN_QUERIES, Interval, paired_bootstrap, share_interval
from syphus.cold_start.selection import sample_random
from syphus.cold_start.trials import TrialResult, TrialRunner
from syphus.config.options import Options
from syphus.config.pricing import Price
from syphus.errors import ConfigError, InputError, SyphusError, UsageError
from syphus.ledger.results import askable_queries, queries_by_id
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.pipeline.engine import Observer
from syphus.plugins.prompts import prompt_digest
from syphus.runs.forecast import forecast, template_tokens
from syphus.runs.generate import GenerateStage
from syphus.runs.inputs import sync_input
from syphus.runs.prepare import PreparedRun, prepare
from syphus.runs.run_settings import refuse_mixing
from syphus.runs.session import open_run_folder
from syphus.text import format_dollars, pluralize
from syphus.types import BYTES_PER_TOKEN, Query, State, is_simulated

_DRAWS = 1_000


class Variant(NamedTuple):
    """One prompt with one model, and what came of each query, in the same order for all."""

    name: str
    prompt: str
    model: str
    price: Price | None
    trials: Sequence[TrialResult]
    scored: Sequence[Scored]

    def numbers(self, seed: int) -> dict[str, Interval]:
        """Each number with its interval, by Wilson or by bootstrap over the queries; costs where the price is known."""
        answers = [each.candidate for each in self.trials]
        pairs = [float(len(each.pairs)) if each.state is State.OK else 0.0 for each in answers]
        tokens = [float(each.usage.prompt_tokens + each.usage.completion_tokens) for each in self.trials]
        found = {
            "valid share": share_interval([each.state is State.OK for each in answers]),
            "pairs a query": _mean(pairs, seed),
            "score": _mean([each.total for each in self.scored], seed),
        }
        for name in self.scored[0].scores if self.scored else ():
            found[name] = _mean([each.scores[name] for each in self.scored], seed)
        if any(pairs):
            found["tokens a pair"] = _ratio(tokens, pairs, seed)
        if any(pairs) and self.price is not None:
            found["dollars a pair"] = _ratio([self.price.cost(each.usage) for each in self.trials], pairs, seed)
        return found


class ComparisonResult(NamedTuple):
    """What was compared, as far as it came, and what stopped it, if anything."""

    variants: tuple[Variant, ...]
    queries: int
    seed: int
    stopped_by: SyphusError | None = None

    @property
    def simulated(self) -> bool:
        """Whether there are answers that no model has given."""
        return any(is_simulated(each.candidate.model) for variant in self.variants for each in variant.trials)

    def rows(self) -> list[tuple[str, list[str]]]:
        """The table: each number by its name, told for each variant."""
        numbers = [each.numbers(self.seed) for each in self.variants]
        names = dict.fromkeys(name for each in numbers for name in each)
        return [(name, [_told(name, each.get(name)) for each in numbers]) for name in names]

    def gains(self) -> list[tuple[str, Interval]]:
        """How much higher the score of each further variant is than that of the first, query by query."""
        first, *others = self.variants or (None,)
        if first is None:
            return []
        base = [each.total for each in first.scored]
        return [
            (each.name, paired_bootstrap([one.total for one in each.scored], base, self.seed))
            for each in others
            if each
        ]

    def gain_lines(self) -> list[tuple[str, str]]:
        """The same in words."""
        return [(name, _verdict(gain, self.variants[0].name, self.queries)) for name, gain in self.gains()]


def compare(
    options: Options,
    prompts: Sequence[str],
    models: Sequence[str],
    count: int,
    environ: Mapping[str, str],
    observer: Observer,
) -> ComparisonResult:
    """Asks `count` sampled queries with each prompt file and each model, within the run's budget.

    Raises `UsageError` where nothing could be sent, `StorageError` where the disk failed.
    """
    variants = [
        (prompt, prepare(replace(options, prompt_path=prompt, model=model or options.model), environ))
        for model in (models or [""])
        for prompt in dict.fromkeys(prompts)
    ]
    if len(variants) < 2:
        raise ConfigError("There is nothing to compare: give --prompt or --model at least twice.")
    first = variants[0][1]
    first.require_endpoint()
    with open_run_folder(first.options.folder) as store:
        refuse_mixing(store, options.offline)
        with closing(first.attachments(store.folder)) as attachments:
            sync_input(store, GenerateStage.name, first, observer.reading, attachments)
        names = _sample(variants, store, count)
        if not names:
            raise InputError(f"{options.name} holds no query that a model could be asked about.")
        queries = queries_by_id(store, GenerateStage.name, names)
        for line in _forecast(variants, len(queries), average_size(store, GenerateStage.name)):
            observer.say(line)
        done: list[Variant] = []
        stopped_by = _ask(variants, queries, store, observer, done.append)
        return ComparisonResult(tuple(done), len(queries), options.seed, stopped_by)


def _sample(variants: Sequence[tuple[str, PreparedRun]], store: Store, count: int) -> list[str]:
    """The ids of queries that none of the prompts has for an example, and that were not drawn for a cold start."""
    shown = {turn["content"] for _, prepared in variants for turn in prepared.template.in_context}
    rows = ((name, text) for name, text in askable_queries(store, GenerateStage.name) if text not in shown)
    return sample_random(rows, count, f"{variants[0][1].options.seed} compare")


def as_json(done: ComparisonResult) -> dict[str, object]:
    """The comparison for programs: means with the bounds of their 95% intervals."""
    return {
        "queries": done.queries,
        "simulated": done.simulated,
        "variants": [
            {
                "name": each.name,
                "prompt": each.prompt,
                "model": each.model,
                "numbers": {name: interval_json(interval) for name, interval in each.numbers(done.seed).items()},
            }
            for each in done.variants
        ],
        "score_against_the_first": {name: interval_json(interval) for name, interval in done.gains()},
    }


def interval_json(interval: Interval) -> dict[str, float]:
    """An interval as JSON values."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _ask(
    variants: Sequence[tuple[str, PreparedRun]],
    queries: Sequence[Query],
    store: Store,
    observer: Observer,
    done: Callable[[Variant], None],
) -> SyphusError | None:
    for name, (prompt, prepared) in zip(_names(variants), variants, strict=True):
        model = prepared.config.model
        try:
            with closing(TrialRunner(prepared, store, observer)) as trials:
                tried = trials.run(f"compare {prompt_digest(prepared.template)} {model}", prepared.template, queries)
        except UsageError:
            raise
        except SyphusError as error:
            return error
        scored = Scorer(prepared.dataset).score([each.candidate for each in tried], prepared.template)
        done(Variant(name, prompt, model, prepared.price, tried, scored))
    return None


def _names(variants: Sequence[tuple[str, PreparedRun]]) -> Iterator[str]:
    """The prompt's name, or its path where others have that name, too; and the model where there are several."""
    prompts = {prompt for prompt, _ in variants}
    stems = Counter(Path(prompt).stem for prompt in prompts)
    several = len({prepared.config.model for _, prepared in variants}) > 1
    for prompt, prepared in variants:
        name = Path(prompt).stem if stems[Path(prompt).stem] == 1 else prompt
        yield f"{name} {prepared.config.model}" if several else name


def _forecast(variants: Sequence[tuple[str, PreparedRun]], count: int, size: float) -> Iterator[str]:
    options = variants[0][1].options
    told = f"{pluralize(len(variants), 'variant')}, {pluralize(count, 'query', 'queries')} each: "
    yield f"{options.name} {options.dataset_version}: {told}{len(variants) * count:,} requests at the most"
    if options.offline:
        return
    asked = size / BYTES_PER_TOKEN
    expected = [
        forecast(count, asked, each.template, template_tokens(each.template, each.image_rules), each.price, None)
        for _, each in variants
    ]
    tokens = sum(each.usage.prompt_tokens + each.usage.completion_tokens for each in expected)
    costs = [each.high for each in expected if each.high is not None]
    cost = (
        f"up to {format_dollars(sum(costs))}" if len(costs) == len(expected) else "cost unknown (a model has no price)"
    )
    yield f"about {tokens / 1000:,.0f}k tokens, {cost}"


def _mean(values: Sequence[float], seed: int) -> Interval:
    return paired_bootstrap(values, [0.0] * len(values), seed) if values else Interval(0.0, 0.0, 0.0)


def _ratio(above: Sequence[float], below: Sequence[float], seed: int) -> Interval:
    """The ratio of two sums, and its percentile interval over draws of the queries."""
    random, both = Random(seed), list(zip(above, below, strict=True))
    drawn = [random.choices(both, k=len(both)) for _ in range(_DRAWS)]
    ratios = sorted(sum(a for a, _ in draw) / total for draw in drawn if (total := sum(b for _, b in draw)))
    cut = int(0.025 * len(ratios))
    return Interval(sum(above) / sum(below), ratios[cut], ratios[-1 - cut])


def _told(name: str, interval: Interval | None) -> str:
    if interval is None:
        return "-"
    form = "{:.5f}" if name.startswith("dollars") else "{:.0f}" if name.startswith("tokens") else "{:.2f}"
    mean, low, high = (form.format(each) for each in interval_values(interval))
    return f"{mean} ({low} to {high})"


def interval_values(interval: Interval) -> tuple[float, float, float]:
    """Mean, low and high."""
    return interval.mean, interval.low, interval.high


def _verdict(gain: Interval, first: str, queries: int) -> str:
    told = f"score {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) against {first}: "
    if queries < MIN_QUERIES:
        return f"{told}too few queries to tell that from chance"
    if gain.low > 0:
        return f"{told}better, by more than chance"
    return f"{told}{'worse, by more than chance' if gain.high < 0 else 'no difference that could not be chance'}"
