"""Which fields an error is about, in the words of many servers, and what is sent instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import HERE

from syphus.config.sampling import REASONING_ROOM
from syphus.endpoints.classify import Action, ReplyVerdict, classify_error
from syphus.endpoints.refusals import Change, ChangeKind, apply_changes
from syphus.io.yaml_files import read_yaml

ROW = "the temperature rises, said 'top_p' of `seed`, and \"verbosity\" too: max_tokens"
SENT: dict[str, object] = {
    "model": "m",
    "messages": [{"role": "user", "content": ROW}],
    "temperature": 0.7,
    "top_p": 0.95,
    "max_tokens": 3200,
    "reasoning_effort": "minimal",
    "verbosity": "low",
    "prompt_cache_key": "k",
    "service_tier": "flex",
    "seed": 7,
    "response_format": {"type": "json_schema"},
}
OMIT, RENAME, REPLACE, AT_MOST = ChangeKind.OMIT, ChangeKind.RENAME, ChangeKind.REPLACE, ChangeKind.AT_MOST
ROOM = ("max_tokens", ChangeKind.MORE, 3072)  # from minimal to low
NEWER: list[tuple[str, ChangeKind, object]] = [("max_tokens", RENAME, "max_completion_tokens")]


def error(message: str, param: str | None = None, code: object = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def judge(body: object, status: int = 400, /, **sent: object) -> ReplyVerdict:
    return classify_error(
        status, {}, json.dumps(body).encode(), "api.example", 0.0, json.dumps({**SENT, **sent}).encode()
    )


def omitted(*names: str) -> list[tuple[str, ChangeKind, object]]:
    return [(name, OMIT, None) for name in names]


def pydantic(*names: str) -> list[dict[str, object]]:
    return [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": SENT[name]}
        for name in names
    ]


UNKNOWN = ("verbosity", "prompt_cache_key")
TOKEN_LIMITS: list[dict[str, Any]] = list(read_yaml(HERE / "data" / "replies" / "token_limits.yaml"))  # type: ignore[call-overload] # a list
REFUSALS: list[tuple[str, object, list[tuple[str, ChangeKind, object]]]] = [
    (
        "OpenAI, renamed",
        error(
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
        NEWER,
    ),
    (
        "OpenAI, only the default",
        error(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is "
            "supported.",
            "temperature",
            "unsupported_value",
        ),
        omitted("temperature", "top_p"),
    ),
    (
        "OpenAI, unknown",
        error("Unknown parameter: 'verbosity'.", "verbosity", "unknown_parameter"),
        omitted("verbosity"),
    ),
    ("OpenAI, one argument", error("Unrecognized request argument supplied: seed"), omitted("seed")),
    (
        "Azure, several",
        error("Unrecognized request arguments supplied: verbosity, prompt_cache_key"),
        omitted(*UNKNOWN),
    ),
    (
        "Azure AI, a list",
        error("Extra parameters ['verbosity', 'prompt_cache_key'] are not allowed when extra-parameters is not set."),
        omitted(*UNKNOWN),
    ),
    ("FastAPI", {"detail": pydantic(*UNKNOWN)}, omitted(*UNKNOWN)),
    ("Mistral", {"object": "error", "message": {"detail": pydantic(*UNKNOWN)}, "code": 3001}, omitted(*UNKNOWN)),
    (
        "vLLM, as text",
        error(str([{**each, "loc": ("body", each["loc"][1])} for each in pydantic(*UNKNOWN)]), code=400),  # type: ignore[index] # a list
        omitted(*UNKNOWN),
    ),
    (
        "pydantic, in lines",
        error(
            "2 validation errors for ChatCompletionRequest\nverbosity\n  Extra inputs are not permitted "
            "[type=extra_forbidden, input_value='low', input_type=str]\nprompt_cache_key\n  Extra inputs are not "
            "permitted [type=extra_forbidden, input_value='k', input_type=str]"
        ),
        omitted(*UNKNOWN),
    ),
    (
        "Gemini, several in an array",
        [
            error(
                'Invalid JSON payload received. Unknown name "verbosity": Cannot find field.\nInvalid JSON payload '
                'received. Unknown name "prompt_cache_key": Cannot find field.',
                code=400,
            )
        ],
        omitted(*UNKNOWN),
    ),
    ("Groq", error("property 'verbosity' is unsupported, did you mean 'x'"), omitted("verbosity")),
    ("Fireworks", error("Extra inputs are not permitted, field: 'prompt_cache_key'"), omitted("prompt_cache_key")),
    (
        "litellm, a list",
        error(
            "litellm.UnsupportedParamsError: openai does not support parameters: ['verbosity', 'prompt_cache_key'], "
            "for model=m. To drop these, set `litellm.drop_params=True`",
            code="400",
        ),
        omitted(*UNKNOWN),
    ),
    (
        "litellm, a mapping",
        error("does not support parameters: {'verbosity': 'low'}, for model=m", code="400"),
        omitted("verbosity"),
    ),
    (
        "a condition is not refused",
        error("`temperature` is not supported when `reasoning_effort` is set for this model."),
        omitted("temperature", "top_p"),
    ),
    (
        "only one sampler",
        error("`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        omitted("top_p"),
    ),
    (
        "only one sampler, in other words",
        error("temperature can't be used together with top_p", code="invalid_request_error"),
        omitted("top_p"),
    ),
    ("a path", error("Invalid 'response_format.type': json_schema needs a newer model"), omitted("response_format")),
    (
        "an effort of a list",
        error(
            "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: "
            "'none', 'low', 'medium', and 'high'.",
            "reasoning_effort",
            "unsupported_value",
        ),
        [("reasoning_effort", REPLACE, "low"), ROOM],
    ),
    (
        "an effort of a literal",
        {
            "detail": [
                {
                    "type": "literal_error",
                    "loc": ["body", "reasoning_effort"],
                    "msg": "Input should be 'low', 'medium' or 'high'",
                    "input": "minimal",
                }
            ]
        },
        [("reasoning_effort", REPLACE, "low"), ROOM],
    ),
    (
        "an effort without the name",
        error('invalid reasoning value: \'minimal\' (must be "high", "medium", "low", or "none")'),
        [("reasoning_effort", REPLACE, "low"), ROOM],
    ),
    (
        "verbosity",
        error(
            "Unsupported value: 'low' is not supported with the 'm' model. Supported values are: 'medium'.",
            "verbosity",
            "unsupported_value",
        ),
        [("verbosity", REPLACE, "medium")],
    ),
]


@pytest.mark.parametrize(("body", "changes"), [pytest.param(*each[1:], id=each[0]) for each in REFUSALS])
def test_what_a_server_refuses_is_changed(body: object, changes: list[tuple[str, ChangeKind, object]]) -> None:
    verdict = judge(body)
    assert (verdict.action, [tuple(each) for each in verdict.changes]) == (Action.ADAPT, changes)


@pytest.mark.parametrize("known", [pytest.param(known, id=known["reply"]) for known in TOKEN_LIMITS])
def test_the_tokens_of_an_answer_are_lowered_to_what_fits(known: dict[str, Any]) -> None:
    verdict = judge(error(known["message"], known["param"], known["code"]), 400, max_tokens=known["sent"])
    assert verdict.action is Action.ADAPT
    ((name, kind, value),) = verdict.changes
    assert (name, kind) == ("max_tokens", AT_MOST)
    assert isinstance(value, int)
    assert known["limit"] / 2 <= value <= known["limit"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("prompt is too long: 4100 tokens > 2048 maximum", 4000),
        ("This model's maximum prompt length is 2048 but the request contains 3600 tokens.", 4000),
        ("The input token count (5000) exceeds the maximum number of tokens allowed (2048).", 4000),
        ("\u8f93\u5165\u8fc7\u957f\uff1a 4500 tokens \uff0c\u4e0a\u9650 2048", 4000),
    ],
)
def test_a_prompt_that_is_too_long_is_known_by_its_numbers_in_any_words(message: str, words: int) -> None:
    long = [{"role": "user", "content": "abc " * words}]
    verdict = judge(error(message), 400, messages=long)
    assert (verdict.action, verdict.cause, verdict.caused_by_row) == (Action.RECORD, "context too long", True)
    assert judge(error(message)).cause != "context too long"  # this prompt has no 100 tokens


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("invalid temperature: only 1 is allowed for this model", ("temperature", REPLACE, 1.0)),
        ("gpt-5 models don't support temperature=0.7. Only temperature=1 is supported.", ("temperature", REPLACE, 1.0)),
        ("`temperature` may only be set to 1 when thinking is enabled.", ("temperature", REPLACE, 1.0)),
        ("temperature\u53c2\u6570\u4e0d\u652f\u6301\uff0c\u53ea\u80fd\u4e3a1", ("temperature", REPLACE, 1.0)),
        ("`top_p` is deprecated for this model.", ("top_p", OMIT, None)),
        ("Malformed input request: #: extraneous key [top_p] is not permitted", ("top_p", OMIT, None)),
        ('Invalid JSON payload received. Unknown name "top_p": Cannot find field.', ("top_p", OMIT, None)),
        ("property 'top_p' is unsupported", ("top_p", OMIT, None)),
        ("only one of temperature and top_p may be set", ("top_p", OMIT, None)),
    ],
)
def test_a_sampler_that_is_refused_is_known_in_any_words(message: str, change: tuple[str, ChangeKind, object]) -> None:
    assert [tuple(each) for each in judge(error(message)).changes] == [change]


def test_a_context_that_has_less_room_than_it_says_gets_half_of_the_tokens() -> None:
    message = "'max_tokens' is too large: 1864. The context length is 2048 and your request has 120 input tokens."
    assert judge(error(message), 400, max_tokens=1864).changes == (Change("max_tokens", AT_MOST, 932),)


def test_a_prompt_that_fills_the_context_lowers_the_limit_for_its_row_alone() -> None:
    message = "'max_tokens' is too large: 3200. The context length is 4096 and your request has 3000 input tokens."
    assert judge(error(message)).of_this_prompt
    none_left = "This model's maximum context length is 128 tokens. However, your messages resulted in 300 tokens."
    assert judge(error(none_left, "messages", "context_length_exceeded")).cause == "context too long"


@pytest.mark.parametrize(
    ("message", "sent", "instead"),
    [
        ("temperature: range: 0..1", {"temperature": 1.5}, 1.0),
        (
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3.5 instead.",
            {"temperature": 3.5},
            2.0,
        ),
        ("`temperature` must be strictly between 0 and 1, 1.2 given", {"temperature": 1.2}, 1.0),
    ],
)
def test_a_number_out_of_range_becomes_the_nearest_that_is_taken(
    message: str, sent: dict[str, object], instead: float
) -> None:
    (change,) = judge(error(message), 400, **sent).changes
    assert change == Change("temperature", REPLACE, instead)


def test_an_older_server_gets_the_older_name_of_max_tokens() -> None:
    sent = {"max_tokens": None, "max_completion_tokens": 3200}
    (change,) = judge(
        {"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Extra inputs"}]}, 422, **sent
    ).changes
    assert change == Change("max_completion_tokens", RENAME, "max_tokens")


@pytest.mark.parametrize(
    "body",
    [
        error(f"Invalid prompt: {ROW}"),
        error(f"Your message ({ROW}) was rejected."),
        error("The temperature of this prompt is too high, and its seed is unknown."),
        error("Invalid value for 'content': expected a string.", "messages.[0].content"),
        error("Unsupported parameter: 'tools'", "tools", "unsupported_parameter"),
        {"detail": [{"input": ROW, "type": "literal_error", "loc": ["body", "messages"]}]},
        {"detail": ROW},
        "temperature",
    ],
)
def test_what_an_error_repeats_of_the_prompt_is_no_refusal(body: object) -> None:
    assert judge(body, 422).action is Action.RECORD


def test_a_wrong_value_without_a_right_one_stops_the_run() -> None:
    verdict = judge(error("'temperature' is too high", "temperature", "invalid_value"))
    assert (verdict.action, verdict.cause) == (Action.STOP, "bad temperature")


def test_a_higher_effort_than_the_wanted_one_gets_room_for_its_reasoning() -> None:
    message = (
        "Unsupported value: 'none' is not supported with this model. Supported values are: 'low', 'medium', 'high'."
    )
    sent: dict[str, object] = {"reasoning_effort": "none", "max_completion_tokens": 3200, "max_tokens": None}
    verdict = judge(error(message, "reasoning_effort", "unsupported_value"), **sent)
    changes = {change.name: change for change in verdict.changes}
    changed = apply_changes(sent, changes)
    assert changed["reasoning_effort"] == "low"
    assert changed["max_completion_tokens"] == 3200 + REASONING_ROOM["low"]
