"""200s that are not what was asked for: filtered, cut, refused, empty, of the wrong form, or with figures that can't be
believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from syphus.simulator.completion import Case, choice, completion, filter_results
from syphus.simulator.faults.table import Cost, Play, add, fault
from syphus.simulator.model_answers import SimulatedAnswer, about, defective
from syphus.simulator.replies import SimulatedReply, json_reply
from syphus.simulator.scene import DEFECTS
from syphus.types import Usage

_SORRY = "I'm sorry, but I can't assist with that."


def _with(
    case: Case, message: Mapping[str, object], finish_reason: str, usage: Usage | None = None, /, **more: object
) -> SimulatedReply:
    """A completion all of whose choices hold `message`, end with `finish_reason` and have the fields `more`."""
    spent = usage or case.answer.usage
    whole = completion(case, SimulatedAnswer((), (), spent))
    whole["choices"] = [{**choice(case, index, message, finish_reason), **more} for index in range(case.chat.n)]
    return replace(json_reply(200, whole), usage=spent)


def _rewritten(case: Case, answer: SimulatedAnswer) -> SimulatedReply:
    """A completion with another answer than the one that was written."""
    return replace(json_reply(200, completion(case, answer)), usage=answer.usage)


def _changed(case: Case, **fields: object) -> SimulatedReply:
    return json_reply(200, {**completion(case), **fields})


def _half(case: Case) -> str:
    text = case.answer.texts[0]
    return text[: len(text) // 2]


def _reasoned_away(case: Case) -> Usage:
    """As if the model had thought until its tokens were gone."""
    spent = case.chat.max_tokens or 1024
    return replace(case.answer.usage, completion_tokens=spent, reasoning_tokens=spent)


@fault(Cost.ANSWERED)
def output_filtered_empty(case: Case) -> SimulatedReply:
    """200 finish_reason content_filter with an empty string."""
    return _with(case, {"content": ""}, "content_filter", content_filter_results=filter_results("violence"))


@fault(Cost.ANSWERED)
def output_filtered_null(case: Case) -> SimulatedReply:
    """200 finish_reason content_filter with null content."""
    return _with(case, {"content": None}, "content_filter", content_filter_results=filter_results("violence"))


@fault(Cost.ANSWERED)
def output_filtered_partial(case: Case) -> SimulatedReply:
    """200 finish_reason content_filter with half the text."""
    filtered = filter_results("sexual")
    return _with(case, {"content": _half(case)}, "content_filter", content_filter_results=filtered)


@fault(Cost.ANSWERED)
def output_filtered_silent(case: Case) -> SimulatedReply:
    """200 finish_reason stop and empty, with no word about a filter."""
    return _with(case, {"content": ""}, "stop")


@fault(Cost.ANSWERED)
def filter_did_not_run(case: Case) -> SimulatedReply:
    """A good answer whose content_filter_results say that the filter did not run."""
    error = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
    text = case.answer.texts[0]
    return _with(case, {"content": text}, case.answer.finish_reasons[0], content_filter_results=error)


@fault(Cost.ANSWERED)
def truncated(case: Case) -> SimulatedReply:
    """200 finish_reason length with half the text."""
    return _with(case, {"content": _half(case)}, "length")


@fault(Cost.ANSWERED)
def truncated_empty(case: Case) -> SimulatedReply:
    """200 finish_reason length and empty: reasoning ate all the tokens."""
    return _with(case, {"content": ""}, "length", _reasoned_away(case))


@fault(Cost.ANSWERED)
def empty_reasoning_stop(case: Case) -> SimulatedReply:
    """200 finish_reason stop and empty, though reasoning tokens were spent."""
    return _with(case, {"content": ""}, "stop", _reasoned_away(case))


@fault(Cost.ANSWERED)
def refusal(case: Case) -> SimulatedReply:
    """200 with the refusal field and null content."""
    return _with(case, {"refusal": _SORRY}, "stop")


@fault(Cost.ANSWERED)
def refusal_text(case: Case) -> SimulatedReply:
    """200 with a refusal as the text."""
    return _with(case, {"content": _SORRY}, "stop")


@fault(Cost.ANSWERED)
def empty(case: Case) -> SimulatedReply:
    """200 finish_reason stop with white space only."""
    return _with(case, {"content": "\n"}, "stop", replace(case.answer.usage, completion_tokens=0))


@fault(Cost.ANSWERED)
def null_content(case: Case) -> SimulatedReply:
    """200 finish_reason stop with null content."""
    return _with(case, {}, "stop")


@fault(Cost.ANSWERED)
def null_message(case: Case) -> SimulatedReply:
    """200 with null where the message should be."""
    return _with(case, {}, "stop", message=None)


@fault(Cost.ANSWERED)
def no_choices(case: Case) -> SimulatedReply:
    """200 with an empty list of choices."""
    return _changed(case, choices=[])


@fault(Cost.ANSWERED)
def one_choice(case: Case) -> SimulatedReply:
    """One choice, however many were asked for."""
    return _changed(case, choices=[choice(case, 0, {"content": case.answer.texts[0]}, case.answer.finish_reasons[0])])


@fault(Cost.ANSWERED)
def no_usage(case: Case) -> SimulatedReply:
    """A good answer without usage."""
    whole = completion(case)
    del whole["usage"]
    return json_reply(200, whole)


@fault(Cost.ANSWERED)
def null_usage(case: Case) -> SimulatedReply:
    """A good answer whose usage is null."""
    return _changed(case, usage=None)


@fault(Cost.ANSWERED)
def zero_usage(case: Case) -> SimulatedReply:
    """A good answer whose usage is all zero."""
    return _changed(case, usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})


@fault(Cost.ANSWERED)
def wrong_usage(case: Case) -> SimulatedReply:
    """A good answer whose usage is 10 and 20 tokens, whatever was sent."""
    return _changed(case, usage={"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30})


@fault(Cost.ANSWERED)
def other_model(case: Case) -> SimulatedReply:
    """A good answer from another model than the one that was asked."""
    return _changed(case, model="simulated-another-model-2024-07-18")


@fault(Cost.ANSWERED)
def duplicate_id(case: Case) -> SimulatedReply:
    """A good answer whose id is the same every time."""
    return _changed(case, id="chatcmpl-simulated-duplicate")


@fault(Cost.ANSWERED)
def other_answer(case: Case) -> SimulatedReply:
    """A well-formed answer to somebody else's request."""
    return _rewritten(case, about("a red kite hangs above a frozen lake", case.chat, case.prompt, case.seed))


