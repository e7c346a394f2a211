"""The completion object of OpenAI, with the fields that Azure adds, and the same as an event stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from syphus.exchange import Usage
from syphus.simulator.chat_request import ChatRequest
from syphus.simulator.model_answers import SimulatedAnswer
from syphus.simulator.profiles import PROFILES, Profile
from syphus.simulator.prompt_reader import ParsedPrompt
from syphus.simulator.replies import SimulatedReply, json_reply

Json = dict[str, object]

FINGERPRINT = "simulated"
CATEGORIES = ("hate", "self_harm", "sexual", "violence")


@dataclass(frozen=True, slots=True)
class Exchange:
    """An accepted request with the answer that was written for it. A fault makes its reply from this."""

    chat: ChatRequest
    prompt: ParsedPrompt
    answer: SimulatedAnswer
    seed: int
    requested_model: str  #: model or deployment; "chat" if the request names none
    azure: bool
    key: str  #: that the client sent
    api_version: str
    id: str  #: of the completion
    created: int  #: Unix seconds
    retry_after: float  #: seconds that rate limit faults ask to wait
    redirect_to: str
    embeddings: Json | None = None  #: the body of the answer to an embeddings request
    profile: Profile = PROFILES[""]  #: the server whose habits it has
    served_model: str = ""  #: the model name in the answer; "" says that it is simulated
    service_tier: str = "default"

    @property
    def model(self) -> str:
        """The model name in the answer, which says that it is simulated."""
        return self.served_model or f"simulated-{self.requested_model}"


def completion_object(exchange: Exchange, answer: SimulatedAnswer | None = None) -> Json:
    """Return the completion object with `answer`, by default the answer of the exchange."""
    if exchange.embeddings is not None:
        return dict(exchange.embeddings)
    chosen = answer or exchange.answer
    message = exchange.profile.message
    choices = [
        choice_object(exchange, index, message(exchange.chat.body, text), reason)
        for index, (text, reason) in enumerate(zip(chosen.texts, chosen.finish_reasons, strict=True))
    ]
    completion: Json = {
        "id": exchange.id,
        "object": "chat.completion",
        "created": exchange.created,
        "model": exchange.model,
        "choices": choices,
        "usage": usage_object(chosen.usage, hidden=exchange.profile.reasoning == "in total only"),
        "service_tier": exchange.service_tier,
        "system_fingerprint": FINGERPRINT,
    }
    if exchange.azure:
        completion["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": filter_results()}]
    return completion


def choice_object(exchange: Exchange, index: int, message: Mapping[str, object], finish_reason: str) -> Json:
    """Return one choice; the fields in `message` replace those of the normal assistant message."""
    choice: Json = {
        "index": index,
        "message": {"role": "assistant", "content": None, "refusal": None, "annotations": [], **message},
        "logprobs": None,
        "finish_reason": finish_reason,
    }
    if exchange.azure:
        choice["content_filter_results"] = filter_results()
    return choice


def filter_results(filtered: str = "") -> Json:
    """Return Azure's result per category: all safe, or one of `CATEGORIES` filtered."""
    return {
        category: {"filtered": category == filtered, "severity": "high" if category == filtered else "safe"}
        for category in CATEGORIES
    }


def usage_object(usage: Usage, *, hidden: bool = False) -> Json:
    """Return the `usage` of a completion. With `hidden`, only the total counts what the model has thought."""
    shown = usage.reasoning_tokens * (not hidden)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens - (usage.reasoning_tokens - shown),
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": shown,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def normal_reply(exchange: Exchange) -> SimulatedReply:
    """Return the normal 200, as an event stream if the client asked for one."""
    return (
        SimulatedReply(200, event_stream(exchange), content_type=EVENT_STREAM)
        if exchange.chat.stream
        else json_reply(200, completion_object(exchange))
    )


EVENT_STREAM = "text/event-stream; charset=utf-8"


def event_stream(exchange: Exchange, *, error: bool = False, done: bool = True) -> bytes:
    """Return the answer as server-sent events: the first choice word by word, then usage and [DONE].

    With `error`, an error object ends the stream halfway. Without `done`, the stream just ends halfway.
    """
    words = exchange.answer.texts[0].split(" ")
    if error or not done:
        words = words[: len(words) // 2]
    deltas = [word if not number else f" {word}" for number, word in enumerate(words)]
    chunks = [_chunk(exchange, {"delta": {"content": delta}}) for delta in deltas]
    if error:
        chunks.append(
            {"error": {"message": "The server had an error while processing your request.", "type": "server_error"}}
        )
    elif done:
        chunks.append(_chunk(exchange, {"delta": {}, "finish_reason": exchange.answer.finish_reasons[0]}))
        chunks.append({**_chunk(exchange, None), "usage": usage_object(exchange.answer.usage)})
    events = [b"data: " + orjson.dumps(chunk) for chunk in chunks]
    if done and not error:
        events.append(b"data: [DONE]")
    return b"\n\n".join(events) + b"\n\n"


def _chunk(exchange: Exchange, part: Json | None) -> Json:
    head: Json = {
        "id": exchange.id,
        "object": "chat.completion.chunk",
        "created": exchange.created,
        "model": exchange.model,
    }
    head["system_fingerprint"] = FINGERPRINT
    head["choices"] = [] if part is None else [{"index": 0, "finish_reason": None, **part}]
    return head
