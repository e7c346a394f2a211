"""Quotes a run before it is paid for: what is there already, and the tokens, dollars and minutes of the rest.

The request of each row that is still to be asked is built as the run would build it. So the quote knows which answers
are in the ledger already, which rows share one, and how large each request is. What a request of that size takes is
learnt from the run's own answers (`token_forecast`). It sends nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

from syphus.config.pricing import price_date
from syphus.config.settings import Config
from syphus.endpoints.prompt_cache import has_own_cache_fields
from syphus.errors import SyphusError
from syphus.exchange import BYTES_PER_TOKEN, Request
from syphus.formats.report import Report
from syphus.ledger.records import Records, Row, StoredAnswer
from syphus.ledger.store import Store
from syphus.pipeline.parameters import LearnedParameters
from syphus.pipeline.stage import PluginFaultError
from syphus.runs.cost_estimate import (
    AskedModel,
    CostEstimator,
    QuoteLine,
    Speed,
    example_answer_tokens,
    warm_keys,
)
from syphus.runs.generate import GenerateStage
from syphus.runs.prepare import PreparedRun
from syphus.runs.run_settings import stored_limits
from syphus.runs.session import DEFAULT_ROUNDS
from syphus.runs.token_forecast import AnsweredRow, RowSize, TokenModel, Tokens, fit
from syphus.types import Outcome, PromptImage, Query, State

STAGE = GenerateStage.name
ROWS_BEFORE_RUN = 500  #: that are looked at before a run, which must start soon
ROWS_OF_QUOTE = 100_000  #: that the command looks at; of a larger input a sample
PILOT_ROWS = 30  #: of the pilot that is recommended
WIDE = 0.1  #: share of the dollars; if they are less certain, a larger pilot is recommended
ANSWERS_BEFORE_RUN, ANSWERS_OF_QUOTE = 300, 1_000  #: that are learnt from
_ANSWERED = (State.OK, State.INVALID, State.TRUNCATED, State.REFUSED)

AS_CONFIGURED, WITHOUT_CACHE, BY_BATCH = "as configured", "without cache", "with --batch"


class PendingRow(NamedTuple):
    """A row that is still to be asked: its number, the bytes of its request, and its image tokens for each model."""

    n: int
    text_bytes: int
    image_tokens: tuple[int, ...]

    def size(self, model: int = 0) -> RowSize:
        """Return the size for the model with this number."""
        return RowSize(self.text_bytes, self.image_tokens[model])


@dataclass(frozen=True, slots=True)
class Survey:
    """What a run has and what it still has to ask, as numbers of rows; estimated from a sample if not `exact`."""

    queries: int
    done: int  #: rows with an outcome that stays
    stored: float  #: further rows whose answer is in the ledger already
    shared: float  #: rows that use the answer to an identical request of another row
    unasked: float  #: rows that need no request: they bring their pairs, or can't be asked about
    to_ask: float  #: requests to send, not counting any that are repeated
    pending: Sequence[PendingRow]  #: the rows to ask, or a sample of them
    exact: bool
    prefix: str = ""  #: digest of what the requests begin with

    @property
    def reusable(self) -> float:
        """Rows that cost nothing further."""
        return self.done + self.stored


@dataclass(frozen=True, slots=True)
class Quote:
    """What a run has already, and what the rest takes. `answers` is how many answers that was learnt from.

    `spent` are the dollars that the run has cost, None if a price is unknown. `stopped_by` is what stopped the pilot.
    """

    dataset: str
    version: str
    survey: Survey
    answers: int
    known_answers: int  #: that could be learnt from; a few are too few
    spent: float | None
    lines: tuple[QuoteLine, ...]
    notes: tuple[str, ...] = ()
    simulated: bool = False
    stopped_by: SyphusError | None = None

    @property
    def exit_code(self) -> int:
        """0, or the code of what stopped the pilot."""
        return self.stopped_by.exit_code if self.stopped_by is not None else 0

    def as_json(self) -> dict[str, object]:
        """Return the quote as JSON values."""
        survey = self.survey
        return {
            "dataset": self.dataset,
            "version": self.version,
            "queries": survey.queries,
            "reusable": round(survey.reusable),
            "shared": round(survey.shared),
            "without_request": round(survey.unasked),
            "to_ask": round(survey.to_ask),
            "exact": survey.exact,
            "learnt_from_answers": self.answers,
            "spent": self.spent,
            "lines": [line.as_json() for line in self.lines],
            "notes": list(self.notes),
            "simulated": self.simulated,
            "stopped": str(self.stopped_by or ""),
        }


class Surveyor:
    """Builds the requests of a run's rows, to see what they need. It sends nothing and changes nothing."""

    def __init__(self, store: Store, stage: GenerateStage, models: Sequence[AskedModel], config: Config) -> None:
        self._records = Records(store, STAGE, 0)
        self._stage = stage
        self._rules = [model.rules for model in models]
        self._learnt = [LearnedParameters.load(store, endpoint, config.model) for endpoint in config.endpoints]

    def survey(
        self, states: Mapping[State, int], retry: Sequence[State], most: int, tick: Callable[[int], None]
    ) -> Survey:
        """Look at the rows without an outcome and at those in the states to `retry`; if they are more, at about `most`.

        `states` are the numbers of rows by state; `tick` gets the number of rows read so far.
        """
        asked = (State.PENDING, *retry)
        total = sum(states.values())
        open_rows = sum(states[state] for state in dict.fromkeys(asked))
        seen = stored = shared = unasked = 0
        prefix = ""
        pending: list[PendingRow] = []
        keys: set[bytes] = set()
        for row in self._records.sample(dict.fromkeys(asked), most):
            seen += 1
            if not seen % 1000:
                tick(seen)
            request = self._request(row)
            if request is None:
                unasked += 1
            elif request.key in keys or self._stage.shares_request(row):
                shared += 1
            elif self._find_answer(request) is not None:
                stored += 1
            else:
                keys.add(request.key)
                prefix = request.prefix.digest if request.prefix else ""
                tokens = self._image_tokens(row.query.images)
                pending.append(PendingRow(row.n, _text_bytes(request, tokens), tokens))
        scale = open_rows / seen if seen else 0.0
        numbers = (stored * scale, shared * scale, unasked * scale, len(pending) * scale)
        return Survey(total, total - open_rows, *numbers, pending, seen == open_rows, prefix)

    def answered(self, most: int) -> list[AnsweredRow]:
        """Return about `most` rows whose first answer was to their present request."""
        answered, known = [], set()
        for row in self._records.sample(_ANSWERED, most):
            request = self._request(Row(row.n, row.query))
            first = None if request is None else self._find_answer(request)
            if request is None or first is None or first.n in known:
                continue
            known.add(first.n)
            tokens = self._image_tokens(row.query.images)
            size = RowSize(_text_bytes(request, tokens), tokens[0])
            usage = first.completion.usage
            found = AnsweredRow(size, Tokens(usage.prompt_tokens, usage.completion_tokens), first.seconds)
            if row.last is not None and row.last != first.n and not row.opened and row.used > 1:
                later = self._records.get_answer(row.last).completion.usage
                again = Tokens(later.prompt_tokens, later.completion_tokens)
                found = found._replace(further=row.used - 1, further_tokens=again)
            answered.append(found)
        return answered

    def unanswered(self, queries: Iterable[Query]) -> list[RowSize]:
        """Return the sizes of those of the queries whose first request has no answer yet."""
        sizes = []
        for query in queries:
            request = self._request(Row(0, query))
            if request is not None and self._find_answer(request) is None:
                tokens = self._image_tokens(query.images)
                sizes.append(RowSize(_text_bytes(request, tokens), tokens[0]))
        return sizes

    def _request(self, row: Row) -> Request | None:
        """Return the request of a row, None if it needs none or can't have one."""
        if row.query.pairs or row.query.problem:
            return None
        last = self._records.get_answer(row.last) if row.last and row.reason else None
        try:
            request = self._stage.request(row, last)
        except PluginFaultError:
            return None
        return None if isinstance(request, Outcome) else request

    def _find_answer(self, request: Request) -> StoredAnswer | None:
        """Return the stored answer to a request, as it is or as an endpoint takes it."""
        variants = dict.fromkeys([request.key, *(each.adapt(request).key for each in self._learnt)])
        found = (self._records.find_answer(key, request.sample) for key in variants)
        return next((answer for answer in found if answer is not None), None)

    def _image_tokens(self, images: Sequence[PromptImage]) -> tuple[int, ...]:
        return tuple(
            sum(rules.tokens(*rules.size(image.width, image.height)) for image in images if image.digest)
            for rules in self._rules
        )


