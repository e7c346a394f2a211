"""Commands in a row from one file: real ledgers, a real server, really killed processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cold import SYSTEM, texts
from harness import HERE, KEY, server, write_rows
from processes import MAIN, Watch, environment, finish, start, syphus

from syphus.cli.pipeline_commands import without_run
from syphus.errors import ConfigError, GateError
from syphus.ledger.reviews import NewDecision, ReviewLog, Verdict, text_hash
from syphus.progress import PlainObserver
from syphus.runs.reader import read_status
from syphus.types import State
from syphus.workflow.pipeline import PipelineEnd, run_pipeline
from syphus.workflow.pipeline_file import read_pipeline
from syphus.workflow.plan_view import dry_run_lines, end_lines

THREADS = 4
SIX = (
    "{cold-start: {rounds: 1, sample: 16, held_out: 24, accept_examples: true}}",
    "generate",
    "judge",
    "clean",
    "{translate: {languages: de}}",
    "{relate: {relate: siblings}}",
    '{export: {format: "llava,chat"}}',
)
SERVER: dict[str, Any] = {"sloppiness": 0.01, "cold_sloppiness": 0.8, "latency": 0.002}


class Said:
    """A stream that keeps what is written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def pipeline(folder: Path, url: str, *stages: str, rows: Any = 12, **common: Any) -> Path:
    """A pipeline over rows at the server at `url`, with everything in `folder`."""
    (folder / "config.json").write_text(
        json.dumps({"endpoint": {"base_url": url, "api_key": KEY}, "model": "chat", "first_wait": 0.01}), "utf-8"
    )
    values = {
        "name": "Rows.rows",
        "query_inputs_path": str(write_rows(folder / "rows.jsonl", rows)),
        "datasets_dir": str(HERE / "plugins"),
        "output_dir": str(folder / "output"),
        "config": str(folder / "config.json"),
        "num_threads": THREADS,
        "no_hedging": True,
        **common,
    }
    path = folder / "pipeline.yaml"
    lines = [f"{name}: {json.dumps(value)}" for name, value in values.items()]
    path.write_text("\n".join([*lines, "stages:", *(f"  - {stage}" for stage in stages), ""]), "utf-8")
    return path


def run(path: Path, *gates: str) -> tuple[PipelineEnd, str]:
    said = Said()
    end = run_pipeline(path, passed_gates=gates, observer=PlainObserver(said))
    return end, said.text


def files(folder: Path) -> dict[str, bytes]:
    """What a pipeline is run for: the pairs in all languages, and the exports."""
    found = folder / "output" / "Rows.rows" / "v1"
    names = [*found.glob("*RW_*.json"), found / "pairs.jsonl", *found.glob("export/*/RW_*")]
    return {str(each.relative_to(found)): each.read_bytes() for each in names}


def decide(folder: Path, count: int) -> None:
    """Somebody accepts so many more pairs of the run in a folder."""
    log, data = ReviewLog(folder), json.loads((folder / "RW_instructions.json").read_text("utf-8"))["data"]
    known = log.refresh()
    for number, (name, pair) in enumerate(list(data.items())[known : known + count]):
        text = text_hash(pair["instruction"], pair["answer"])
        log.append(
            NewDecision(f"{known + number:08}-0000-4000-8000-000000000000", name, text, "Kim", Verdict.ACCEPT), 1.0
        )


def test_the_stages_run_in_a_row_and_a_second_run_sends_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, *SIX[1:], max_requests=200)
        end, _ = run(path)
        sent, made = simulated.stats.requests, files(tmp_path)
        again, said = run(path)
        assert simulated.stats.requests == sent
    assert (end.exit_code, again.exit_code) == (0, 0)
    assert list(end.ends) == ["generate", "judge", "clean", "translate", "relate", "export"]
    assert {"RW_instructions.json", "export/llava/RW_llava.json", "export/chat/RW_chat.jsonl"} <= made.keys()
    assert any(name.startswith("DE_") or "de" in name.lower() for name in made)
    assert files(tmp_path) == made
    assert "Nothing to do: no request was sent." in said


