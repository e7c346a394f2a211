"""Vectors of texts: the route of the simulated endpoint, what a reply is worth, and asking for them in a run."""

from __future__ import annotations

import json
import math
from array import array
from base64 import b64decode, b64encode
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import numpy
import openai
import pytest
from harness import KEY, Ran, run_rows, server

from syphus.declarations import Relation
from syphus.endpoints.classify import Action, ReplyVerdict
from syphus.endpoints.routes import EmbeddingsClassifier, pack_vectors, unpack_vectors
from syphus.errors import BudgetError, ConfigError, ProviderError
from syphus.exchange import Request
from syphus.ledger.batches import texts_with_vectors, texts_without_vector
from syphus.ledger.store import open_for_reading
from syphus.simulator import SimulatedServer
from syphus.types import State

STAGE = "embed vectors"

# A reply


def reply(*embeddings: object, **fields: object) -> bytes:
    data = [{"index": index, "embedding": each} for index, each in enumerate(embeddings)]
    return json.dumps({"data": data, "model": "m", "usage": {"prompt_tokens": 7}, **fields}).encode()


def judged(body: bytes, texts: int = 2, dimension: int = 0) -> ReplyVerdict:
    request = Request(b"key", json.dumps({"input": ["text"] * texts}).encode())
    return EmbeddingsClassifier(dimension)(body, request, {})


def as_base64(*values: float) -> str:
    return b64encode(array("f", values).tobytes()).decode()


def test_vectors_of_any_form_are_stored_with_length_1() -> None:
    verdict = judged(reply([3.0, 4.0], as_base64(0, -2)))
    assert verdict.action is Action.ANSWER
    assert verdict.completion is not None
    assert unpack_vectors(verdict.completion.text, 2) == pytest.approx(numpy.array([[0.6, 0.8], [0, -1]]), abs=1e-3)
    assert verdict.completion.usage.prompt_tokens == 7
    assert verdict.completion.usage.completion_tokens == verdict.completion.usage.estimated == 0


def test_the_index_says_which_text_a_vector_is_of() -> None:
    swapped = json.dumps({"data": [{"index": 1, "embedding": [1, 0]}, {"index": 0, "embedding": [0, 1]}]}).encode()
    verdict = judged(swapped)
    assert verdict.completion is not None
    assert unpack_vectors(verdict.completion.text, 2).tolist() == [[0, 1], [1, 0]]
    assert verdict.completion.usage.estimated  # no usage was told


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (reply([1, 0]), "1 vector for 2 texts"),
        (reply([1, 0], [1]), "vectors of several dimensions"),
        (reply([1, 0], [0, 0]), "vectors of nothing but 0"),
        (reply([1, 0], [math.nan, 0]), "vectors that are not finite"),
        (reply([1, 0], [1e300, 0]), "vectors that are not finite"),
        (reply([1, 0], ["a", 0]), "vectors that can't be read"),
        (reply([1, 0], "!"), "vectors that can't be read"),
        (reply([1, 0], []), "vectors that can't be read"),
        (b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}', "vectors without an order"),
        (b'{"data": [{"index": 7, "embedding": [1]}, 3]}', "vectors without an order"),
        (b'{"error": "busy"}', "error inside a 200"),
        (b'{"choices": []}', "not a list of embeddings"),
        (b"<html>", "malformed JSON"),
        (b"", "empty body"),
    ],
)
def test_a_reply_without_a_usable_vector_for_each_text_is_retried(body: bytes, cause: str) -> None:
    verdict = judged(body)
    assert (verdict.action, verdict.cause, verdict.maybe_billed) == (Action.RETRY, cause, True)


def test_vectors_of_another_dimension_stop_the_run() -> None:
    verdict = judged(reply([1, 0], [0, 1]), dimension=3)
    assert verdict.action is Action.STOP
    assert "2 dimensions, but 3 are expected" in verdict.message


