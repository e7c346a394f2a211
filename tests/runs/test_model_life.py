"""Models that are shut down: said before the end, refused after it, and the server's word counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from harness import run_rows, server
from wire import completion, in_thread, reply, serving

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.settings import Config, validate_config
from syphus.errors import ConfigError
from syphus.runs.model_life import life_notice, read_ends, shutdown_date

TODAY = datetime.now(UTC).date()
LOCAL = EndpointConfig(base_url="http://127.0.0.1:1/v1")
AZURE = EndpointConfig.model_validate(
    {"kind": "azure", "base_url": "https://r.openai.azure.com", "deployment": "d", "api_key": "k"}
)


def configured(model: str, endpoint: EndpointConfig = LOCAL, **settings: object) -> Config:
    return validate_config({"endpoints": (endpoint,), "model": model, **settings}, {})


@pytest.mark.parametrize(
    ("today", "notice"),
    [
        (date(2026, 11, 14), ""),
        (
            date(2026, 11, 15),
            "gpt-4o-mini will be shut down in 60 days, on 2027-01-14. Its successor is gpt-6-luna.",
        ),
        (
            date(2027, 1, 13),
            "gpt-4o-mini will be shut down tomorrow, on 2027-01-14. Its successor is gpt-6-luna.",
        ),
    ],
)
def test_a_model_near_its_end_is_said_so_with_its_successor(today: date, notice: str) -> None:
    assert life_notice(configured("gpt-4o-mini"), {}, today) == notice


def test_a_model_past_its_end_is_refused_with_a_way_to_go_on() -> None:
    with pytest.raises(ConfigError) as error:
        life_notice(configured("gpt-4o-mini"), {}, date(2027, 1, 14))
    assert str(error.value) == (
        "gpt-4o-mini was shut down on 2027-01-14. Its successor is gpt-6-luna. Use --model gpt-6-luna; if the model "
        "still answers there, put `models: {gpt-4o-mini: {shutdown: null}}` into a --config file."
    )
    corrected = configured("gpt-4o-mini", models={"gpt-4o-mini": {"shutdown": None}})
    assert life_notice(corrected, {}, date(2030, 1, 1)) == ""


def test_the_user_s_word_counts_before_the_server_s_and_that_before_the_table_s() -> None:
    stated = {"gpt-4o-mini": date(2028, 1, 1), "gpt-4o": None}
    assert shutdown_date(configured("gpt-4o-mini"), stated) == date(2028, 1, 1)
    assert shutdown_date(configured("gpt-4o-mini-2024-07-18"), stated) == date(2028, 1, 1)
    assert shutdown_date(configured("gpt-4o"), stated) is None
    assert shutdown_date(configured("gpt-4.1"), stated) == date(2027, 1, 14)
    mine = configured("gpt-4o-mini", models={"gpt-4o-mini": {"shutdown": "2029-01-01"}})
    assert shutdown_date(mine, stated) == date(2029, 1, 1)


def test_azure_has_dates_of_its_own() -> None:
    assert shutdown_date(configured("gpt-4o-mini", AZURE), {}) == date(2027, 4, 14)
    assert shutdown_date(configured("gpt-6-luna", AZURE), {}) is None
    assert shutdown_date(configured("o3", AZURE, models={"o3": {"shutdown": None}}), {}) is None


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        (
            b'{"data": [{"id": "a", "shutdown_date": "2027-01-14"}, {"id": "b", "shutdown_date": null}, {"id": "c"}]}',
            {"a": date(2027, 1, 14), "b": None},
        ),
        (b'{"data": [{"id": "a", "shutdown_date": "soon"}, {"id": 3, "shutdown_date": null}, 7]}', {}),
        (b'{"data": {}}', {}),
        (b"[]", {}),
        (b"<html>", {}),
    ],
)
def test_a_list_of_models_is_read_with_care(body: bytes, ends: dict[str, date | None]) -> None:
    assert read_ends(body) == ends


def test_a_run_says_what_the_server_states_and_asks_it_once_a_day(tmp_path: Path) -> None:
    end = TODAY + timedelta(days=30)
    with server(models=("gpt-6-luna",), shutdown_date=str(end)) as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, config={"model": "gpt-6-luna"})
        simulated.endpoint.configure({"shutdown_date": "2020-01-01"})
        again = run_rows(tmp_path, simulated.url, 3, config={"model": "gpt-6-luna"})
    assert ran.exit_code == again.exit_code == 0
    assert f"gpt-6-luna will be shut down in 30 days, on {end}." in ran.lines
    assert f"gpt-6-luna will be shut down in 30 days, on {end}." in again.lines


@pytest.mark.parametrize(("stated", "model"), [("2020-01-01", "gpt-6-luna"), ("", "gpt-4.1-nano")])
def test_a_run_whose_model_is_past_its_end_sends_nothing(tmp_path: Path, stated: str, model: str) -> None:
    with server(models=(model,), shutdown_date=stated) as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, config={"model": model})
        assert simulated.endpoint.stats.requests == 0
    assert ran.exit_code == 2
    assert str(ran.error).startswith(f"{model} was shut down on ")
    assert not ran.folder.exists()


def test_a_server_that_says_there_is_no_end_is_believed(tmp_path: Path) -> None:
    with server(models=("gpt-4.1-nano",), shutdown_date="null") as simulated:
        assert run_rows(tmp_path, simulated.url, 2, config={"model": "gpt-4.1-nano"}).exit_code == 0


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oh"])
def test_a_server_without_a_list_of_models_is_no_problem(tmp_path: Path, status: str) -> None:
    def answer(seen: object) -> object:
        is_list = "GET" in getattr(seen, "line", "")
        return reply(b"not a list", status) if is_list else reply(completion())

    with in_thread(lambda: serving(answer)) as wire:  # type: ignore[arg-type]  # any request has a line
        ran = run_rows(tmp_path, f"{wire.url}/v1", 1, config={"model": "gpt-6-luna"})
        assert [each.line.split()[0] for each in wire.seen][:2] == ["GET", "POST"]
    assert "was shut down" not in str(ran.error)
