"""The routes of files and batches."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

from syphus.simulator.answering import Answerer
from syphus.simulator.auth import authenticate
from syphus.simulator.batches.batch_faults import BATCH_FAULTS, BatchCall, as_script
from syphus.simulator.batches.batch_job import BatchClock, BatchJob, Json
from syphus.simulator.batches.batch_worker import BatchWorker, new_file_id
from syphus.simulator.batches.file_store import BATCH, LIFETIME, FileStore, FileVersion
from syphus.simulator.batches.multipart import receive
from syphus.simulator.chat_request import bad_request, parse_body
from syphus.simulator.faults import scripted
from syphus.simulator.replies import Delivery, Rejected, SimulatedReply, deliver, json_reply, openai_error
from syphus.simulator.settings import Simulation

_ROUTE = re.compile(r"^(?:/openai)?(?:/v1)?/(files|batches)(?:/([^/]+))?(?:/([^/]+))?$")
_CALLS = {  # method, collection, whether there is an id, and what follows it
    ("POST", "files", False, None): BatchCall.UPLOAD,
    ("GET", "files", False, None): BatchCall.FILES,
    ("GET", "files", True, None): BatchCall.FILE,
    ("GET", "files", True, "content"): BatchCall.CONTENT,
    ("DELETE", "files", True, None): BatchCall.DELETE,
    ("POST", "batches", False, None): BatchCall.CREATE,
    ("GET", "batches", False, None): BatchCall.BATCHES,
    ("GET", "batches", True, None): BatchCall.BATCH,
    ("POST", "batches", True, "cancel"): BatchCall.CANCEL,
}
_ENDPOINTS = ("/chat/completions", "/embeddings")
_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_SHORTEST, _LONGEST = 3600, LIFETIME  # seconds that a file may live
_MOST_METADATA, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512
_MOST_FILES_LISTED, _MOST_BATCHES_LISTED, _BATCHES_LISTED = 10_000, 100, 20
_MINUTE, _HOUR = 60.0, 3600.0


class BatchRoutes:
    """Files and batches of one endpoint."""

    def __init__(self, simulation: Simulation, answerer: Answerer, ticks: Callable[[], float]) -> None:
        self.simulation = simulation
        self._stats = answerer
        self.files = FileStore(simulation.batch_folder)
        self._worker = BatchWorker(simulation, answerer, self.files)
        self._worker.restore()
        latest = [file.created_at for file in self.files] + [job.created_at for job in self._worker.jobs.values()]
        self.clock = BatchClock(ticks, simulation.batch_speed, max(latest, default=0.0))
        self._calls: Counter[str] = Counter()
        self._created = len(self._worker.jobs)

    def apply(self, simulation: Simulation, names: set[str]) -> None:
        """Use other settings, of which these have changed. The folder stays as it is."""
        self.simulation = self._worker.simulation = simulation
        if names & {"all", "batch_speed"}:
            self.clock.run_at(simulation.batch_speed)
        if names & {"all", "batch_calls"}:
            self._calls.clear()
        if names & {"all", "batch_script"}:
            self._created = 0

    def close(self) -> None:
        """Delete files that are not to be kept."""
        self.files.close()

    async def bring_up_to_date(self) -> None:
        """Let everything happen to all batches that happens until now."""
        await self._worker.bring_up_to_date(self.clock.now())

    def serves(self, request: web.BaseRequest) -> bool:
        """Return whether a request is for a route of files or batches, or for their clock."""
        return self.simulation.batches and (request.path == "/clock" or _ROUTE.match(request.path) is not None)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request that `serves` accepted."""
        if request.path == "/clock":
            return await deliver(request, self._move_clock(request.query.get("advance", "0")), {}, 0, 0)
        collection, item, action = _ROUTE.match(request.path).groups()  # type: ignore[union-attr]  # `serves` accepted it
        call = _CALLS.get((request.method, collection, item is not None, action))
        headers = {"x-request-id": f"req_{secrets.token_hex(12)}", "x-syphus-simulated": "1"}
        hang = self.simulation.hang_seconds
        if call is None:
            reply = openai_error(404, f"Invalid URL ({request.method} {request.path})")
            return await deliver(request, reply, headers, hang, 0)
        fault = BATCH_FAULTS.get(self._next_fault(call))
        if self.simulation.down or (
            fault and fault.reply and not fault.done and fault.reply.delivery is not Delivery.CUT
        ):
            refusal = fault.reply if fault and fault.reply else SimulatedReply(200, delivery=Delivery.RESET)
            await request.content.read()
            return await deliver(request, refusal, headers, hang, 0)
        try:
            done = await self._do(call, request, item or "")
        except Rejected as rejected:
            return await deliver(request, rejected.reply, headers, hang, 0)
        if fault and fault.reply:
            reply = fault.reply
            if reply.delivery is Delivery.CUT:
                body = done.read_bytes() if isinstance(done, Path) else done.body
                reply = SimulatedReply(200, body, delivery=Delivery.CUT)
            return await deliver(request, reply, headers, hang, 0)
        if isinstance(done, Path):
            return web.FileResponse(done, headers={**headers, "Content-Type": "application/octet-stream"})
        return await deliver(request, done, headers, hang, 0)

    def _move_clock(self, seconds: str) -> SimulatedReply:
        try:
            self.clock.advance(float(seconds))
        except ValueError:
            return openai_error(400, f"advance={seconds} must be a number of seconds.")
        return json_reply(200, {"now": self.clock.now()})

    def _next_fault(self, call: BatchCall) -> str:
        self._stats.stats.batch_calls[call] += 1
        script = as_script(self.simulation.batch_calls.get(call, ""))
        number = self._calls[call]
        self._calls[call] += 1
        return scripted(script, number) or ""

    async def _do(self, call: BatchCall, request: web.BaseRequest, item: str) -> SimulatedReply | Path:
        """Do what a call asks for. Return the reply, or the file that is the reply."""
        client = authenticate(request, self.simulation)
        now = self.clock.now()
        match call:
            case BatchCall.UPLOAD:
                return await self._upload(request, azure=client.azure)
            case BatchCall.FILES:
                return self._list_files(request)
            case BatchCall.FILE:
                return json_reply(200, self.files.get(item, now).as_dict())
            case BatchCall.CONTENT:
                return self.files.path(self.files.get(item, now).id)
            case BatchCall.DELETE:
                self.files.remove(self.files.get(item, now).id)
                return json_reply(200, {"id": item, "object": "file", "deleted": True})
            case BatchCall.CREATE:
                return self._create(parse_body(await request.content.read()), client.key, azure=client.azure)
        await self.bring_up_to_date()
        if call is BatchCall.BATCHES:
            return self._list_batches(request)
        job = self._worker.jobs.get(item)
        if job is None:
            raise Rejected(openai_error(404, f"No batch found with id '{item}'."))
        if call is BatchCall.CANCEL:
            if job.status.final:
                raise Rejected(openai_error(409, f"Cannot cancel a batch with status '{job.status}'."))
            job.cancel(now)
            self._worker.keep(job)
        return json_reply(200, job.as_dict(now))

    async def _upload(self, request: web.BaseRequest, *, azure: bool) -> SimulatedReply:
        file_id = new_file_id()
        path = self.files.path(file_id)
        try:
            upload = await receive(request, path)
            purpose, now = upload.fields.get("purpose", ""), self.clock.now()
            file = self._checked_file(FileVersion(file_id, upload.filename, purpose, upload.size, now), upload.fields)
        except (Rejected, asyncio.CancelledError, ConnectionError):
            path.unlink(missing_ok=True)
            raise
        self.files.add(file)
        shown = file.as_dict()
        return json_reply(201 if azure else 200, shown)

    def _checked_file(self, file: FileVersion, fields: dict[str, str]) -> FileVersion:
        """Return a file with its expiry. Raises `Rejected` if it can't be accepted."""
        simulation = self.simulation
        if file.purpose not in _PURPOSES:
            raise bad_request(f"'{file.purpose}' is not one of {list(_PURPOSES)}", "purpose", "invalid_value")
        if not file.bytes:
            raise bad_request("File is empty.", "file", "empty_file")
        anchored = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
        seconds = _lifetime({"anchor": anchored[0], "seconds": anchored[1]}, "expires_after") if any(anchored) else 0
        if file.purpose == BATCH:
            if not file.filename.endswith(".jsonl"):
                raise bad_request("Invalid file format for Batch API. Must be .jsonl", "file", None)
            if file.bytes > simulation.batch_most_bytes:
                text = f"File size exceeds the limit of {simulation.batch_most_bytes} bytes for the purpose batch."
                raise bad_request(text, "file", "file_too_large")
            endless = sum(each.purpose == BATCH and not each.expires_at for each in self.files)
            if simulation.batch_most_files and not seconds and endless >= simulation.batch_most_files:
                text = f"There may be {simulation.batch_most_files} input files. Delete some, or set expires_after."
                raise bad_request(text, "file", "too_many_files")
        seconds = seconds or (LIFETIME if file.purpose == BATCH and not simulation.batch_most_files else 0)
        expires = file.created_at + seconds if seconds else 0.0
        return FileVersion(file.id, file.filename, file.purpose, file.bytes, file.created_at, expires)

    def _list_files(self, request: web.BaseRequest) -> SimulatedReply:
        now = self.clock.now()
        self.files.expire(now)
        purpose = request.query.get("purpose", "")
        shown = [file for file in self.files if purpose in {"", file.purpose} and self._is_listed(file.created_at, now)]
        if request.query.get("order", "desc") == "desc":
            shown.reverse()
        limit = _limit(request, _MOST_FILES_LISTED, _MOST_FILES_LISTED)
        return _page(request, [file.as_dict() for file in shown], limit)

    def _list_batches(self, request: web.BaseRequest) -> SimulatedReply:
        now = self.clock.now()
        jobs = [job for job in self._worker.jobs.values() if self._is_listed(job.created_at, now)]
        limit = _limit(request, _BATCHES_LISTED, _MOST_BATCHES_LISTED)
        return _page(request, [job.as_dict(now) for job in reversed(jobs)], limit)

    def _is_listed(self, created_at: float, now: float) -> bool:
        delay = self.simulation.batch_listing_delay
        return not delay or created_at + delay <= now

    def _create(self, body: Any, key: str, *, azure: bool) -> SimulatedReply:
        simulation, now = self.simulation, self.clock.now()
        endpoint = str(body.get("endpoint") or "")
        if not endpoint.endswith(_ENDPOINTS) or body.get("completion_window") != "24h":
            name = "completion_window" if endpoint.endswith(_ENDPOINTS) else "endpoint"
            raise bad_request(f"Invalid value for '{name}': '{body.get(name)}'.", name, "invalid_value")
        try:
            file = self.files.get(str(body.get("input_file_id") or ""), now)
        except Rejected:
            text = f"Invalid input_file_id: no such file {body.get('input_file_id')}."
            raise bad_request(text, "input_file_id", "invalid_file") from None
        if file.purpose != BATCH:
            raise bad_request("The input file must have the purpose 'batch'.", "input_file_id", "invalid_file")
        metadata = body.get("metadata")
        _check_metadata(metadata)
        after = body.get("output_expires_after")
        number = self._created
        self._created += 1
        fault = scripted(simulation.batch_script, number) or ""
        spread = Random(f"batch/{simulation.seed}/{number}").gauss(0, simulation.batch_sigma)
        lives = 0.0 if azure or not simulation.batch_hours else simulation.batch_hours * _HOUR
        job = BatchJob(
            id=f"batch_{secrets.token_hex(12)}",
            number=number,
            input_file_id=file.id,
            endpoint=endpoint,
            metadata=metadata,
            created_at=now,
            duration=simulation.batch_minutes * _MINUTE * math.exp(spread),
            expires_at=now + lives if lives else 0.0,
            azure=azure,
            key=key,
            fault=fault or ("null_endpoint" if azure else ""),
            output_expires_after=_lifetime(after, "output_expires_after") if after else 0,
        )
        self._worker.jobs[job.id] = job
        self._worker.keep(job)
        return json_reply(200, job.as_dict(now))


