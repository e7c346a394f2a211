"""The writer when something fails that is no fault of the disk: it is reported as a bug, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from harness import KEY, Listener, server
from pydantic import SecretStr
from simulated_session import STAGE, AcceptAll, open_ledger

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.config.settings import Config
from syphus.endpoints.routes import CHAT_ROUTE
from syphus.errors import SyphusError
from syphus.ledger.records import Entry, Records
from syphus.ledger.sessions import RequestCounts
from syphus.ledger.store import open_for_writing
from syphus.pipeline.budget import Budget
from syphus.pipeline.engine import run_stage
from syphus.pipeline.session_context import SessionStats
from syphus.pipeline.stage_run import StageRun
from syphus.types import State

ROWS = 30


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
    store, session = open_ledger(folder, ROWS)
    with closing(store):
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
