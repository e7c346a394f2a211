"""The completion object, as OpenAI writes it, with what Azure adds to it; and the same as a stream of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from syphus.simulator.chat_request import ChatRequest
from syphus.simulator.model_answers import SimulatedAnswer
from syphus.simulator.prompt_reader import ReadPrompt
from syphus.simulator.replies import SimulatedReply, json_reply
from syphus.types import Usage

Json = dict[str, object]

FINGERPRINT = "simulated"
CATEGORIES = ("hate", "self_harm", "sexual", "violence")


@dataclass(frozen=True, slots=True)
class Case:
    """One request that got past the door, with the answer that was written for it: all that a fault can play with."""

    chat: ChatRequest
    prompt: ReadPrompt
    answer: SimulatedAnswer
    seed: int
    name: str  #: the model or deployment that was asked for; "chat" where none was named
    azure: bool
    key: str  #: as the client sent it
    api_version: str
    id: str  #: of the completion
    created: int  #: Unix seconds
    retry_after: float  #: seconds that limits played as faults ask for
    redirect_to: str
    embeddings: Json | None = None  #: the whole answer, where vectors were asked for

    @property
    def model(self) -> str:
        """The name in the answer, which says that it is made up."""
        return f"simulated-{self.name}"


def completion(case: Case, answer: SimulatedAnswer | None = None) -> Json:
    """The completion object with `answer` (by default the one that was written for `case`)."""
    if case.embeddings is not None:
        return dict(case.embeddings)
    given = answer or case.answer
    choices = [
        choice(case, index, {"content": text}, reason)
        for index, (text, reason) in enumerate(zip(given.texts, given.finish_reasons, strict=True))
    ]
    whole: Json = {
        "id": case.id,
        "object": "chat.completion",
        "created": case.created,
        "model": case.model,
        "choices": choices,
        "usage": usage_object(given.usage),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    if case.azure:
        whole["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": filter_results()}]
    return whole


def choice(case: Case, index: int, message: Mapping[str, object], finish_reason: str) -> Json:
    """One choice; `message` changes the usual message of an assistant."""
    made: Json = {
        "index": index,
        "message": {"role": "assistant", "content": None, "refusal": None, "annotations": [], **message},
        "logprobs": None,
        "finish_reason": finish_reason,
    }
    if case.azure:
        made["content_filter_results"] = filter_results()
    return made


def filter_results(filtered: str = "") -> Json:
    """Azure's verdict by category: all safe, or one of `CATEGORIES` filtered."""
    return {
        category: {"filtered": category == filtered, "severity": "high" if category == filtered else "safe"}
        for category in CATEGORIES
    }


def usage_object(usage: Usage) -> Json:
    """The `usage` of a completion."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def good_reply(case: Case) -> SimulatedReply:
    """The ordinary 200, as a stream of events if the client asked for one."""
    return (
        SimulatedReply(200, event_stream(case), content_type=EVENT_STREAM)
        if case.chat.stream
        else json_reply(200, completion(case))
    )


EVENT_STREAM = "text/event-stream; charset=utf-8"


def event_stream(case: Case, *, error: bool = False, done: bool = True) -> bytes:
    """The answer of `case` as server-sent events: the first choice word by word, then usage and [DONE].

    With `error` an error object comes half-way and nothing after it; without `done` the stream just ends half-way.
    """
    words = case.answer.texts[0].split(" ")
    if error or not done:
        words = words[: len(words) // 2]
    chunks = [_chunk(case, {"delta": {"content": word if first else f" {word}"}}) for first, word in _marked(words)]
    if error:
        chunks.append(
            {"error": {"message": "The server had an error while processing your request.", "type": "server_error"}}
        )
    elif done:
        chunks.append(_chunk(case, {"delta": {}, "finish_reason": case.answer.finish_reasons[0]}))
        chunks.append({**_chunk(case, None), "usage": usage_object(case.answer.usage)})
    events = [b"data: " + orjson.dumps(chunk) for chunk in chunks]
    if done and not error:
        events.append(b"data: [DONE]")
    return b"\n\n".join(events) + b"\n\n"


def _marked(words: list[str]) -> list[tuple[bool, str]]:
    return [(place == 0, word) for place, word in enumerate(words)]


def _chunk(case: Case, part: Json | None) -> Json:
    head: Json = {"id": case.id, "object": "chat.completion.chunk", "created": case.created, "model": case.model}
    head["system_fingerprint"] = FINGERPRINT
    head["choices"] = [] if part is None else [{"index": 0, "finish_reason": None, **part}]
    return head
