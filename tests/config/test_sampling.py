"""What is sent to a model with the user's settings: parameters it takes, the nearest effort, room for reasoning."""

from __future__ import annotations

from pathlib import Path

import pytest

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.sampling import REASONING_ROOM, as_begun, for_new_run, resolve_sampling
from syphus.config.settings import Config, load_config, validate_config
from syphus.errors import ConfigError

LOCAL = EndpointConfig(base_url="http://127.0.0.1:1/v1")


def new(**settings: object) -> Config:
    return for_new_run(validate_config({"endpoints": (LOCAL,), **settings}, {}))


def sent(config: Config) -> dict[str, object]:
    sampling = resolve_sampling(config)
    return {k: v for k, v in sampling.fields.items() if v is not None and k not in sampling.left_out}


def test_a_model_of_before_is_asked_as_before() -> None:
    config = new(model="gpt-4o-mini")
    assert sent(config) == {"temperature": 0.7, "top_p": 0.95, "max_tokens": 3200}
    assert list(sent(config)) == ["temperature", "top_p", "max_tokens"]
    assert resolve_sampling(config).notes == ()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "gpt-6-luna",
            {"temperature": 0.7, "top_p": 0.95, "max_completion_tokens": 3200, "reasoning_effort": "none"},
        ),
        ("openai/gpt-6.1-sol-2026-09-29", {"max_completion_tokens": 7296, "reasoning_effort": "low"}),
        ("gpt-5-mini", {"max_completion_tokens": 4224, "reasoning_effort": "minimal"}),
        ("llama-3.3-70b", {"temperature": 0.7, "top_p": 0.95, "max_tokens": 3200}),
    ],
)
def test_the_default_settings_fit_every_model_without_a_word(model: str, expected: dict[str, object]) -> None:
    config = new(model=model)
    assert sent(config) == expected
    assert resolve_sampling(config).notes == ()


@pytest.mark.parametrize(
    ("model", "wanted", "effort"),
    [
        ("gpt-6-luna", "max", "max"),
        ("gpt-6-luna", "minimal", "low"),
        ("gpt-6.2-astra", "none", "low"),
        ("gpt-5.4", "max", "xhigh"),
        ("gpt-5", "none", "minimal"),
        ("o3", "xhigh", "high"),
    ],
)
def test_the_nearest_effort_is_sent_and_another_one_is_said(model: str, wanted: str, effort: str) -> None:
    sampling = resolve_sampling(new(model=model, reasoning_effort=wanted))
    assert sampling.fields["reasoning_effort"] == effort
    assert sampling.notes == (
        () if effort == wanted else (f"{model} does not know the reasoning effort {wanted}: {effort} is sent.",)
    )


@pytest.mark.parametrize("effort", REASONING_ROOM)
def test_reasoning_gets_room_besides_the_answer_up_to_the_limit_of_the_model(effort: str) -> None:
    limit = resolve_sampling(new(model="gpt-6-luna", reasoning_effort=effort)).answer_limit
    assert limit == 3200 + REASONING_ROOM[effort if effort != "minimal" else "low"]
    most = resolve_sampling(new(model="gpt-6-luna", reasoning_effort=effort, max_tokens=120_000))
    assert most.fields["max_completion_tokens"] == min(
        128_000, 120_000 + REASONING_ROOM[effort if effort != "minimal" else "low"]
    )
    assert "max_completion_tokens" not in sent(new(model="gpt-6-luna", reasoning_effort=effort, max_tokens=None))


def test_what_the_user_set_and_the_model_does_not_take_is_said() -> None:
    reasoning = resolve_sampling(new(model="gpt-6-luna", reasoning_effort="low", temperature=0.2, top_p=0.9))
    assert reasoning.notes == ("gpt-6-luna takes temperature and top_p only with the reasoning effort none: not sent.",)
    never = resolve_sampling(new(model="gpt-5-mini", temperature=0.2, extra_body={"presence_penalty": 1.0}))
    assert never.notes == ("gpt-5-mini does not take temperature and presence_penalty: not sent.",)
    assert "presence_penalty" not in sent(new(model="gpt-5-mini", extra_body={"presence_penalty": 1.0}))
    old = resolve_sampling(new(model="gpt-4o", reasoning_effort="low", verbosity="low"))
    assert old.notes == (
        "gpt-4o does not reason: the reasoning effort is not sent.",
        "gpt-4o takes no verbosity: it is not sent.",
    )
    assert sent(new(model="gpt-4o", reasoning_effort="low", verbosity="low")) == sent(new(model="gpt-4o"))


def test_an_effort_and_a_verbosity_are_sent_to_models_that_nobody_knows() -> None:
    config = new(model="qwen", reasoning_effort="high", verbosity="low")
    assert sent(config) == {**sent(new(model="qwen")), "reasoning_effort": "high", "verbosity": "low"}


def test_further_fields_are_sent_as_they_are() -> None:
    config = new(model="gpt-6-luna", extra_body={"reasoning_effort": "high"})
    assert sent(config) == {"temperature": 0.7, "top_p": 0.95, "max_tokens": 3200, "reasoning_effort": "high"}


def test_a_run_goes_on_with_its_own_model_and_effort_where_they_are_left_open(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-1"}
    unnamed, named = load_config(None, {}, environ), load_config(None, {"model": "gpt-6-luna"}, environ)
    old = {"model": "gpt-5-mini", "temperature": 0.7, "max_tokens": 3200}
    assert as_begun(for_new_run(unnamed), old).model == "gpt-5-mini"
    assert sent(as_begun(for_new_run(unnamed), old)) == {"temperature": 0.7, "top_p": 0.95, "max_tokens": 3200}
    assert sent(as_begun(for_new_run(named), old)) == sent(for_new_run(named))
    begun = {"model": "gpt-6-luna", "reasoning_effort": "high"}
    assert sent(as_begun(for_new_run(named), begun))["reasoning_effort"] == "high"
    other = load_config(None, {"model": "gpt-6-luna", "reasoning_effort": "low"}, environ)
    assert sent(as_begun(for_new_run(other), begun))["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{reasoning_effort: enormous}", "reasoning_effort should be 'none', 'minimal', 'low', 'medium', 'high'"),
        ("{verbosity: 3}", "verbosity should be 'low', 'medium' or 'high'"),
        ("{reasoning_effort: low, extra_body: {reasoning_effort: low}}", "reasoning_effort is set twice"),
        ("{models: {m: {contxt: 3}}}", "models.m.contxt is not a setting"),
        ("{models: {m: {price: {input: cheap, output: 1}}}}", "models.m.price.input should be a valid number"),
        ("{models: {m: {shutdown: soon}}}", "models.m.shutdown should be a date such as 2027-01-14"),
        ("{models: {m: {like: nobody}}}", "models.m.like names nobody, which is not in the table of models"),
        ("{models: {m: 3}}", "models.m should be a valid dictionary"),
        ("{prices: {m: {input: cheap, output: 1}}}", "prices.m.input should be a valid number"),
        ("{image_detail: huge}", "image_detail should be 'low', 'high', 'auto' or 'original'"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(path, {}, {"OPENAI_API_KEY": "sk-1"})
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
