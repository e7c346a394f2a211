"""What is asked when: each pair in all its languages, then what was no good together with others, then alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syphus.endpoints.request import RequestBuilder
from syphus.errors import SyphusError
from syphus.formats.translation_report import RETRY_STAGE, TRANSLATE_STAGE
from syphus.ledger.batches import PartBatch, replace_part_batches, settle_failed_part_batches
from syphus.ledger.parts import (
    copy_query_states_to_parts,
    pending_parts,
    reopen_queries_with_missing_parts,
    settle_queries,
)
from syphus.ledger.sessions import Settings, get_meta, set_meta
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.runs.session import StageRunner
from syphus.text import pluralize
from syphus.translation.chunks import load_texts
from syphus.translation.stage import (
    INCOMPLETE,
    RetryTranslateStage,
    TranslateStage,
    TranslationPlan,
    estimate_answer_tokens,
)
from syphus.types import State

MAX_BATCH = 8  #: texts that are asked for again in one request, at the most
_ASKED = f"{TRANSLATE_STAGE} asked for"  # meta: the languages of the last session
_NO_BOUND = 1_000_000  # rounds: the stage itself knows when a pair has all its languages


class Rounds:
    """Asks for everything that `plan` wants and the ledger has not got yet."""

    def __init__(
        self, store: Store, runner: StageRunner, plan: TranslationPlan, settings: Settings, observer: Observer
    ) -> None:
        self._store = store
        self._runner = runner
        self._plan = plan
        self._settings = settings
        self._observer = observer
        self._names = list(plan.targets)

    def prepare(self) -> int:
        """Makes ready what is to be asked; returns how many pairs, or pieces, there are to be asked about at first."""
        before = str(get_meta(self._store, _ASKED) or "")
        self._account([name for name in before.split(",") if name])  # of a session that was killed
        set_meta(self._store, _ASKED, ",".join(self._names))
        reopen_queries_with_missing_parts(self._store, TRANSLATE_STAGE, self._names)
        return self._runner.report(TRANSLATE_STAGE, brief=True).counts.states[State.PENDING]

    def has_retries(self) -> bool:
        """Whether there is anything to be asked for again."""
        return any(True for name in self._names for _ in pending_parts(self._store, TRANSLATE_STAGE, name))

    def run(self) -> SyphusError | None:
        """All rounds; returns what stopped them, None when there is nothing to be asked any more."""
        report = self._runner.report(TRANSLATE_STAGE, brief=True)
        stopped_by = None
        if report.counts.states[State.PENDING]:
            stage = TranslateStage(self._store, self._sampling, self._plan)
            stopped_by = self._runner.run(stage, self._settings, report, max_rounds=_NO_BOUND)
            self._account(self._names)
        while stopped_by is None and replace_part_batches(self._store, RETRY_STAGE, self._batches()):
            report = self._runner.report(RETRY_STAGE, brief=True)
            pending = report.counts.states[State.PENDING]
            self._observer.say(f"Asking again for what was no good: {pluralize(pending, 'request')}.")
            stage_again = RetryTranslateStage(self._store, self._sampling, self._plan)
            stopped_by = self._runner.run(stage_again, self._settings, report, trusted=True)
            self._account(self._names)
        self.settle()
        return stopped_by

    def settle(self) -> None:
        """A pair is ok that is so in all languages of this session."""
        settle_queries(self._store, TRANSLATE_STAGE, self._names, INCOMPLETE)

    @property
    def _sampling(self) -> RequestBuilder:
        return self._runner.request_builder

    def _account(self, names: Sequence[str]) -> None:
        """What ended without an answer that could be judged; `names` are the languages that the session asked for."""
        copy_query_states_to_parts(self._store, TRANSLATE_STAGE, names)
        settle_failed_part_batches(self._store, RETRY_STAGE)

    def _batches(self) -> Iterator[PartBatch]:
        """Parts that were no good once, as many as fit into an answer; those that were no good twice, one by one."""
        most = 1 if self._plan.per_language else MAX_BATCH
        batch: list[tuple[int, str]] = []
        room = 0.0
        for name in self._names:
            for part in pending_parts(self._store, TRANSLATE_STAGE, name):
                if part.asks > 1:
                    yield [(part.n, part.name)]
                    continue
                tokens = estimate_answer_tokens(load_texts(part.text))
                if batch and (len(batch) == most or tokens > room):
                    yield batch
                    batch = []
                room = (room if batch else self._plan.answer_tokens) - tokens
                batch.append((part.n, part.name))
        if batch:
            yield batch
