"""Several annotations in one request: real runs, and a simulated model that makes the mistakes of real ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, Ran, run_rows, server

from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.exchange import PACKED, Completion, Usage
from syphus.pipeline.observer import Observer
from syphus.runs.clean import clean_run
from syphus.runs.packs import PackedItem, label, own_part, pack_schema, pack_text
from syphus.simulator.pack_answers import PACK_SLIPS
from syphus.types import Query, State

WORDS = (
    "kettle",
    "ladder",
    "violin",
    "lantern",
    "pigeon",
    "anchor",
    "carpet",
    "hammer",
    "saddle",
    "teapot",
    "cactus",
    "bucket",
)
COLOURS = ("crimson", "violet", "golden", "silver", "purple", "orange", "yellow", "maroon")


def texts(count: int) -> list[str]:
    """Annotations that have no word in common but small ones."""
    return [f"a {COLOURS[i % 8]}{i} {WORDS[i % 12]}{i} is on it" for i in range(count)]


def run(folder: Path, url: str, rows: int = 24, **options: Any) -> Ran:
    return run_rows(folder, url, texts(rows), **{"pack": 8, "no_hedging": True, **options})


def assert_own(ran: Ran, rows: int) -> None:
    """No pair says a word of another annotation."""
    words = dict(enumerate(texts(rows)))
    for name, pair in ran.data.items():
        number = int(re.search(r"r(\d{3})", name)[1])  # type: ignore[index]  # each id holds that of its row
        said = set(re.findall(r"[a-z]+\d+", f"{pair['instruction']} {pair['answer']}".lower()))
        assert said <= set(words[number].split()), (name, pair)


def test_rows_share_requests_and_each_gets_its_own_pairs(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url)
        assert simulated.stats.requests == 3
        again = run(tmp_path, simulated.url)
        assert simulated.stats.requests == 3
    assert (ran.states, ran.exit_code) == ({State.OK: 24}, 0)
    assert ran.report.counts.shared == 21
    assert_own(ran, 24)
    assert again.data == ran.data


@pytest.mark.parametrize("slip", PACK_SLIPS)
def test_a_mistake_with_an_item_costs_one_more_request_and_never_a_wrong_pair(tmp_path: Path, slip: str) -> None:
    with server(pack_slips=1.0, pack_slip=slip, seed=2) as simulated:
        ran = run(tmp_path, simulated.url)
        alone = simulated.stats.requests - 3
    assert (ran.states, ran.exit_code) == ({State.OK: 24}, 0)
    assert_own(ran, 24)
    expected = {"missing": 3, "doubled": 3, "swapped": 6, "unknown": 3, "leaked": 3, "untagged": 24, "unordered": 0}
    assert alone == expected[slip]


def test_a_row_whose_part_can_not_be_used_waits_to_be_asked_alone(tmp_path: Path) -> None:
    with server(pack_slips=1.0, pack_slip=PACK_SLIPS[0]) as simulated:
        ran = run(tmp_path, simulated.url, 8, max_requests=1)
    assert ran.states[State.PENDING] > 0
    assert ran.reasons == ["asked again alone"]


def test_an_answer_that_is_cut_off_counts_up_to_there(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url, 8, max_tokens=30, max_rounds=0)
        alone = simulated.stats.requests - 1
    assert 1 <= alone < 8
    assert ran.states.get(State.OK, 0) >= 8 - alone
    assert_own(ran, 8)


@pytest.mark.parametrize("habit", ["enforced", "ignored", "mixed"])
def test_packs_of_structured_answers(tmp_path: Path, habit: str) -> None:
    with server(schema=habit, pack_slips=0.5, seed=1) as simulated:
        ran = run(tmp_path, simulated.url, structured="always")
        assert simulated.stats.requests < (14 if habit == "enforced" else 60)
    assert (ran.states, ran.exit_code) == ({State.OK: 24}, 0)
    assert_own(ran, 24)


def test_a_resumed_run_pays_for_no_pack_twice(tmp_path: Path) -> None:
    with server(pack_slips=0.5, seed=4) as simulated:
        whole = run(tmp_path, simulated.url, 40, dataset_version="whole")
        needed = simulated.stats.requests
    with server(pack_slips=0.5, seed=4) as simulated:
        for most in (1, 2, 4):
            assert run(tmp_path, simulated.url, 40, max_requests=most).exit_code == 4
            assert simulated.stats.requests == most
        ran = run(tmp_path, simulated.url, 40)
        assert simulated.stats.requests == needed
        assert simulated.stats.dup_requests == 0
    assert ran.data == whole.data
    assert ran.states == {State.OK: 40}


@pytest.mark.parametrize(("limit", "asked"), [({"max_requests": 2}, 2), ({"until_accepted": 8}, 1)])
def test_a_run_that_stops_uses_all_parts_of_the_packs_that_it_paid_for(
    tmp_path: Path, limit: dict[str, int], asked: int
) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url, **limit, num_threads=1)
        assert simulated.stats.requests == asked
    assert ran.states == {State.OK: 8 * asked, State.PENDING: 24 - 8 * asked}


def test_rows_that_are_done_do_not_change_the_packs_of_others(tmp_path: Path) -> None:
    with server() as simulated:
        run(tmp_path, simulated.url, 20)
        assert simulated.stats.requests == 3
        more = run(tmp_path, simulated.url, 24)
        assert simulated.stats.requests == 4  # the last pack has new rows
    assert more.states == {State.OK: 24}


@pytest.mark.parametrize(
    ("fault", "most", "state"),
    [("content_filter", 10, State.REFUSED), ("unprocessable", 24, State.FAILED), ("server_error", 30, State.FAILED)],
)
def test_a_pack_that_gets_no_answer_is_asked_row_by_row(tmp_path: Path, fault: str, most: int, state: State) -> None:
    with server(poison={f"{WORDS[11]}11": fault}) as simulated:
        ran = run(tmp_path, simulated.url, 16)
        # A good request is asked again to tell a bad endpoint from a bad row: at most once for each that failed.
        failed, repeated = simulated.stats.requests - simulated.stats.ok, simulated.stats.dup_after_ok
        assert 10 <= simulated.stats.requests - repeated <= most
        assert repeated <= failed
    assert ran.states == {State.OK: 15, state: 1}
    assert_own(ran, 16)


def test_cleaning_again_reads_the_packs(tmp_path: Path) -> None:
    with server(pack_slips=0.5, seed=4) as simulated:
        ran = run(tmp_path, simulated.url)
    before = ran.data
    assert clean_run(ran.folder, (HERE / "plugins",), Observer()).changed == 0
    assert ran.data == before


def test_the_limit_of_an_answer_and_what_is_reserved_for_it_grow_with_the_pack(tmp_path: Path) -> None:
    prices = {"chat": {"input": 0.0, "output": 100.0}}
    with server() as simulated:
        ran = run(tmp_path, simulated.url, 8, max_tokens=100, max_cost=0.05, config={"prices": prices})
        assert ran.exit_code == 4  # the answer may have 800 tokens, at 0.01 cents each
        assert "may cost up to $0.0800" in str(ran.error)
        assert simulated.stats.requests == 0
        assert run(tmp_path, simulated.url, 8, max_tokens=100, max_cost=0.09, config={"prices": prices}).exit_code == 0


def test_a_pack_of_more_rows_than_pairs_are_wanted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--pack 8 asks about 8 rows at once, .* use --pack 5 at most"):
        Options(name="Rows.rows", output_dir=tmp_path, pack=8, until_accepted=5)


def test_without_packs_nothing_changes_and_images_are_refused(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url, 4, pack=None)
        assert simulated.stats.requests == 4
        mixed = run(tmp_path, simulated.url, 4)
        assert isinstance(ran.report.settings[-1].get("pack"), type(None))
        assert "pack unset, now 8" in str(mixed.error)
    with pytest.raises(ConfigError, match="--pack takes no --with-images"):
        Options(name="Rows.rows", pack=8, with_images=True, images=tmp_path)


def items() -> list[PackedItem]:
    return [PackedItem(n, label(f"q{n}"), Query(f"q{n}", text)) for n, text in enumerate(texts(3))]


def answer(text: str) -> Completion:
    return Completion(text, "stop", "m", Usage(), flags=(f"{PACKED}3",))


def tagged(*parts: tuple[str, str]) -> str:
    return "\n".join(f'<item id="{name}">\n{text}\n</item>' for name, text in parts)


def test_a_part_is_read_by_its_own_id_alone() -> None:
    a, b, c = items()
    good = tagged((a.label, "A"), (c.label, "C"), (b.label, "B"))
    assert [own_part(answer(good), each, items(), as_json=False, cut=False).text for each in (a, b, c)] == [
        "A",
        "B",
        "C",
    ]
    cases = {
        tagged((b.label, "B")): "lacks",
        tagged((a.label, "A"), (a.label, "A")): "twice",
        tagged((a.label.upper() + "0", "A")): "lacks",
        tagged((a.label, f"A, unlike {b.label}")): "names another",
        tagged((a.label, b.query.text)): "is about another",
        f'<item id="{a.label}">\nA question and half an ans': "cut off",
    }
    for text, problem in cases.items():
        assert problem in own_part(answer(text), a, items(), as_json=False, cut="half" in text).problem, text


def test_whole_items_of_json_that_is_cut_off_are_read() -> None:
    a, b, c = items()
    text = json.dumps({"items": [{"id": a.label, "answer": {"pairs": 1}}, {"id": b.label, "answer": {"pairs": 2}}]})
    cut = text[: text.rindex("2") - 3]
    assert own_part(answer(cut), a, items(), as_json=True, cut=True).text == '{"pairs": 1}'
    assert "lacks" in own_part(answer(cut), b, items(), as_json=True, cut=True).problem
    assert "lacks" in own_part(answer(text), c, items(), as_json=True, cut=False).problem


def test_the_turn_and_the_schema_of_a_pack() -> None:
    turn = pack_text([("a1", "one"), ("b2", "two")], as_json=False)
    assert turn.startswith("Here are 2 items.")
    assert turn.endswith('<item id="a1">\none\n</item>\n\n<item id="b2">\ntwo\n</item>')
    assert pack_schema({"type": "string"})["required"] == ["items"]
