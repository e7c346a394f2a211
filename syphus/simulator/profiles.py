"""How known servers differ: which parameters they refuse and in which words, and where they put what a model thinks.

Each profile answers a bad request with the body that its server really sends. Looked up on 2026-11-30:

    openai-old   gpt-4o: openai/codex and NextChat issue 3195 (max_tokens above the output limit), community threads
                 ("Unrecognized request argument supplied: reasoning_effort")
    openai-new   gpt-5 and later: openrag issue 398, 9router issue 560, Kilo cloud PR 3807 (list of efforts)
    azure        the same words; unknown names all in one message without `param`
    vllm         PR 10463, issues 10078 and 12864 (a list of pydantic errors as text), "'max_tokens' or
                 'max_completion_tokens' is too large" as in claude-code-best issue 272
    sglang       `tokenizer_manager.py` ("Requested token count exceeds ..."); unknown fields are ignored
    llama-cpp    `server.cpp`: unknown fields are ignored, the schema becomes a grammar
    ollama       `openai/openai.go`: unknown fields are ignored, an unknown effort is refused by its value alone
    gemini       SkyrimNet issue 77, uni-api issue 54: an array around the error, several names in one message
    anthropic    its page on OpenAI compatibility; ChatterUI issue 564 (one of two samplers)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from syphus.simulator.replies import SimulatedReply, json_reply, openai_error

Body = Mapping[str, object]
Refusal = Callable[[Body], SimulatedReply | None]

_SAMPLERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_COMMON = frozenset({"model", "messages", "max_tokens", "stream", "n", "stop", "seed", "response_format", *_SAMPLERS})
_LATER = _COMMON | {"max_completion_tokens", "user", "metadata", "store", "logprobs", "service_tier"}
_NEWEST = _LATER | {"reasoning_effort", "verbosity", "prompt_cache_key", "prompt_cache_options"}
_NEWEST |= {"prompt_cache_retention", "safety_identifier"}
_VLLM = (_LATER - {"service_tier", "store"}) | {"reasoning_effort", "top_k", "min_p", "chat_template_kwargs"}
_EFFORTS = ("none", "low", "medium", "high", "xhigh", "max")
_REASONING_TOKENS = {"none": 0, "minimal": 16, "low": 32, "medium": 64, "high": 128, "xhigh": 256, "max": 512}
_DRAFT = "Let me draft.\nQuestion: What could be asked of the draft?\nAnswer: This is only a draft of an answer.\n"


@dataclass(frozen=True, slots=True)
class Profile:
    """One server: what it refuses, where reasoning goes, and what it makes of a schema."""

    refuse: Refusal = lambda _: None
    #: where reasoning is found: counted only, in the message under this name, or nowhere ("") because there is none
    reasoning: Literal["", "counted", "in total only", "reasoning_content", "reasoning"] = ""
    #: what the server makes of `response_format`: enforces it, ignores it, or answers in `reasoning_content`
    schema: Literal["enforced", "ignored", "misplaced"] = "enforced"
    #: an error about max_tokens that does not fit into the context: (context, prompt tokens, max_tokens, name) -> reply
    over_context: Callable[[int, int, int, str], SimulatedReply] | None = None

    def reasoning_tokens(self, body: Body) -> int:
        """Return how many tokens the model thinks before it answers such a request."""
        effort = body.get("reasoning_effort")
        return _REASONING_TOKENS.get(str(effort), 64) if self.reasoning else 0

    def message(self, body: Body, text: str) -> dict[str, object]:
        """Return the message with an answer: its text, and a draft that must not become data where it is shown."""
        if self.schema == "misplaced" and body.get("response_format") is not None:
            return {"content": None, "reasoning_content": text}
        shown = self.reasoning in ("reasoning_content", "reasoning") and self.reasoning_tokens(body)
        return {"content": text, self.reasoning: _DRAFT} if shown else {"content": text}


def _openai(message: str, param: str | None, code: str | None) -> SimulatedReply:
    return openai_error(400, message, param=param, code=code)


def _unknown(body: Body, known: frozenset[str]) -> list[str]:
    return [name for name in body if name not in known]


def _listed(names: tuple[str, ...]) -> str:
    quoted = [f"'{name}'" for name in names]
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _refuse_old_openai(body: Body) -> SimulatedReply | None:
    """gpt-4o: knows nothing of reasoning, and answers at most 16,384 tokens."""
    for name in _unknown(body, _NEWEST - {"reasoning_effort"}):
        return _openai(f"Unrecognized request argument supplied: {name}", None, None)
    for name in ("max_tokens", "max_completion_tokens"):
        tokens = body.get(name)
        if isinstance(tokens, int) and tokens > 16_384:
            text = f"{name} is too large: {tokens}. This model supports at most 16384 completion tokens, whereas you "
            return _openai(f"{text}provided {tokens}.", name, "invalid_value")
    verbosity = body.get("verbosity", "medium")
    if verbosity != "medium":
        text = f"Unsupported value: '{verbosity}' is not supported with the '{body.get('model')}' model. Supported "
        return _openai(f"{text}values are: 'medium'.", "verbosity", "unsupported_value")
    return None


def _refuse_new_openai(body: Body) -> SimulatedReply | None:
    """gpt-6: one name at a time; the samplers only without reasoning."""
    for name in _unknown(body, _NEWEST):
        return _openai(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return _refuse_reasoning(body)


def _refuse_reasoning(body: Body) -> SimulatedReply | None:
    if body.get("max_tokens") is not None:
        text = "Unsupported parameter: 'max_tokens' is not supported with this model."
        return _openai(f"{text} Use 'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in _EFFORTS:
        text = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model."
        values = f" Supported values are: {_listed(_EFFORTS)}."
        return _openai(text + values, "reasoning_effort", "unsupported_value")
    if effort == "none":
        return None
    for name in _SAMPLERS:
        value, default = body.get(name), 0 if name.endswith("penalty") else 1
        if value is None or value == default:
            continue
        if name == "temperature":
            text = f"Unsupported value: 'temperature' does not support {value} with this model. Only the default (1) "
            return _openai(f"{text}value is supported.", name, "unsupported_value")
        return _openai(f"Unsupported parameter: '{name}' is not supported with this model.", name, _UNSUPPORTED)
    return None


_UNSUPPORTED = "unsupported_parameter"


def _refuse_azure(body: Body) -> SimulatedReply | None:
    if unknown := _unknown(body, _LATER | {"reasoning_effort"}):
        plural = "s" * (len(unknown) > 1)
        return _openai(f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}", None, None)
    return _refuse_reasoning(body)


def _refuse_vllm(body: Body) -> SimulatedReply | None:
    """A strict pydantic model: all errors at once, each with what was sent."""
    errors = [
        {"type": "extra_forbidden", "loc": ("body", name), "msg": "Extra inputs are not permitted", "input": body[name]}
        for name in _unknown(body, _VLLM)
    ]
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in ("none", "low", "medium", "high"):
        expected = "'none', 'low', 'medium' or 'high'"
        errors.append(
            {
                "type": "literal_error",
                "loc": ("body", "reasoning_effort"),
                "msg": f"Input should be {expected}",
                "input": effort,
                "ctx": {"expected": expected},
            }
        )
    return _vllm_error(str(errors)) if errors else None


def _vllm_error(message: str, param: str | None = None) -> SimulatedReply:
    return json_reply(400, {"error": {"message": message, "type": "BadRequestError", "param": param, "code": 400}})


def _vllm_over_context(context: int, prompt: int, tokens: int, name: str) -> SimulatedReply:
    text = f"'max_tokens' or 'max_completion_tokens' is too large: {tokens}. This model's maximum context length is "
    text += f"{context} tokens and your request has {prompt} input tokens ({tokens} > {context} - {prompt})."
    return _vllm_error(f"{text} (parameter={name}, value={tokens})", name)


def _refuse_sglang(body: Body) -> SimulatedReply | None:
    effort = body.get("reasoning_effort")
    if effort is None or effort in ("none", "low", "medium", "high"):
        return None
    expected = "'none', 'low', 'medium' or 'high'"
    error = {"type": "literal_error", "loc": ("body", "reasoning_effort"), "msg": f"Input should be {expected}"}
    return _sglang_error(str([{**error, "input": effort, "ctx": {"expected": expected}}]))


def _sglang_error(message: str) -> SimulatedReply:
    error = {"object": "error", "message": message, "type": "Bad Request", "param": None, "code": 400}
    return json_reply(400, error)


def _sglang_over_context(context: int, prompt: int, tokens: int, name: str) -> SimulatedReply:  # noqa: ARG001 - never named
    text = f"Requested token count exceeds the model's maximum context length of {context} tokens. You requested a "
    text += f"total of {prompt + tokens} tokens: {prompt} tokens from the input messages and {tokens} tokens for the "
    text += "completion. Please reduce the number of tokens in the input messages or the completion to fit within the "
    return _sglang_error(f"{text}limit.")


def _openai_over_context(context: int, prompt: int, tokens: int, name: str) -> SimulatedReply:  # noqa: ARG001 - never named
    text = f"This model's maximum context length is {context} tokens. However, you requested {prompt + tokens} tokens "
    text += f"({prompt} in the messages, {tokens} in the completion). Please reduce the length of the messages or "
    return _openai(f"{text}completion.", "messages", "context_length_exceeded")


def _refuse_ollama(body: Body) -> SimulatedReply | None:
    effort = body.get("reasoning_effort")
    if effort is None or effort in ("none", "low", "medium", "high"):
        return None
    text = f'invalid reasoning value: \'{effort}\' (must be "high", "medium", "low", or "none")'
    return _openai(text, None, None)


_GEMINI = _COMMON - {"seed", "frequency_penalty", "presence_penalty"}


def _refuse_gemini(body: Body) -> SimulatedReply | None:
    unknown = _unknown(body, _GEMINI | {"max_completion_tokens", "reasoning_effort", "user"})
    texts = [f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in unknown]
    if not texts:
        return None
    violations = [{"description": text} for text in texts]
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    error = {"code": 400, "message": "\n".join(texts), "status": "INVALID_ARGUMENT", "details": details}
    return json_reply(400, [{"error": error}])


def _refuse_anthropic(body: Body) -> SimulatedReply | None:
    for text in _anthropic_problems(body):
        error = {"code": "invalid_request_error", "message": text, "type": "invalid_request_error", "param": None}
        return json_reply(400, {"error": error})
    return None


def _anthropic_problems(body: Body) -> Iterator[str]:
    temperature, tokens = body.get("temperature"), body.get("max_tokens", body.get("max_completion_tokens"))
    if isinstance(tokens, int) and tokens > 64_000:
        yield f"max_tokens: {tokens} > 64000, which is the maximum allowed number of output tokens for this model"
    if isinstance(temperature, int | float) and temperature > 1:
        yield "temperature: range: 0..1"
    if temperature is not None and body.get("top_p") is not None:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


#: By name, as in the setting `profile`; "" is a server that takes everything but what other settings refuse.
PROFILES: Mapping[str, Profile] = {
    "": Profile(),
    "openai-old": Profile(_refuse_old_openai, over_context=_openai_over_context),
    "openai-new": Profile(_refuse_new_openai, "counted", over_context=_openai_over_context),
    "azure": Profile(_refuse_azure, "counted", over_context=_openai_over_context),
    "vllm": Profile(_refuse_vllm, "reasoning_content", over_context=_vllm_over_context),
    "sglang": Profile(_refuse_sglang, "reasoning_content", "misplaced", _sglang_over_context),
    "llama-cpp": Profile(reasoning="reasoning_content"),
    "ollama": Profile(_refuse_ollama, "reasoning", "ignored"),
    "gemini": Profile(_refuse_gemini, "in total only"),
    "anthropic": Profile(_refuse_anthropic, schema="ignored"),
}
