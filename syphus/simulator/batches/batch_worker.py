"""Validates and answers the lines of batches, as far as the clock has come."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
from array import array
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

import orjson

from syphus.simulator.answering import Answerer, ParsedRequest
from syphus.simulator.auth import Client
from syphus.simulator.batches.batch_faults import SERVER_ERROR
from syphus.simulator.batches.batch_job import BatchJob, BatchStatus, Json
from syphus.simulator.batches.batch_lines import (
    CANCELLED,
    EXPIRED,
    TIMED_OUT,
    InputFile,
    InputRules,
    answered_line,
    empty_line,
    unanswered_line,
)
from syphus.simulator.batches.file_store import BATCH_OUTPUT, LIFETIME, FileStore, FileVersion
from syphus.simulator.faults import draw_fault
from syphus.simulator.replies import Delivery, Rejected, SimulatedReply, openai_error
from syphus.simulator.settings import Simulation

_KINDS = ("output", "error")
_AT_A_TIME = 16  # lines that are answered before others may work
_CODES_AT_ONCE = {
    "invalid_request": "The schema of the input line is invalid or the deployment SKU is invalid.",
    "model_not_found": "The model deployment name that was specified in the input file wasn't found.",
    "input_modified": "The blob input has been modified after the batch job was submitted.",
    "input_no_permissions": "It is not possible to access the blob input.",
}
_RATE_LIMITED = openai_error(429, "Rate limit reached. Please try again later.", "requests", code="rate_limit_exceeded")
_NO_STREAM = openai_error(400, "Streaming is not supported in the Batch API.", param="stream", code="invalid_value")
_INTERNAL = "The batch failed because of an internal error."


class _Work(NamedTuple):
    """What is needed to answer the lines of a batch."""

    input: InputFile
    order: array[int]


class BatchWorker:
    """Brings batches to the present time, one after the other. `jobs` are all batches by id, oldest first."""

    def __init__(self, simulation: Simulation, answerer: Answerer, files: FileStore) -> None:
        self.simulation = simulation
        self.jobs: dict[str, BatchJob] = {}
        self._answerer = answerer
        self._files = files
        self._work: dict[str, _Work] = {}
        self._lock = asyncio.Lock()

    async def bring_up_to_date(self, now: float) -> None:
        """Let everything happen to all batches that happens until `now`."""
        async with self._lock:
            for job in list(self.jobs.values()):
                if not job.status.final:
                    await self._bring_job_up_to_date(job, now)

    async def _bring_job_up_to_date(self, job: BatchJob, now: float) -> None:
        before = (job.status, job.answered)
        if job.status is BatchStatus.VALIDATING and now >= job.validated_at and job.fault != "stuck_validating":
            await self._validate(job)
        await self._answer_lines(job, job.lines_answered_at(now))
        while following := job.next_status(now):
            status, at = following
            if status.final:
                await self._finish(job, status, at)
            job.enter(status, at)
        if before != (job.status, job.answered):
            self.keep(job)

    def keep(self, job: BatchJob) -> None:
        """Write a batch down, for the next server on the same folder."""
        if self.simulation.batch_folder:
            path = self._files.folder / f"{job.id}.json"
            fresh = path.with_suffix(".new")
            fresh.write_bytes(orjson.dumps(job.as_json()))
            fresh.replace(path)

    async def _validate(self, job: BatchJob) -> None:
        input_file = await self._read_input(job)
        at = job.validated_at
        errors = input_file.errors
        if job.fault in _CODES_AT_ONCE:
            errors = [{"code": job.fault, "message": _CODES_AT_ONCE[job.fault], "line": None, "param": None}]
        elif not errors:
            errors = self._too_many_tokens(job, input_file)
        if errors or job.fault == "fails_at_once":
            job.model = input_file.model
            job.fail(errors, at)
            self._work.pop(job.id, None)
        else:
            job.begin(len(input_file.offsets), input_file.tokens, input_file.model, at)

    async def _read_input(self, job: BatchJob) -> InputFile:
        simulation = self.simulation
        known = simulation.deployments if job.azure else simulation.models
        rules = InputRules(job.endpoint, simulation.batch_most_lines, known, simulation.batch_models, azure=job.azure)
        input_file = InputFile(self._files.path(job.input_file_id), rules)
        if input_file.path.exists():
            for _ in input_file.read():
                await asyncio.sleep(0)
        else:
            input_file.errors.append(
                {
                    "code": "invalid_file",
                    "message": f"No such File object: {job.input_file_id}",
                    "line": None,
                    "param": None,
                }
            )
        self._work[job.id] = _Work(input_file, input_file.in_working_order(f"{simulation.seed}/{job.number}"))
        return input_file

    def _too_many_tokens(self, job: BatchJob, input_file: InputFile) -> list[Json]:
        limit, model = self.simulation.batch_enqueued_tokens, input_file.model
        enqueued = sum(
            each.tokens for each in self.jobs.values() if each.total and not each.status.final and each.model == model
        )
        if job.fault != "token_limit_exceeded" and (not limit or enqueued + input_file.tokens <= limit):
            return []
        text = (
            f"Enqueued token limit reached for {model} in organization org-simulated. Limit: {limit or 0:,} enqueued "
            "tokens. Please try again once some in_progress batches have been completed."
        )
        return [{"code": "token_limit_exceeded", "message": text, "line": None, "param": None}]

    async def _answer_lines(self, job: BatchJob, wanted: int) -> None:
        if job.answered >= wanted:
            return
        if job.id not in self._work:  # a server before this one began it
            await self._read_input(job)
        work = self._work[job.id]
        with (
            work.input.path.open("rb") as asked,
            self._result_path(job, "output").open("ab") as output,
            self._result_path(job, "error").open("ab") as errors,
        ):
            while job.answered < wanted:
                for _ in range(min(_AT_A_TIME, wanted - job.answered)):
                    self._answer_line(job, _line_at(asked, work, work.order[job.answered]), output, errors)
                    job.answered += 1
                await asyncio.sleep(0)
        job.written = {kind: self._result_path(job, kind).stat().st_size for kind in _KINDS}

    def _result_path(self, job: BatchJob, kind: str) -> Path:
        return self._files.folder / f"{job.id}-{kind}.jsonl"

    def _answer_line(self, job: BatchJob, line: Json, output: BinaryIO, errors: BinaryIO) -> None:
        """Answer one line into one of two files."""
        custom_id = str(line["custom_id"])
        number = job.answered
        line_id = f"batch_req_{job.id[6:]}{number:06x}"
        fault = self._line_fault(job, number)
        match fault:
            case "line_missing":
                return
            case "line_status_zero":
                output.write(empty_line(line_id, custom_id))
            case "line_no_response" | "line_timeout":
                errors.write(unanswered_line(line_id, custom_id, TIMED_OUT if fault == "line_timeout" else None))
            case "line_server_error" | "line_rate_limited":
                reply = SERVER_ERROR if fault == "line_server_error" else _RATE_LIMITED
                errors.write(answered_line(line_id, custom_id, f"req_{line_id}", reply))
            case _:
                reply = self._reply(job, line, line_id)
                good = reply.status == 200
                job.completed += good
                job.failed += not good
                self._write(fault, answered_line(line_id, custom_id, f"req_{line_id}", reply), good, (output, errors))
                return
        job.failed += 1

    def _write(self, fault: str, result: bytes, good: bool, files: tuple[BinaryIO, BinaryIO]) -> None:
        output, errors = files
        file = output if good and fault != "line_wrong_file" else errors
        match fault:
            case "line_lost":
                return
            case "line_torn":
                result = result[: len(result) // 2] + b"\n"
            case "line_unknown":
                file.write(orjson.dumps({**orjson.loads(result), "custom_id": secrets.token_hex(16)}) + b"\n")
            case "line_doubled":
                file.write(result)
        file.write(result)

    def _line_fault(self, job: BatchJob, number: int) -> str:
        if not self.simulation.batch_faults:
            return ""
        draw = Random(f"lines/{self.simulation.seed}/{job.number}/{number}").random()
        return draw_fault(draw, self.simulation.batch_faults)

    def _reply(self, job: BatchJob, line: Json, line_id: str) -> SimulatedReply:
        """Return the reply to the request in a line, and bill it."""
        answerer, at = self._answerer, self._time_of_line(job)
        call = answerer.begin(line_id, in_batch=True)
        client = Client(job.key, job.azure, deployment="", api_version="")
        try:
            asked = ParsedRequest(orjson.dumps(line["body"]), job.endpoint, client, self.simulation)
            reply = _NO_STREAM if asked.chat.stream else answerer.read_prompt(asked, call)
            if reply is None:
                reply = answerer.answer(asked, call, at)
                answerer.finish(call, at)
        except Rejected as rejected:
            reply = rejected.reply
        if reply.delivery is not Delivery.WHOLE:
            reply = SERVER_ERROR
        call.status = reply.status
        job.tokens_in += call.usage.prompt_tokens
        job.tokens_out += call.usage.completion_tokens
        job.tokens_cached += call.usage.cached_tokens
        answerer.end(call)
        return reply

    def _time_of_line(self, job: BatchJob) -> float:
        begun = job.times["in_progress_at"]
        return begun + (job.finalizes_at - begun) * job.answered / max(1, job.total)

    async def _finish(self, job: BatchJob, status: BatchStatus, at: float) -> None:
        """Write the result files of a batch that ends in `status`."""
        await self._answer_lines(job, job.lines_answered_at(at))
        if status in {BatchStatus.EXPIRED, BatchStatus.CANCELLED} and job.answered < job.total:
            await self._write_unanswered(job, EXPIRED if status is BatchStatus.EXPIRED else CANCELLED)
        if job.fault.startswith("fails_late"):
            job.errors = (
                []
                if job.fault == "fails_late"
                else [{"code": "server_error", "message": _INTERNAL, "line": None, "param": None}]
            )
        if job.fault == "cut_output":
            _cut(self._result_path(job, "output"))
        if job.fault != "fails_late_no_files":
            job.output_file_id = self._publish(job, "output", at)
            job.error_file_id = self._publish(job, "error", at)
        if job.fault == "output_gone" and job.output_file_id:
            self._files.remove(job.output_file_id)
        if job.fault == "shows_another_file":
            others = [each.output_file_id for each in self.jobs.values() if each is not job and each.output_file_id]
            job.output_file_id = others[-1] if others else job.output_file_id
        self._work.pop(job.id, None)

    async def _write_unanswered(self, job: BatchJob, error: tuple[str, str]) -> None:
        if job.id not in self._work:
            await self._read_input(job)
        work = self._work[job.id]
        with work.input.path.open("rb") as asked, self._result_path(job, "error").open("ab") as errors:
            for position in range(job.answered, job.total):
                line = _line_at(asked, work, work.order[position])
                errors.write(unanswered_line(f"batch_req_{job.id[6:]}{position:06x}", str(line["custom_id"]), error))
                job.failed += 1
                if not position % _AT_A_TIME:
                    await asyncio.sleep(0)

    def _publish(self, job: BatchJob, kind: str, at: float) -> str | None:
        """Make a file of what was written, and return its id; None if nothing was, unless Azure has an empty file."""
        written = self._result_path(job, kind)
        size = written.stat().st_size if written.exists() else 0
        azure = job.azure or job.fault == "zero_byte_error_file"
        if not size and not (azure and kind == "error" and job.status is not BatchStatus.FAILED):
            written.unlink(missing_ok=True)
            return None
        file_id = new_file_id()
        if size:
            written.replace(self._files.path(file_id))
        else:
            self._files.path(file_id).touch()
        expires = at + (job.output_expires_after or LIFETIME)
        self._files.add(FileVersion(file_id, f"{job.id}_{kind}.jsonl", BATCH_OUTPUT, size, at, expires))
        return file_id

    def restore(self) -> None:
        """Find the batches that an earlier server kept. Lines that it answered after that are answered again."""
        for path in self._files.folder.glob("batch_*.json") if self.simulation.batch_folder else ():
            job = BatchJob.from_json(orjson.loads(path.read_bytes()))
            self.jobs[job.id] = job
            for kind in _KINDS:
                written = self._result_path(job, kind)
                if not job.status.final and written.exists():
                    os.truncate(written, job.written.get(kind, 0))
        self.jobs = dict(sorted(self.jobs.items(), key=lambda item: item[1].number))


def new_file_id() -> str:
    """Return the id of a new file."""
    return f"file-{secrets.token_hex(12)}"


def _line_at(file: BinaryIO, work: _Work, number: int) -> Json:
    file.seek(work.input.offsets[number])
    line: Json = orjson.loads(file.readline())
    return line


def _cut(path: Path) -> None:
    """Cut off the second half of the last line of a file."""
    size = path.stat().st_size if path.exists() else 0
    if not size:
        return
    with path.open("r+b") as file:
        file.seek(max(0, size - 65_536))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        file.truncate(size - 1 - math.ceil(len(last) / 2))