def test_translations_name_the_relations_that_are_chosen_after_them(tmp_path: Path) -> None:
    relate = "{relate: {relate: nearest-by-text, embedding_model: text-embedding-3-small}}"
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "{translate: {languages: de}}", relate, max_requests=200)
        assert run(path)[0].exit_code == 0
        made = files(tmp_path)
        assert run(path)[0].exit_code == 0
    assert files(tmp_path) == made
    assert json.loads(made["RW_train_de.json"]) == json.loads(made["RW_train.json"])


def test_resume_says_that_it_goes_on_with_one_stage_of_a_pipeline(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "judge", max_requests=200)
        end, _ = run(path)
        resumed = syphus(tmp_path, "resume", str(end.folder))
    assert resumed.returncode == 0, resumed.stderr
    assert f"with all of them: syphus run {path.name}" in resumed.stderr


def test_the_report_says_what_each_stage_took(tmp_path: Path) -> None:
    prices = {"chat": {"input": 1.0, "output": 2.0}}
    with server(served_models=("chat",)) as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "judge", "{translate: {languages: de}}", max_cost=5.0)
        config = json.loads((tmp_path / "config.json").read_text("utf-8"))
        (tmp_path / "config.json").write_text(json.dumps({**config, "prices": prices}), "utf-8")
        end, _ = run(path)
    assert end.exit_code == 0
    report = json.loads((end.folder / "report.json").read_text("utf-8"))
    stages = report["stages"]
    assert set(stages) == {"generate", "judge", "translate"}
    assert sum(each["answers"] for each in stages.values()) == report["requests"]
    assert sum(each["cost"] for each in stages.values()) == pytest.approx(report["cost"])
    assert report["cost"] > 0
    assert sum(each["share"] for each in stages.values()) == pytest.approx(1, abs=0.001)
    assert any(line.split()[0] == "translate" and line.endswith("%") for line in end_lines(end, ""))


def test_all_stages_share_one_budget(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "judge", max_requests=17)
        end, _ = run(path)
        assert simulated.stats.requests == 17
        assert (end.exit_code, list(end.ends)) == (4, ["generate", "judge"])
        path.write_text(path.read_text("utf-8").replace("max_requests: 17", "max_requests: 100"), "utf-8")
        assert run(path)[0].exit_code == 0
        assert simulated.stats.requests == 24  # 12 answers and their 12 verdicts


def test_a_gate_holds_until_people_have_decided(tmp_path: Path) -> None:
    with server() as simulated:
        stages = ("generate", "{review: {needs: 3}}", "{review: {name: last-look}}", '{export: {format: "llava"}}')
        path = pipeline(tmp_path, simulated.url, *stages)
        end, _ = run(path)
        assert isinstance(end.stopped_by, GateError)
        assert (end.exit_code, list(end.ends)) == (6, ["generate", "review"])
        assert "waits for reviews of 3 pairs; 0 are reviewed" in str(end.stopped_by)
        decide(end.folder, 2)
        assert run(path)[0].exit_code == 6
        decide(end.folder, 1)
        waits = run(path)[0]
        assert (waits.exit_code, list(waits.ends)[-1]) == (6, "last-look")
        with pytest.raises(ConfigError, match="--pass-gate lastlook: "):
            run(path, "lastlook")
        assert run(path, "last-look")[0].exit_code == 0
        assert run(path)[0].exit_code == 0  # it was passed for good
        assert simulated.stats.requests == 12
    assert (end.folder / "export" / "llava" / "RW_llava.json").is_file()


def test_a_gate_that_needs_more_pairs_than_there_are_is_open_once_all_are_decided(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "{review: {needs: 1000}}", rows=2)
        end, _ = run(path)
        assert end.report is not None
        decide(end.folder, end.report.counts.pairs - 1)
        assert run(path)[0].exit_code == 6
        decide(end.folder, 1)
        assert run(path)[0].exit_code == 0


