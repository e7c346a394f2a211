"""Takes in the results of a shard: streams its files, joins their lines on `custom_id`, and writes each result once.

A line of a file is `{"custom_id", "response": {"status_code", "body"}, "error"}`. The order means nothing. An answer
and the new state of its line are in one commit, so whatever interrupts this, reading the files again finds what is
left. Of a line that comes twice, the first answer counts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.config.pricing import BATCH_TIER
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.classify import Action, ReplyVerdict, classify_error
from syphus.errors import InputError
from syphus.exchange import Completion, Request
from syphus.ledger.records import ANSWERED, NewAnswer
from syphus.ledger.sessions import RequestCounts, RequestKind
from syphus.ledger.shards import (
    LineResult,
    LineState,
    OpenLine,
    count_attempts,
    open_lines,
    write_line_results,
)
from syphus.ledger.store import Store
from syphus.pipeline.budget import Budget
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.session_context import SessionContext
from syphus.text import one_line

CHUNK = 500  #: lines in one commit
_BOM = b"\xef\xbb\xbf"
_NOT_SENT = frozenset({"batch_expired", "batch_cancelled", "batch_canceled"})  #: codes of lines that were not answered
MISSING_CAUSE = "missing in the results of a batch"

_Id = tuple[bytes, int]


class IngestCounts(NamedTuple):
    """What was found in the results of a shard."""

    answered: int = 0
    rejected: int = 0  #: refused for what the request is
    failed: int = 0  #: by errors that may pass
    not_sent: int = 0  #: expired or cancelled
    doubled: int = 0
    unknown: int = 0  #: ids that are not of the shard
    unreadable: int = 0

    @property
    def known(self) -> int:
        """The lines that have a result."""
        return self.answered + self.rejected + self.failed + self.not_sent


class _ParsedLine(NamedTuple):
    """One result, before it is written."""

    id: _Id
    shard: int
    line: OpenLine
    state: LineState
    cause: str
    completion: Completion | None = None
    reply: bytes | None = None
    maybe_billed: bool = False


class ResultIngester:
    """Takes in results for the stage of a session."""

    def __init__(
        self,
        store: Store,
        session: SessionContext,
        budget: Budget,
        redactor: SecretRedactor,
    ) -> None:
        self._store = store
        self._session = session
        self._budget = budget
        self._redactor = redactor

    async def read(
        self, shards: Sequence[int], files: Iterable[Path], state: EndpointState, line_bytes: int
    ) -> dict[int, IngestCounts]:
        """Take in the lines of files that belong to these shards; return what was found, by shard.

        `line_bytes` is the usual size of a request, for answers without a usage. Lines without a result stay open. What
        belongs to no shard is counted under 0.
        """
        waiting = open_lines(self._store, shards)
        seen: dict[_Id, LineState] = {}
        counts: dict[int, Counter[str]] = {0: Counter(), **{shard: Counter() for shard in shards}}
        chunk: list[_ParsedLine] = []
        for path in files:
            for raw in _lines(path):
                found = self._read_line(raw, waiting, seen, counts, shards, state, line_bytes)
                if found is not None:
                    chunk.append(found)
                if len(chunk) >= CHUNK:
                    await self._write(chunk, state)
                    chunk = []
        await self._write(chunk, state)
        return {shard: IngestCounts(**count) for shard, count in counts.items()}

    def _read_line(
        self,
        raw: bytes,
        waiting: dict[_Id, tuple[int, OpenLine]],
        seen: dict[_Id, LineState],
        counts: dict[int, Counter[str]],
        shards: Sequence[int],
        state: EndpointState,
        line_bytes: int,
    ) -> _ParsedLine | None:
        """Return the result in a line; None if it brings nothing new."""
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict):
            counts[0]["unreadable"] += 1
            return None
        name = _read_id(data.get("custom_id"))
        known = waiting.get(name) if name is not None else None
        if name is None or known is None:
            counts[0]["unknown"] += name is None or not self._was_taken(name, shards)
            return None
        shard, line = known
        found = self._result(name, shard, line, data, state, line_bytes)
        before = seen.get(name)
        if before is not None:
            counts[shard]["doubled"] += 1
            if before is LineState.ANSWERED or found.state is not LineState.ANSWERED:
                return None
            counts[shard][_NAMES[before]] -= 1
            found = found._replace(line=line._replace(bound=0.0))  # what was reserved is settled
        seen[name] = found.state
        counts[shard][_NAMES[found.state]] += 1
        return found

    def _was_taken(self, name: _Id, shards: Sequence[int]) -> bool:
        """Return whether a line was taken in before this was interrupted."""
        return any(
            self._store.read_one("SELECT 1 FROM shard_line WHERE key = ? AND sample = ? AND shard = ?", *name, shard)
            for shard in shards
        )

    def _result(
        self, name: _Id, shard: int, line: OpenLine, data: dict[str, object], state: EndpointState, line_bytes: int
    ) -> _ParsedLine:
        response, error = data.get("response"), data.get("error")
        status, body = _status_and_body(response)
        if body is None and isinstance(error, dict):  # vLLM's place for it
            body = {"error": error}
        if not status:
            code = error.get("code") if isinstance(error, dict) else None
            if code in _NOT_SENT:
                return _ParsedLine(name, shard, line, LineState.MISSING, str(code).replace("_", " "))
            cause = f"batch error {one_line(str(code), 60)}" if code else "no reply in a batch"
            return _ParsedLine(name, shard, line, LineState.FAILED, cause)
        verdict = self._verdict(status, body, name, state, line_bytes)
        if verdict.completion is not None:
            completion = replace(verdict.completion, service_tier=BATCH_TIER)
            if line.form:
                completion = replace(completion, flags=(*completion.flags, *line.form.split("\n")))
            return _ParsedLine(name, shard, line, LineState.ANSWERED, ANSWERED, completion)
        if verdict.action in (Action.RETRY, Action.PAUSE):
            billed = verdict.maybe_billed and 200 <= status < 300
            return _ParsedLine(name, shard, line, LineState.FAILED, verdict.cause, maybe_billed=billed)
        reply = orjson.dumps({"status": verdict.inner_status or status, "body": _error_of(body, verdict)})
        return _ParsedLine(name, shard, line, LineState.REJECTED, verdict.cause, reply=reply)

    def _verdict(self, status: int, body: object, name: _Id, state: EndpointState, line_bytes: int) -> ReplyVerdict:
        content = orjson.dumps(body)
        if 200 <= status < 300:
            content = self._redactor.scrub_answer(content)
            stub = Request(name[0], b"", name[1], image_bytes=line_bytes)
            verdict = state.endpoint.classify(content, stub, {})
            if not verdict.inner_status:
                return verdict
            content, status = orjson.dumps({"error": verdict.inner_error}), verdict.inner_status
        content = self._redactor.scrub_error(content)
        found = classify_error(status, {}, content, state.endpoint.host, time.time())
        return replace(found, inner_status=status, inner_error=orjson.loads(content))

    async def _write(self, chunk: list[_ParsedLine], state: EndpointState) -> None:
        """Write results in one commit, and settle what was reserved for them."""
        if not chunk:
            return
        session, host = self._session, state.endpoint.host
        counts = RequestCounts()
        for found in chunk:
            unknown = self._budget.settle(found.line.bound, found.completion, found.maybe_billed)
            kind = RequestKind.ANSWERED if found.completion is not None else RequestKind.FAILED
            kind = RequestKind.REFUSED if found.state is LineState.REJECTED else kind
            counts.add(found.cause, found.maybe_billed, 0.0, host, kind)
            if unknown:
                counts.unknown_cost[found.cause] += unknown
            session.stats.requests += 1
            if found.completion is None:
                session.stats.errors[found.cause] += 1
            else:
                session.stats.usage += found.completion.usage
        await session.writer.perform_or_raise(lambda: self._put(chunk, counts, host))
        if any(found.completion is not None for found in chunk):
            now = session.clock()
            state.health.record_answer(now, chunk[0].line.row, now)

    def _put(self, chunk: Sequence[_ParsedLine], counts: RequestCounts, host: str) -> None:
        records = self._session.records
        for found in chunk:
            if found.completion is not None:
                key, sample = found.id
                while records.find_answer(key, sample) is not None:  # asked in another way meanwhile: kept as a spare
                    sample += 1
                number = records.next_answer_number()
                records.write_batch_answer(NewAnswer(number, key, sample, found.completion, 0.0, host))
        write_line_results(
            self._store, (LineResult(*found.id, found.shard, found.state, found.reply) for found in chunk)
        )
        count_attempts(self._store, (found.line.row for found in chunk if found.state is not LineState.REJECTED))
        records.write_request_counts(counts)


_NAMES = {
    LineState.ANSWERED: "answered",
    LineState.REJECTED: "rejected",
    LineState.FAILED: "failed",
    LineState.MISSING: "not_sent",
}


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that are not blank, without a byte order mark. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file):
                line = raw.removeprefix(_BOM).strip() if number == 0 else raw.strip()
                if line:
                    yield line
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.") from error


def _read_id(text: object) -> _Id | None:
    if not isinstance(text, str):
        return None
    key, dash, sample = text.partition("-")
    try:
        return (bytes.fromhex(key), int(sample)) if dash and sample.isascii() and sample.isdecimal() else None
    except ValueError:
        return None


def _status_and_body(response: object) -> tuple[int, object]:
    if not isinstance(response, dict):
        return 0, None
    status, body = response.get("status_code"), response.get("body")
    if isinstance(body, str):  # some servers put the JSON into a text
        try:
            body = orjson.loads(body)
        except orjson.JSONDecodeError:
            body = {"error": {"message": body}}
    if not isinstance(status, int) or isinstance(status, bool):
        status = 200 if isinstance(body, dict) and "choices" in body else 0
    return status, body


def _error_of(body: object, verdict: ReplyVerdict) -> object:
    return body if verdict.inner_error is None else verdict.inner_error