def test_sixteen_bits_are_enough_for_a_cosine() -> None:
    random = numpy.random.default_rng(0)
    exact = random.standard_normal((200, 512)).astype(numpy.float32)
    kept = unpack_vectors(pack_vectors(exact), 200)
    exact /= numpy.linalg.norm(exact, axis=1, keepdims=True)
    assert numpy.abs(kept @ kept.T - exact @ exact.T).max() < 1e-4


# The simulated route


def client(simulated: SimulatedServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=simulated.url, api_key=KEY, max_retries=0)


def test_the_official_client_gets_vectors_in_both_forms_and_common_words_make_them_near() -> None:
    texts = ["The red car is near the gate.", "A red car stands near a gate.", "Two people play tennis."]
    with server() as simulated, client(simulated) as sdk:
        numbers = sdk.embeddings.create(model="m", input=texts, dimensions=96, encoding_format="float")
        packed = sdk.embeddings.create(model="m", input=texts, dimensions=96, encoding_format="base64")
        asked = simulated.requests[0]
    got = numpy.array([each.embedding for each in numbers.data])
    forms = [array("f", b64decode(str(each.embedding))).tolist() for each in packed.data]
    assert got.shape == (3, 96)
    assert numpy.array(forms) == pytest.approx(got, abs=1e-6)
    near, far = float(got[0] @ got[1]), float(got[0] @ got[2])
    assert near > 0.6 > 0.3 > far
    assert numbers.model == "simulated-m"
    assert numbers.usage.prompt_tokens == asked.prompt_tokens > 0
    assert (asked.completion_tokens, asked.last_user) == (0, "\n".join(texts))


