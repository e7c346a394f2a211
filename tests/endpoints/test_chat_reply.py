"""Reading chat completions: the text, why it stopped, its usage; and answers that are not worth parsing."""

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict

from syphus.endpoints.chat_reply import READ_ELSEWHERE, classify_chat_reply, unusable_outcome
from syphus.endpoints.classify import Action, ReplyVerdict
from syphus.exchange import Completion, Usage
from syphus.types import Outcome, State


def answer(**fields: object) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    return {"id": "c-1", "model": "m-2026-01-01", "choices": [choice], "usage": usage, **fields}


def chosen(message: object, finish_reason: object = "stop", **fields: object) -> dict[str, object]:
    return answer(choices=[{"message": message, "finish_reason": finish_reason, **fields}])


def read(body: object, prompt_bytes: int = 400, content_type: str = "application/json") -> ReplyVerdict:
    return classify_chat_reply(
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        prompt_bytes,
        CIMultiDict({"Content-Type": content_type}),
    )


def test_an_answer_is_read_whole() -> None:
    completion = read(answer()).completion
    assert completion is not None
    assert (completion.text, completion.finish_reason, completion.model) == ("fine", "stop", "m-2026-01-01")
    assert (completion.refusal, completion.flags, completion.response_id) == ("", (), "c-1")
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (100, 20, 64)
    assert (usage.reasoning_tokens, usage.estimated) == (8, 0)


@pytest.mark.parametrize(
    ("body", "content_type", "cause"),
    [
        (b"", "application/json", "empty body"),
        (b"<html><body>Log in</body></html>", "text/html; charset=utf-8", "text/html instead of JSON"),
        (b"data: {}\n\n", "text/event-stream", "text/event-stream instead of JSON"),
        (b'{"choices": [{"mess', "application/json", "malformed JSON"),
        (b'{"a": "\xff\xfe"}', "application/json", "not a chat completion"),
        (b"[" * 5000, "application/json", "malformed JSON"),
        ([], "application/json", "not a chat completion"),
        (b"null", "application/json", "not a chat completion"),
        ({"choices": {}}, "application/json", "not a chat completion"),
        ({"object": "list", "data": []}, "application/json", "not a chat completion"),
        ({"error": {"message": "overloaded"}}, "application/json", "error inside a 200"),
        ({"choices": [], "error": {"message": "upstream"}}, "application/json", "error inside a 200"),
    ],
)
def test_a_200_that_is_no_completion_is_asked_again_and_may_have_been_billed(
    body: object, content_type: str, cause: str
) -> None:
    verdict = read(body, content_type=content_type)
    assert (verdict.action, verdict.cause, verdict.maybe_billed) == (Action.RETRY, cause, True)


@pytest.mark.parametrize(
    ("body", "state", "reason"),
    [
        (answer(), None, ""),
        (chosen({"content": [{"type": "text", "text": "fine"}, {"type": "image"}]}), None, ""),
        (chosen({"content": "fine"}, None), None, ""),
        (chosen({"content": "half"}, "length"), State.TRUNCATED, "cut off at max_tokens"),
        (chosen({"content": ""}, "length"), State.TRUNCATED, "max_tokens used up before the answer began"),
        (chosen({"content": None}, "length"), State.TRUNCATED, "max_tokens used up before the answer began"),
        (chosen({"content": ""}, "content_filter"), State.REFUSED, "content filter on the answer"),
        (chosen({"content": None}, "content_filter"), State.REFUSED, "content filter on the answer"),
        (chosen({"content": "half"}, "content_filter"), State.REFUSED, "content filter on the answer"),
        (
            chosen(
                {"content": "half"},
                "content_filter",
                content_filter_results={
                    "sexual": {"filtered": True, "severity": "high"},
                    "jailbreak": {"detected": True},
                },
            ),
            State.REFUSED,
            "content filter on the answer (jailbreak, sexual: high)",
        ),
        (chosen({"content": None, "refusal": "No."}), State.REFUSED, "refusal"),
        (chosen({"content": "I", "refusal": "No."}), State.REFUSED, "refusal"),
        (chosen({"content": " \n"}), State.INVALID, "empty answer"),
        (chosen({"content": ""}), State.INVALID, "empty answer"),
        (chosen({"content": None}), State.INVALID, "empty answer"),
        (chosen(None), State.INVALID, "empty answer"),
        (answer(choices=[]), State.INVALID, "empty answer"),
        (answer(choices=["fine"]), State.INVALID, "empty answer"),
    ],
)
def test_an_answer_that_is_not_worth_parsing_has_its_outcome(body: object, state: State | None, reason: str) -> None:
    verdict = read(body)
    assert verdict.action is Action.ANSWER
    assert verdict.completion is not None
    outcome = unusable_outcome(verdict.completion)
    assert (outcome and outcome.state, outcome.reason if outcome else "") == (state, reason)