def _text_bytes(request: Request, image_tokens: Sequence[int]) -> int:
    """Return the size of a request without the row's own images; those of the examples are the same in each."""
    return request.size - BYTES_PER_TOKEN * image_tokens[0]


def choose_pilot(survey: Survey, count: int, seed: int) -> frozenset[int]:
    """Return the numbers of `count` of the rows to ask: one at random of each of as many classes of size.

    The same rows and seed give the same choice.
    """
    ordered = sorted(survey.pending, key=lambda row: (row.text_bytes + BYTES_PER_TOKEN * row.image_tokens[0], row.n))
    count = min(count, len(ordered))
    bounds = [len(ordered) * number // count for number in range(count + 1)] if count else []
    return frozenset(
        min(ordered[start:end], key=lambda row: blake2b(f"{seed} pilot {row.n}".encode(), digest_size=8).digest()).n
        for start, end in itertools.pairwise(bounds)
    )


class SurveyLimits(NamedTuple):
    """About how many rows are looked at: of those that are still to be asked, and of those with an answer."""

    rows: int
    answers: int


def make_quote(
    prepared: PreparedRun,
    stage: GenerateStage,
    store: Store,
    report: Report,
    models: Sequence[AskedModel],
    limits: SurveyLimits,
    tick: Callable[[int], None],
) -> Quote:
    """Quote what is left of a run, for its model and for the others of `models`.

    `report` holds the numbers of the run; `tick` gets the number of rows read so far.
    """
    options, surveyor = prepared.options, Surveyor(store, stage, models, prepared.config)
    survey = surveyor.survey(report.counts.states, options.retry, limits.rows, tick)
    answered = surveyor.answered(limits.answers)
    further = DEFAULT_ROUNDS if options.max_rounds is None else options.max_rounds
    tokens = fit(answered, example_answer_tokens(prepared.template, options.pack or 1), further)
    speed, warm = Speed.of(prepared, stored_limits(store)), warm_keys(store, prepared.config, survey.prefix)
    estimator = CostEstimator(tokens, models, prepared.template, speed, warm, has_own_cache_fields(prepared.config))
    lines = tuple(_lines(estimator, survey))
    return Quote(
        dataset=options.name,
        version=options.dataset_version,
        survey=survey,
        answers=tokens.answers,
        known_answers=len(answered),
        spent=report.cost,
        lines=lines,
        notes=tuple(_notes(lines, models, tokens, survey, _closer_pilot(estimator, survey, lines[0]))),
        simulated=options.offline,
    )


def _notes(
    lines: Sequence[QuoteLine], models: Sequence[AskedModel], tokens: TokenModel, survey: Survey, closer: str
) -> Iterator[str]:
    """Yield what a reader of the lines should know."""
    if not survey.exact:
        yield f"The input is large: {len(survey.pending):,} of the rows to ask were looked at."
    if any(line.name == BY_BATCH for line in lines):
        yield "Batches may take up to a day."
    if any(line.model != lines[0].model for line in lines):
        yield "Other models may count and write otherwise: their intervals are wider."
    for model in models[1:] if tokens.is_learnt else models:
        if model.reasons:
            yield f"{model.name} reasons before it answers; only its own answers show how much."
    if lines[0].dollars is None:
        yield f"No price is known for {lines[0].model}: give one under `prices:` in a --config file."
    elif any(line.dollars and line.dollars.middle for line in lines):
        yield f"Prices of {price_date()}."
    if not tokens.is_learnt and survey.to_ask >= 2 * PILOT_ROWS:
        yield f"Nothing was sent. --pilot {PILOT_ROWS} asks {PILOT_ROWS} rows, keeps the answers, and is closer."
    if closer:
        yield closer


def _closer_pilot(estimator: CostEstimator, survey: Survey, line: QuoteLine) -> str:
    """Return which larger pilot is worth it, or "" if the interval is narrow or the rows are few."""
    answers = 4 * estimator.tokens.answers
    if line.dollars is None or not 0 < answers < survey.to_ask / 2 or line.dollars.margin <= WIDE:
        return ""
    closer = replace(estimator, tokens=estimator.tokens.with_answers(answers))
    dollars = closer.line("", [row.size() for row in survey.pending], survey.to_ask).dollars
    return f"--pilot {answers} would bring the dollars to about ±{dollars.margin:.0%}." if dollars else ""


def _lines(estimator: CostEstimator, survey: Survey) -> Iterator[QuoteLine]:
    """Yield the ways of asking for what is left."""
    sizes = [row.size() for row in survey.pending]
    first, model = estimator.line(AS_CONFIGURED, sizes, survey.to_ask), estimator.models[0]
    yield first
    if first.cached_share:
        yield estimator.line(WITHOUT_CACHE, sizes, survey.to_ask, cached=False)
    if model.price is not None and model.price.batch < 1:
        yield estimator.line(BY_BATCH, sizes, survey.to_ask, cached=False, is_batch=True)
    for number, other in enumerate(estimator.models[1:], 1):
        yield estimator.line(other.name, [row.size(number) for row in survey.pending], survey.to_ask, number)
