"""Reading a run, while it works or afterwards: its numbers, one query, or all pairs, outcomes and raw answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count, islice, takewhile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from syphus.errors import ConfigError, InputError, RunError, SyphusError
from syphus.formats.related_pairs import pairs_with_context
from syphus.formats.report import Report, as_json, make_report
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.io.text_files import missing
from syphus.ledger.controls import SessionControls, read_controls
from syphus.ledger.parts import chunk_id
from syphus.ledger.results import answered_queries, describe_query, raw_answers
from syphus.ledger.reviewed import ReviewCounts, ReviewRecord, count_run_reviews, read_reviews
from syphus.ledger.store import FILE, Store, is_working, open_for_reading
from syphus.runs.control import WorkingProcess, working_now
from syphus.runs.failures import Failures, read_failures
from syphus.runs.rows import RowFilter, RowRecord, check_ids, nearest_ids, read_rows
from syphus.runs.run_settings import GENERATE, KeptCommand, kept_command, stored_prices
from syphus.text import alternatives
from syphus.types import State

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
    process: WorkingProcess | None = None  #: that works on the run at the moment
    command: KeptCommand | None = None  #: the newest one, None if an earlier version made the run
    reviews: ReviewCounts | None = None  #: what people decided about the pairs, None if nobody has
    controls: SessionControls | None = None  #: what people can change while it works; None of an earlier version

    def limit(self, name: str) -> float | None:
        """Return the budget in force while the run works, "max_cost" or "max_requests"; None if there is none."""
        if self.controls is not None:
            return getattr(self.controls.in_force, name)  # type: ignore[no-any-return]  # both are numbers or None
        given = self.command.options.get(name) if self.command else None
        return None if given is None else float(str(given))

    def as_json(self) -> dict[str, object]:
        """Return what `report.json` holds, the reviews and, while the run works, the process and its rate."""
        values = as_json(self.report)
        if self.reviews is not None:
            values["reviews"] = self.reviews.as_json()
        if self.process is not None:
            values["working"] = {
                "pid": self.process.process.pid if self.process.process else None,
                "host": self.process.process.host if self.process.process else None,
                "rows_per_minute": round(self.process.rows_per_minute, 1),
                "seconds_left": self.process.seconds_left,
                "last_answer_seconds_ago": self.process.last_answer,
                "max_cost": self.limit("max_cost"),
                "max_requests": self.limit("max_requests"),
            }
        return values


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
        with self._store.snapshot():
            report = _report(self._store)
            working = is_running(self.folder, report)
            process = working_now(self._store, self.folder, report, time.time()) if working else None
            command, controls = kept_command(self._store), read_controls(self._store)
            reviews = count_run_reviews(self._store, GENERATE)
        return RunStatus(
            counts={state.value: count for state, count in report.counts.states.items()},
            pairs=report.counts.pairs,
            cost=report.cost,
            requests=report.spending.requests,
            working=working,
            simulated=report.simulated,
            report=report,
            process=process,
            command=command,
            controls=controls,
            reviews=reviews,
        )

    @property
    def command(self) -> KeptCommand | None:
        """The newest command of the run; None if an earlier version made it."""
        return kept_command(self._store)

    def rows(
        self,
        state: str | Sequence[str] = (),
        *,
        reason: str = "",
        query: str | Sequence[str] = (),
        language: str = "",
    ) -> Iterator[RowRecord]:
        """Iterate over the rows with their annotation, messages, raw answers, pairs and verdict, in input order.

        `state` is one or several of ok, invalid, truncated, refused, failed and pending; `reason` is a part of the
        reason; `query` are ids. With a `language`, the rows are the pairs that are translated into it. Raises
        `ConfigError` for a state, `InputError` for an id that does not exist.
        """
        wanted = RowFilter(states=parse_states(state), reason=reason, ids=_listed(query), language=language)
        check_ids(self._store, wanted)
        return read_rows(self._store, wanted, stored_prices(self._store))

    def failures(self, examples: int = 3) -> Failures:
        """Return what went wrong, by cause, with up to `examples` ids each."""
        return read_failures(self._store, stored_prices(self._store), examples)

    def pairs(self) -> Iterator[PairRecord]:
        """Iterate over the accepted pairs, in the order of the input."""
        for result in pairs_with_context(self._store, GENERATE):
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

    def reviews(self) -> Iterator[ReviewRecord]:
        """Iterate over the decisions of reviewers, in the order in which they came."""
        return read_reviews(self._store, GENERATE)

    def outcomes(self) -> Iterator[OutcomeRecord]:
        """Iterate over the queries and what became of each, in the order of the input."""
        for each in answered_queries(self._store, GENERATE):
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
    """Return the numbers of a run. Raises `RunError` if the folder is not a run."""
    store = open_for_reading(folder)
    try:
        with store.snapshot():
            return _report(store)
    finally:
        store.close()


def _report(store: Store) -> Report:
    report = make_report(store, GENERATE, stored_prices(store))
    if report.translation is None or report.counts.total:
        return report
    return make_report(store, TRANSLATE_STAGE, stored_prices(store))  # the translation of a file


def parse_states(states: str | Sequence[str]) -> tuple[State, ...]:
    """Return states by their names. Raises `ConfigError` for a name that no state has."""
    names = _listed(states)
    for name in names:
        if name.lower() not in list(State):
            raise ConfigError(f"state {name}: must be {alternatives(State)}.")
    return tuple(State(name.lower()) for name in names)


def _listed(values: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(each.strip() for each in (values.split(",") if isinstance(values, str) else values) if each.strip())


def is_running(folder: Path, report: Report) -> bool:
    """Return whether a process is working on the run. After a session that has ended, it tries no lock."""
    may_be = report.translation is not None or any(session.ended is None for session in report.sessions[-1:])
    return may_be and is_working(folder)


def read_query(folder: Path, query: str) -> dict[str, object]:
    """Return one query as JSON values: annotation, outcome, pairs, and every answer with its raw text and request key.

    Raises `RunError` if the folder is not a run, `InputError` if it has no such query.
    """
    store = open_for_reading(folder)
    try:
        with store.snapshot():
            found = (
                describe_query(store, GENERATE, query)
                or describe_query(store, TRANSLATE_STAGE, query)
                or _find_chunks(store, query)
            )
            if found is None:
                raise InputError(f"{folder} has no query {query!r}{nearest_ids(store, GENERATE, query)}")
    finally:
        store.close()
    return found


def _find_chunks(store: Store, pair: str) -> dict[str, object] | None:
    """Return the chunks of a long pair, which was translated chunk by chunk."""
    found = takewhile(bool, (describe_query(store, TRANSLATE_STAGE, chunk_id(pair, number)) for number in count(1)))
    chunks = list(found)
    return {"id": pair, "pieces": chunks} if chunks else None


_DEEPEST = 4  # levels below a folder that are searched for runs


class RunSummary(NamedTuple):
    """A run below a folder. `problem` says why it can't be read, and is "" otherwise."""

    folder: Path
    states: Mapping[str, int]
    pairs: int
    cost: float | None
    working: bool
    simulated: bool
    last_used: float  #: seconds since the epoch
    command: str  #: "" if an earlier version made it
    problem: str = ""

    @property
    def state(self) -> str:
        """One word for where the run stands."""
        if self.problem:
            return "unreadable"
        if self.working:
            return "working"
        return "stopped" if self.states.get(State.PENDING) else "done"

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {**self._asdict(), "folder": str(self.folder), "state": self.state}


def find_runs(output: Path) -> Iterator[Path]:
    """Yield the folders of runs in and below a folder, sorted. Raises `RunError` if there is no such folder."""
    if not output.is_dir():
        raise RunError(f"{missing(output, 'folder')}.")
    for folder, below, files in os.walk(output):
        depth = len(Path(folder).relative_to(output).parts)
        below[:] = [] if FILE in files or depth >= _DEEPEST else sorted(n for n in below if not n.startswith("."))
        if FILE in files:
            yield Path(folder)


def summarize_run(folder: Path) -> RunSummary:
    """Return the summary of a run, also of one that can't be read."""
    last_used = max(path.lstat().st_mtime for path in folder.glob(f"{FILE}*"))  # it may be a link to nothing
    try:
        with RunReader(folder) as run:
            status = run.status()
            kept = run.command
    except (SyphusError, OSError) as error:
        return RunSummary(folder, {}, 0, None, False, False, last_used, "", str(error))
    line = kept.line(folder.absolute()) if kept else ""
    return RunSummary(
        folder, status.counts, status.pairs, status.cost, status.working, status.simulated, last_used, line
    )
