"""200s with a bad answer: filtered, truncated, refused, empty, in a wrong form, or with implausible usage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from syphus.exchange import Usage
from syphus.simulator.answer_form_types import DEFECTS
from syphus.simulator.completion import Exchange, choice_object, completion_object, filter_results
from syphus.simulator.faults.table import Cost, ReplyMaker, add_fault, fault
from syphus.simulator.model_answers import SimulatedAnswer, answer_about, answer_with_defect
from syphus.simulator.replies import SimulatedReply, json_reply

_SORRY = "I'm sorry, but I can't assist with that."


def _with(
    exchange: Exchange, message: Mapping[str, object], finish_reason: str, usage: Usage | None = None, /, **more: object
) -> SimulatedReply:
    """Return a completion whose choices all have `message`, `finish_reason` and the fields `more`."""
    used = usage or exchange.answer.usage
    completion = completion_object(exchange, SimulatedAnswer((), (), used))
    completion["choices"] = [
        {**choice_object(exchange, index, message, finish_reason), **more} for index in range(exchange.chat.n)
    ]
    return replace(json_reply(200, completion), usage=used)


def _rewritten(exchange: Exchange, answer: SimulatedAnswer) -> SimulatedReply:
    """Return a completion with another answer than that of the exchange."""
    return replace(json_reply(200, completion_object(exchange, answer)), usage=answer.usage)


def _changed(exchange: Exchange, **fields: object) -> SimulatedReply:
    return json_reply(200, {**completion_object(exchange), **fields})


def _half(exchange: Exchange) -> str:
    text = exchange.answer.texts[0]
    return text[: len(text) // 2]


def _only_reasoning(exchange: Exchange) -> Usage:
    """Return the usage of a model that spends all its tokens on reasoning."""
    tokens = exchange.chat.max_tokens or 1024
    return replace(exchange.answer.usage, completion_tokens=tokens, reasoning_tokens=tokens)


@fault(Cost.ANSWERED)
def output_filtered_empty(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason content_filter with an empty string."""
    return _with(exchange, {"content": ""}, "content_filter", content_filter_results=filter_results("violence"))