def test_a_refusal_keeps_its_words() -> None:
    completion = read(chosen({"content": None, "refusal": "I can't help with that."})).completion
    assert completion is not None
    outcome = unusable_outcome(completion)
    assert outcome is not None
    assert outcome.detail == "I can't help with that."


def test_a_filter_that_did_not_run_is_flagged_and_the_answer_counts() -> None:
    completion = read(chosen({"content": "fine"}, content_filter_results={"error": {"code": "x"}})).completion
    assert completion is not None
    assert completion.flags == ("filter did not run",)
    assert unusable_outcome(completion) is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (100, 1, 0, 0, 101)),
        ({}, (100, 1, 0, 0, 101)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (100, 1, 0, 0, 101)),
        ({"prompt_tokens": 50}, (50, 1, 0, 0, 1)),
        ({"prompt_tokens": -5, "completion_tokens": True}, (100, 1, 0, 0, 101)),
        ({"prompt_tokens": 7.5, "completion_tokens": "7.5"}, (100, 1, 0, 0, 101)),
        ({"prompt_tokens": "50", "completion_tokens": "7"}, (50, 7, 0, 0, 0)),
        ({"input_tokens": 1000, "output_tokens": 400}, (1000, 400, 0, 0, 0)),
        ({"prompt_tokens": 572, "completion_tokens": 126, "total_tokens": 1278}, (572, 706, 0, 580, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17, "reasoning_tokens": 5}, (9, 8, 0, 5, 0)),
        (
            {"input_tokens": 9, "output_tokens": 8, "output_tokens_details": {"reasoning_tokens": 6}},
            (9, 8, 0, 6, 0),
        ),
        ({"prompt_tokens": 10**18, "completion_tokens": 2**64 - 1}, (100, 1, 0, 0, 101)),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}},
            (10, 2, 10, 0, 0),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": None}, (10, 2, 0, 0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": []}, (10, 2, 0, 0, 0)),
        ([1, 2], (100, 1, 0, 0, 101)),
    ],
)
def test_usage_that_can_not_be_believed_is_estimated_and_marked_so(usage: object, expected: tuple[int, ...]) -> None:
    completion = read(answer(usage=usage)).completion
    assert completion is not None
    told = completion.usage
    assert expected == (
        told.prompt_tokens,
        told.completion_tokens,
        told.cached_tokens,
        told.reasoning_tokens,
        told.estimated,
    )


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (
            {"usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 7, "totalTokenCount": 57}},
            (50, 7, 0),
        ),
        (
            {"usage_metadata": {"prompt_token_count": 50, "candidates_token_count": 7, "thoughts_token_count": 30}},
            (50, 37, 30),
        ),
        ({"usage": {"inputTokens": 50, "outputTokens": 7, "totalTokens": 57}}, (50, 7, 0)),
        ({"usage": {"promptTokens": 50, "completionTokens": 7}}, (50, 7, 0)),
        (
            {
                "usage": {
                    "billed_units": {"input_tokens": 40, "output_tokens": 7},
                    "tokens": {"input_tokens": 50, "output_tokens": 7},
                }
            },
            (50, 7, 0),
        ),
        ({"meta": {"billed_units": {"input_tokens": 50, "output_tokens": 7}}}, (50, 7, 0)),
        ({"prompt_eval_count": 50, "eval_count": 7, "total_duration": 99999}, (50, 7, 0)),
        ({"token_usage": {"prompt": 50, "completion": 7, "total": 77}}, (50, 27, 20)),
        (
            {"usage": {"input_token_count": 50, "generated_token_count": 7, "input_token_details": {"cached": 3}}},
            (50, 7, 0),
        ),
    ],
)
def test_usage_under_other_names_and_in_other_places_is_read(
    beside: dict[str, object], expected: tuple[int, ...]
) -> None:
    completion = read(answer(usage=None) | beside).completion
    assert completion is not None
    used = completion.usage
    assert (used.prompt_tokens, used.completion_tokens, used.reasoning_tokens, used.estimated) == (*expected, 0)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 50}}, (100, 30, 50)),
        ({"prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 99}}, (100, 30, 70)),
        ({"prompt_tokens_details": {"cache_creation_tokens": 60}}, (100, 0, 60)),
        ({"cache_read_input_tokens": 20, "cache_creation_input_tokens": 60}, (100, 20, 60)),
        ({"cache_read_input_tokens": 2000, "cache_creation_input_tokens": 60}, (2160, 2000, 60)),
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, (100, 64, 0)),
        ({"prompt_tokens_details": {"cache_write_tokens": "x"}}, (100, 0, 0)),
    ],
)
def test_what_a_prompt_reads_from_the_cache_and_writes_into_it_is_read_under_its_names(
    usage: dict[str, object], expected: tuple[int, ...]
) -> None:
    completion = read(answer(usage={"prompt_tokens": 100, "completion_tokens": 2, **usage})).completion
    assert completion is not None
    told = completion.usage
    assert (told.prompt_tokens, told.cached_tokens, told.cache_write_tokens) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ""),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": None, "usage": {"service_tier": "standard"}}, "standard"),
        ({"service_tier": 3}, ""),
        ({"service_tier": "x" * 999}, "x" * 40),
    ],
)
def test_the_service_tier_is_the_one_that_served_the_answer(fields: dict[str, object], expected: str) -> None:
    completion = read(answer(**fields)).completion
    assert completion is not None
    assert completion.service_tier[:37] == expected[:37]
    assert len(completion.service_tier) <= 40


