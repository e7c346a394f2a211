"""The routes of the Batch API: files and batches, and what their replies mean for a request that may have cost money.

Nothing here is repeated by itself: a creation that is sent twice is two batches, and both are billed. The shapes are
those of https://developers.openai.com/api/docs/guides/batch and of the batch page of Azure OpenAI, looked up on
2026-12-01. Servers differ in what they leave out: ids of files come as null or "", the endpoint as null, and counts as
0 although the file holds answers. So only ids, the status and the errors are read.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from syphus.endpoints.classify import Action, classify_error
from syphus.endpoints.connections import NoReplyError, Reply
from syphus.endpoints.error_body import ErrorBody, read_error_body
from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.text import one_line

if TYPE_CHECKING:
    import aiohttp

    from syphus.endpoints.remote_endpoint import RemoteEndpoint

FINGERPRINT = "syphus_fingerprint"  #: in the metadata of a batch
PURPOSE = "batch"
WINDOW = "24h"  #: the only one that there is
_TIMEOUT = 60.0  # seconds for a small request
_SLOWEST = 50_000.0  # bytes a second of a large one
_PAGE = 100  # batches of one list
_FILES_PAGE = 10_000
_LIMIT = re.compile(r"limit:?\s*([\d,]{4,})\s*(?:enqueued)?\s*tokens", re.IGNORECASE)
_TOKEN_CODES = frozenset({"token_limit_exceeded", "enqueued_token_limit_exceeded", "batch_enqueued_token_limit"})


class Problem(Enum):
    """What a request without its result means."""

    REFUSED = auto()  #: a definite no: nothing was made
    MISSING = auto()  #: a definite no: the server does not know it
    BUSY = auto()  #: a definite no for now
    UNCERTAIN = auto()  #: it may have been done


class RouteError(Exception):
    """A request to a route failed.

    `wait` are the seconds that the server asks to wait, if it does. `is_token_limit` says that it refuses the batch
    because too many tokens are enqueued.
    """

    def __init__(
        self,
        problem: Problem,
        message: str,
        status: int = 0,
        wait: float | None = None,
        *,
        is_token_limit: bool = False,
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.status = status
        self.wait = wait
        self.is_token_limit = is_token_limit


class BatchError(NamedTuple):
    """One of the errors for which a batch failed."""

    code: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.line is None else f" (line {self.line})"
        return f"{self.code}{place}: {one_line(self.message, 200)}" if self.code else one_line(self.message, 200)

    @property
    def is_token_limit(self) -> bool:
        """Whether the enqueued tokens are more than the server allows."""
        return _says_token_limit(self)

    @property
    def stated_limit(self) -> float | None:
        """The enqueued tokens that the server allows, if the message says so."""
        found = _LIMIT.search(self.message)
        return float(found[1].replace(",", "")) if found else None


class ServerBatch(NamedTuple):
    """A batch as the server shows it. Times are seconds since the epoch; an id that is missing is ""."""

    id: str
    status: str
    input_file: str
    output_file: str
    error_file: str
    fingerprint: str
    created_at: float
    errors: tuple[BatchError, ...]
    completed: int  #: requests that are done, as it claims

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ("completed", "failed", "expired", "cancelled")


class BatchApi:
    """The routes of one endpoint. All methods but `close` raise `RouteError`, and `ConfigError` if unsigned."""

    def __init__(self, endpoint: RemoteEndpoint) -> None:
        self._endpoint = endpoint
        self.host = endpoint.host

    async def upload(self, path: Path, seconds: int) -> str:
        """Upload a file of requests, which expires after these seconds; return its id."""
        import aiohttp

        with path.open("rb") as file:
            form = aiohttp.MultipartWriter("form-data")
            for name, value in (
                ("purpose", PURPOSE),
                ("expires_after[anchor]", "created_at"),
                ("expires_after[seconds]", str(seconds)),
            ):
                form.append(value).set_content_disposition("form-data", name=name)
            part = form.append_payload(
                aiohttp.payload.BufferedReaderPayload(file, content_type="application/jsonl")  # read in pieces
            )
            part.set_content_disposition("form-data", name="file", filename=path.name)
            size = os.fstat(file.fileno()).st_size
            data = await self._json("/files", form, seconds=_TIMEOUT + size / _SLOWEST)
        return self._id_of(data, "file")

    async def create(self, file_id: str, url: str, metadata: Mapping[str, str]) -> ServerBatch:
        """Create a batch. If that is `UNCERTAIN`, only a list can tell whether there is one."""
        fields = {"input_file_id": file_id, "endpoint": url, "completion_window": WINDOW, "metadata": dict(metadata)}
        data = await self._json("/batches", orjson.dumps(fields))
        self._id_of(data, "batch")
        return _batch(data)

    async def get(self, batch_id: str) -> ServerBatch:
        """Return a batch."""
        return _batch(await self._json(f"/batches/{batch_id}"))

    async def cancel(self, batch_id: str) -> ServerBatch:
        """Ask for a batch to be cancelled; what is done by then stays, and is billed."""
        return _batch(await self._json(f"/batches/{batch_id}/cancel", b"{}"))

    async def list_batches(self, since: float) -> list[ServerBatch]:
        """Return the batches that were created since a time, newest first."""
        found: list[ServerBatch] = []
        query = {"limit": str(_PAGE)}
        while True:
            data = await self._json("/batches", query=query)
            listed = data.get("data")
            page = [_batch(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
            found += page
            if not page or data.get("has_more") is not True or page[-1].created_at < since:
                return found
            query = {"limit": str(_PAGE), "after": page[-1].id}

    async def list_files(self) -> dict[str, str]:
        """Return the ids of the files of requests that the server has, by name; of equal names, the newest."""
        data = await self._json("/files", query={"purpose": PURPOSE, "limit": str(_FILES_PAGE)})
        listed = data.get("data")
        files = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        files.sort(key=lambda each: _number(each.get("created_at")))
        return {str(each.get("filename")): str(each.get("id") or "") for each in files}

    async def download(self, file_id: str, target: Path, expected: int) -> None:
        """Write the content of a file to `target`; it has about `expected` bytes."""
        seconds = 10 * _TIMEOUT + 4 * expected / _SLOWEST
        await self._send(f"/files/{file_id}/content", seconds=seconds, target=target)

    async def _json(
        self,
        path: str,
        body: bytes | aiohttp.Payload | None = None,
        *,
        query: Mapping[str, str] | None = None,
        seconds: float = _TIMEOUT,
    ) -> dict[str, object]:
        reply = await self._send(path, body, query=query, seconds=seconds)
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict):
            raise RouteError(
                Problem.UNCERTAIN, f"{self.host} replies to {path} with something other than a JSON object"
            )
        return data

    async def _send(
        self,
        path: str,
        body: bytes | aiohttp.Payload | None = None,
        *,
        query: Mapping[str, str] | None = None,
        seconds: float = _TIMEOUT,
        target: Path | None = None,
    ) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                reply = await self._endpoint.exchange(path, body, query=query or {}, target=target)
        except NoReplyError as error:
            raise RouteError(Problem.UNCERTAIN, f"{self.host}: {error.kind.value} {error.message}".rstrip()) from error
        except TimeoutError:
            raise RouteError(Problem.UNCERTAIN, f"{self.host}: no reply within {seconds:.0f} s") from None
        if 200 <= reply.status < 300:
            return reply
        raise self._error(reply, path)

    def _error(self, reply: Reply, path: str) -> RouteError:
        status, now = reply.status, time.time()
        verdict = classify_error(status, reply.headers, reply.body, self.host, now)
        error = read_error_body(reply.body)
        said = one_line(error.message, 200) or "no message"
        message = f"{self.host} ({status}) on {path.partition('?')[0]}: {said}"
        if status in (404, 405, 501):
            return RouteError(Problem.MISSING, message, status)
        if verdict.action is Action.PAUSE and status < 500:
            return RouteError(Problem.BUSY, message, status, retry_wait(reply.headers, verdict.message, now))
        if status == 401 and self._endpoint.renew_token():
            return RouteError(Problem.BUSY, message, status, 0.0)
        if status >= 500 or status in (408, 425):
            return RouteError(Problem.UNCERTAIN, message, status, retry_wait(reply.headers, verdict.message, now))
        return RouteError(Problem.REFUSED, message, status, is_token_limit=_says_token_limit(error))

    def _id_of(self, data: Mapping[str, object], what: str) -> str:
        found = data.get("id")
        if not isinstance(found, str) or not found:
            raise RouteError(Problem.UNCERTAIN, f"{self.host} sent no id for the new {what}")
        return found


def _batch(data: Mapping[str, object]) -> ServerBatch:
    metadata, counts, errors = data.get("metadata"), data.get("request_counts"), data.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else errors
    counts = counts if isinstance(counts, dict) else {}
    return ServerBatch(
        id=_text(data.get("id")),
        status=_text(data.get("status")).lower().replace("canceled", "cancelled"),
        input_file=_text(data.get("input_file_id")),
        output_file=_text(data.get("output_file_id")),
        error_file=_text(data.get("error_file_id")),
        fingerprint=_text(metadata.get(FINGERPRINT)) if isinstance(metadata, dict) else "",
        created_at=_number(data.get("created_at")),
        errors=tuple(_error(each) for each in listed) if isinstance(listed, list) else (),
        completed=int(_number(counts.get("completed"))),
    )


def _says_token_limit(error: BatchError | ErrorBody) -> bool:
    """Judge a server's error by its code, or by its words, since some servers send no code."""
    words = error.message.lower()
    return error.code in _TOKEN_CODES or ("enqueued" in words and "token" in words)


def _error(data: object) -> BatchError:
    fields = data if isinstance(data, dict) else {"message": str(data)}
    line = fields.get("line")
    return BatchError(_text(fields.get("code")), line if isinstance(line, int) else None, _text(fields.get("message")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
