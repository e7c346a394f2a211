"""How often does the interval of a quote hold, and how far is its middle from the bill? After a pilot of 30 rows.

python benchmarks/quote.py [--runs 200] [--rows 1000] [--dataset NAME ...]

Each dataset is a plugin with the annotations that it ships, joined at random to rows of very different sizes. Requests
are built and answers judged by the real code; the simulated model writes the answers, and an answer that is rejected is
asked for once more. What a server would count is made less regular than the simulated model: each row has its own
number of bytes per token and its own length of answers, and one dataset gets reasoning tokens with a long tail. A run
is a random choice of the rows; its pilot is chosen as the command does. The truth is what its other rows take, and for
the minutes how long they keep all places busy. All of it is made up, so it shows whether intervals hold, not how wide
those of a real model are. "At best" is how far the mean of that many rows is off, in the median, from that of all rows,
after what their size explains: no model can learn more from the same number of rows.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import NormalDist, correlation, fmean, median, pstdev
from typing import Any, NamedTuple

from common import table

from syphus.config.model_table import ModelTable
from syphus.config.options import Options
from syphus.config.pricing import Price, load_prices
from syphus.config.sampling import resolve_sampling
from syphus.endpoints.image_tokens import ImageRules
from syphus.endpoints.request import RequestBuilder
from syphus.exchange import Completion, Request, Usage
from syphus.images.prompt.attachments import ImageAttachments
from syphus.ledger.records import Row, StoredAnswer
from syphus.runs.cost_estimate import AskedModel, CostEstimator, Speed, example_answer_tokens
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.inputs import input_queries
from syphus.runs.prepare import PreparedRun, prepare
from syphus.runs.quote import PendingRow, Survey, choose_pilot
from syphus.runs.token_forecast import AnsweredRow, Range, Tokens, fit
from syphus.simulator.chat_request import read_chat
from syphus.simulator.model_answers import ModelBehaviour, write_answer
from syphus.simulator.prompt_reader import PromptReader
from syphus.types import Query

DATASETS = {  # and the standard deviation of the logarithm of the length of their answers; reasoning or not
    "SpotTheDifference.change": (0.2, False),
    "LlavaConversation.llava": (0.35, False),
    "LlavaReasoning.llava": (0.35, True),
    "DenseCaptions.video": (0.5, False),
    "VisualStoryTelling.video": (0.35, False),
}
MODEL = "gpt-6-luna"
THREADS, PILOT = 16, 30
SLOPPINESS = 0.04  # share of the answers that are rejected, or a little less
WHAT = ("tokens in", "tokens out", "dollars", "minutes")


class Truth(NamedTuple):
    """What one row takes: as it is known before, as its answers are billed, and how long each of them took."""

    row: AnsweredRow
    tokens: Tokens
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class World:
    """A dataset with all its rows answered, and how a quote of it is reckoned."""

    prepared: PreparedRun
    rows: Sequence[Truth]
    price: Price


class Miss(NamedTuple):
    """Whether an interval held, how far its middle was off, and how wide it is, relative to the truth."""

    held: bool
    off: float
    width: float


def make_world(name: str, rows: int, seed: int = 0) -> World:
    """Answer `rows` rows of a dataset."""
    spread, reasons = DATASETS[name]
    prepared = prepare(Options(name=name, example=True, offline=True), {})
    config = prepared.config
    attachments = ImageAttachments(ImageRules(config.model))
    builder = RequestBuilder(config.model, resolve_sampling(config).fields, images=attachments)
    stage = GenerateStage(GenerationContext.of_run(prepared, builder, attachments))
    model = Model(seed, spread, reasons)
    answered = [model.answer(stage, query) for query in _queries(prepared, rows, Random(f"{seed} rows"))]
    price = load_prices({}).find(MODEL)
    assert price is not None
    return World(prepared, answered, price)


def _queries(prepared: PreparedRun, rows: int, random: Random) -> Iterator[Query]:
    """Yield rows whose texts are those of one to eight annotations; few are long."""
    given = [each for each in input_queries(prepared.dataset, prepared.options, None) if each.text and not each.problem]
    for number in range(rows):
        parts = [random.choice(given) for _ in range(min(8, 1 + int(random.expovariate(1.0))))]
        text = "\n".join(part.text for part in parts)
        yield replace(parts[0], id=f"row {number}", text=f"{text}\n({number})", pairs=(), images=())


class Model:
    """A made-up model: the simulated one writes, and each row has tokens, lengths and waits of its own."""

    def __init__(self, seed: int, spread: float, reasons: bool) -> None:
        self._reader = PromptReader()
        self._behaviour = ModelBehaviour(seed, SLOPPINESS, SLOPPINESS)
        self._random = Random(f"{seed} model")
        self._spread, self._reasons = spread, reasons

    def answer(self, stage: GenerateStage, query: Query) -> Truth:
        """Ask for a row, and once more if its answer is rejected."""
        random, row = self._random, Row(0, query)
        scale = random.lognormvariate(0, 0.06), random.lognormvariate(0, self._spread)
        first = _request(stage, row, None)
        completion = self._complete(first, scale)
        judged = stage.judge(row, completion)
        billed, completions = _tokens(completion.usage), [completion]
        known = AnsweredRow(PendingRow(0, first.size, (0,)).size(), billed, self._wait(billed))
        seconds = [known.seconds]
        if judged.ask_again:
            again = row._replace(used=1, last=1, reason=judged.feedback)
            completions.append(self._complete(_request(stage, again, StoredAnswer(1, completion, 0.0)), scale))
            further = _tokens(completions[-1].usage)
            known = known._replace(further=1, further_tokens=further)
            seconds.append(self._wait(further))
        total = [_tokens(each.usage) for each in completions]
        return Truth(known, Tokens(sum(t.prompt for t in total), sum(t.answer for t in total)), tuple(seconds))

    def _complete(self, request: Request, scale: tuple[float, float]) -> Completion:
        chat = read_chat(request.body)
        answer = write_answer(chat, self._reader.read(chat.messages), self._behaviour)
        length = answer.usage.completion_tokens * scale[1]
        if self._reasons:
            length += self._random.lognormvariate(5, 0.8)
        usage = Usage(round(answer.usage.prompt_tokens * scale[0]), round(length))
        return Completion(answer.texts[0], answer.finish_reasons[0], MODEL, usage)

    def _wait(self, tokens: Tokens) -> float:
        return self._random.lognormvariate(-0.5, 0.5) + tokens.answer / 80 * self._random.lognormvariate(0, 0.2)


def _request(stage: GenerateStage, row: Row, last: StoredAnswer | None) -> Request:
    request = stage.request(row, last)
    assert isinstance(request, Request), request
    return request


def _tokens(usage: Usage) -> Tokens:
    return Tokens(usage.prompt_tokens, usage.completion_tokens)


def least_off(world: World, pilot: int = PILOT) -> Mapping[str, float]:
    """Return how far the mean of a pilot is off in the median, by what the sizes of the rows don't explain."""
    rows, sizes = world.rows, [float(truth.row.size.text_bytes) for truth in world.rows]
    taken = (
        [truth.tokens.prompt for truth in rows],
        [truth.tokens.answer for truth in rows],
        [world.price.cost(Usage(round(truth.tokens.prompt), round(truth.tokens.answer))) for truth in rows],
        [sum(truth.seconds) for truth in rows],
    )
    off = NormalDist().inv_cdf(0.75) / math.sqrt(pilot)
    return {
        what: off * pstdev(values) * math.sqrt(1 - correlation(sizes, values) ** 2) / fmean(values)
        for what, values in zip(WHAT, taken, strict=True)
    }