def _with_defect(defect: str) -> Play:
    return lambda case: _rewritten(case, defective(defect, case.chat, case.prompt, case.seed))


for _defect in DEFECTS:
    add(
        _defect,
        f"A complete answer with a defect of form: {_defect.replace('_', ' ')}.",
        _with_defect(_defect),
        Cost.ANSWERED,
    )


# FOLDED from embeddings.py:
# 200s of the embeddings route that do not hold what was asked for. In answer to a chat they change nothing.

Vectors = list[dict[str, object]]


def _embeddings_changed(case: Case, change: Callable[[Vectors], Vectors]) -> SimulatedReply:
    whole = completion(case)
    data = whole.get("data")
    if isinstance(data, list):
        whole["data"] = change(data)
    return json_reply(200, whole)


def _first(value: object) -> Callable[[Vectors], Vectors]:
    return lambda data: [{**data[0], "embedding": value}, *data[1:]]


@fault(Cost.ANSWERED)
def vectors_missing(case: Case) -> SimulatedReply:
    """200 with a vector less than texts."""
    return _embeddings_changed(case, lambda data: data[:-1])


@fault(Cost.ANSWERED)
def vectors_reversed(case: Case) -> SimulatedReply:
    """200 with the vectors in another order than the texts; their index tells."""
    return _embeddings_changed(case, lambda data: data[::-1])


@fault(Cost.ANSWERED)
def vectors_twice(case: Case) -> SimulatedReply:
    """200 with one index for all vectors."""
    return _embeddings_changed(case, lambda data: [{**item, "index": 0} for item in data])


@fault(Cost.ANSWERED)
def vectors_zero(case: Case) -> SimulatedReply:
    """200 with a vector of nothing but 0."""
    return _embeddings_changed(case, _first([0.0] * 64))


@fault(Cost.ANSWERED)
def vectors_nan(case: Case) -> SimulatedReply:
    """200 with NaN, as servers in Python write it."""
    reply = _embeddings_changed(case, _first(["NaN"] * 64))
    return replace(reply, body=reply.body.replace(b'"NaN"', b"NaN"))


@fault(Cost.ANSWERED)
def vectors_short(case: Case) -> SimulatedReply:
    """200 with vectors of another dimension than before."""
    return _embeddings_changed(case, lambda data: [{**item, "embedding": [1.0, 0.5]} for item in data])