def _lifetime(asked: Any, name: str) -> int:
    """Return the seconds of an expiry policy. Raises `Rejected` if it is not valid."""
    try:
        seconds = int(asked["seconds"])
        valid = asked["anchor"] == "created_at" and _SHORTEST <= seconds <= _LONGEST
    except (KeyError, TypeError, ValueError):
        valid = False
    if not valid:
        text = f"Invalid '{name}': the anchor must be created_at, and seconds from {_SHORTEST} to {_LONGEST}."
        raise bad_request(text, name, "invalid_value")
    return seconds


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    fits = (
        isinstance(metadata, dict)
        and len(metadata) <= _MOST_METADATA
        and all(
            isinstance(value, str) and len(name) <= _LONGEST_KEY and len(value) <= _LONGEST_VALUE
            for name, value in metadata.items()
        )
    )
    if not fits:
        text = f"Invalid 'metadata': up to {_MOST_METADATA} texts of {_LONGEST_VALUE} characters with short names."
        raise bad_request(text, "metadata", "invalid_value")


def _limit(request: web.BaseRequest, default: int, most: int) -> int:
    text = request.query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise bad_request(
            f"Invalid 'limit': expected a value from 1 to {most}, but got {text}.", "limit", "invalid_value"
        )
    return int(text)


def _page(request: web.BaseRequest, objects: Sequence[Json], limit: int) -> SimulatedReply:
    """Return one page of a list, from after the id `after` on."""
    after = request.query.get("after")
    start = next((n for n, each in enumerate(objects, 1) if each["id"] == after), len(objects)) if after else 0
    page = objects[start : start + limit]
    return json_reply(
        200,
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": start + limit < len(objects),
        },
    )