def test_new_rows_go_through_all_stages(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "judge", "{translate: {languages: de}}")
        run(path)
        before = simulated.stats.requests
        write_rows(tmp_path / "rows.jsonl", 13)
        end, _ = run(path)
        assert end.exit_code == 0
        assert before + 3 <= simulated.stats.requests <= before + 3 + 5  # an answer, a verdict, and its translations
        assert read_status(end.folder).counts.states[State.OK] == 13


def test_a_dry_run_shows_the_stages_and_a_quote_and_sends_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, *SIX[1:], max_requests=50)
        lines = dry_run_lines(path, PlainObserver(Said()))
        assert simulated.stats.requests == 0
        run(path)
        after = dry_run_lines(path, PlainObserver(Said()))
    assert "6 stages" in lines[0]
    assert lines[0].endswith("one budget: 50 requests")
    assert [line.split()[1] for line in lines[1:7]] == ["generate", "judge", "clean", "translate", "relate", "export"]
    assert any("12 to ask" in line for line in lines)
    assert "12 of 12" in after[1]
    assert any("12 of 12 answers reusable" in line for line in after)


@pytest.mark.parametrize("chain", [(("request", 3), ("answer", 25), ("request", 40)), (("answer", 45), ("answer", 15))])
def test_a_killed_pipeline_ends_like_an_undisturbed_one(tmp_path: Path, chain: tuple[tuple[str, int], ...]) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    rows = texts(48, 2)
    prompt = tmp_path / "cold.yaml"
    prompt.write_text(json.dumps({"system_message": SYSTEM}), "utf-8")
    for folder in (calm, killed):
        folder.mkdir()
    with server(**SERVER) as simulated:
        end, said = run(pipeline(calm, simulated.url, *SIX, rows=rows, prompt_path=str(prompt)))
        assert end.exit_code == 0, said
        needed, usual = simulated.stats.unique, simulated.stats.dup_after_ok
    with server(**SERVER) as simulated:
        watch = Watch(simulated)
        path = pipeline(killed, simulated.url, *SIX, rows=rows, prompt_path=str(prompt))
        arguments = [sys.executable, str(MAIN), "run", str(path)]
        for what, number in chain:
            with start(arguments, killed) as process:
                watch.at(what, number, process.kill)
                process.communicate(timeout=60)
            assert process.returncode == -9
        done = finish(arguments, killed)
        assert done.returncode == 0, done.stderr
        assert watch.unique == needed
        assert watch.dup_after_ok <= usual + THREADS * len(chain)
    assert files(killed) == files(calm)


MISTAKES = {
    "{review: {need: 3}}": ':{line}: there is no option "need" in the stage "review"; did you mean "needs"?',
    "{translate: {langauges: de}}": ':{line}: there is no option "langauges" in the stage "translate"; did you mean',
    "juge": ':{line}: there is no stage "juge"; did you mean "judge"?',
    "cold_start": ':{line}: there is no stage "cold_start"; did you mean "cold-start"?',
    "{export: {format: llva}}": ':{line}: there is no format "llva"; did you mean "llava"?',
    "{export: {split: x}}": ':{line}: the stage "export" needs a "format"',
    "{relate: {relate: sibling}}": ":{line}: --relate sibling: must be",
    "{judge: {judge: 7}}": ":{line}: --judge 7: must be",
    "{judge: {min_quality: 3}}": ":{line}: --min-quality 3: must be",
    "{judge: {max_cost: 3}}": ':{line}: "max_cost" applies to all stages: put it at the top',
    "{review: {needs: many}}": ":{line}: \"needs\" is a number of pairs that people decide about, not 'many'",
    "{judge: {judge_config: nowhere.yaml}}": ":{line}: nowhere.yaml: there is no such file",
    "{translate: {languages: de, glossary: nowhere.yaml}}": ":{line}: nowhere.yaml: there is no such file",
    "{export: {format: llava, reviewed: }}": ':{line}: "reviewed" has no value',
    "{export: {format: llava, reviewed: maybe}}": ":{line}: --reviewed maybe: must be accepted",
    "{translate: {languages: xx}}": ":{line}: --languages xx: unknown language",
    "{translate: {languages: [de, no]}}": ":{line}: --languages no: unknown language",
    "generate": ':{line}: the stage "generate" is here twice',
    "[1, 2]": ":{line}: a stage is a name",
}


