"""A gate in a folder that several runs on one host share. No process owns it: whoever asks does the gate's work.

The gate is a JSON text in an SQLite file. A message is one transaction: lock, read, `Gate.exchange`, write, commit.
That takes about a millisecond. If a process is killed in it, SQLite rolls back and the system frees the lock. Times are
`CLOCK_MONOTONIC`, which all processes of a host have in common. After a power cut the newest transactions may be
missing. That costs what the gate has learnt, and no money: promises of dollars are written to `spent.json` before a run
hears of them.
"""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from syphus.cluster.gate import Gate
from syphus.cluster.messages import PROTOCOL, GateGoneError, Lease, LeaseRequest
from syphus.cluster.shared_budget import read_budget, write_budget
from syphus.errors import ConfigError, StorageError
from syphus.storage.network_disks import network_disk

FILE = "gate.sqlite"
_BUSY_SECONDS = 2.0  #: that a message waits for the others
_APPLICATION = 0x53595047  # of SQLite's application_id: "SYPG"


class FolderGate:
    """A gate in `folder`, which is made if it is not there. `clock` is that of all processes of this host."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic, mounts: str | None = None) -> None:
        self.name = str(folder)
        self._folder, self._clock, self._mounts = folder, clock, mounts
        self._thread = ThreadPoolExecutor(1, "syphus gate")
        self._connection: sqlite3.Connection | None = None

    async def reach(self) -> None:
        """Open the file. Raises `ConfigError` if the folder can't be used."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open_file)

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Do the gate's work for one message. Raises `GateGoneError` if the file can't be used at present."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.exchange_now, request)
        except (sqlite3.Error, OSError, StorageError) as error:
            raise GateGoneError(str(error).rstrip(".")) from error

    async def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)

    def _open_file(self) -> None:
        if network := network_disk(self._folder, self._mounts):
            raise ConfigError(
                f"--share {self._folder}: it is on a network file system ({network}), whose locks can't be relied on. "
                "Use a folder on a local disk, or `syphus gate` for several hosts."
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._connect()
        except FileExistsError:
            raise ConfigError(f"--share {self._folder}: it is a file; name a folder.") from None
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"--share {self._folder}: {FILE} can't be used ({error}). Delete it while no run uses it; "
                "what was spent is in spent.json."
            ) from error

    def _connect(self) -> None:
        connection = sqlite3.connect(
            self._folder / FILE, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not version:
            connection.execute("CREATE TABLE gate (body TEXT NOT NULL)")
            connection.execute(f"PRAGMA user_version = {PROTOCOL}")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute("COMMIT")
        if version not in (0, PROTOCOL):
            raise ConfigError(
                f"--share {self._folder}: it was made by another version of Syphus (protocol {version}, here "
                f"{PROTOCOL}). Use one version everywhere, or another folder."
            )

    def exchange_now(self, request: LeaseRequest) -> Lease:
        """Do the same in this thread."""
        connection = self._connection
        assert connection is not None, "it is open"
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute("SELECT body FROM gate").fetchone()
            now = self._clock()
            gate = self._gate(row[0] if row else None, now)
            lease = gate.exchange(request, now)
            if gate.has_promised:
                gate.budget.version += 1
                write_budget(self._folder, gate.budget)
            body = json.dumps({"at": now, **gate.as_json()})
            connection.execute("UPDATE gate SET body = ?" if row else "INSERT INTO gate VALUES (?)", (body,))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        return lease

    def _gate(self, body: str | None, now: float) -> Gate:
        values = json.loads(body) if body else {"at": math.inf, **Gate().as_json()}
        is_new = values["at"] > now  # or the host was started again: only the budget still says anything
        gate = Gate.from_json({**values, "keys": {}, "used_at": {}} if is_new else values)
        budget = gate.budget
        if is_new or budget.max_cost is not None or budget.max_requests is not None:
            kept = read_budget(self._folder)
            if kept is not None and kept.version > budget.version:
                gate.budget = kept
        return gate
