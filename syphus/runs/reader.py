"""Reading a run, while it works or afterwards: its numbers, one query, or all pairs, outcomes and raw answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count, islice, takewhile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from syphus.errors import ConfigError, InputError
from syphus.formats.related_pairs import pairs_with_context
from syphus.formats.report import Report, as_json, make_report
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.parts import chunk_id
from syphus.ledger.results import answered_queries, describe_query, raw_answers
from syphus.ledger.store import Store, is_working, open_for_reading
from syphus.runs.generate import GenerateStage
from syphus.runs.run_settings import stored_prices

if TYPE_CHECKING:
    import pandas

_BATCH = 10_000  #: pairs that are made into a part of a table at once


class PairRecord(NamedTuple):
    """One accepted pair. `related` are the ids of the pairs of its context, `model` is the name that the server gave.

    `model` is "" if the pair was in the annotations.
    """

    id: str
    instruction: str
    answer: str
    image_ids: tuple[str, ...]
    related: tuple[str, ...]
    query: str  #: id of the query
    model: str


class OutcomeRecord(NamedTuple):
    """Where a query stands: `state` is ok, invalid, truncated, refused, failed or pending, `reason` says why."""

    query: str  #: id of the query
    annotation: str
    state: str
    reason: str  #: short and countable; "" if the state is ok
    detail: str
    pairs: int  #: accepted pairs


class AnswerRecord(NamedTuple):
    """One answer as it came, used or not. `cost` is in dollars, None if the price of the model is unknown."""

    text: str
    model: str  #: the name that the server gave
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float  #: that the request took
    stage: str  #: what it was asked for: generation, translation, a cold start
    queries: tuple[str, ...]  #: ids of the queries whose newest answer it is; () if a later answer has replaced it


@dataclass(frozen=True)
class RunStatus:
    """The numbers of a run: queries by state, pairs, dollars (None if a price is unknown), requests."""

    counts: Mapping[str, int]
    pairs: int
    cost: float | None
    requests: int
    working: bool  #: a process is working on the run at the moment
    simulated: bool  #: the answers come from the simulated endpoint
    report: Report = field(repr=False)

    def as_json(self) -> dict[str, object]:
        """Return everything that `report.json` holds."""
        return as_json(self.report)


class RunReader:
    """A run that is open for reading. A run that is working can be read, too.

    Close it, or use it in a `with` block. The iterators read a few hundred rows at a time, so memory stays flat.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._store = open_for_reading(self.folder)

    def __enter__(self) -> RunReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger."""
        self._store.close()

    def status(self) -> RunStatus:
        """Return the numbers of the run as they are now."""
        report = read_status(self.folder)
        return RunStatus(
            counts={state.value: count for state, count in report.counts.states.items()},
            pairs=report.counts.pairs,
            cost=report.cost,
            requests=report.spending.requests,
            working=is_running(self.folder, report),
            simulated=report.simulated,
            report=report,
        )

    def pairs(self) -> Iterator[PairRecord]:
        """Iterate over the accepted pairs, in the order of the input."""
        for result in pairs_with_context(self._store, GenerateStage.name):
            for pair, context in zip(result.pairs, result.contexts(), strict=True):
                yield PairRecord(
                    id=pair.id,
                    instruction=pair.instruction,
                    answer=pair.answer,
                    image_ids=result.image_ids,
                    related=tuple(context),
                    query=result.query,
                    model=result.model,
                )

    def outcomes(self) -> Iterator[OutcomeRecord]:
        """Iterate over the queries and what became of each, in the order of the input."""
        for each in answered_queries(self._store, GenerateStage.name):
            yield OutcomeRecord(
                query=each.query.id,
                annotation=each.query.text,
                state=each.state.value,
                reason=str(each.reason),
                detail=each.detail,
                pairs=len(each.pairs),
            )

    def answers(self) -> Iterator[AnswerRecord]:
        """Iterate over all answers that the run has paid for, in the order in which they came."""
        prices = stored_prices(self._store)
        for raw in raw_answers(self._store):
            yield AnswerRecord(
                text=raw.text,
                model=raw.model,
                finish_reason=raw.finish_reason,
                prompt_tokens=raw.bill.usage.prompt_tokens,
                completion_tokens=raw.bill.usage.completion_tokens,
                cost=prices.cost([raw.bill]),
                seconds=raw.seconds,
                stage=raw.stage,
                queries=raw.queries,
            )

    def to_pandas(self) -> pandas.DataFrame:
        """Return the pairs as a pandas DataFrame. Raises `ConfigError` if pandas is not installed."""
        pandas = _require("pandas", "DataFrame", "to_pandas()")
        return pandas.DataFrame.from_records(list(self.pairs()), columns=PairRecord._fields)

    def to_dataset(self) -> Any:  # datasets.Dataset; mypy takes `datasets` for the folder of this checkout
        """Return the pairs as a `datasets.Dataset`. Raises `ConfigError` if the package is not installed."""
        datasets = _require("datasets", "Dataset", "to_dataset()")
        pyarrow = _require("pyarrow", "Table", "to_dataset()")
        text = pyarrow.string()
        lists = {"image_ids", "related"}
        schema = pyarrow.schema([(name, pyarrow.list_(text) if name in lists else text) for name in PairRecord._fields])
        pairs, batches = self.pairs(), []
        while some := list(islice(pairs, _BATCH)):
            batches.append(pyarrow.RecordBatch.from_pylist([pair._asdict() for pair in some], schema))
        return datasets.Dataset(pyarrow.Table.from_batches(batches, schema))


def _require(package: str, name: str, purpose: str) -> Any:  # a module that has no types, or may be missing
    """Return an imported package that has `name`: a folder called `datasets` can be imported as well."""
    try:
        module = import_module(package)
        getattr(module, name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{purpose} needs {package}: pip install {package}") from error
    return module


def read_status(folder: Path) -> Report:
    """Return the numbers of a run. Raises `RunError` if the folder is no run."""
    store = open_for_reading(folder)
    try:
        report = make_report(store, GenerateStage.name, stored_prices(store))
        if report.translation is None or report.counts.total:
            return report
        return make_report(store, TRANSLATE_STAGE, stored_prices(store))  # the translation of a file
    finally:
        store.close()


def is_running(folder: Path, report: Report) -> bool:
    """Return whether a process is working on the run. After a session that has ended, it tries no lock."""
    may_be = report.translation is not None or any(session.ended is None for session in report.sessions[-1:])
    return may_be and is_working(folder)


def read_query(folder: Path, query: str) -> dict[str, object]:
    """Return one query as JSON values: annotation, outcome, pairs, and every answer with its raw text and request key.

    Raises `RunError` if the folder is no run, `InputError` if it has no such query.
    """
    store = open_for_reading(folder)
    try:
        with store.snapshot():
            found = (
                describe_query(store, GenerateStage.name, query)
                or describe_query(store, TRANSLATE_STAGE, query)
                or _find_chunks(store, query)
            )
    finally:
        store.close()
    if found is None:
        raise InputError(f"{folder} has no query {query!r}.")
    return found


def _find_chunks(store: Store, pair: str) -> dict[str, object] | None:
    """Return the chunks of a long pair, which was translated chunk by chunk."""
    found = takewhile(bool, (describe_query(store, TRANSLATE_STAGE, chunk_id(pair, number)) for number in count(1)))
    chunks = list(found)
    return {"id": pair, "pieces": chunks} if chunks else None
