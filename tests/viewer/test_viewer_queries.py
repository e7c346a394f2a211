"""The list of queries and single queries, as the viewer's real server gives them for ledgers of real offline runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from harness import run_rows, server
from viewing import Viewing, viewing

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202eright to left\u202c \x07 bell \x1b[31m",
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    """A run of 150 rows, some of which end badly, with all kinds of texts, and its index."""
    folder = tmp_path_factory.mktemp("seen")
    texts = {f"row{n:03d}": f"a kettle stands on table {n}, beside a red lamp" for n in range(150)}
    texts |= {f"row{n:03d}": text for n, text in enumerate(HOSTILE)}
    texts["row100"] = "猫在窗台上睡觉"
    texts["row101"] = ""
    poison = {"table 2": "refusal", "table 3": "truncated", "table 4": "leak_phrase"}
    with server(poison=poison, poison_once={"table 5": "leak_phrase"}) as running:
        ran = run_rows(folder, running.url, texts, num_threads=8)
    with viewing(ran.folder, cache=folder / "cache") as running_viewer:
        running_viewer.viewer.side_indexes.catch_up(ran.folder)
        yield running_viewer


def pages(seen: Viewing, parameters: str = "", backwards: bool = False) -> list[dict[str, Any]]:
    """All rows of a list, page by page; every step back leads to the page before."""
    rows: list[dict[str, Any]] = []
    query, before = parameters, None
    while True:
        page = seen.api(f"queries?limit=20&{query}")
        rows += page["rows"]
        if before is not None:
            back = seen.api(f"queries?limit=20&{parameters}&before={page['previous']}")
            assert [each["n"] for each in back["rows"]] == before
        before = [each["n"] for each in page["rows"]] or before
        if page["next"] is None:
            return rows
        query = f"{parameters}&after={page['next']}"


def test_all_queries_are_listed_page_by_page(seen: Viewing) -> None:
    rows = pages(seen)
    assert [row["position"] for row in rows] == list(range(150))
    assert len({row["n"] for row in rows}) == 150
    assert rows[7]["annotation"].startswith("a kettle stands on table 7")


def test_each_filter_finds_what_a_look_at_all_rows_finds(seen: Viewing) -> None:
    rows = pages(seen)
    states = {row["state"] for row in rows}
    assert {"ok", "refused", "truncated", "invalid"} <= states
    for state in states:
        assert pages(seen, f"state={state}") == [row for row in rows if row["state"] == state]
    bad = [row for row in rows if row["state"] not in ("ok", "pending")]
    assert pages(seen, f"state={','.join(states - {'ok'})}") == bad
    reason = next(row["reason"] for row in bad)
    assert pages(seen, f"reason={quote(reason)}") == [row for row in rows if reason.lower() in row["reason"].lower()]
    model = next(row["model"] for row in rows if row["model"])
    assert {row["n"] for row in pages(seen, f"model={model}")} == {row["n"] for row in rows if row["model"] == model}
    assert {row["n"] for row in pages(seen, "session=1")} == {row["n"] for row in rows if row["model"]}
    assert pages(seen, "session=99") == []
    assert pages(seen, "state=pending") == []


def test_a_text_is_found_as_it_is_without_the_index(seen: Viewing, tmp_path: Path) -> None:
    with viewing(seen.viewer.runs.all()[0].folder, cache=tmp_path) as other:
        for text in ("kettle 17", '"table 17"', "lamp*", "猫", "窗台", "row017", "script", "KETTLE", "kett"):
            found = {row["n"] for row in pages(seen, f"text={quote(text)}")}
            assert found == {row["n"] for row in _searched(other, text)}, text
    assert len(pages(seen, "text=%E7%8C%AB")) == 1
    assert len(pages(seen, "text=%22table+17%22")) == 1
    assert pages(seen, "text=kett") == []
    assert len(pages(seen, "text=kett*")) > 140 - len(HOSTILE)


def _searched(other: Viewing, text: str) -> list[dict[str, Any]]:
    """The rows that have a text, before there is an index: row by row."""
    other.viewer.side_indexes.close()
    return pages(other, f"text={quote(text)}")


def test_filters_add_up(seen: Viewing) -> None:
    rows = pages(seen, "text=kettle&state=ok&session=1")
    assert rows
    assert {row["state"] for row in rows} == {"ok"}
    assert pages(seen, "text=kettle&state=pending") == []


def test_a_query_has_all_that_is_known_of_it(seen: Viewing) -> None:
    row = next(row for row in pages(seen, "state=truncated"))
    query = seen.api(f"queries/{row['n']}")
    assert (query["id"], query["state"], query["reason"]) == (row["id"], row["state"], row["reason"])
    assert query["messages"][-1]["content"] == [{"text": query["annotation"]}]
    assert query["messages"][0]["role"] == "system"
    newest = query["answers"][-1]
    assert newest["used"]
    assert newest["finish_reason"] == "length"
    assert newest["tokens"]["input"] > 0
    assert query["attempts"] >= len(query["answers"])


def test_the_pairs_of_a_query_are_those_of_the_run(seen: Viewing) -> None:
    row = next(row for row in pages(seen, "state=ok"))
    pairs = seen.api(f"queries/{row['n']}")["pairs"]
    assert len(pairs) == row["pairs"]
    assert all(pair["instruction"] and pair["answer"] and pair["id"] for pair in pairs)
    ids = {pair["id"] for pair in pairs}
    assert all(set(pair["related"]) <= ids - {pair["id"]} for pair in pairs)


def test_hostile_texts_come_as_they_are_and_only_as_json(seen: Viewing) -> None:
    rows = pages(seen)
    for n, text in enumerate(HOSTILE):
        reply = seen.get(f"/api/runs/{seen.key}/queries/{rows[n]['n']}")
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.json["annotation"] == text


@pytest.mark.parametrize(
    "parameters",
    ["after=%00", "after=abc", "before=W10", "limit=x", "session=-1", "state=nope", "text=%22%21%22",
     "reason=" + "x" * 600, "after=WyJwIiwwLDk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTksMV0"],
)  # fmt: skip
def test_parameters_that_make_no_sense_get_one_line(seen: Viewing, parameters: str) -> None:
    reply = seen.get(f"/api/runs/{seen.key}/queries?{parameters}")
    assert reply.status == 400
    assert "\n" not in reply.json["error"]


@pytest.mark.parametrize("path", ["queries/0", "queries/x", f"queries/{10**20}", "images/1/0", "images/1/-1"])
def test_what_does_not_exist_is_not_found(seen: Viewing, path: str) -> None:
    reply = seen.get(f"/api/runs/{seen.key}/{path}")
    assert reply.status == 404
    assert set(reply.json) == {"error"}
