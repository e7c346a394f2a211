"""What is known of models: that a name finds its facts, and that a wrong correction is one clear line."""

from __future__ import annotations

from datetime import date

import pytest

from syphus.config.model_table import ModelTable, find_model, is_regional, shipped_models, undated


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-6-luna", "gpt-6-luna"),
        ("gpt-6-luna-2026-08-01", "gpt-6-luna"),
        ("openai/gpt-6-luna", "gpt-6-luna"),
        ("azure/openai/gpt-6.1-sol-2026-09-29", "gpt-6.1-sol"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("ft:gpt-4o-mini-2024-07-18:lab::x", "gpt-4o-mini"),
    ],
)
def test_a_name_finds_its_model(name: str, family: str) -> None:
    found = find_model(name)
    assert found is not None
    assert found.name == family
    assert (found.price is None) == name.startswith("ft:")


@pytest.mark.parametrize("name", ["", "gpt-6", "gpt-6-luna-pro", "gpt-4o-mini-audio", "GPT-6-luna", "llama-3.3-70b"])
def test_a_name_that_only_looks_alike_finds_none(name: str) -> None:
    assert find_model(name) is None


def test_every_shipped_model_has_a_source_and_makes_sense() -> None:
    for name in shipped_models():
        model = find_model(name)
        assert model is not None
        assert "." in model.source, name
        assert undated(model.successor) in ("", *shipped_models()), name
        assert not model.default_effort or model.default_effort in model.efforts, name
        if model.max_output is not None and model.context is not None:
            assert model.max_output < model.context, name


def test_a_correction_replaces_only_what_it_names() -> None:
    model = find_model("gpt-6-luna-2026-08-01", {"gpt-6-luna": {"shutdown": "2027-03-01", "price": {"output": 0.75}}})
    assert model is not None
    assert model.shutdown == date(2027, 3, 1)
    assert model.price is not None
    assert (model.price.input, model.price.output) == (0.10, 0.75)
    assert model.efforts[0] == "none"
    again = find_model("gpt-6-luna")
    assert again is not None
    assert again.shutdown is None


def test_a_correction_by_the_name_of_a_gateway_keeps_what_is_known() -> None:
    table = ModelTable({"openai/gpt-4o-2024-08-06": {"shutdown": None}})
    corrected, other = table.find("openai/gpt-4o-2024-08-06"), table.find("gpt-4o")
    assert corrected is not None
    assert corrected.shutdown is None
    assert corrected.price is not None
    assert other is not None
    assert other.shutdown is not None


def test_a_deployment_can_be_like_a_model() -> None:
    table = ModelTable({"my-deployment": {"like": "gpt-6-luna"}, "older": {"like": "gpt-4o", "shutdown": None}})
    mine, older = table.find("my-deployment"), table.find("older")
    assert mine is not None
    assert older is not None
    assert mine.max_tokens_field == "max_completion_tokens"
    assert older.shutdown is None
    assert table.image_counting("my-deployment").patches is not None


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"m": {"contxt": 5}}, "contxt"),
        ({"m": {"price": {"input": "cheap", "output": 1.0}}}, "price.input"),
        ({"m": {"efforts": ["hard"]}}, "efforts"),
        ({"m": {"shutdown": "soon"}}, "should be a date"),
        ({"m": {"like": "nobody"}}, "m.like names nobody"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "like"),
        ({"m": {"images": {}}}, "tiles or patches"),
        ({"m": {"price": {"input": 1.0, "output": 1.0, "tiers": {"fast": -1.0}}}}, "tiers.fast"),
    ],
)
def test_a_wrong_correction_is_refused(facts: dict[str, dict[str, object]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ModelTable(facts)  # type: ignore[arg-type]  # some are wrong on purpose


@pytest.mark.parametrize(
    ("host", "regional"),
    [("eu.api.openai.com", True), ("us.api.openai.com:443", True), ("api.openai.com", False), ("localhost", False)],
)
def test_regional_hosts_are_known(host: str, regional: bool) -> None:
    assert is_regional(host) is regional
