"""The Batch API of the simulated endpoint, met with OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from syphus.simulator import SimulatedServer, Simulation, serve_in_thread

HOUR = 3600.0
TARIFFS = {"gpt-4o-mini": {"input": 1.0, "output": 4.0, "cached_input": 0.5}}


def body(text: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": "system", "content": "Write questions and answers."}, {"role": "user", "content": text}]
    return {"model": "gpt-4o-mini", "messages": turns, **more}


def as_line(custom_id: str, asked: object, url: str = "/v1/chat/completions", method: str = "POST") -> bytes:
    return json.dumps({"custom_id": custom_id, "method": method, "url": url, "body": asked}).encode()


def line(text: str, **more: Any) -> bytes:
    return as_line(text, body(text, **more))


def texts(count: int) -> list[str]:
    return [f"the car number {number} has moved" for number in range(count)]


class Session:
    """A server, and a client that never tries twice."""

    def __init__(self, server: SimulatedServer, *, azure: bool = False) -> None:
        self.server = server
        url = f"{server.host_url}/openai/v1/" if azure else server.url
        self.client = OpenAI(base_url=url, api_key="any", max_retries=0, timeout=30)

    def upload(self, lines: Sequence[bytes], name: str = "shard.jsonl", **more: Any) -> str:
        content = b"\n".join(lines) + b"\n"
        return self.client.files.create(file=(name, content), purpose="batch", **more).id

    def create(self, file_id: str, **more: Any) -> Batch:
        given = {"completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": file_id, **more}
        return self.client.batches.create(**given)

    def submit(self, lines: Sequence[bytes], **more: Any) -> Batch:
        return self.create(self.upload(lines), **more)

    def later(self, batch: Batch, seconds: float) -> Batch:
        """The batch after so many seconds more."""
        self.server.advance(seconds)
        return self.client.batches.retrieve(batch.id)

    def results(self, file_id: str | None) -> list[dict[str, Any]]:
        assert file_id
        return [json.loads(each) for each in self.client.files.content(file_id).content.splitlines()]


@contextmanager
def session(*, azure: bool = False, **settings: Any) -> Iterator[Session]:
    given = {"sloppiness": 0, "tariffs": TARIFFS, **settings}
    with serve_in_thread(Simulation(**given), clock=lambda: 0.0) as server:
        yield Session(server, azure=azure)


# A batch from beginning to end


def test_a_batch_goes_through_its_states_as_time_passes() -> None:
    with session(batch_minutes=100) as on:
        batch = on.submit([line(text) for text in texts(10)], metadata={"shard": "a1"})
        assert (batch.status, batch.metadata, batch.expires_at) == (
            "validating",
            {"shard": "a1"},
            batch.created_at + 24 * 3600,
        )
        states = []
        for _ in range(22):
            batch = on.later(batch, 300)
            states.append(batch.status)
        assert list(dict.fromkeys(states)) == ["in_progress", "finalizing", "completed"]
        assert batch.request_counts
        assert (batch.request_counts.total, batch.request_counts.completed) == (10, 10)
        assert batch.completed_at == batch.created_at + 6000
        assert batch.error_file_id is None
        assert batch.usage
        assert batch.usage.input_tokens == on.server.stats.tokens_in


def test_lines_get_the_answers_that_the_requests_get_online_in_another_order_and_at_half_the_price() -> None:
    with session(seed=3, sloppiness=0.5) as on:
        online = {text: on.client.chat.completions.create(**body(text)) for text in texts(20)}
        paid = on.server.stats.dollars
        on.server.reset()
        batch = on.later(on.submit([line(text) for text in texts(20)]), HOUR)
        results = on.results(batch.output_file_id)
        written = {each["custom_id"]: each["response"]["body"]["choices"] for each in results}
        assert written == {text: [choice.to_dict() for choice in each.choices] for text, each in online.items()}
        assert [each["custom_id"] for each in results] != texts(20)
        assert on.server.stats.dollars == paid / 2 > 0
        assert (on.server.stats.requests, on.server.stats.batch_lines, on.server.stats.ok) == (0, 20, 20)


def test_what_is_paid_for_twice_is_counted_over_both_ways() -> None:
    with session() as on:
        on.client.chat.completions.create(**body("the car has moved"))
        on.later(on.submit([line("the car has moved"), line("the door is open")]), HOUR)
        assert (on.server.stats.unique, on.server.stats.dup_after_ok) == (2, 1)


def test_a_refused_line_stands_in_the_error_file_and_costs_nothing() -> None:
    with session() as on:
        batch = on.later(on.submit([line("good"), line("bad", temperature=9)]), HOUR)
        (error,) = on.results(batch.error_file_id)
        assert (error["custom_id"], error["response"]["status_code"]) == ("bad", 400)
        assert error["response"]["body"]["error"]["param"] == "temperature"
        assert [each["custom_id"] for each in on.results(batch.output_file_id)] == ["good"]
        assert on.server.stats.billed == 1


def test_embeddings_can_be_lines() -> None:
    with session() as on:
        asked = as_line("e", {"model": "m", "input": ["a", "b"]}, "/v1/embeddings")
        batch = on.later(on.submit([asked], endpoint="/v1/embeddings"), HOUR)
        (result,) = on.results(batch.output_file_id)
        assert len(result["response"]["body"]["data"]) == 2


@pytest.mark.parametrize(("way", "final"), [("cancel", "cancelled"), ("expire", "expired")])
def test_what_was_answered_before_the_end_is_billed_and_delivered(way: str, final: str) -> None:
    hours = 1 if way == "expire" else 24
    with session(batch_minutes=120, batch_hours=hours) as on:
        batch = on.submit([line(text) for text in texts(100)])
        if way == "cancel":
            on.server.advance(HOUR)
            assert on.client.batches.cancel(batch.id).status == "cancelling"
        batch = on.later(batch, HOUR)
        assert batch.status == final
        answered, errors = on.results(batch.output_file_id), on.results(batch.error_file_id)
        assert 30 < len(answered) < 70
        assert {each["error"]["code"] for each in errors} == {f"batch_{final}"}
        assert sorted(each["custom_id"] for each in answered + errors) == sorted(texts(100))
        assert on.server.stats.billed == len(answered)
        with pytest.raises(openai.ConflictError):
            on.client.batches.cancel(batch.id)


def test_a_server_on_the_same_folder_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"batch_folder": str(tmp_path), "batch_minutes": 60.0}
    with session(**settings) as on:
        batch = on.submit([line(text) for text in texts(40)])
        on.server.advance(HOUR / 2)
        half = on.client.batches.retrieve(batch.id).request_counts
    with session(**settings) as on:
        batch = on.later(batch, HOUR)
        assert batch.status == "completed"
        assert sorted(each["custom_id"] for each in on.results(batch.output_file_id)) == sorted(texts(40))
        assert half
        assert on.server.stats.billed == 40 - half.completed
        assert [each.id for each in on.client.batches.list()] == [batch.id]
        assert len(list(on.client.files.list())) == 2