NEARLY_JSON = {
    "NaN": (
        b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": NaN}}',
        "fine",
    ),
    "infinity": (
        b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop", "logprobs": -Infinity}]}',
        "fine",
    ),
    "byte order mark": (
        b'\xef\xbb\xbf{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}',
        "fine",
    ),
    "half a pair": (b'{"choices": [{"message": {"content": "a \\ud83d b"}, "finish_reason": "stop"}]}', "a \\ud83d b"),
    "a wrong byte": (b'{"choices": [{"message": {"content": "a \xff b"}, "finish_reason": "stop"}]}', "a \\udcff b"),
}


@pytest.mark.parametrize(("body", "text"), NEARLY_JSON.values(), ids=NEARLY_JSON)
def test_an_answer_that_is_not_quite_json_was_paid_for_and_is_kept(body: bytes, text: str) -> None:
    completion = read(body).completion
    assert completion is not None
    assert completion.text == text
    completion.text.encode()
    outcome = unusable_outcome(completion)
    assert outcome == (None if text == "fine" else Outcome(State.INVALID, reason="text that is no UTF-8"))


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("stop", None), ("eos_token", None), ("END_TURN", None), (None, None), ("", None),
        ("length", State.TRUNCATED), ("max_tokens", State.TRUNCATED), ("MAX_TOKENS", State.TRUNCATED),
        ("content_filter", State.REFUSED), ("SAFETY", State.REFUSED),
        ("tool_calls", State.INVALID), ({"a": 1}, State.INVALID), (7, State.INVALID),
    ],
)  # fmt: skip
def test_only_a_known_reason_to_finish_is_a_whole_answer(reason: object, state: State | None) -> None:
    completion = read(chosen({"content": "Answer: The car moved to the left side of the"}, reason)).completion
    assert completion is not None
    outcome = unusable_outcome(completion)
    assert (outcome.state if outcome else None) == state


@pytest.mark.parametrize("reason", ["error", "ERROR", "network_error", "internal-error", "failed"])
@pytest.mark.parametrize("text", ["", "Answer: The car mo"])
def test_an_answer_that_ended_with_an_error_is_none(reason: str, text: str) -> None:
    assert read(chosen({"content": text}, reason)).action is Action.RETRY


def test_a_client_error_inside_a_200_is_read_as_one() -> None:
    verdict = read({"error": {"message": "slow down", "code": 429}})
    assert (verdict.action, verdict.inner_status) == (Action.RETRY, 429)
    assert read(chosen({"content": ""}, "stop", error={"code": "402", "message": "no credits"})).inner_status == 402


# Reasoning that comes with an answer

TEXT = "Question: What is it?\nAnswer: A robin."


def text_of(message: dict[str, object]) -> tuple[str, tuple[str, ...]]:
    body = {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    completion = classify_chat_reply(json.dumps(body).encode(), 400, {}).completion
    assert completion is not None
    return completion.text, completion.flags


@pytest.mark.parametrize(
    "message",
    [
        {"content": TEXT, "reasoning_content": "draft"},
        {"content": TEXT, "reasoning": "draft", "reasoning_details": [{"type": "reasoning.text", "text": "draft"}]},
        {"content": [{"type": "reasoning", "text": "draft"}, {"type": "text", "text": TEXT}]},
        {"content": [{"type": "thinking", "thinking": "draft"}, {"type": "text", "text": TEXT}]},
        {"content": [{"type": "reasoning_text", "text": "draft"}, {"type": "output_text", "text": TEXT}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "draft"}]}, {"text": TEXT}]},
    ],
)
def test_reasoning_beside_an_answer_is_no_part_of_it(message: dict[str, object]) -> None:
    assert text_of(message) == (TEXT, ())


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": TEXT},
        {"content": "", "reasoning": TEXT},
        {"content": " \n", "thinking": TEXT},
        {"reasoning_content": TEXT, "refusal": None},
        {"content": [], "thought": TEXT},
        {"content": [{"type": "reasoning", "text": TEXT}]},
    ],
)
def test_an_answer_that_stands_only_in_the_reasoning_is_read_from_there(message: dict[str, object]) -> None:
    assert text_of(message) == (TEXT, (READ_ELSEWHERE,))