def test_azure_has_the_route_under_its_deployments() -> None:
    with server(key="k", deployments=("vectors",)) as simulated:
        given: Any = {"azure_endpoint": simulated.host_url, "api_version": "2024-10-21", "max_retries": 0}
        with openai.AzureOpenAI(**given, api_key="k") as sdk:
            assert sdk.embeddings.create(model="vectors", input="one").model == "simulated-vectors"
            with pytest.raises(openai.NotFoundError):
                sdk.embeddings.create(model="other", input="one")
        with openai.AzureOpenAI(**given, api_key="wrong") as sdk, pytest.raises(openai.AuthenticationError):
            sdk.embeddings.create(model="vectors", input="one")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "m"}, "Missing required parameter: 'input'."),
        ({"input": []}, "'$.input' is invalid"),
        ({"input": ["fine", ""]}, "'$.input' is invalid"),
        ({"input": ["x"] * 2049}, "array too long"),
        ({"input": "word " * 8000}, "maximum context length is 8192 tokens, however you requested 10000"),
        ({"input": "x", "dimensions": 0}, "Invalid value for 'dimensions'"),
        ({"input": "x", "encoding_format": "hex"}, "Invalid value: 'hex'"),
    ],
)
def test_a_bad_request_for_vectors_is_refused_as_openai_refuses_it(body: dict[str, object], said: str) -> None:
    with server() as simulated, httpx2.Client() as plain:
        answer = plain.post(f"{simulated.url}/embeddings", json=body, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


# In a run

TEXTS = [
    f"the {colour} car has moved to the {place}" for colour in ("red", "blue", "green") for place in ("gate", "left")
]


def related(folder: Path, url: str, texts: list[str] | None = None, config: object = None, **options: Any) -> Ran:
    """A run over texts whose pairs are related by the nearest text."""
    settings = {"embeddings": {"model": "vectors", "batch": 4}, **(config if isinstance(config, dict) else {})}
    given = {"relate": Relation.TEXT, "num_threads": 2, **options}
    return run_rows(folder, url, texts or TEXTS, config=settings, **given)


def sent(simulated: SimulatedServer) -> Counter[str]:
    """The texts that vectors were made for, from the bill, and how often."""
    asked = [record for record in simulated.requests if record.billed and not record.completion_tokens]
    return Counter(text for record in asked for text in record.last_user.split("\n"))


def instructions(ran: Ran) -> set[str]:
    return {entry["instruction"] for entry in ran.data.values()}


def held(folder: Path) -> list[str]:
    store = open_for_reading(folder)
    try:
        return [text for texts, _ in texts_with_vectors(store, STAGE) for text in texts]
    finally:
        store.close()


def test_every_text_is_paid_for_once_whatever_is_added_later(tmp_path: Path) -> None:
    with server() as simulated:
        first = related(tmp_path, simulated.url, TEXTS[:4])
        assert first.exit_code == 0
        assert sent(simulated) == Counter(instructions(first))
        again = related(tmp_path, simulated.url, TEXTS[:4])
        assert "Nothing to do: no request was sent." in again.lines
        more = related(tmp_path, simulated.url, TEXTS)
        assert more.exit_code == 0
        assert set(sent(simulated).values()) == {1}
        assert set(sent(simulated)) == instructions(more)
        fewer = related(tmp_path, simulated.url, TEXTS[1:3], accept_changes=True)
        assert fewer.exit_code == 0
        assert set(sent(simulated).values()) == {1}
    assert sorted(held(more.folder)) == sorted(sent(simulated))
    told = fewer.report.relations
    assert told["relation"] == "nearest by text"
    assert told["vectors"] == len(instructions(fewer))


def test_another_model_has_its_own_vectors_and_the_first_ones_stay(tmp_path: Path) -> None:
    with server() as simulated:
        first = related(tmp_path, simulated.url)
        before = (first.folder / "RW_instructions.json").read_bytes()
        related(tmp_path, simulated.url, embedding_model="others")
        assert set(sent(simulated).values()) == {2}
        back = related(tmp_path, simulated.url)
    assert f"nearest by text: {len(instructions(first))} vectors compared." in back.lines
    assert set(sent(simulated).values()) == {2}
    assert (first.folder / "RW_instructions.json").read_bytes() == before


def test_a_budget_holds_over_both_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    with server() as simulated:
        stopped = related(tmp_path, simulated.url, max_requests=len(TEXTS) + 1)
        assert isinstance(stopped.error, BudgetError)
        assert simulated.stats.requests == len(TEXTS) + 1
        assert all(entry["rel_ins_ids"] == [] for entry in stopped.data.values())
        done = related(tmp_path, simulated.url, max_requests=100)
        assert set(sent(simulated).values()) == {1}
    assert done.exit_code == 0
    assert all(entry["rel_ins_ids"] for entry in done.data.values())


def test_what_vectors_cost_is_said_before_and_counted_after(tmp_path: Path) -> None:
    prices = {"chat": {"input": 1, "output": 1}, "vectors": {"input": 1000, "output": 0}}
    priced = {name.replace("chat", "simulated-chat"): price for name, price in prices.items()}
    with server() as simulated:
        free = related(tmp_path, simulated.url, config={"prices": prices | priced})
    assert any("tokens, $" in line and "prices of" in line for line in free.lines[1:])
    with server() as simulated:
        config = {"prices": {"chat": prices["chat"]}}
        refused = related(tmp_path / "..", simulated.url, config=config, max_cost=1.0, output_dir=tmp_path / "other")
        assert isinstance(refused.error, ConfigError)
        assert "price of vectors" in str(refused.error)
        assert simulated.stats.requests == 0


def test_answers_that_may_have_been_paid_for_are_not_counted_at_the_price_of_vectors(tmp_path: Path) -> None:
    prices = {"chat": {"input": 0, "output": 1000}, "vectors": {"input": 0.01, "output": 0}}
    given: dict[str, Any] = {"config": {"prices": prices}, "num_threads": 1}
    with server(script=("malformed_json",)) as simulated:
        related(tmp_path, simulated.url, relate=None, **given)
        asked = simulated.stats.requests
        ran = related(tmp_path, simulated.url, max_cost=2.0, **given)  # the broken answer may have cost 3.2 dollars
        assert isinstance(ran.error, BudgetError)
        assert simulated.stats.requests == asked


@pytest.mark.parametrize("fault", ["vectors_missing", "vectors_twice", "vectors_zero", "vectors_nan", "server_error"])
def test_a_fault_that_passes_is_gone_with_the_next_attempt(fault: str, tmp_path: Path) -> None:
    with server(poison_once={"car": fault}, script=("ok",) * len(TEXTS)) as simulated:
        ran = related(tmp_path, simulated.url)
        assert simulated.stats.by_fault[fault] >= 1
    assert ran.exit_code == 0
    assert all(entry["rel_ins_ids"] for entry in ran.data.values())


def test_vectors_in_another_order_are_put_right(tmp_path: Path) -> None:
    with server() as simulated:
        plain = related(tmp_path, simulated.url).data
    (tmp_path / "other").mkdir()
    with server(faults={"vectors_reversed": 1.0}) as simulated:
        assert related(tmp_path / "other", simulated.url).data == plain


@pytest.mark.parametrize("fault", ["context_length", "vectors_zero", "content_filter"])
def test_a_batch_that_fails_for_one_text_is_split_down_to_it(fault: str, tmp_path: Path) -> None:
    with server() as simulated:
        first = related(tmp_path, simulated.url, relate=None)
        bad = sorted(instructions(first))[3]
        simulated.configure(poison={bad: fault})
        ran = related(tmp_path, simulated.url)
        assert ran.exit_code == 0
        kept = held(ran.folder)
        assert sorted(kept) == sorted(instructions(first) - {bad})
        store = open_for_reading(ran.folder)
        assert [text for text, _ in texts_without_vector(store, STAGE)] == [bad]
        store.close()
        assert any(line.startswith("1 text got no vector: ") for line in ran.lines)
        asked = simulated.stats.requests
        related(tmp_path, simulated.url)
        assert simulated.stats.requests == asked  # what has failed is not asked again by itself
        simulated.configure(poison={})
        mended = related(tmp_path, simulated.url, retry=("failed", "refused"))
        assert sorted(held(mended.folder)) == sorted(instructions(first))
    without = [name for name, entry in ran.data.items() if not entry["rel_ins_ids"]]
    assert without == []  # read from the files as they are now


def test_vectors_of_another_dimension_than_the_stored_ones_are_rejected(tmp_path: Path) -> None:
    with server() as simulated:
        related(tmp_path, simulated.url, TEXTS[:3])
        simulated.configure(faults={"vectors_short": 1.0})
        ran = related(tmp_path, simulated.url)
    assert isinstance(ran.error, ProviderError)
    assert "2 dimensions, but 64 are expected" in str(ran.error)


def test_a_server_without_base64_is_asked_for_numbers(tmp_path: Path) -> None:
    with server(refuse_parameters=("encoding_format",)) as simulated:
        ran = related(tmp_path, simulated.url)
    assert ran.exit_code == 0
    assert ran.report.spending.causes["encoding_format not supported"] >= 1


def test_a_model_with_a_fixed_number_of_dimensions_stops_the_run(tmp_path: Path) -> None:
    with server(refuse_parameters=("dimensions",)) as simulated:
        ran = related(tmp_path, simulated.url, config={"embeddings": {"model": "vectors", "dimensions": 8}})
    assert isinstance(ran.error, ProviderError)
    assert "does not accept dimensions" in str(ran.error)
    assert ran.states == {State.OK: len(TEXTS)}


def test_vectors_may_come_from_an_endpoint_of_their_own(tmp_path: Path) -> None:
    with server(models=("chat",)) as chats, server(models=("vectors",), key="other-key-0123456789") as others:
        endpoint = {"base_url": others.url, "api_key": "other-key-0123456789"}
        section = {"model": "vectors", "endpoint": endpoint, "dimensions": 32}
        ran = related(tmp_path, chats.url, config={"embeddings": section})
        assert ran.exit_code == 0
        assert chats.stats.requests == len(TEXTS)
        assert others.stats.requests == 1
    assert ran.report.relations["from"] == "vectors 32"


def test_a_custom_server_needs_the_name_of_the_embedding_model(tmp_path: Path) -> None:
    with server() as simulated:
        ran = related(tmp_path, simulated.url, config={"embeddings": None})
        assert simulated.stats.requests == 0
    assert isinstance(ran.error, ConfigError)
    assert "Pass --embedding-model" in str(ran.error)
