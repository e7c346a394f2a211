"""What can go wrong with the Batch API, by name: with a call, with a whole batch, or with a line of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from syphus.simulator.faults import OK
from syphus.simulator.replies import Delivery, SimulatedReply, html_reply, openai_error


class BatchCall(StrEnum):
    """The calls of the Batch API, as `Simulation.batch_calls` names them."""

    UPLOAD = "upload"
    FILES = "files"  #: the list of files
    FILE = "file"
    CONTENT = "content"
    DELETE = "delete"
    CREATE = "create"
    BATCHES = "batches"  #: the list of batches
    BATCH = "batch"
    CANCEL = "cancel"


class Level(StrEnum):
    """What a fault happens to."""

    CALL = "call"
    BATCH = "batch"
    LINE = "line"


class BatchFault(NamedTuple):
    """One fault. For calls: what the client receives, and whether the server did what it was asked to."""

    level: Level
    description: str
    reply: SimulatedReply | None = None
    done: bool = False


_RESET = SimulatedReply(200, delivery=Delivery.RESET)
SERVER_ERROR = openai_error(500, "The server had an error while processing your request.", "server_error")
_SLOW = openai_error(
    429,
    "Rate limit reached. Please try again later.",
    "requests",
    code="rate_limit_exceeded",
    headers={"retry-after": "1"},
)
_BAD_GATEWAY = html_reply(502, "502 Bad Gateway")
_TIMEOUT = openai_error(408, "Request timed out.", "timeout")
_FORBIDDEN = openai_error(403, "You have insufficient permissions for this operation.", code="insufficient_permissions")
_NO_CREDIT = openai_error(
    429,
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    code="insufficient_quota",
)
_BILLING = openai_error(400, "Billing hard limit has been reached", code="billing_hard_limit_reached")


def _call(description: str, reply: SimulatedReply, *, done: bool = False) -> BatchFault:
    return BatchFault(Level.CALL, description, reply, done)


def _batch(description: str) -> BatchFault:
    return BatchFault(Level.BATCH, description)


def _line(description: str) -> BatchFault:
    return BatchFault(Level.LINE, description)


#: Faults of calls in `batch_calls`, of batches in `batch_script`, of lines in `batch_faults`.
BATCH_FAULTS: Mapping[str, BatchFault] = {
    "lost_reply": _call("done, but the connection is reset before the reply", _RESET, done=True),
    "hung_reply": _call("done, but the reply never comes", SimulatedReply(200, delivery=Delivery.HANG), done=True),
    "bad_gateway_after": _call("done, but a gateway answers 502", _BAD_GATEWAY, done=True),
    "timeout_after": _call("done, but answered with 408", _TIMEOUT, done=True),
    "lost_call": _call("the connection is reset, and nothing is done", _RESET),
    "hung_call": _call("no reply, and nothing is done", SimulatedReply(200, delivery=Delivery.HANG)),
    "bad_gateway": _call("502, and nothing is done", _BAD_GATEWAY),
    "server_error": _call("500, and nothing is done", SERVER_ERROR),
    "slow_down": _call("429 with Retry-After, and nothing is done", _SLOW),
    "forbidden": _call("403: the key may not do this", _FORBIDDEN),
    "no_credit": _call("429 insufficient_quota, and nothing is done", _NO_CREDIT),
    "billing_limit": _call("400 billing_hard_limit_reached, and nothing is done", _BILLING),
    "cut_content": _call("half of the content, then the connection closes", SimulatedReply(200, delivery=Delivery.CUT)),
    "token_limit_exceeded": _batch("fails after creation: too many tokens are enqueued"),
    "fails_at_once": _batch("fails in validation with an internal error, without a list of errors"),
    "fails_late": _batch("fails halfway; half of the lines are answered, billed and in the output file"),
    "fails_late_no_files": _batch("fails halfway; half of the lines are answered and billed, but there are no files"),
    "expires": _batch("expires with a part of the lines answered"),
    "expires_counts_zero": _batch("expires with answers in the output file, while request_counts are all 0"),
    "counts_zero": _batch("completes with request_counts of 0"),
    "counts_all_done": _batch("request_counts say that all lines are completed, whatever became of them"),
    "null_output": _batch("completes with output_file_id null; the answers are billed and lost"),
    "empty_file_ids": _batch('the id of a file that does not exist is "" instead of null'),
    "late_files": _batch("completes with both file ids null; they appear ten minutes later"),
    "output_gone": _batch("completes, but the output file is deleted at once"),
    "zero_byte_error_file": _batch("an error file of zero bytes comes with success, as on Azure"),
    "null_endpoint": _batch("endpoint is null, as on Azure"),
    "null_metadata": _batch("metadata is null"),
    "stuck_validating": _batch("stays in validating"),
    "stuck_in_progress": _batch("stays in in_progress, with all lines answered"),
    "stuck_finalizing": _batch("stays in finalizing"),
    "stuck_cancelling": _batch("a cancelled batch stays in cancelling"),
    "invalid_request": _batch("fails in validation: the deployment is of no batch type (Azure)"),
    "model_not_found": _batch("fails in validation: the deployment does not exist (Azure)"),
    "input_modified": _batch("fails in validation: the input was changed meanwhile (Azure)"),
    "input_no_permissions": _batch("fails in validation: the input may not be read (Azure)"),
    "cut_output": _batch("the last line of the output file is cut off"),
    "shows_another_file": _batch("output_file_id is the output of an earlier batch"),
    "line_missing": _line("stands in neither file; not billed"),
    "line_lost": _line("answered and billed, but stands in neither file"),
    "line_doubled": _line("stands twice in the output file"),
    "line_unknown": _line("stands beside another one whose custom_id nobody knows"),
    "line_status_zero": _line("status_code 0 and an empty body; not billed"),
    "line_no_response": _line("response and error are both null; not billed"),
    "line_timeout": _line("error request_timeout; not billed"),
    "line_server_error": _line("status_code 500; not billed"),
    "line_rate_limited": _line("status_code 429; not billed"),
    "line_wrong_file": _line("an answer that stands in the error file"),
    "line_torn": _line("an answered and billed line that is not JSON"),
}


def as_script(text: str) -> list[str]:
    """Return the names in a text like "ok,lost_reply"."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check_batch_fault(name: str, level: Level) -> None:
    """Raise `ValueError` for a name that is neither "ok" nor a fault of this level; the message lists them."""
    if name == OK:
        return
    known = sorted(each for each, fault in BATCH_FAULTS.items() if fault.level is level)
    if name not in known:
        raise ValueError(f"There is no fault {name!r} of a {level}. Known faults: {', '.join(known)}.")
