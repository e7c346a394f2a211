"""The cold start: from a prompt without in-context examples to one with proven ones, or to the reason why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from browser import PageTags, shown
from cold import SMALL, SYSTEM, Cold, bare_prompt, options, said, search, stages, teachable, texts
from harness import HERE, write_rows

from syphus.answers.parsing import render_pairs
from syphus.answers.scoring import Scored
from syphus.cold_start.evaluation import Thresholds
from syphus.cold_start.example_selection import sample_random
from syphus.cold_start.plan import SearchPlan, SearchResult
from syphus.cold_start.prompt_file import load_saved_prompt, write_prompt
from syphus.cold_start.review import ACCEPT, EDIT, REJECT, Decision
from syphus.cold_start.trials import TrialStage
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.request import RequestBuilder
from syphus.errors import BudgetError, ConfigError, InputError, InterruptError, RunError, StorageError
from syphus.ledger.sessions import ColdStartState, read_cold_start
from syphus.ledger.store import open_for_reading
from syphus.plugins.discovery import find_plugin
from syphus.plugins.prompts import PromptTemplate, read_prompt, to_prompt_template
from syphus.runs.generate import GenerationContext
from syphus.runs.reader import read_status
from syphus.types import Message, Pair, Query, State

GOOD = "in_context:\n- role: user\n  content: the old sailor is painting a boat\n- role: assistant\n  content:\n"
GOOD += "  - question: What is the old sailor doing?\n    answer: The old sailor is painting a boat.\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cold, int]:
    """A cold start that nothing has happened to, and the requests that it took."""
    with teachable() as endpoint:
        cold = search(options(tmp_path_factory.mktemp("cold"), endpoint))
        return cold, endpoint.stats.requests


def test_a_set_is_found_and_proven(done: tuple[Cold, int]) -> None:
    cold, requests = done
    assert cold.exit_code == 0
    assert cold.found.satisfactory
    assert cold.found.best is not None
    proof = cold.found.best.proof
    assert proof is not None
    assert proof.valid_share >= 0.95 > 0.85 > proof.plain_share
    assert proof.gain.low > 0
    assert len(cold.found.examples) == 3
    assert requests <= SearchPlan(**SMALL).max_requests()
    assert said(cold, "requests for one round")
    assert said(cold, "satisfactory")


def test_the_pairs_of_the_held_out_queries_are_judged_with_the_set_and_without(done: tuple[Cold, int]) -> None:
    cold, _ = done
    assert cold.found.best is not None
    proof = cold.found.best.proof
    assert proof is not None
    assert proof.judged is not None
    assert proof.judged.gain.low > 0
    assert proof.judged.with_set > 0.95 > proof.judged.other
    assert said(cold, "of the pairs are good with the set, ")
    told = json.loads((cold.folder / "cold_start.json").read_text("utf-8"))["rounds"][-1]["proof"]
    assert told["judged"]["gain"]["low"] == proof.judged.gain.low
    assert told["own_examples"] is None
    assert {"cold start without judged", "cold start 1 with judged"} <= set(stages(cold.folder))


def test_the_set_is_compared_with_the_examples_of_the_prompt(tmp_path: Path) -> None:
    with teachable() as endpoint:
        own = tmp_path / "own.yaml"
        given = options(tmp_path, endpoint, prompt_path=str(own))
        own.write_text(Path(bare_prompt(tmp_path)).read_text("utf-8") + GOOD, "utf-8")
        cold = search(given, {"rounds": 1})
        assert endpoint.stats.requests <= SearchPlan(**{**SMALL, "rounds": 1}, own_examples=True).max_requests()
    assert cold.found.best is not None
    proof = cold.found.best.proof
    assert proof is not None
    assert proof.own is not None
    assert len(cold.found.best.own) == SMALL["held_out"]
    assert proof.own.judged is not None
    assert said(cold, "with the prompt's own examples: ")
    assert "own examples: " in (cold.folder / "cold_start.html").read_text("utf-8")


def test_no_judge_is_asked_if_it_is_left_out(tmp_path: Path) -> None:
    with teachable() as endpoint:
        cold = search(options(tmp_path, endpoint), {"rounds": 1, "judge_held_out": False})
    assert cold.found.best is not None
    assert cold.found.best.proof is not None
    assert (cold.found.best.proof.judge_asked, cold.found.best.proof.judged) == (False, None)
    assert not said(cold, "judge")


def test_the_ledger_knows_what_was_found(done: tuple[Cold, int]) -> None:
    cold, requests = done
    store = open_for_reading(cold.folder)
    record = read_cold_start(store)
    store.close()
    assert cold.found.best is not None
    proof = cold.found.best.proof
    assert record is not None
    assert proof is not None
    assert (record.state, record.requests, record.examples) == (ColdStartState.SATISFACTORY, requests, 3)
    assert (record.asked, record.valid_share, record.score) == (proof.asked, proof.valid_share, proof.mean_score)
    assert record.gain == (proof.gain.mean, proof.gain.low, proof.gain.high)


def test_refusals_do_not_decide_whether_a_set_is_satisfactory(tmp_path: Path) -> None:
    with teachable(faults={"content_filter": 0.15}, seed=3) as endpoint:
        cold = search(options(tmp_path, endpoint))
    assert cold.found.best is not None
    proof = cold.found.best.proof
    assert proof is not None
    assert proof.left_out > 1
    assert proof.asked == SMALL["held_out"] - proof.left_out
    assert proof.satisfactory, proof.missing


@pytest.mark.parametrize("accept", [False, True])
def test_a_set_that_is_only_better_is_taken_with_one_option(tmp_path: Path, accept: bool) -> None:
    strict = Thresholds(valid_share=1.01)
    with teachable() as endpoint:
        cold = search(options(tmp_path, endpoint, accept_examples=accept), {"thresholds": strict, "rounds": 1})
    assert cold.found.is_better
    assert not cold.found.satisfactory
    assert cold.exit_code == (0 if accept else 1)
    store = open_for_reading(cold.folder)
    record, saved = read_cold_start(store), load_saved_prompt(store)
    store.close()
    assert record is not None
    assert saved is not None
    assert record.state == (ColdStartState.ACCEPTED if accept else ColdStartState.UNSATISFACTORY)
    assert saved.satisfactory == accept
    assert any("--accept-examples takes it" in line for line in cold.told) != accept
    assert any("Accepted: 3 in-context examples" in line for line in cold.told) == accept


def test_what_proves_the_set_never_becomes_an_example(done: tuple[Cold, int]) -> None:
    found = done[0].found
    assert found.best is not None
    held_out = {each.candidate.query.text for each in found.best.with_set}
    candidates = {each.candidate.query.text for round_ in found.rounds for each in round_.scored}
    assert len(held_out) == SMALL["held_out"]
    assert not held_out & candidates


def test_the_prompt_file_gives_the_origin_of_each_example_and_reads_back(done: tuple[Cold, int]) -> None:
    cold = done[0]
    assert cold.found.best is not None
    path = cold.folder / "prompt.yaml"
    prefix = to_prompt_template(read_prompt(path), str(path))
    assert prefix == cold.found.best.template
    assert prefix.system_message == SYSTEM
    asked = texts(80)
    comments = [line for line in path.read_text("utf-8").splitlines() if line.lstrip().startswith("#")]
    for number, example in enumerate(cold.found.examples):
        assert prefix.in_context[2 * number]["content"] == asked[example.query.id]
        told = f"{number + 1}: query {example.query.id}, round {example.round}, simulated-chat (simulated), score"
        assert any(told in comment for comment in comments)


def test_the_json_has_each_candidate_with_its_scores_and_its_fate(done: tuple[Cold, int]) -> None:
    told = json.loads((done[0].folder / "cold_start.json").read_text("utf-8"))
    assert told["satisfactory"] is True
    last = told["rounds"][-1]
    assert [each["fate"] for each in last["candidates"]].count("taken") <= 3
    assert all(0 <= score <= 1 for each in last["candidates"] for score in each["scores"].values())
    assert last["proof"]["with_the_set"]["valid_share"] > last["proof"]["without"]["valid_share"]


NASTY = (
    "plain", " spaces \n around \n", "tab\there: # no comment", "true", "12:30", "- a\n\n  b\n", "\n\nbegins late",
    "木の下に猫\n'quoted' \"twice\"", "ends in a line\n", "trailing \nblank",
    "a\u2028b\nc", "a\x85b", "a\u2029\n\nb", "\U0001f408\n\u200f\u0642\u0637\u0629",
)  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_a_prompt_reads_back_whatever_stands_in_it(tmp_path: Path, text: str) -> None:
    answer = render_pairs([Pair("What is it?", text.strip() or "x"), Pair("Why?", "Because: # of that.")])
    turns = [Message(role="user", content=text), Message(role="assistant", content=answer)]
    turns += [Message(role="user", content="again"), Message(role="assistant", content=text)]
    prefix = PromptTemplate(text, tuple(turns))
    write_prompt(tmp_path / "prompt.yaml", "Rows.rows", prefix, SearchResult(missing=("this: and that",)))
    assert to_prompt_template(read_prompt(tmp_path / "prompt.yaml"), "p") == prefix


def test_only_the_query_of_an_example_may_have_the_answer_of_the_example() -> None:
    told = render_pairs(
        [Pair("What is the old sailor doing over there?", "He is painting the boat of his father blue.")]
    )
    turns = (Message(role="user", content="a sailor paints"), Message(role="assistant", content=told))
    context = GenerationContext(
        dataset=find_plugin("Rows.rows", [HERE / "plugins"]).create(),
        template=PromptTemplate("", turns),
        request_builder=RequestBuilder("m", {}),
        redactor=SecretRedactor(),
    )
    stage = TrialStage("test", context)
    assert stage.judge_text(Query("own", "a sailor paints"), told).state is State.OK
    assert stage.judge_text(Query("other", "a nurse sings"), told).reason == "copies an in-context example"


def test_the_page_is_whole_and_loads_nothing(done: tuple[Cold, int]) -> None:
    cold = done[0]
    text = (cold.folder / "cold_start.html").read_text("utf-8")
    page = PageTags(text)
    assert (page.open, page.loaded) == ([], [])
    assert cold.found.best is not None
    for scored in (*cold.found.best.chosen, *cold.found.best.with_set):
        assert scored.candidate.query.id in text
    for word in (
        "Satisfactory",
        "Scores by heuristic",
        "Candidates of round 1",
        "without examples",
        "made-up text",
        "held out",
    ):
        assert word in text
    assert 'The system message</h4>\n<pre dir="auto">You are told what a photo shows.' in text
    assert "<small>The annotation supports what the answers say.</small></td><td>5</td><td>0.4</td>" in text


def test_in_a_browser_strange_text_is_text_and_a_held_out_query_can_be_opened(done: tuple[Cold, int]) -> None:
    with shown(done[0].folder / "cold_start.html") as page:
        assert "at the <bakery>" in page.inner_text("body")
        assert page.locator("details[open]").count() == 3  # the set
        first = page.locator("h2:has-text('Held-out') ~ details").first
        assert "with the set" not in first.inner_text()
        first.locator("summary").click()
        assert "with the set" in first.inner_text()


def test_a_repeated_search_reads_the_ledger_and_ends_the_same(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        first = search(given)
        prompt, asked = (first.folder / "prompt.yaml").read_bytes(), endpoint.stats.requests
        (first.folder / "prompt.yaml").unlink()
        again = search(given)
        assert endpoint.stats.requests == asked
        assert (again.folder / "prompt.yaml").read_bytes() == prompt
        assert again.found.rounds == first.found.rounds


def test_another_system_message_is_asked_again_in_the_same_stages(tmp_path: Path) -> None:
    with teachable() as endpoint:
        search(options(tmp_path, endpoint), {"rounds": 1, "judge_held_out": False})
        asked = endpoint.stats.requests
        given = options(tmp_path, endpoint)
        bare_prompt(tmp_path, SYSTEM.replace("photo", "picture"))
        cold = search(given, {"rounds": 1, "judge_held_out": False})
        assert endpoint.stats.requests == 2 * asked
        assert "picture" in (cold.folder / "prompt.yaml").read_text("utf-8")
        assert endpoint.stats.dup_after_ok == 0


@pytest.mark.parametrize("seed", [2, 3])
def test_with_an_endpoint_that_learns_nothing_the_search_ends_at_the_limit_with_a_cause(
    tmp_path: Path, seed: int
) -> None:
    with teachable(obedience="never", seed=seed) as endpoint:
        cold = search(options(tmp_path, endpoint, seed=seed), {"rounds": 2})
        assert cold.exit_code == 1
        assert len(cold.found.rounds) == 2
        assert cold.found.best is not None
        assert any("valid share" in each for each in cold.found.missing)
        assert any("of 24 answers: " in each for each in cold.found.missing)
        assert any("system message" in each for each in cold.found.advice)
        assert endpoint.stats.requests <= SearchPlan(**{**SMALL, "rounds": 2}).max_requests()
        text = (cold.folder / "prompt.yaml").read_text("utf-8")
        assert "# NOT satisfactory: valid share" in text
        assert to_prompt_template(read_prompt(cold.folder / "prompt.yaml"), "p") == cold.found.best.template
        assert "Not satisfactory" in (cold.folder / "cold_start.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("fault", "cause", "advice"),
    [
        ("truncated", "16 of 16 answers: cut off at max_tokens", "leave answers more room (--max-tokens)"),
        ("refusal", "16 of 16 answers: refusal", "or use another model"),
        ("chatter", "16 of 16 answers: no question and answer pair", "show the form of an answer"),
        ("other_answer", ": from another query: ", "is about its own annotation alone"),
    ],
)
def test_where_no_answer_will_do_the_cause_is_named(tmp_path: Path, fault: str, cause: str, advice: str) -> None:
    with teachable(faults={fault: 1.0}) as endpoint:
        cold = search(options(tmp_path, endpoint), {"rounds": 1})
    assert cold.exit_code == 1
    assert cold.found.missing[0] == "no answer could become an example"
    assert any(cause in each for each in cold.found.missing), cold.found.missing
    assert any(advice in each for each in cold.found.advice)


def test_refusals_do_not_count_against_the_number_of_queries(tmp_path: Path) -> None:
    with teachable(faults={"refusal": 0.5}) as endpoint:
        cold = search(options(tmp_path, endpoint), {"rounds": 2})
    assert any("answers: refusal" in each for each in cold.found.missing)
    assert "or use another model" in cold.found.advice[0]
    assert not any("--held-out" in each for each in cold.found.advice)


def test_an_example_that_did_not_do_is_replaced(tmp_path: Path) -> None:
    with teachable(obedience="never") as endpoint:
        cold = search(options(tmp_path, endpoint), {"rounds": 2})
    first, second = cold.found.rounds
    dropped = {key for key, fate in first.fates.items() if fate.startswith(("hurts", "the weakest"))}
    assert dropped
    assert not dropped & {each.candidate.key for each in second.chosen}
    assert [name for name in stages(cold.folder) if "without example" in name]


def test_the_budget_holds_over_the_whole_search_which_resumes_with_a_higher_one(tmp_path: Path) -> None:
    with teachable() as endpoint:
        short = search(options(tmp_path, endpoint, max_requests=30))
        assert isinstance(short.error, BudgetError)
        assert short.exit_code == 4
        assert endpoint.stats.requests == 30
        assert said(short, "--max-requests 30 is not enough for one round.")
        assert short.found.best is not None
        assert short.found.missing[0] == "the set was not proven"
        assert (short.folder / "prompt.yaml").exists()
        whole = search(options(tmp_path, endpoint))
        assert whole.exit_code == 0
        assert endpoint.stats.dup_after_ok == 0


def test_the_cost_is_forecast_and_a_call_that_might_exceed_the_limit_is_not_made(tmp_path: Path) -> None:
    with teachable() as endpoint:
        cold = search(options(tmp_path, endpoint, model="gpt-6-luna", max_cost=0.0001, max_tokens=400))
        assert any("$" in line for line in cold.lines[:3])
        assert isinstance(cold.error, BudgetError)
        assert endpoint.stats.requests == 0


def test_pinned_examples_are_in_every_set_and_judged_beside_the_others(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"system_message: ''\n{GOOD}", "utf-8")
    with teachable() as endpoint:
        cold = search(options(tmp_path, endpoint), {"examples": 2}, pinned=str(mine))
    first = cold.found.examples[0]
    assert (first.query.id, first.round, first.model) == ("pinned 1", 0, "a person")
    assert len(cold.found.examples) == 2
    assert cold.found.best is not None
    assert cold.found.best.fates[first.key] == "pinned"
    assert cold.found.best.template.in_context[0]["content"] == "the old sailor is painting a boat"
    assert "by hand, a person, score" in (cold.folder / "prompt.yaml").read_text("utf-8")


def test_a_pinned_example_is_not_held_out_and_a_set_of_pinned_ones_is_proven_once(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    text = texts(14)[sample_random(texts(14).items(), 7, "0 held out")[0]]  # it would be held out
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "Question: Who?\nAnswer: A man."}]
    mine.write_text(json.dumps({"system_message": "", "in_context": turns}), "utf-8")
    with teachable(obedience="never") as endpoint:
        cold = search(options(tmp_path, endpoint, rows=14), {"examples": 1, "tokens": 5}, pinned=str(mine))
    (only,) = cold.found.rounds
    assert len(only.with_set) == 7
    assert text not in {each.candidate.query.text for each in only.with_set}
    assert said(cold, "All examples were pinned or edited by hand: none can be replaced.")
    assert said(cold, "tokens, more than --tokens 5.")


def test_an_example_with_images_is_not_pinned_without_them(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    turns = [
        {"role": "user", "content": "a cat", "images": ["a.jpg"]},
        {"role": "assistant", "content": "Question: A?"},
    ]
    mine.write_text(json.dumps({"system_message": "", "in_context": turns}), "utf-8")
    with teachable() as endpoint:
        cold = search(options(tmp_path, endpoint), pinned=str(mine))
        assert endpoint.stats.requests == 0
    assert "an in-context example with images can't be pinned" in str(cold.error)


class Scripted:
    """A person who says what was written down, and leaves when there is no more of it."""

    def __init__(self, *decisions: Decision) -> None:
        self.left = list(decisions)
        self.shown: list[str] = []
        self.problems: list[str] = []

    def decide(self, scored: Scored, number: int, count: int, problem: str) -> Decision:
        self.shown.append(scored.candidate.key)
        self.problems += [problem] * bool(problem)
        if not self.left:
            raise InterruptError("left")
        return self.left.pop(0)


def test_a_person_accepts_rejects_and_edits_before_the_proof_and_is_asked_once(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        edit = Decision(EDIT, "Question: Who is there?\nAnswer: Somebody is there, hard at work.")
        leaves = Scripted(Decision(ACCEPT), Decision(REJECT), Decision(EDIT, "no pair at all"), edit)
        left = search(given, reviewer=leaves)
        assert (left.exit_code, leaves.problems) == (130, ["no question and answer pair"])
        assert endpoint.stats.requests == SMALL["sample"]
        page = (left.folder / "cold_start.html").read_text("utf-8")
        assert "Stopped before any set was proven" in page
        assert "atisfactory" not in page + "".join(left.told)
        back = Scripted(*[Decision(ACCEPT)] * 9)
        cold = search(given, {"rounds": 1}, reviewer=back)
    decided = leaves.shown[:3]
    assert not set(decided) & set(back.shown)
    assert cold.found.best is not None
    fates = cold.found.best.fates
    assert [fates[key] for key in decided] == ["taken", "rejected by a person", "edited by a person"]
    by_hand = [each for each in cold.found.examples if each.model == "a person"]
    assert [each.answer for each in by_hand] == [edit.text]
    assert "Somebody is there, hard at work." in (cold.folder / "prompt.yaml").read_text("utf-8")


@pytest.mark.parametrize("refused", [(), ("response_format",)], ids=["with a schema", "without one"])
def test_a_judge_adds_its_verdicts(tmp_path: Path, refused: tuple[str, ...]) -> None:
    with teachable(refuse_parameters=refused) as endpoint:
        cold = search(options(tmp_path, endpoint), {"judge": True, "rounds": 1})
    usable = [each for each in cold.found.rounds[0].scored if not each.barred]
    assert usable
    assert all(each.scores["judge"] > 0.5 for each in usable)
    assert all("can be found in the annotation" in each.notes["judge"] for each in usable)
    assert "cold start 1 judge" in stages(cold.folder)


def test_several_answers_per_query_are_further_samples(tmp_path: Path) -> None:
    with teachable() as endpoint:
        search(options(tmp_path, endpoint, max_requests=24), {"sample": 12, "answers": 2})
        assert endpoint.stats.requests == 24
        assert (endpoint.stats.unique, endpoint.stats.dup_requests) == (12, 12)


def test_too_few_queries_and_invalid_numbers_are_rejected_before_anything_is_sent(tmp_path: Path) -> None:
    with teachable() as endpoint:
        for rows in (
            {f"r{n}": text for n, text in enumerate(list(texts(11).values()) * 9)},
            {"r1": "one"},
            {"r1": " "},
        ):
            given = options(tmp_path, endpoint)
            write_rows(tmp_path / "rows.jsonl", rows)
            few = search(given)
            assert isinstance(few.error, InputError)
            assert "too few for a cold start, which needs 12" in str(few.error)
            assert few.lines == []
            assert not few.folder.exists()
        assert endpoint.stats.requests == 0
    with pytest.raises(ConfigError, match="--held-out 5: must be at least 6"):
        SearchPlan(held_out=5)
    with pytest.raises(ConfigError, match="--strategy worst: must be diverse, best or random"):
        SearchPlan(strategy="worst")


def test_rows_that_repeat_each_other_are_counted_once(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        write_rows(tmp_path / "rows.jsonl", {f"r{n}": text for n, text in enumerate(list(texts(20).values()) * 5)})
        cold = search(given, {"rounds": 1})
    assert said(cold, "10 of 100 queries per round to choose from, 10 others to test with")
    assert len(cold.found.rounds[0].scored) == 10


def test_a_small_input_is_split_and_a_further_round_asks_the_same_queries(tmp_path: Path) -> None:
    with teachable(obedience="never") as endpoint:
        cold = search(options(tmp_path, endpoint, rows=12), {"rounds": 2})
    assert cold.found.best is not None
    assert len(cold.found.best.with_set) == 6
    assert {each.candidate.query.id for each in cold.found.rounds[1].scored} <= {f"r{row:03}" for row in range(12)}


def test_used_queries_are_asked_for_further_answers(tmp_path: Path) -> None:
    with teachable(faults={"refusal": 1.0}) as endpoint:
        cold = search(options(tmp_path, endpoint, rows=12), {"rounds": 3})
        assert (endpoint.stats.requests, endpoint.stats.unique) == (18, 6)
        assert len(cold.found.rounds) == 3
        assert search(options(tmp_path, endpoint, rows=12), {"rounds": 3}).found.rounds == cold.found.rounds
        assert endpoint.stats.requests == 18


def test_made_up_answers_are_never_mixed_with_a_models(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        search(given, {"rounds": 1})
        offline = search(options(tmp_path, endpoint, offline=True, config=None))
    assert isinstance(offline.error, RunError)
    assert "never mixed" in str(offline.error)


def test_an_edited_prompt_is_not_written_over(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        path = search(given).folder / "prompt.yaml"
        path.write_text(path.read_text("utf-8").replace("photo", "picture"), "utf-8")
        kept, asked = path.read_bytes(), endpoint.stats.requests
        again = search(given, {"rounds": 5, "sample": 20})
        assert isinstance(again.error, RunError)
        assert "edited by hand" in str(again.error)
        assert (path.read_bytes(), endpoint.stats.requests) == (kept, asked)


def test_write_prompt_replaces_the_datasets_own_prompt_file(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        cold = search(given, write=True)
    own, old = Path(given.prompt_path), Path(f"{given.prompt_path}.old")
    assert cold.found.best is not None
    assert to_prompt_template(read_prompt(own), "p") == cold.found.best.template
    assert "in_context" not in old.read_text("utf-8")
    assert said(cold, "is kept as")


def test_an_earlier_backup_of_a_prompt_is_never_overwritten(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        own = Path(given.prompt_path)
        first = own.read_text("utf-8")
        search(given, write=True)
        own.write_text(f"# by hand\n{first}", "utf-8")
        search(given, write=True)
        search(given, write=True)
    assert {path.name: path.read_text("utf-8") for path in tmp_path.glob("bare.yaml.old*")} == {
        "bare.yaml.old": first,
        "bare.yaml.old2": f"# by hand\n{first}",
    }


def test_a_prompt_that_cannot_be_written_is_reported_in_one_line_and_the_set_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "prompts" / "own.yaml"
    own.parent.mkdir()
    with teachable() as endpoint:
        given = options(tmp_path, endpoint)
        own.write_bytes(Path(given.prompt_path).read_bytes())
        (tmp_path / "prompts" / f".{own.name}.partial").mkdir()  # what is in the way of the new file
        cold = search(replace(given, prompt_path=str(own)), write=True)
    assert isinstance(cold.error, StorageError)
    assert (cold.exit_code, own.name in str(cold.error)) == (5, True)
    assert cold.found.satisfactory
    assert (cold.folder / "prompt.yaml").exists()


def test_an_unsatisfactory_prompt_is_not_put_there(tmp_path: Path) -> None:
    with teachable(obedience="never") as endpoint:
        given = options(tmp_path, endpoint)
        before = Path(given.prompt_path).read_bytes()
        cold = search(given, {"rounds": 1}, write=True)
    assert cold.exit_code == 1
    assert Path(given.prompt_path).read_bytes() == before
    assert said(cold, "was not written")


def test_the_main_stage_has_its_queries_but_sends_none(done: tuple[Cold, int]) -> None:
    counts = read_status(done[0].folder).counts
    assert counts.total == counts.states[State.PENDING] == 80
