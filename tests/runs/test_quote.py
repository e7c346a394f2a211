"""Quotes: what is there already, what the rest takes, and a pilot whose answers count."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cold import bare_prompt
from harness import HERE, Listener, Ran, run_rows, server, write_config, write_rows
from image_rows import write_picture
from processes import syphus
from quote import DATASETS, make_world, simulate_run

import syphus as package
from syphus import main_job
from syphus.config.options import Options, QuoteOptions
from syphus.config.pricing import Price
from syphus.endpoints.image_tokens import ImageRules
from syphus.errors import ConfigError, NoEndpointError, UsageError
from syphus.exchange import Usage
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.cost_estimate import AskedModel, CostEstimator, Speed
from syphus.runs.cost_text import quote_lines
from syphus.runs.quote import PendingRow, Quote, Survey, choose_pilot
from syphus.runs.token_forecast import MIN_ANSWERS, AnsweredRow, Rows, RowSize, Tokens, fit
from syphus.text import format_dollar_range
from syphus.types import State

ROWS = 40
PRICES = {"prices": {"chat": {"input": 1.0, "output": 10.0}}}


def quoted(folder: Path, url: str, config: Mapping[str, Any] | None = None, **given: Any) -> Quote:
    """A quote of a run over the rows in `folder`, which is at the server at `url`."""
    own = {name: given.pop(name) for name in ("pilot", "models") if name in given}
    texts = given.pop("texts", ROWS)
    rows = write_rows(folder / "rows.jsonl", texts)
    if not given.get("offline"):
        given["config"] = write_config(folder / "config.json", url, **(config or {}))
    base = {"name": "Rows.rows", "query_inputs_path": str(rows), "datasets_dir": (HERE / "plugins",)}
    options = Options(**{**base, "output_dir": folder / "output", "num_threads": 4, **given})
    return main_job.quote(options, QuoteOptions(**own), {}, Listener())


# The model.


def answered(size: int, scatter: float = 0.0, further: int = 0) -> AnsweredRow:
    """A row whose prompt has 100 tokens and one for each four bytes, and whose answer one for each ten."""
    first = Tokens(100 + size / 4, 20 + size / 10 + scatter)
    return AnsweredRow(RowSize(size), first, 1.0, further, Tokens(first.prompt + 60, first.answer))


def test_what_lies_on_a_line_is_quoted_exactly() -> None:
    model = fit([answered(size) for size in range(100, 1100, 100)], max_further=0)
    rows = Rows([RowSize(size, 85) for size in range(50, 2000, 7)])
    assert model.total(rows).prompt == pytest.approx(sum(100 + 85 + size / 4 for size in range(50, 2000, 7)))
    assert model.total(rows).answer == pytest.approx(sum(20 + size / 10 for size in range(50, 2000, 7)))
    quoted = model.range_of(model.total(rows).prompt, rows, Tokens(1, 0))
    assert quoted.high / quoted.low < 1.06


def test_few_answers_teach_nothing_and_the_estimate_is_wider() -> None:
    rows = Rows([RowSize(400)] * 100)
    few, many = (fit([answered(400 + n) for n in range(count)]) for count in (MIN_ANSWERS - 1, MIN_ANSWERS))
    assert (few.is_learnt, many.is_learnt) == (False, True)
    widths = [each.deviation(rows, Tokens(1, 1)) / sum(each.total(rows)) for each in (few, many)]
    assert widths[0] > 1.5 * widths[1]


def test_further_answers_are_learnt_and_never_thought_impossible() -> None:
    sizes = [RowSize(400)] * 100
    none, some = (
        fit([answered(400 + n, further=int(n < again)) for n in range(30)]).requests(Rows(sizes)) for again in (0, 6)
    )
    assert 100 < none < 102
    assert some == pytest.approx(100 * (1 + 6.3 / 40))
    assert fit([answered(400 + n) for n in range(30)], max_further=0).requests(Rows(sizes)) == 100


def test_the_interval_of_a_sample_of_the_rows_is_wider_than_that_of_all() -> None:
    random = Random(0)
    sizes = [RowSize(random.randrange(100, 4000)) for _ in range(2000)]
    model = fit([answered(size, random.gauss(0, 5)) for size in range(100, 4000, 100)])
    all_rows, some = Rows(sizes), Rows(sizes[:200], 2000)
    assert model.deviation(some, Tokens(1, 1)) > model.deviation(all_rows, Tokens(1, 1))
    assert model.total(some).prompt == pytest.approx(model.total(all_rows).prompt, rel=0.1)


@pytest.mark.parametrize(
    ("threads", "requests", "tokens", "minutes"),
    [
        (8, None, None, (1 + 400 / 8 + 7 / 16) / 60),
        (8, 60.0, None, 400 / 60),
        (8, None, 6000.0, None),
        (1000, None, None, 2 / 60),
    ],
)
def test_minutes_follow_from_what_is_scarcest(
    threads: int, requests: float | None, tokens: float | None, minutes: float | None
) -> None:
    model = fit([answered(400 + n) for n in range(30)], max_further=0)
    rows = Rows([RowSize(400)] * 400)
    expected = sum(model.total(rows)) / tokens if minutes is None and tokens else minutes
    assert model.minutes(rows, threads, requests, tokens).middle == pytest.approx(expected, rel=0.02)


def test_long_prompts_have_their_own_price_row_by_row() -> None:
    from syphus.config.model_table import LongContext

    price = Price(1.0, 1.0, 1.0, long_context=LongContext(above=1000, input=2.0, output=1.5))
    model = fit([answered(size) for size in range(100, 8000, 100)], max_further=0)
    estimator = CostEstimator(model, [AskedModel("m", price, ImageRules("m"), None)], PromptTemplate(""), Speed(8))
    sizes = [RowSize(400)] * 32 + [RowSize(6000)] * 32
    line = estimator.line("", sizes, 64)
    prompts = [100 + size.text_bytes / 4 for size in sizes]
    usages = [Usage(round(p), round(20 + s.text_bytes / 10)) for p, s in zip(prompts, sizes, strict=True)]
    assert line.dollars is not None
    assert line.dollars.middle == pytest.approx(
        sum(price.cost(u, prompt_size=u.prompt_tokens) for u in usages), rel=0.01
    )


def test_intervals_hold_in_made_up_runs() -> None:
    name, runs = next(iter(DATASETS)), 60
    world = make_world(name, 500)
    misses = [simulate_run(world, 250, seed) for seed in range(runs)]
    for what in ("tokens in", "dollars"):
        assert sum(each[what].held for each in misses) >= 0.85 * runs
        assert sorted(each[what].off for each in misses)[runs // 2] <= 0.05


def test_a_long_tail_raises_the_upper_bound_alone() -> None:
    rows = Rows([RowSize(400)] * 1000)
    even, tailed = (
        fit([answered(400 + n, scatter) for n, scatter in enumerate(scatters)])
        for scatters in ([30.0, -30.0] * 15, [-8.0] * 28 + [112.0] * 2)
    )
    ranges = [each.range_of(each.total(rows).answer, rows, Tokens(0, 1)) for each in (even, tailed)]
    above, below = ([each.high / each.middle for each in ranges], [each.middle / each.low for each in ranges])
    assert above[0] == pytest.approx(below[0])
    assert above[1] > 1.02 * below[1]


def test_a_wide_quote_names_a_larger_pilot_and_what_it_brings(tmp_path: Path) -> None:
    with server() as simulated:
        few = quoted(tmp_path, simulated.url, PRICES, texts=400, pilot=10)
        (note,) = [note for note in few.notes if note.startswith("--pilot 40 would bring the dollars to about ±")]
        more = quoted(tmp_path, simulated.url, PRICES, texts=400, pilot=40)
    assert few.lines[0].dollars is not None
    assert more.lines[0].dollars is not None
    promised = int(note.rpartition("±")[2].rstrip("%.")) / 100
    assert promised < few.lines[0].dollars.margin
    assert more.lines[0].dollars.margin == pytest.approx(promised, rel=0.5)


# The pilot.


def test_a_pilot_has_small_and_large_rows_and_is_the_same_each_time() -> None:
    rows = [PendingRow(n, 100 + 10 * n, (0,)) for n in range(300)]
    survey = Survey(300, 0, 0.0, 0.0, 0.0, 300.0, rows, exact=True)
    chosen = sorted(choose_pilot(survey, 30, 0))
    assert [n // 10 for n in chosen] == list(range(30))  # one of each class of size
    assert choose_pilot(replace(survey, pending=rows[::-1]), 30, 0) == frozenset(chosen)
    assert choose_pilot(survey, 30, 1) != frozenset(chosen)
    assert len(choose_pilot(survey, 400, 0)) == 300


def test_the_run_has_the_answers_of_the_pilot_and_pays_for_none_again(tmp_path: Path) -> None:
    (tmp_path / "quoted").mkdir()
    (tmp_path / "plain").mkdir()
    with server() as simulated:
        before = quoted(tmp_path / "quoted", simulated.url, PRICES)
        assert simulated.stats.requests == 0
        first = quoted(tmp_path / "quoted", simulated.url, PRICES, pilot=12)
        assert simulated.stats.requests == 12
        again = quoted(tmp_path / "quoted", simulated.url, PRICES, pilot=12)
        assert simulated.stats.requests == 12
        ran = run_rows(tmp_path / "quoted", simulated.url, ROWS, PRICES)
        assert simulated.stats.requests == simulated.stats.unique == ROWS
        after = quoted(tmp_path / "quoted", simulated.url, PRICES)
        plain = run_rows(tmp_path / "plain", simulated.url, ROWS, PRICES)
    assert (before.survey.reusable, before.survey.to_ask, before.answers) == (0, ROWS, 0)
    assert (first.survey.reusable, first.survey.to_ask, first.answers) == (12, ROWS - 12, 12)
    assert again == first
    assert ran.states == {State.OK: ROWS}
    assert ran.lines[1] == f"Resuming: 12 of {ROWS} answers reusable, {ROWS - 12} to go."
    assert "learnt from 12 answers" in ran.lines[2]
    assert (after.survey.reusable, after.survey.to_ask) == (ROWS, 0)
    assert ran.data == plain.data
    bill, spent = ran.report.cost, first.spent
    assert bill is not None
    assert spent is not None
    assert first.lines[0].dollars is not None
    assert first.lines[0].dollars.low <= bill - spent <= first.lines[0].dollars.high


def test_a_pilot_keeps_to_the_budget_and_says_what_stopped_it(tmp_path: Path) -> None:
    with server() as simulated:
        done = quoted(tmp_path, simulated.url, pilot=20, max_requests=9, num_threads=2)
        ran = run_rows(tmp_path, simulated.url, ROWS)
        assert simulated.stats.requests == simulated.stats.unique == ROWS
    assert (done.exit_code, done.survey.reusable) == (4, 9)
    assert ran.exit_code == 0


def test_rows_with_the_same_request_are_asked_once_and_rows_without_one_never(tmp_path: Path) -> None:
    texts = [f"text {number % 10} of a few" for number in range(30)] + [" "]
    with server() as simulated:
        before = quoted(tmp_path, simulated.url, texts=texts)
        run_rows(tmp_path, simulated.url, texts, max_requests=4)
        after = quoted(tmp_path, simulated.url, texts=texts)
    assert (before.survey.to_ask, before.survey.shared, before.survey.unasked) == (10, 20, 1)
    assert round(after.survey.to_ask) == 6
    assert after.survey.done + round(after.survey.stored + after.survey.shared + after.survey.unasked) == 25


def test_without_a_key_a_quote_works_and_a_pilot_does_not(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    options = Options(
        name="Rows.rows", query_inputs_path=str(rows), datasets_dir=(HERE / "plugins",), output_dir=tmp_path / "output",
        model="gpt-6-luna",
    )  # fmt: skip
    done = main_job.quote(options, QuoteOptions(models="gpt-6-sol"), {}, Listener())
    assert [line.model for line in done.lines if line.name != "with --batch"] == ["gpt-6-luna", "gpt-6-sol"]
    assert all(line.dollars is not None for line in done.lines)
    with pytest.raises(NoEndpointError):
        main_job.quote(options, QuoteOptions(pilot=3), {}, Listener())
    config = write_config(tmp_path / "config.json", "", endpoint={"api_key": "${THE_KEY}"}, model="gpt-6-luna")
    again = main_job.quote(replace(options, config=config), QuoteOptions(), {}, Listener())
    assert again.lines[0].dollars == done.lines[0].dollars
    with pytest.raises(ConfigError, match="THE_KEY, which is not set"):
        main_job.quote(replace(options, config=config), QuoteOptions(pilot=3), {}, Listener())


def test_a_price_that_is_not_known_leaves_tokens_and_minutes(tmp_path: Path) -> None:
    with server() as simulated:
        done = quoted(tmp_path, simulated.url)
    (line,) = done.lines
    assert line.dollars is None
    assert line.prompt_tokens.middle > 0
    assert line.minutes is not None
    assert any("No price is known for chat" in note for note in done.notes)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"pilot": 0}, "--pilot 0: must be at least 1."),
        ({"pilot": ROWS + 1}, f"--pilot {ROWS + 1}: the input has only {ROWS} queries."),
        ({"models": "no-such-model"}, "--models no-such-model: no price is known for it."),
        ({"models": "gpt-6-luna,,gpt-6-sol"}, "--models gpt-6-luna,,gpt-6-sol: there must be a name"),
        ({"models": " "}, "--models  : there must be a name"),
        ({"config": {"model": " chat"}}, "The model ' chat' has blanks around its name"),
        (
            {"config": {"model": "gpt-6-luna", "extra_body": {"reasoning_effort": "lots"}}},
            "extra_body has the reasoning_effort lots; it must be none, minimal,",
        ),
        ({"config": {"extra_body": {"service_tier": 5}}}, "extra_body has the service_tier 5, which should be a text."),
    ],
)
def test_bad_input_gets_one_line_and_sends_nothing(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    with server() as simulated:
        with pytest.raises(ConfigError) as error:
            quoted(tmp_path, simulated.url, **given)
        assert simulated.stats.requests == 0
    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)


def test_limits_that_the_server_states_count_in_the_minutes(tmp_path: Path) -> None:
    with server(rpm=600, burst_seconds=60) as simulated:
        run_rows(tmp_path, simulated.url, ROWS, max_requests=10)
        done = quoted(tmp_path, simulated.url)
        slower = quoted(tmp_path, simulated.url, {"endpoint": {"base_url": simulated.url, "requests_per_minute": 60}})
    assert done.lines[0].minutes is not None
    assert slower.lines[0].minutes is not None
    assert done.lines[0].minutes.middle == pytest.approx(30 / 600, rel=0.1)
    assert slower.lines[0].minutes.middle == pytest.approx(30 / 60, rel=0.1)


def test_answers_without_a_refused_parameter_are_learnt_from(tmp_path: Path) -> None:
    with server(refuse_max_tokens=True, fixed_temperature=True) as simulated:
        done = quoted(tmp_path, simulated.url, pilot=12)
    assert (done.answers, done.survey.reusable) == (12, 12)


def test_rows_to_retry_are_quoted_and_their_outcomes_stay(tmp_path: Path) -> None:
    with server(poison={"row 1": "unpaired"}) as simulated:
        before = run_rows(tmp_path, simulated.url, ROWS, max_rounds=0)
        bad = before.states[State.INVALID]
        done = quoted(tmp_path, simulated.url, retry=(State.INVALID,), max_rounds=0)
        assert simulated.stats.requests == ROWS
    assert bad > 0
    assert (done.survey.done, round(done.survey.to_ask)) == (ROWS - bad, bad)
    assert before.states[State.INVALID] == bad


def test_images_are_counted_by_the_rule_of_each_model(tmp_path: Path) -> None:
    sizes = [(64 * n, 512) for n in range(2, 14)]
    for n, (width, height) in enumerate(sizes):
        write_picture(tmp_path / f"{n}.png", width, height, seed=n)
    given = [{"id": f"{n}.png", "text": f"text {n}", "images": [str(tmp_path / f"{n}.png")]} for n in range(len(sizes))]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in given), "utf-8")
    options = Options(
        name="Pictures.pictures", query_inputs_path=str(rows), datasets_dir=(HERE / "plugins",), offline=True,
        output_dir=tmp_path / "output",
    )  # fmt: skip
    done = main_job.quote(options, QuoteOptions(models="gpt-4o,gpt-6-luna"), {}, Listener())
    for number, model in enumerate(("chat", "gpt-4o", "gpt-6-luna")):
        rules = ImageRules(model)
        tokens = [rules.tokens(*rules.size(width, height)) for width, height in sizes]
        assert [row.image_tokens[number] for row in sorted(done.survey.pending)] == tokens


def test_other_settings_are_refused_as_the_run_refuses_them(tmp_path: Path) -> None:
    with server() as simulated:
        run_rows(tmp_path, simulated.url, ROWS, max_requests=9)
        with pytest.raises(UsageError, match="was made with other settings: temperature"):
            quoted(tmp_path, simulated.url, temperature=0.1)


def test_a_quote_says_that_a_cold_start_comes_first_and_a_pilot_waits_for_it(tmp_path: Path) -> None:
    prompt = bare_prompt(tmp_path)
    with server() as simulated:
        done = quoted(tmp_path, simulated.url, prompt_path=prompt, texts=120)
        assert any("begins with a search for in-context examples" in note for note in done.notes)
        with pytest.raises(ConfigError, match="Run the command cold-start first"):
            quoted(tmp_path, simulated.url, prompt_path=prompt, texts=120, pilot=10)
        assert simulated.stats.requests == 0
        asked = quoted(tmp_path, simulated.url, prompt_path=prompt, texts=120, pilot=10, cold_start="never")
    assert asked.survey.reusable == 10


# The command.


def test_the_command_prints_a_table_of_80_columns_and_json(tmp_path: Path) -> None:
    asked = ("quote", "--name", "LlavaReasoning.llava", "--example", "--model", "gpt-6-luna", "--models", "gpt-6-sol")
    done = syphus(tmp_path, *asked, env={"OPENAI_API_KEY": "none"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "answers reusable" in lines[0]
    assert max(map(len, lines)) <= 80
    assert "Batches may take up to a day." in lines
    as_json = json.loads(syphus(tmp_path, *asked, "--json", env={"OPENAI_API_KEY": "none"}).stdout)
    assert {line["name"] for line in as_json["lines"]} >= {"as configured", "with --batch", "gpt-6-sol"}
    assert as_json["reusable"] == 0
    assert set(as_json["lines"][0]["dollars"]) == {"middle", "low", "high"}


def test_the_python_api_quotes_a_run(tmp_path: Path) -> None:
    done = package.quote(
        "SpotTheDifference.change", example=True, offline=True, output_dir=tmp_path, pilot=10, quiet=True
    )
    assert (done.answers, done.survey.reusable, done.simulated) == (10, 10, True)
    assert quote_lines(done)[0] == "SpotTheDifference.change v1: 10 of 24 answers reusable, 14 to ask"
    ran = package.run("SpotTheDifference.change", example=True, offline=True, output_dir=tmp_path, quiet=True)
    assert ran.counts["ok"] == 24


def test_reasoning_that_nothing_shows_makes_the_interval_wider(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    lines = {}
    for effort in ("none", "high"):
        options = Options(
            name="Rows.rows", query_inputs_path=str(rows), datasets_dir=(HERE / "plugins",), model="gpt-6-luna",
            output_dir=tmp_path / effort, reasoning_effort=effort,
        )  # fmt: skip
        done = main_job.quote(options, QuoteOptions(), {}, Listener())
        lines[effort] = done.lines[0]
        assert any("only its own answers show how much" in note for note in done.notes) == (effort == "high")
    assert lines["high"].answer_tokens.high > 1.3 * lines["none"].answer_tokens.high


def _before(folder: Path, url: str, price: float, answer: bool | None = None, **options: Any) -> tuple[Ran, list[str]]:
    """Run 40 rows whose model costs `price` dollars a million tokens; return the run and the questions it asked."""
    asked: list[str] = []

    class Person(Listener):
        def confirm(self, question: str) -> bool | None:
            asked.append(question)
            return answer

    config = {"prices": {"chat": {"input": price, "output": price}}}
    return run_rows(folder, url, 40, config, observer=Person(), **options), asked


def test_a_budget_below_the_estimate_says_for_how_many_rows_it_is_enough(tmp_path: Path) -> None:
    with server(rpm=0) as simulated:
        ran, asked = _before(
            tmp_path, simulated.url, 1000.0, False, max_cost=2.0, requests_per_minute=6.0, max_tokens=600
        )
        assert simulated.stats.requests == 0
    (line,) = [line for line in ran.lines if "is enough for" in line]
    found = re.fullmatch(
        r"\$2\.00 is enough for about ([\d,]+) to ([\d,]+) of 40 rows; at 6 requests/min about 7 min for all\.", line
    )
    assert found is not None, line
    assert 0 < int(found[1]) < int(found[2]) < 40
    assert [question.endswith("the run stops once $2.00 is spent. Start?") for question in asked] == [True]
    assert (ran.exit_code, str(ran.error)) == (2, "Not started: nothing was sent. (--yes starts without a question.)")


def test_a_budget_of_less_than_a_cent_is_shown_as_it_was_given(tmp_path: Path) -> None:
    with server(rpm=0) as simulated:
        ran, _ = _before(tmp_path, simulated.url, 0.1, None, max_cost=0.0025)
    assert any(line.startswith("$0.0025 is enough for") for line in ran.lines)


def test_a_budget_below_the_bound_of_one_answer_promises_nothing(tmp_path: Path) -> None:
    with server(rpm=0) as simulated:
        ran, _ = _before(tmp_path, simulated.url, 100.0, None, max_cost=0.06)
        assert simulated.stats.requests == 0
    assert ran.exit_code == 4
    assert [line for line in ran.lines if "is enough for" in line] == []
    assert any(line.startswith("$0.06 leaves less than one answer may cost ($") for line in ran.lines), ran.lines


@pytest.mark.parametrize(
    ("options", "questions"),
    [({}, 1), ({"yes": True}, 0), ({"ask_above": 1e6}, 0), ({"max_cost": 1e6}, 0), ({"ask_above": 0.0}, 1)],
)
def test_a_person_is_asked_before_much_money_is_spent(tmp_path: Path, options: Any, questions: int) -> None:
    with server() as simulated:
        ran, asked = _before(tmp_path, simulated.url, 1e4, True, **options)
    assert ran.exit_code == 0
    assert len(asked) == questions


def test_where_nobody_can_answer_the_run_goes_on_with_the_line(tmp_path: Path) -> None:
    with server() as simulated:
        ran, asked = _before(tmp_path, simulated.url, 1e4, None)
    assert (ran.exit_code, len(asked)) == (0, 1)


@pytest.mark.parametrize(
    ("amounts", "text"), [((0.001, 0.01), "up to $0.01"), ((0.0, 0.001), "under $0.01"), ((1.0, 1.0), "$1.00")]
)
def test_ranges_of_money_read_well(amounts: tuple[float, float], text: str) -> None:
    assert format_dollar_range(*amounts) == text