def simulate_run(world: World, rows: int, seed: int, pilot: int = PILOT) -> Mapping[str, Miss]:
    """Quote one run after its pilot, and compare with what its other rows take."""
    random = Random(f"{seed} run")
    chosen = random.sample(world.rows, rows)
    pending = [PendingRow(n, truth.row.size.text_bytes, (0,)) for n, truth in enumerate(chosen)]
    survey = Survey(rows, 0, 0.0, 0.0, 0.0, rows, pending, exact=True)
    numbers = choose_pilot(survey, pilot, seed)
    rest = [truth for n, truth in enumerate(chosen) if n not in numbers]
    tokens = fit([chosen[n].row for n in sorted(numbers)], example_answer_tokens(world.prepared.template))
    model = AskedModel(MODEL, world.price, ImageRules(MODEL), ModelTable().find(MODEL))
    estimator = CostEstimator(tokens, [model], world.prepared.template, Speed(THREADS))
    line = estimator.line("", [truth.row.size for truth in rest], len(rest), cached=False)
    assert line.dollars is not None
    assert line.minutes is not None
    prompt = sum(truth.tokens.prompt for truth in rest)
    answer = sum(truth.tokens.answer for truth in rest)
    cost = sum(world.price.cost(Usage(round(t.tokens.prompt), round(t.tokens.answer))) for t in rest)
    ranges = (line.prompt_tokens, line.answer_tokens, line.dollars, line.minutes)
    truths = (prompt, answer, cost, _busy(rest) / 60)
    return {what: _miss(each, truth) for what, each, truth in zip(WHAT, ranges, truths, strict=True)}


def _busy(rows: Sequence[Truth]) -> float:
    """Return the seconds until all requests are answered: the first one alone, then with `THREADS` in flight."""
    first, *others = (each for row in rows for each in row.seconds)
    free = [first] * THREADS
    for seconds in others:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


def _miss(quoted: Range, truth: float) -> Miss:
    return Miss(
        quoted.low <= truth <= quoted.high,
        abs(quoted.middle - truth) / truth,
        (quoted.high - quoted.low) / 2 / truth,
    )


def measure(name: str, runs: int, rows: int) -> Iterator[tuple[str, list[Miss], float]]:
    """Yield for each number of a quote how it did in each of the runs, and how close it can be at best."""
    world = make_world(name, 3 * rows)
    misses, best = [simulate_run(world, rows, seed) for seed in range(runs)], least_off(world)
    for what in WHAT:
        yield what, [each[what] for each in misses], best[what]


def main() -> None:
    """Measure each dataset, and print a row for each number of its quotes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--dataset", nargs="*", default=list(DATASETS))
    given: Any = parser.parse_args()
    totals: dict[str, list[Miss]] = {what: [] for what in WHAT}
    cells: list[tuple[str, ...]] = [
        ("dataset", "what", "interval holds", "middle off, median", "at best", "interval, median")
    ]
    for name in given.dataset:
        for what, misses, best in measure(name, given.runs, given.rows):
            totals[what] += misses
            cells.append(_cells(name, what, misses, f"{best:.1%}"))
    cells += [_cells("all", what, misses) for what, misses in totals.items()]
    table(cells)


def _cells(name: str, what: str, misses: Sequence[Miss], best: str = "") -> tuple[str, ...]:
    held = sum(each.held for each in misses) / len(misses)
    off, width = median(each.off for each in misses), median(each.width for each in misses)
    return name, what, f"{held:.1%}", f"{off:.1%}", best, f"±{width:.1%}"


if __name__ == "__main__":
    main()
