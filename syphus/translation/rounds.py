"""What is asked when: each pair in all its languages, then what was no good together with others, then alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syphus.endpoints.request import RequestBuilder
from syphus.errors import SyphusError
from syphus.formats.translation_report import AGAIN, TRANSLATE
from syphus.ledger.batches import Batch, account_for_batches, register_batches
from syphus.ledger.parts import give_parts_the_state_of_their_query, open_parts, reopen_queries, settle_queries
from syphus.ledger.sessions import Settings, get_meta, set_meta
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.runs.session import StageRunner
from syphus.text import pluralize
from syphus.translation.chunks import load
from syphus.translation.stage import NOT_YET, RetryTranslateStage, TranslateStage, TranslationPlan, answer_tokens
from syphus.types import State

TOGETHER = 8  #: texts that are asked for again in one request, at the most
_ASKED = f"{TRANSLATE} asked for"  # meta: the languages of the last session
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

    def ready(self) -> int:
        """Makes ready what is to be asked; returns how many pairs, or pieces, there are to be asked about at first."""
        before = str(get_meta(self._store, _ASKED) or "")
        self._account([name for name in before.split(",") if name])  # of a session that was killed
        set_meta(self._store, _ASKED, ",".join(self._names))
        reopen_queries(self._store, TRANSLATE, self._names)
        return self._runner.report(TRANSLATE, brief=True).counts.states[State.PENDING]

    def waiting(self) -> bool:
        """Whether there is anything to be asked for again."""
        return any(True for name in self._names for _ in open_parts(self._store, TRANSLATE, name))

    def ask(self) -> SyphusError | None:
        """All rounds; returns what stopped them, None when there is nothing to be asked any more."""
        report = self._runner.report(TRANSLATE, brief=True)
        stopped_by = None
        if report.counts.states[State.PENDING]:
            stage = TranslateStage(self._store, self._sampling, self._plan)
            stopped_by = self._runner.ask(stage, self._settings, report, max_rounds=_NO_BOUND)
            self._account(self._names)
        while stopped_by is None and register_batches(self._store, AGAIN, self._batches()):
            report = self._runner.report(AGAIN, brief=True)
            pending = report.counts.states[State.PENDING]
            self._observer.say(f"Asking again for what was no good: {pluralize(pending, 'request')}.")
            stage_again = RetryTranslateStage(self._store, self._sampling, self._plan)
            stopped_by = self._runner.ask(stage_again, self._settings, report, trusted=True)
            self._account(self._names)
        self.settle()
        return stopped_by

    def settle(self) -> None:
        """A pair is ok that is so in all languages of this session."""
        settle_queries(self._store, TRANSLATE, self._names, NOT_YET)

    @property
    def _sampling(self) -> RequestBuilder:
        return self._runner.request_builder

    def _account(self, names: Sequence[str]) -> None:
        """What ended without an answer that could be judged; `names` are the languages that the session asked for."""
        give_parts_the_state_of_their_query(self._store, TRANSLATE, names)
        account_for_batches(self._store, AGAIN)

    def _batches(self) -> Iterator[Batch]:
        """Parts that were no good once, as many as fit into an answer; those that were no good twice, one by one."""
        most = 1 if self._plan.per_language else TOGETHER
        batch: list[tuple[int, str]] = []
        room = 0.0
        for name in self._names:
            for part in open_parts(self._store, TRANSLATE, name):
                if part.asks > 1:
                    yield [(part.n, part.name)]
                    continue
                tokens = answer_tokens(load(part.text))
                if batch and (len(batch) == most or tokens > room):
                    yield batch
                    batch = []
                room = (room if batch else self._plan.room) - tokens
                batch.append((part.n, part.name))
        if batch:
            yield batch
