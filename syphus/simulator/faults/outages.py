"""Servers, gateways and connections that fail, and answers that break in transit."""

from __future__ import annotations

from dataclasses import replace

from syphus.simulator.completion import EVENT_STREAM, Exchange, completion_object, event_stream
from syphus.simulator.faults.table import Cost, add_fault, fault, fixed_fault
from syphus.simulator.replies import Delivery, SimulatedReply, html_reply, json_reply, openai_error

_LOGIN = (
    b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body><form method='post' action='/login'>"
    b"<input name='user'><input name='password' type='password'></form></body></html>"
)


def _llama_error(message: str) -> SimulatedReply:
    return json_reply(500, {"error": {"code": 500, "message": message, "type": "server_error"}})


fixed_fault(
    "json_schema_500",
    "500 of llama-cpp-python for an unknown response_format: the request is at fault.",
    openai_error(
        500,
        "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), "
        "'msg': \"Input should be 'text' or 'json_object'\"}]",
        "internal_server_error",
    ),
)
fixed_fault(
    "image_500",
    "500 of llama-server for an image it can't read: the request is at fault.",
    _llama_error("image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
)
fixed_fault(
    "peg_500",
    "500 of llama-server for the output of its own model.",
    _llama_error("The model produced output that does not match the expected peg-native format"),
)
fixed_fault(
    "bad_body_500",
    "500 of llama-server for a body that is not JSON: the request is at fault.",
    _llama_error(
        "[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input"
    ),
)
fixed_fault(
    "server_error",
    "500 server_error.",
    openai_error(500, "The server had an error while processing your request. Sorry about that!", "server_error"),
)
fixed_fault("html_502", "502 with the HTML page of a proxy.", html_reply(502, "502 Bad Gateway"))
fixed_fault("empty_500", "500 with no body.", SimulatedReply(500))
fixed_fault(
    "unavailable_503",
    "503: the engine is overloaded, no code.",
    openai_error(503, "The engine is currently overloaded, please try again later", "server_error"),
)
fixed_fault("gateway_timeout_504", "504 with the HTML page of a proxy.", html_reply(504, "504 Gateway Time-out"))
fixed_fault(
    "request_timeout_408", "408.", openai_error(408, "Timed out generating response. Please try again.", "server_error")
)
fixed_fault("conflict_409", "409.", openai_error(409, "The resource was updated by another request.", code="conflict"))
fixed_fault(
    "too_early_425", "425.", openai_error(425, "Too early: try again once the connection is set up.", "server_error")
)
fixed_fault(
    "overloaded_529",
    "529 overloaded_error.",
    json_reply(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
)
fixed_fault(
    "login_page",
    "200 with the HTML login page of a captive portal.",
    SimulatedReply(200, _LOGIN, content_type="text/html; charset=utf-8"),
)
fixed_fault("empty_200", "200 with no body.", SimulatedReply(200))
fixed_fault(
    "wrong_schema",
    "200 with JSON that is not a completion.",
    json_reply(200, {"status": "ok", "result": {"queued": True}}),
)
fixed_fault("reset", "The connection is reset before any byte.", SimulatedReply(200, delivery=Delivery.RESET))
fixed_fault(
    "disconnect", "The connection is closed before any byte.", SimulatedReply(200, delivery=Delivery.DISCONNECT)
)
fixed_fault("hang", "No byte until the client disconnects.", SimulatedReply(200, delivery=Delivery.HANG))
fixed_fault("endless", "200, then white space forever.", SimulatedReply(200, delivery=Delivery.ENDLESS))


@fault()
def redirect_307(exchange: Exchange) -> SimulatedReply:
    """307 to another host."""
    return SimulatedReply(307, headers={"location": exchange.redirect_to})


@fault()
def redirect_308(exchange: Exchange) -> SimulatedReply:
    """308 to another host."""
    return SimulatedReply(308, headers={"location": exchange.redirect_to})


@fault(Cost.LOST)
def malformed_json(exchange: Exchange) -> SimulatedReply:
    """200 whose JSON stops halfway, although the HTTP body is complete."""
    body = _normal(exchange).body
    return SimulatedReply(200, body[: len(body) // 2])


@fault(Cost.ANSWERED)
def wrong_content_type(exchange: Exchange) -> SimulatedReply:
    """A good answer declared as text/plain."""
    return replace(_normal(exchange), content_type="text/plain; charset=utf-8")


@fault(Cost.ANSWERED)
def sse(exchange: Exchange) -> SimulatedReply:
    """The answer as an event stream, without being asked for one."""
    return SimulatedReply(200, event_stream(exchange), content_type=EVENT_STREAM)


@fault(Cost.LOST)
def sse_error(exchange: Exchange) -> SimulatedReply:
    """An event stream with an error object in the middle."""
    return SimulatedReply(200, event_stream(exchange, error=True), content_type=EVENT_STREAM)


@fault(Cost.LOST)
def sse_cut(exchange: Exchange) -> SimulatedReply:
    """An event stream that ends without finish_reason or [DONE]."""
    return SimulatedReply(200, event_stream(exchange, done=False), content_type=EVENT_STREAM)


def _normal(exchange: Exchange) -> SimulatedReply:
    return json_reply(200, completion_object(exchange))


def _add_broken(name: str, description: str, delivery: Delivery) -> None:
    add_fault(name, description, lambda exchange: replace(_normal(exchange), delivery=delivery), Cost.LOST)


_add_broken("reset_mid_body", "Half the answer, then a reset.", Delivery.RESET_MID_BODY)
_add_broken("cut_body", "Half the answer, with the Content-Length of the whole, then a close.", Delivery.CUT)
_add_broken("hang_mid_body", "Half the answer, then nothing.", Delivery.HANG_MID_BODY)
_add_broken("drip", "The answer, one byte at a time.", Delivery.DRIP)