@pytest.mark.parametrize(("stage", "problem"), MISTAKES.items())
def test_a_mistake_in_a_stage_is_one_line_with_its_place(tmp_path: Path, stage: str, problem: str) -> None:
    path = pipeline(tmp_path, "http://127.0.0.1", "generate", stage)
    with pytest.raises(ConfigError) as told:
        read_pipeline(path)
    line = len(path.read_text("utf-8").splitlines())
    assert str(told.value).startswith(f"{path}{problem}".replace("{line}", str(line)))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("common", "problem"),
    [
        ({"max_request": 3}, 'there is no option "max_request" at the top; did you mean'),
        ({"languages": "de"}, '"languages" belongs to the stage "translate"'),
        ({"num_threads": "many"}, "--num-threads 'many': must be a whole number"),
        ({"max_cost": None}, '"max_cost" has no value'),
        ({"max_cost": -1}, "--max-cost -1: must be at least 0"),
    ],
)
def test_a_mistake_at_the_top_is_one_line_with_its_place(tmp_path: Path, common: dict[str, Any], problem: str) -> None:
    path = pipeline(tmp_path, "http://127.0.0.1", "generate", **common)
    (name,) = common
    line = 1 + next(n for n, text in enumerate(path.read_text("utf-8").splitlines()) if text.startswith(f"{name}:"))
    with pytest.raises(ConfigError) as told:
        read_pipeline(path)
    assert str(told.value).startswith(f"{path}:{line}: {problem}")


def test_pairs_must_be_there_before_they_are_used(tmp_path: Path) -> None:
    for stages, problem in (
        (("judge", "generate"), '"judge" needs pairs: put "- generate" before it'),
        (("generate", "cold-start"), '"cold-start" finds examples for "generate": put it before that'),
        (("cold-start",), 'a pipeline has the stage "generate"'),
    ):
        with pytest.raises(ConfigError) as told:
            read_pipeline(pipeline(tmp_path, "http://127.0.0.1", *stages))
        assert problem in str(told.value)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("run p.yaml", True),
        ("run --dry-run p.yaml", True),
        ("run -q p.yml", True),
        ("run p --pass-gate review", True),
        ("run --name Rows.rows -in x", False),
        ("run --name Rows.rows --config c.yaml", False),
        ("run --help", False),
        ("run", False),
        ("status x", True),
    ],
)
def test_run_before_options_is_still_the_main_job(words: str, kept: bool) -> None:
    given = words.split()
    assert list(without_run(given)) == (given if kept else given[1:])


def test_the_command_ends_with_the_code_of_what_stopped_it(tmp_path: Path) -> None:
    with server() as simulated:
        path = pipeline(tmp_path, simulated.url, "generate", "{review: {needs: 3}}", rows=3)
        held = syphus(tmp_path, "run", str(path), env=environment())
        passed = syphus(tmp_path, "run", str(path), "--pass-gate", "review", "--json", env=environment())
        wrong = syphus(tmp_path, "run", "nothing.yaml", env=environment())
    assert held.returncode == 6
    assert "Stopped in review, 2 of 2 stages. Continue with the same command: " in held.stderr
    assert passed.returncode == 0
    assert json.loads(passed.stdout)["stages"]["generate"]["answers"] == 3
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
