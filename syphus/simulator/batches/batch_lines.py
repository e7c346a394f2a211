"""The lines of an input file and their validation, and the lines of results."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import orjson

from syphus.exchange import BYTES_PER_TOKEN
from syphus.simulator.batches.batch_job import Json
from syphus.simulator.replies import JSON, SimulatedReply

_PAUSE_EVERY = 500  # lines; validation lets others work in between
_MOST_ERRORS = 100

EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = ("batch_cancelled", "This request was not executed, because the batch was cancelled.")
TIMED_OUT = ("request_timeout", "The request timed out.")


@dataclass(frozen=True, slots=True)
class InputRules:
    """What an input file must keep to: `known` are the models that exist, `batched` those for batches; () is any."""

    endpoint: str
    most_lines: int
    known: Sequence[str] = ()
    batched: Sequence[str] = ()
    azure: bool = False


@dataclass(slots=True)
class InputFile:
    """An input file, as far as it is read: where each line is, and what is wrong with it."""

    path: Path
    rules: InputRules
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    errors: list[Json] = field(default_factory=list)
    model: str = ""
    tokens: int = 0  #: of the input, estimated

    def read(self) -> Iterator[None]:
        """Read and check the whole file; yields now and then, to let others work."""
        seen: set[bytes] = set()
        offset = 0
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    self.offsets.append(offset)
                    self._check(raw, number, seen)
                offset += len(raw)
                if not number % _PAUSE_EVERY:
                    yield
        if not self.offsets:
            self._wrong("empty_file", "The batch input file is empty.", None, None)
        if len(self.offsets) > self.rules.most_lines:
            text = f"The batch input file contains more than {self.rules.most_lines} requests."
            self._wrong("too_many_tasks", text, None, None)

    def _check(self, raw: bytes, number: int, seen: set[bytes]) -> None:
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError:
            line = None
        if not isinstance(line, dict):
            self._wrong("invalid_json_line", "This line is not parseable as valid JSON.", number, None)
            return
        for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
            if not isinstance(line.get(name), kind) or not line[name]:
                text = f"Missing required parameter: '{name}'."
                self._wrong("missing_required_parameter", text, number, name)
                return
        self._check_fields(line, number, seen)

    def _check_fields(self, line: Json, number: int, seen: set[bytes]) -> None:
        custom_id = str(line["custom_id"]).encode()
        if custom_id in seen:
            text = f"The custom_id '{line['custom_id']}' for this request is a duplicate of another request."
            self._wrong("duplicate_custom_id", text, number, "custom_id")
        seen.add(custom_id)
        if line["method"] != "POST":
            self._wrong("invalid_method", "The method of this request must be POST.", number, "method")
        if _route(str(line["url"])) != _route(self.rules.endpoint):
            text = "The URL provided for this request does not match the batch endpoint."
            self._wrong("url_mismatch", text, number, "url")
        body = line["body"]
        assert isinstance(body, dict)
        model = str(body.get("model") or "")
        if self.model and model != self.model:
            text = "The provided model does not match the other requests: a batch may have only one model."
            self._wrong("model_mismatch", text, number, "body.model")
        elif not self.model:
            self.model = model
            self._check_model(model, number)
        asked = body.get("messages", body.get("input"))
        self.tokens += len(orjson.dumps(asked)) // BYTES_PER_TOKEN

    def _check_model(self, model: str, number: int) -> None:
        rules = self.rules
        if rules.known and model not in rules.known:
            text = f"The model `{model}` does not exist or you do not have access to it."
            self._wrong("model_not_found", text, number, "body.model")
        elif rules.batched and model not in rules.batched:
            if rules.azure:
                text = "The schema of the input line is invalid or the deployment SKU is invalid."
                self._wrong("invalid_request", text, number, None)
            else:
                text = f"The provided model '{model}' is not supported by the Batch API."
                self._wrong("model_not_found", text, number, "body.model")

    def _wrong(self, code: str, message: str, line: int | None, param: str | None) -> None:
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append({"code": code, "message": message, "line": line, "param": param})

    def in_working_order(self, seed: str) -> array[int]:
        """Return the numbers of the lines in the order in which they are answered, which is any."""
        order = array("L", range(len(self.offsets)))
        Random(f"order/{seed}").shuffle(order)
        return order


def _route(url: str) -> str:
    """Return a route without the version: Azure takes `/chat/completions` as well as `/v1/chat/completions`."""
    return url.removeprefix("/openai").removeprefix("/v1")


def answered_line(line_id: str, custom_id: str, request_id: str, reply: SimulatedReply) -> bytes:
    """Return the line of a request that got a reply, with its line feed."""
    if reply.content_type == JSON:
        body: object = orjson.Fragment(reply.body)
    else:
        body = {"error": {"message": reply.body.decode(errors="replace"), "type": None, "param": None, "code": None}}
    return _line(line_id, custom_id, {"status_code": reply.status, "request_id": request_id, "body": body}, None)


def unanswered_line(line_id: str, custom_id: str, error: tuple[str, str] | None) -> bytes:
    """Return the line of a request that got no reply, with the code and message of its error."""
    return _line(line_id, custom_id, None, {"code": error[0], "message": error[1]} if error else None)


def empty_line(line_id: str, custom_id: str) -> bytes:
    """Return a line with status_code 0 and an empty body."""
    return _line(line_id, custom_id, {"status_code": 0, "request_id": "", "body": {}}, None)


def _line(line_id: str, custom_id: str, response: object, error: object) -> bytes:
    return orjson.dumps(
        {"id": line_id, "custom_id": custom_id, "response": response, "error": error},
        option=orjson.OPT_APPEND_NEWLINE,
    )