@fault(Cost.ANSWERED)
def output_filtered_null(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason content_filter with null content."""
    return _with(exchange, {"content": None}, "content_filter", content_filter_results=filter_results("violence"))


@fault(Cost.ANSWERED)
def output_filtered_partial(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason content_filter with half the text."""
    filtered = filter_results("sexual")
    return _with(exchange, {"content": _half(exchange)}, "content_filter", content_filter_results=filtered)


@fault(Cost.ANSWERED)
def output_filtered_silent(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason stop and empty, without mentioning a filter."""
    return _with(exchange, {"content": ""}, "stop")


@fault(Cost.ANSWERED)
def filter_did_not_run(exchange: Exchange) -> SimulatedReply:
    """A good answer whose content_filter_results say that the filter did not run."""
    error = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
    text = exchange.answer.texts[0]
    return _with(exchange, {"content": text}, exchange.answer.finish_reasons[0], content_filter_results=error)


@fault(Cost.ANSWERED)
def truncated(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason length with half the text."""
    return _with(exchange, {"content": _half(exchange)}, "length")


@fault(Cost.ANSWERED)
def truncated_empty(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason length and empty: reasoning used all tokens."""
    return _with(exchange, {"content": ""}, "length", _only_reasoning(exchange))


@fault(Cost.ANSWERED)
def empty_reasoning_stop(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason stop and empty, though reasoning tokens were spent."""
    return _with(exchange, {"content": ""}, "stop", _only_reasoning(exchange))


@fault(Cost.ANSWERED)
def refusal(exchange: Exchange) -> SimulatedReply:
    """200 with the refusal field and null content."""
    return _with(exchange, {"refusal": _SORRY}, "stop")


@fault(Cost.ANSWERED)
def refusal_text(exchange: Exchange) -> SimulatedReply:
    """200 with a refusal as the text."""
    return _with(exchange, {"content": _SORRY}, "stop")


@fault(Cost.ANSWERED)
def empty(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason stop with white space only."""
    return _with(exchange, {"content": "\n"}, "stop", replace(exchange.answer.usage, completion_tokens=0))


@fault(Cost.ANSWERED)
def null_content(exchange: Exchange) -> SimulatedReply:
    """200 finish_reason stop with null content."""
    return _with(exchange, {}, "stop")


@fault(Cost.ANSWERED)
def null_message(exchange: Exchange) -> SimulatedReply:
    """200 with null instead of the message."""
    return _with(exchange, {}, "stop", message=None)


@fault(Cost.ANSWERED)
def no_choices(exchange: Exchange) -> SimulatedReply:
    """200 with an empty list of choices."""
    return _changed(exchange, choices=[])


@fault(Cost.ANSWERED)
def one_choice(exchange: Exchange) -> SimulatedReply:
    """One choice, even if more were requested."""
    return _changed(
        exchange,
        choices=[choice_object(exchange, 0, {"content": exchange.answer.texts[0]}, exchange.answer.finish_reasons[0])],
    )


@fault(Cost.ANSWERED)
def no_usage(exchange: Exchange) -> SimulatedReply:
    """A good answer without usage."""
    completion = completion_object(exchange)
    del completion["usage"]
    return json_reply(200, completion)


@fault(Cost.ANSWERED)
def null_usage(exchange: Exchange) -> SimulatedReply:
    """A good answer whose usage is null."""
    return _changed(exchange, usage=None)


@fault(Cost.ANSWERED)
def zero_usage(exchange: Exchange) -> SimulatedReply:
    """A good answer whose usage is all zero."""
    return _changed(exchange, usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})


@fault(Cost.ANSWERED)
def wrong_usage(exchange: Exchange) -> SimulatedReply:
    """A good answer whose usage is always 10 and 20 tokens."""
    return _changed(exchange, usage={"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30})


@fault(Cost.ANSWERED)
def other_model(exchange: Exchange) -> SimulatedReply:
    """A good answer from another model than requested."""
    return _changed(exchange, model="simulated-another-model-2024-07-18")


@fault(Cost.ANSWERED)
def duplicate_id(exchange: Exchange) -> SimulatedReply:
    """A good answer whose id is always the same."""
    return _changed(exchange, id="chatcmpl-simulated-duplicate")


@fault(Cost.ANSWERED)
def other_answer(exchange: Exchange) -> SimulatedReply:
    """A well-formed answer to another request."""
    return _rewritten(
        exchange, answer_about("a red kite hangs above a frozen lake", exchange.chat, exchange.prompt, exchange.seed)
    )


def _with_defect(defect: str) -> ReplyMaker:
    return lambda exchange: _rewritten(
        exchange, answer_with_defect(defect, exchange.chat, exchange.prompt, exchange.seed)
    )


for _defect in DEFECTS:
    add_fault(
        _defect,
        f"A complete answer with a formal defect: {_defect.replace('_', ' ')}.",
        _with_defect(_defect),
        Cost.ANSWERED,
    )


# 200s of the embeddings route with bad vectors. They leave the answer to a chat unchanged.

Vectors = list[dict[str, object]]


def _embeddings_changed(exchange: Exchange, change: Callable[[Vectors], Vectors]) -> SimulatedReply:
    content = completion_object(exchange)
    data = content.get("data")
    if isinstance(data, list):
        content["data"] = change(data)
    return json_reply(200, content)


def _first(value: object) -> Callable[[Vectors], Vectors]:
    return lambda data: [{**data[0], "embedding": value}, *data[1:]]


@fault(Cost.ANSWERED)
def vectors_missing(exchange: Exchange) -> SimulatedReply:
    """200 with one vector fewer than texts."""
    return _embeddings_changed(exchange, lambda data: data[:-1])


@fault(Cost.ANSWERED)
def vectors_reversed(exchange: Exchange) -> SimulatedReply:
    """200 with the vectors in another order than the texts; their index is right."""
    return _embeddings_changed(exchange, lambda data: data[::-1])


@fault(Cost.ANSWERED)
def vectors_twice(exchange: Exchange) -> SimulatedReply:
    """200 with the same index for all vectors."""
    return _embeddings_changed(exchange, lambda data: [{**item, "index": 0} for item in data])


@fault(Cost.ANSWERED)
def vectors_zero(exchange: Exchange) -> SimulatedReply:
    """200 with a vector of zeros."""
    return _embeddings_changed(exchange, _first([0.0] * 64))


@fault(Cost.ANSWERED)
def vectors_nan(exchange: Exchange) -> SimulatedReply:
    """200 with NaN, as servers in Python write it."""
    reply = _embeddings_changed(exchange, _first(["NaN"] * 64))
    return replace(reply, body=reply.body.replace(b'"NaN"', b"NaN"))


@fault(Cost.ANSWERED)
def vectors_short(exchange: Exchange) -> SimulatedReply:
    """200 with vectors of another dimension than before."""
    return _embeddings_changed(exchange, lambda data: [{**item, "embedding": [1.0, 0.5]} for item in data])
