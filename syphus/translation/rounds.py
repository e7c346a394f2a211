"""The order of the requests: each pair in all languages, then rejected translations in batches, then one by one."""

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
from syphus.pipeline.observer import Observer
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

MAX_BATCH = 8  #: texts in one retry request
_LAST_LANGUAGES = f"{TRANSLATE_STAGE} asked for"  # meta: the languages of the last session
_NO_LIMIT = 1_000_000  # rounds: the stage itself stops when a pair has all its languages


class Rounds:
    """Asks for all translations of a plan that the ledger does not have yet."""

    def __init__(
        self, store: Store, runner: StageRunner, plan: TranslationPlan, settings: Settings, observer: Observer
    ) -> None:
        self._store = store
        self._runner = runner
        self._plan = plan
        self._settings = settings
        self._observer = observer
        self._codes = list(plan.targets)

    def settle_last_session(self) -> None:
        """Settle what the last session left open, as it may have been killed; before translations are reopened."""
        before = str(get_meta(self._store, _LAST_LANGUAGES) or "")
        self._account([code for code in before.split(",") if code])

    def prepare(self) -> int:
        """Prepare the ledger for this session; return how many pairs, or chunks of pairs, await their first request."""
        set_meta(self._store, _LAST_LANGUAGES, ",".join(self._codes))
        reopen_queries_with_missing_parts(self._store, TRANSLATE_STAGE, self._codes)
        return self._runner.report(TRANSLATE_STAGE, brief=True).counts.states[State.PENDING]

    def has_retries(self) -> bool:
        """Return whether any translation awaits a retry."""
        return any(True for code in self._codes for _ in pending_parts(self._store, TRANSLATE_STAGE, code))

    def run(self) -> SyphusError | None:
        """Run all rounds; return what stopped them, or None if nothing is left to ask."""
        report = self._runner.report(TRANSLATE_STAGE, brief=True)
        stopped_by = None
        if report.counts.states[State.PENDING]:
            stage = TranslateStage(self._store, self._request_builder, self._plan)
            stopped_by = self._runner.run(stage, self._settings, report, max_rounds=_NO_LIMIT)
            self._account(self._codes)
        while stopped_by is None and replace_part_batches(self._store, RETRY_STAGE, self._batches()):
            report = self._runner.report(RETRY_STAGE, brief=True)
            pending = report.counts.states[State.PENDING]
            self._observer.say(f"Retrying rejected translations: {pluralize(pending, 'request')}.")
            retry_stage = RetryTranslateStage(self._store, self._request_builder, self._plan)
            stopped_by = self._runner.run(retry_stage, self._settings, report, trusted=True)
            self._account(self._codes)
        self.settle()
        return stopped_by

    def settle(self) -> None:
        """Make each pair ok that is ok in all languages of this session."""
        settle_queries(self._store, TRANSLATE_STAGE, self._codes, INCOMPLETE)

    @property
    def _request_builder(self) -> RequestBuilder:
        return self._runner.request_builder

    def _account(self, codes: Sequence[str]) -> None:
        """Settle the parts whose request ended without an answer, in the languages `codes` of a session."""
        copy_query_states_to_parts(self._store, TRANSLATE_STAGE, codes)
        settle_failed_part_batches(self._store, RETRY_STAGE)

    def _batches(self) -> Iterator[PartBatch]:
        """Yield batches of parts that were rejected once, as many as fit into one answer, and later retries alone."""
        max_size = 1 if self._plan.per_language else MAX_BATCH
        batch: list[tuple[int, str]] = []
        tokens_left = 0.0
        for code in self._codes:
            for part in pending_parts(self._store, TRANSLATE_STAGE, code):
                if part.asks > 1:
                    yield [(part.n, part.name)]
                    continue
                tokens = estimate_answer_tokens(load_texts(part.text))
                if batch and (len(batch) == max_size or tokens > tokens_left):
                    yield batch
                    batch = []
                tokens_left = (tokens_left if batch else self._plan.answer_tokens) - tokens
                batch.append((part.n, part.name))
        if batch:
            yield batch
