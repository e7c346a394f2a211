"""The writer when something fails that is no fault of the disk: it is reported as a bug, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from harness import KEY, Listener, server
from pydantic import SecretStr

from syphus.config.secrets import SecretRedactor
from syphus.config.settings import Config, EndpointConfig
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.routes import CHAT_ROUTE
from syphus.errors import SyphusError
from syphus.ledger.inputs import register
from syphus.ledger.records import Entry, Records, RequestCounts, Row, StoredAnswer
from syphus.ledger.sessions import begin_session
from syphus.ledger.store import open_for_writing
from syphus.pipeline.budget import Budget
from syphus.pipeline.engine import StageRun, run_stage
from syphus.pipeline.session_stats import SessionStats
from syphus.pipeline.stage import Judgement
from syphus.types import Completion, Outcome, Query, Request, State

STAGE, ROWS = "generate", 30


class AcceptAll:
    """A stage that accepts every answer."""

    name = STAGE

    def __init__(self) -> None:
        self._builder = RequestBuilder("chat", {})

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        return self._builder.request([{"role": "user", "content": row.query.text}])

    def judge(self, row: Row, completion: Completion) -> Judgement:
        return Judgement(Outcome(State.OK))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:
        return ""

    def adapt(self, parameter: str) -> bool:
        return False


class BrokenWrite(Records):
    """Has a bug that shows at the eighth entry."""

    entries = 0

    def write(self, entry: Entry) -> None:
        self.entries += 1
        if self.entries == 8:
            raise TypeError("unsupported operand")
        super().write(entry)


class BrokenCounts(Records):
    """Has a bug that shows after the entries of a group were written, and before they are committed."""

    groups = 0

    def write_request_counts(self, counts: RequestCounts) -> None:
        self.groups += 1
        if self.groups == 3:
            raise TypeError("unsupported operand")
        super().write_request_counts(counts)


def run(folder: Path, url: str, records: type[Records], listener: Listener) -> SyphusError | None:
    """Run a session over what is pending; fails if it hangs."""
    config = Config(endpoints=(EndpointConfig(base_url=url, api_key=SecretStr(KEY)),), model="chat")
    with closing(open_for_writing(folder)) as store:
        queries = [Query(f"q{number}", f"the door of house {number} is open") for number in range(ROWS)]
        register(store, STAGE, queries, lambda _: True, lambda _: None)
        session = begin_session(store, STAGE, {}, 4, url, "0", time.time())
        work = StageRun(
            stage=AcceptAll(),
            route=CHAT_ROUTE,
            store=store,
            records=records(store, STAGE, session),
            pairs=None,
            budget=Budget(None, None, None, 0.0, 0),
            stats=SessionStats(),
            redactor=SecretRedactor(),
            threads=4,
            max_rounds=0,
            trusted=False,
            seed=0,
            drain_seconds=5.0,
        )
        return asyncio.run(asyncio.wait_for(run_stage(work, config, listener), timeout=60))


def states(folder: Path) -> Counter[str]:
    with closing(open_for_writing(folder)) as store:
        return Counter(state for (state,) in store.read("SELECT state FROM query"))


def answers(folder: Path) -> int:
    with closing(open_for_writing(folder)) as store:
        return int(store.read_value("SELECT count(*) FROM answer"))


@pytest.mark.parametrize("broken", [BrokenWrite, BrokenCounts])
def test_a_bug_while_writing_is_raised_as_one_and_every_saved_answer_stays(
    broken: type[Records], tmp_path: Path
) -> None:
    listener = Listener()
    with server() as simulated:
        with pytest.raises(TypeError, match="unsupported operand") as caught:
            run(tmp_path, simulated.url, broken, listener)
        assert any("This is a bug in Syphus" in note for note in caught.value.__notes__)
        assert not any("can't be written" in line for line in listener.lines)
        (unsaved,) = (line for line in listener.lines if "could not be saved" in line)
        saved = states(tmp_path)[State.OK]
        assert 0 < saved < ROWS
        assert states(tmp_path)[State.PENDING] == ROWS - saved
        assert answers(tmp_path) == saved  # an entry is written whole, or not at all
        assert simulated.stats.ok >= saved + int(unsaved.split()[0])

        asked = simulated.stats.requests
        assert run(tmp_path, simulated.url, Records, listener) is None
        assert states(tmp_path) == {State.OK: ROWS}
        assert simulated.stats.requests - asked == ROWS - saved
