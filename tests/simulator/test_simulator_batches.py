"""The Batch API of the simulated endpoint, met with OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from syphus.simulator import SimulatedServer, Simulation, serve_in_thread, with_options
from syphus.simulator.batches.batch_faults import BATCH_FAULTS, Level

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
        on = Session(server, azure=azure)
        with on.client:
            yield on


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


# Files


def test_files_are_listed_by_purpose_page_by_page_newest_first_and_can_be_deleted() -> None:
    with session() as on:
        ids = []
        for number in range(5):
            ids.append(on.upload([line("a")], f"shard-{number}.jsonl"))
            on.server.advance(1)
        on.client.files.create(file=("other.txt", b"text"), purpose="user_data")
        page = on.client.files.list(purpose="batch", limit=2)
        assert ([file.id for file in page.data], page.has_more) == (ids[:-3:-1], True)
        assert [file.filename for file in page] == [f"shard-{number}.jsonl" for number in range(4, -1, -1)]
        assert [file.id for file in on.client.files.list(purpose="batch", order="asc")] == ids
        assert on.client.files.delete(ids[0]).deleted
        with pytest.raises(openai.NotFoundError, match=ids[0]):
            on.client.files.content(ids[0])
        assert len(list(on.client.files.list(purpose="batch"))) == 4


def test_a_file_expires_and_a_lifetime_out_of_range_is_refused() -> None:
    with session() as on:
        short = on.upload([line("a")], expires_after={"anchor": "created_at", "seconds": 3600})
        usual = on.client.files.retrieve(on.upload([line("a")]))
        assert usual.expires_at == usual.created_at + 30 * 86_400
        on.server.advance(3601)
        assert [file.id for file in on.client.files.list()] == [usual.id]
        with pytest.raises(openai.BadRequestError, match="input_file_id"):
            on.create(short)
        with pytest.raises(openai.BadRequestError, match="expires_after"):
            on.upload([line("a")], expires_after={"anchor": "created_at", "seconds": 60})


def test_a_file_that_no_batch_can_use_is_refused_at_its_upload() -> None:
    with session(batch_most_bytes=1000, batch_most_files=1) as on:
        for content, name, purpose, said in (
            (b"{}", "shard.json", "batch", "Must be .jsonl"),
            (b"", "shard.jsonl", "batch", "empty"),
            (b"x" * 1001, "shard.jsonl", "batch", "exceeds the limit"),
            (b"{}", "shard.jsonl", "nonsense", "is not one of"),
        ):
            with pytest.raises(openai.BadRequestError, match=said):
                on.client.files.create(file=(name, content), purpose=purpose)  # type: ignore[arg-type]  # a bad one
        on.upload([line("a")])
        with pytest.raises(openai.BadRequestError, match="input files"):
            on.upload([line("a")])
        assert on.upload([line("a")], expires_after={"anchor": "created_at", "seconds": 1_209_600})


def test_a_form_is_read_whatever_pieces_it_comes_in() -> None:
    content = b"\r\n--\r\n-" * 60_000 + b"\r\n"
    with session() as on:
        sent = on.client.files.create(file=("shard.jsonl", content), purpose="batch")
        assert sent.bytes == len(content)
        assert on.client.files.content(sent.id).content == content


# Listing batches, validation and limits


def test_batches_are_listed_newest_first_and_later_than_they_are_made() -> None:
    with session(batch_listing_delay=30) as on:
        file_id, ids = on.upload([line("a")]), []
        for _ in range(5):
            ids.append(on.create(file_id).id)
            on.server.advance(10)
        assert [batch.id for batch in on.client.batches.list(limit=1)] == ids[2::-1]
        on.server.advance(30)
        page = on.client.batches.list(limit=2, after=ids[4])
        assert ([batch.id for batch in page.data], page.has_more) == ([ids[3], ids[2]], True)
        with pytest.raises(openai.BadRequestError, match="limit"):
            on.client.batches.list(limit=101)
        with pytest.raises(openai.NotFoundError, match="batch_none"):
            on.client.batches.retrieve("batch_none")


BAD_LINES = [
    ([b'{"custom_id": "a"'], "invalid_json_line", 1),
    ([b"[]"], "invalid_json_line", 1),
    ([line("a"), b"\xef\xbb\xbf" + line("b")], "invalid_json_line", 2),
    ([line("a"), line("b"), line("a")], "duplicate_custom_id", 3),
    ([as_line("a", body("a"), "/v1/embeddings")], "url_mismatch", 1),
    ([as_line("a", body("a"), method="GET")], "invalid_method", 1),
    ([line("a"), as_line("b", {**body("a"), "model": "gpt-4o"})], "model_mismatch", 2),
    ([as_line("", body("a"))], "missing_required_parameter", 1),
    ([as_line("a", "text")], "missing_required_parameter", 1),
    ([b"", b" "], "empty_file", None),
    ([line(text) for text in texts(5)], "too_many_tasks", None),
    ([as_line("a", {**body("a"), "model": "gpt-9"})], "model_not_found", 1),
]


@pytest.mark.parametrize(("lines", "code", "at"), BAD_LINES)
def test_a_bad_input_file_fails_after_the_creation_and_costs_nothing(
    lines: Sequence[bytes], code: str, at: int | None
) -> None:
    with session(batch_most_lines=4, models=("gpt-4o-mini", "gpt-4o")) as on:
        batch = on.later(on.submit(lines), HOUR)
        assert batch.status == "failed"
        assert batch.errors
        assert batch.errors.data
        assert (batch.errors.data[0].code, batch.errors.data[0].line) == (code, at)
        assert (batch.output_file_id, batch.error_file_id) == (None, None)
        assert on.server.stats.billed == 0


def test_a_full_queue_fails_a_batch_until_others_are_done() -> None:
    with session(batch_enqueued_tokens=400) as on:
        first, second = (on.submit([line(text) for text in texts(8)]) for _ in range(2))
        refused = on.later(second, 60)
        assert refused.status == "failed"
        assert refused.errors
        assert refused.errors.data
        assert refused.errors.data[0].code == "token_limit_exceeded"
        assert on.later(first, HOUR).status == "completed"
        assert on.later(on.submit([line(text) for text in texts(8)]), HOUR).status == "completed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"completion_window": "1h"},
        {"endpoint": "/v1/images/edits"},
        {"metadata": {"a": "b" * 513}},
        {"metadata": {str(n): "b" for n in range(17)}},
        {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
    ],
)
def test_a_batch_that_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    with session() as on, pytest.raises(openai.BadRequestError, match=next(iter(wrong))):
        on.submit([line("a")], **wrong)


def test_results_live_as_long_as_they_were_asked_to() -> None:
    with session() as on:
        batch = on.submit([line("a")], output_expires_after={"anchor": "created_at", "seconds": 3600})
        assert on.results(on.later(batch, HOUR).output_file_id)
        on.server.advance(HOUR)
        with pytest.raises(openai.NotFoundError):
            on.results(batch.output_file_id or on.client.batches.retrieve(batch.id).output_file_id)


def test_a_server_without_these_routes_says_so() -> None:
    with session(batches=False) as on, pytest.raises(openai.NotFoundError):
        on.upload([line("a")])


# Azure


def test_azure_never_lets_a_batch_expire_and_has_an_error_file_of_zero_bytes() -> None:
    with session(azure=True, batch_minutes=60 * 30) as on:
        batch = on.submit([line("a")], endpoint="/chat/completions")
        assert batch.to_dict()["endpoint"] is batch.expires_at is None
        batch = on.later(batch, 31 * HOUR)
        assert batch.status == "completed"
        assert on.client.files.content(batch.error_file_id or "").content == b""
        (result,) = on.results(batch.output_file_id)
        assert "prompt_filter_results" in result["response"]["body"]


@pytest.mark.parametrize(("model", "code"), [("gpt-4o", "invalid_request"), ("gpt-9", "model_not_found")])
def test_azure_takes_only_deployments_of_a_batch_type(model: str, code: str) -> None:
    with session(azure=True, deployments=("gpt-4o", "batchy"), batch_models=("batchy",)) as on:
        batch = on.later(on.submit([as_line("a", {**body("a"), "model": model})]), HOUR)
        assert batch.errors
        assert batch.errors.data
        assert (batch.status, batch.errors.data[0].code) == ("failed", code)
        assert on.later(on.submit([as_line("a", {**body("a"), "model": "batchy"})]), HOUR).status == "completed"


# Faults


def test_a_call_can_fail_before_or_after_it_is_done() -> None:
    calls = {"create": "lost_reply,lost_call,bad_gateway,ok,timeout_after", "content": "bad_gateway,cut_content"}
    with session(batch_calls=calls) as on:
        file_id = on.upload([line("a")])
        for kind in (openai.APIConnectionError, openai.APIConnectionError, openai.InternalServerError):
            with pytest.raises(kind):
                on.create(file_id)
        last = on.create(file_id)
        with pytest.raises(openai.APIStatusError):
            on.create(file_id)
        made = [batch.id for batch in on.client.batches.list()]
        assert (len(made), made[1]) == (3, last.id)
        output = on.later(last, HOUR).output_file_id or ""
        with pytest.raises(openai.InternalServerError):
            on.client.files.content(output)
        with pytest.raises(openai.APIError):
            on.client.files.content(output)
        assert on.results(output)
        assert on.server.stats.batch_calls == {"upload": 1, "create": 5, "batches": 1, "batch": 1, "content": 3}


def outcome(on: Session, count: int = 10) -> tuple[Batch, set[str], set[str]]:
    """How a batch is after its end, and the ids in its output and in its error file."""
    batch = on.later(on.submit([line(text) for text in texts(count)]), 30 * HOUR)

    def found(file_id: str | None) -> set[str]:
        return {each["custom_id"] for each in on.results(file_id)} if file_id else set()

    return batch, found(batch.output_file_id), found(batch.error_file_id)


def test_counts_may_be_zero_although_there_are_answers() -> None:
    with session(batch_script=("expires_counts_zero", "counts_zero")) as on:
        batch, answered, errors = outcome(on)
        assert batch.request_counts
        assert (batch.status, batch.request_counts.completed, len(answered), len(errors)) == ("expired", 0, 5, 5)
        batch, answered, _ = outcome(on)
        assert batch.request_counts
        assert (batch.status, batch.request_counts.total, len(answered)) == ("completed", 0, 10)


def test_a_batch_may_fail_halfway_with_or_without_its_answers() -> None:
    with session(batch_script=("fails_late", "fails_late_no_files", "fails_at_once")) as on:
        batch, answered, _ = outcome(on)
        assert (batch.status, len(answered), on.server.stats.billed) == ("failed", 5, 5)
        batch, answered, errors = outcome(on)
        assert (batch.status, answered | errors, on.server.stats.billed) == ("failed", set(), 10)
        batch, answered, _ = outcome(on)
        assert (batch.status, batch.errors, answered, on.server.stats.billed) == ("failed", None, set(), 10)


def test_file_ids_may_be_null_empty_late_or_of_another_batch() -> None:
    no_id = ("null_output", "empty_file_ids", "late_files")
    script = (*no_id, "output_gone", "zero_byte_error_file", "shows_another_file")
    with session(batch_script=script, batch_minutes=30 * 60 - 1, batch_hours=0) as on:
        first, second, third, fourth, fifth, sixth = (on.submit([line("a")]) for _ in script)
        on.server.advance(30 * HOUR)
        assert on.later(first, 0).output_file_id is None
        assert on.later(second, 0).error_file_id == ""
        assert on.later(third, 0).output_file_id is None
        assert on.results(on.later(third, 600).output_file_id)
        with pytest.raises(openai.NotFoundError):
            on.results(on.later(fourth, 0).output_file_id)
        last = on.later(fifth, 0)
        assert on.client.files.content(last.error_file_id or "").content == b""
        assert on.later(sixth, 0).output_file_id == last.output_file_id


@pytest.mark.parametrize("state", ["validating", "in_progress", "finalizing"])
def test_a_batch_may_stay_in_a_state_and_can_be_cancelled(state: str) -> None:
    with session(batch_script=(f"stuck_{state}", "stuck_cancelling")) as on:
        batch, other = on.submit([line("a")]), on.submit([line("b")])
        assert on.later(batch, 100 * HOUR).status == state
        on.client.batches.cancel(batch.id)
        assert on.later(batch, HOUR).status == "cancelled"
        assert on.later(other, 0).status == "completed"


LINES = {  # fault -> answered ids in the output file, in the error file, and billed lines, of ten
    "line_missing": (0, 0, 0),
    "line_lost": (0, 0, 10),
    "line_doubled": (10, 0, 10),
    "line_unknown": (20, 0, 10),
    "line_status_zero": (10, 0, 0),
    "line_no_response": (0, 10, 0),
    "line_timeout": (0, 10, 0),
    "line_server_error": (0, 10, 0),
    "line_rate_limited": (0, 10, 0),
    "line_wrong_file": (0, 10, 10),
}


@pytest.mark.parametrize("fault", LINES)
def test_lines_may_be_missing_doubled_unknown_or_broken(fault: str) -> None:
    with session(batch_faults={fault: 1.0}) as on:
        _, answered, errors = outcome(on)
        assert (len(answered), len(errors), on.server.stats.billed) == LINES[fault]


def test_a_line_may_be_torn() -> None:
    with session(batch_faults={"line_torn": 1.0}) as on:
        batch = on.later(on.submit([line("a")]), HOUR)
        with pytest.raises(json.JSONDecodeError):
            on.results(batch.output_file_id)
        assert on.server.stats.billed == 1
    with session(batch_script=("cut_output",)) as on:
        batch = on.later(on.submit([line("a"), line("b")]), HOUR)
        first, second = on.client.files.content(batch.output_file_id or "").content.split(b"\n")
        assert json.loads(first)
        with pytest.raises(json.JSONDecodeError):
            json.loads(second)


def test_faults_of_online_requests_are_those_of_lines_where_they_can_be() -> None:
    with session(script=("content_filter", "reset", "truncated", "reset_mid_body", "rate_limit")) as on:
        batch = on.later(on.submit([line(text) for text in texts(5)]), HOUR)
        codes = sorted(each["response"]["status_code"] for each in on.results(batch.error_file_id))
        assert codes == [400, 429, 500]
        finished = sorted(
            each["response"]["body"]["choices"][0]["finish_reason"] for each in on.results(batch.output_file_id)
        )
        assert finished == ["length", "stop"]
        assert on.server.stats.billed == 2


@pytest.mark.parametrize(
    ("setting", "level"),
    [
        ({"batch_calls": {"create": "nonsense"}}, Level.CALL),
        ({"batch_script": ("nonsense",)}, Level.BATCH),
        ({"batch_faults": {"nonsense": 0.1}}, Level.LINE),
    ],
)
def test_an_unknown_fault_is_refused_with_the_known_ones(setting: dict[str, Any], level: Level) -> None:
    known = ", ".join(sorted(name for name, fault in BATCH_FAULTS.items() if fault.level is level))
    with pytest.raises(ValueError, match=f"'nonsense'.*{known}"):
        with_options(Simulation(), setting)


def test_the_clock_can_run_faster_and_be_moved_from_another_process() -> None:
    with serve_in_thread(Simulation(batch_speed=3600, batch_minutes=1e6), clock=iter(range(10**6)).__next__) as server:
        with httpx2.Client(base_url=server.host_url) as client:
            before, after = (client.get(f"/clock{query}").json()["now"] for query in ("", "?advance=1000"))
        assert after - before == 1000 + 3600
