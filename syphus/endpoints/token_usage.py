"""Reads the tokens that a reply says it used, under the names of any server; what it does not say is estimated."""

from __future__ import annotations

import re
from collections.abc import Mapping

from syphus.exchange import BYTES_PER_TOKEN, Usage

_USAGE_NAME = re.compile(r"usage|billed|^meta$", re.IGNORECASE)
_DETAILS = re.compile(r"cach|detail|audio|image|modalit|duration|time|cost|price|search|second", re.IGNORECASE)
_PROMPT_NAME = re.compile(r"prompt|input", re.IGNORECASE)
_THOUGHTS_NAME = re.compile(r"thought|reason|think", re.IGNORECASE)
_ANSWER_NAME = re.compile(r"completion|output|candidate|generated|eval_count|response_?token", re.IGNORECASE)
_TOTAL_NAME = re.compile(r"total", re.IGNORECASE)
_MAX_TOKENS = 10**8  # more is nonsense, and would not fit into the ledger


def read_usage(usage: object, prompt_bytes: int, answer_bytes: int) -> Usage:
    """Return the usage that a reply reports, or an estimate from the sizes that is marked as one."""
    reported = usage if isinstance(usage, dict) else {}
    prompt = read_count(reported.get("prompt_tokens")) or read_count(reported.get("input_tokens"))
    completion = read_count(reported.get("completion_tokens")) or read_count(reported.get("output_tokens"))
    total = read_count(reported.get("total_tokens"))
    if not (prompt or completion) and reported:
        prompt, completion, total = _read_other_names(reported)
    hidden = total - prompt - completion if prompt and completion else 0
    estimated = 0
    if not prompt:
        prompt = estimated = -(-prompt_bytes // BYTES_PER_TOKEN)
    if not completion and answer_bytes:
        completion = max(-(-answer_bytes // BYTES_PER_TOKEN), total - prompt)  # of some, only the sum is known
        estimated += completion
    cached, written = _cached(reported), _cache_writes(reported)
    if "cache_read_input_tokens" in reported and cached + written > prompt:
        prompt += cached + written  # Anthropic's own count leaves them out; gateways that translate it include them
        hidden = 0
    elif hidden > 0:  # thinking that only the total counts; it is billed as output
        completion += hidden
    cached = min(cached, prompt)
    return Usage(
        prompt,
        completion,
        cached,
        min(max(_reasoning(reported), hidden), completion),
        estimated,
        min(written, prompt - cached),
    )


def usage_elsewhere(data: Mapping[str, object]) -> object:
    """Return the usage of servers that keep it under a name such as `usageMetadata` or beside the answer, or None."""
    named = (value for name, value in data.items() if isinstance(value, dict) and _USAGE_NAME.search(name))
    return next(named, None) or {name: value for name, value in data.items() if isinstance(value, int)}


def _read_other_names(usage: Mapping[str, object]) -> tuple[int, int, int]:
    """Return the tokens of prompt and answer, and their sum, from names in other styles, perhaps in inner objects.

    Gemini's `promptTokenCount`, Bedrock's `inputTokens`, Cohere's `billed_units`, Ollama's `prompt_eval_count`. What
    was thought is counted apart by some, and in the sum by all. Of several objects, that with the most counts.
    """
    prompt = completion = thoughts = total = 0
    for name, value in usage.items():
        if isinstance(value, dict):
            inner = _read_other_names(value) if not _DETAILS.search(name) else (0, 0, 0)
            prompt, completion, total = max((prompt, completion, total), inner, key=sum)
        elif _DETAILS.search(name):
            continue
        elif _PROMPT_NAME.search(name):
            prompt = max(prompt, read_count(value))
        elif _THOUGHTS_NAME.search(name):
            thoughts = max(thoughts, read_count(value))
        elif _ANSWER_NAME.search(name):
            completion = max(completion, read_count(value))
        elif _TOTAL_NAME.search(name):
            total = max(total, read_count(value))
    return prompt, completion, max(total, prompt + completion + thoughts)


def _reasoning(usage: dict[str, object]) -> int:
    """Return the tokens of reasoning, as OpenAI, its newer API, or SGLang report them."""
    details = [
        _detail(usage, group, "reasoning_tokens") for group in ("completion_tokens_details", "output_tokens_details")
    ]
    return max(*details, read_count(usage.get("reasoning_tokens")))


def _cached(usage: dict[str, object]) -> int:
    """Return the prompt tokens that were read from a cache, as OpenAI, DeepSeek or Anthropic name them."""
    return (
        _detail(usage, "prompt_tokens_details", "cached_tokens")
        or read_count(usage.get("prompt_cache_hit_tokens"))
        or read_count(usage.get("cache_read_input_tokens"))
    )


def _cache_writes(usage: dict[str, object]) -> int:
    """Return the prompt tokens that were written into a cache, as OpenAI, gateways or Anthropic name them."""
    return (
        _detail(usage, "prompt_tokens_details", "cache_write_tokens")
        or _detail(usage, "prompt_tokens_details", "cache_creation_tokens")
        or read_count(usage.get("cache_creation_input_tokens"))
    )


def _detail(usage: dict[str, object], group: str, name: str) -> int:
    details = usage.get(group)
    return read_count(details.get(name)) if isinstance(details, dict) else 0


def read_count(value: object) -> int:
    """Return a count in whatever form it is reported, or 0 for anything else."""
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12:
        value = int(value)  # some gateways write numbers as text
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_TOKENS else 0