@pytest.mark.parametrize("message", [{"content": None}, {"content": "", "refusal": "no"}, {"content": "", "name": "x"}])
def test_other_fields_of_a_message_are_no_answer(message: dict[str, object]) -> None:
    assert text_of(message) == ("", ())


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        *((each, State.REFUSED) for each in ("SPII", "SAFETY", "IMAGE_SAFETY", "BLOCKED", "guardrail", "policy")),
        *((each, State.TRUNCATED) for each in ("max_output", "MAX_TOKENS", "max_new_tokens", "cut_off", "truncated")),
        ("model_context_window_exceeded", State.TRUNCATED),
        *((each, State.INVALID) for each in ("error", "tool_calls", "malformed_function_call", "gone")),
        *((each, None) for each in ("stop", "STOP", "end_turn", "COMPLETE", "eos", "")),
    ],
)  # fmt: skip
def test_a_finish_reason_means_what_its_words_say(reason: str, state: State | None) -> None:
    outcome = unusable_outcome(Completion(TEXT, reason, "m", Usage()))
    assert (outcome and outcome.state) == state


@pytest.mark.parametrize(
    ("prompt", "answer", "limit", "reason"),
    [
        (3725, 371, 2048, "cut off at the end of the context"),
        (8000, 191, 512, "cut off at the end of the context"),
        (1000, 24, 100, "cut off at the end of the context"),
        (3725, 371, 371, "cut off at max_tokens"),
        (3725, 371, None, "cut off at max_tokens"),
        (3725, 400, 2048, "cut off at max_tokens"),
    ],
)
def test_where_the_context_ended_max_tokens_is_not_blamed(
    prompt: int, answer: int, limit: int | None, reason: str
) -> None:
    outcome = unusable_outcome(Completion("half", "length", "m", Usage(prompt, answer)), limit)
    assert outcome is not None
    assert outcome.reason == reason


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": ["", "fine"]}},
        {"message": {"content": {"type": "text", "text": "fine"}}},
        {"message": {"content": {"parts": [{"text": "a draft", "thought": True}, {"text": "fine"}]}}},
        {"message": {"content": "fine"}, "finish_reason": {"type": "stop"}},
        {"text": "fine", "finish_reason": "stop"},
    ],
)
def test_a_sound_answer_in_another_form_is_read(choice: object) -> None:
    completion = read(answer(choices=[choice])).completion
    assert completion is not None
    assert completion.text == "fine"
    assert unusable_outcome(completion) is None


def test_the_first_choice_is_that_with_the_lowest_index() -> None:
    choices = [{"index": 1, "message": {"content": "other"}}, {"index": 0, "message": {"content": "fine"}}]
    completion = read(answer(choices=choices)).completion
    assert completion is not None
    assert completion.text == "fine"


def test_usage_is_read_as_floats_beside_the_choice_and_as_a_sum() -> None:
    def usage(**fields: object) -> Usage:
        completion = read(answer(**fields)).completion
        assert completion is not None
        return completion.usage

    counts = {"prompt_tokens": 100.0, "completion_tokens": 20.0}
    inner = {"message": {"content": "fine"}, "usage": counts}
    for found in (usage(usage=counts), usage(usage=None, choices=[inner])):
        assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (100, 20, 0)
    found = usage(usage={"total_tokens": 5000})
    assert found.prompt_tokens + found.completion_tokens == 5000
    assert found.estimated


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        ({"candidates": [{"content": {"parts": [{"text": "A cat."}]}, "finishReason": "STOP"}]}, "/v1beta/openai. "),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "/v1beta/openai. "),
        ({"type": "message", "content": [{"type": "text", "text": "A cat."}], "stop_reason": "end_turn"}, "com/v1. "),
        ({"model": "llava", "message": {"role": "assistant", "content": "A cat."}, "done": True}, ":11434/v1. "),
        ({"model": "llava", "response": "A cat.", "done": True}, ":11434/v1. "),
        ({"object": "response", "output": [{"type": "message"}]}, "without /responses. "),
        ([{"generated_text": "A cat."}], "the same with /v1. "),
        ({"text": "A cat."}, ""),
    ],
)
def test_the_answer_of_another_api_says_which_address_is_right(body: object, remedy: str) -> None:
    verdict = classify_chat_reply(json.dumps(body).encode(), 10, {"content-type": "application/json"})
    assert verdict.cause == "not a chat completion"
    assert remedy in verdict.message
    assert bool(remedy) == verdict.message.startswith("This is ")
