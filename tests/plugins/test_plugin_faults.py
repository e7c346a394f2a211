"""A plugin's code is a stranger's code: what it does to one row is that row's outcome, and it can't harm the run."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, KEY, Ran, run_rows, server, write_rows

from syphus.errors import PluginError
from syphus.plugins.discovery import find_plugin
from syphus.plugins.sandbox import time_limit
from syphus.types import State

OK, INVALID, TRUNCATED, REFUSED, FAILED, PENDING = State
PLUGIN = (HERE / "plugins" / "rows.py").read_text("utf-8")
TEXTS = ["the first one", "the second one", "a bad one", "the fourth one"]


def run_with(folder: Path, url: str, hook: str, texts: list[str] | int = TEXTS, **options: object) -> Ran:
    """The main job with a plugin that has this hook besides."""
    datasets = folder / f"datasets{len(hook)}"  # a file is loaded once in a process
    datasets.mkdir(exist_ok=True)
    (datasets / "hooked.py").write_text(PLUGIN.replace("class Rows", "class Hooked") + hook, "utf-8")
    given: dict[str, Any] = {
        "name": "Hooked.hooked",
        "datasets_dir": (datasets,),
        "prompt_path": str(HERE / "prompts" / "rows.yaml"),
        "config": None,
        **options,
    }
    return run_rows(folder, url, texts, {"plugin_timeout": 0.5}, **{k: v for k, v in given.items() if v is not None})


RENDER = """
    def render_query(self, query):
        if "bad" in query.text:
            {}
        return query.text
"""
PARSE = """
    def parse_response(self, text, query):
        if "bad" in query.text:
            {}
        return super().parse_response(text, query)
"""
PARSED = """
    def parse_response(self, text, query):
        from syphus import Pair, Parsed

        return {}
"""
MISDEEDS = {
    "raises": ("raise KeyError('caption')", "KeyError: 'caption' (hooked.py:"),
    "raises-half-a-character": ("raise ValueError('half \\ud800')", "ValueError: half \\ud800"),
    "exits": ("import sys; sys.exit(7)", "SystemExit: 7"),
    "hangs": ("\n            while True: pass", "it took too long and was interrupted"),
    "divides-by-zero": ("return 1 / 0", "ZeroDivisionError"),
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
@pytest.mark.parametrize("hook", [RENDER, PARSE], ids=["in-render", "in-parse"])
def test_a_hook_that_fails_fails_its_row_alone(hook: str, misdeed: str, tmp_path: Path) -> None:
    code, reason = MISDEEDS[misdeed]
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, hook.format(code))
    assert ran.states == {OK: 3, FAILED: 1}
    assert any(reason in each for each in ran.reasons)
    assert ran.exit_code == 1


@pytest.mark.parametrize(
    "hook",
    [
        "    def render_query(self, query):\n        return 42\n",
        "    def parse_response(self, text, query):\n        return ['pair']\n",
        "    def instruction_id(self, query, number):\n        return number / 0\n",
        "    def check_pairs(self, query, pairs):\n        return 5\n",
        "    def related(self, pairs, number):\n        return None\n",
        "    def related(self, pairs, number):\n        return [0]\n",
        "    def related(self, pairs, number):\n        return [len(pairs) + 1]\n",
        "    def related(self, pairs, number):\n        return ['1']\n",
        "    def check_pairs(self, query, pairs):\n        return [5]\n",
        "    def instruction_id(self, query, number):\n        return 'half \\ud800'\n",
        "    def render_query(self, query):\n        return 'half \\ud800'\n",
        PARSED.format("Parsed((Pair('half \\ud800', 'b'),))"),
        PARSED.format("Parsed((Pair('a', None),))"),
        PARSED.format("Parsed((('a', 'b'),))"),
        PARSED.format("Parsed(problems='one')"),
    ],
)
def test_a_hook_that_is_wrong_for_every_row_stops_the_run_after_a_few(hook: str, tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, hook, 60, num_threads=4)
        asked = simulated.stats.requests
    assert ran.exit_code == 2
    assert "fails on every row" in str(ran.error)
    assert "Hooked.hooked: " in str(ran.error)
    assert asked <= 12
    assert ran.states[PENDING] >= 48


def test_what_nobody_catches_ends_the_run_instead_of_leaving_it_waiting(tmp_path: Path) -> None:
    hook = RENDER.format("raise type('Odd', (BaseException,), {})('odd')")
    with server(latency=0.05) as simulated, pytest.raises(BaseException, match="odd"):
        run_with(tmp_path, simulated.url, hook, ["the first one", "a bad one", *TEXTS[:2]], num_threads=4)


def test_a_hook_that_fails_once_is_not_blamed_for_rows_that_failed_before_it(tmp_path: Path) -> None:
    texts = [*(f"TOO LONG {number}" for number in range(5)), "a bad one", "a fine one"]
    with server(poison={"TOO LONG": "context_length"}) as simulated:
        ran = run_with(tmp_path, simulated.url, PARSE.format("raise KeyError('x')"), texts, num_threads=1)
    assert ran.error is None
    assert ran.states == {FAILED: 6, OK: 1}


def test_a_mended_plugin_reads_the_answers_that_were_paid_for(tmp_path: Path) -> None:
    with server() as simulated:
        broken = run_with(tmp_path, simulated.url, PARSE.format("raise KeyError('x')"))
        assert broken.states == {OK: 3, FAILED: 1}
        asked = simulated.stats.requests
        mended = run_with(tmp_path, simulated.url, "")
        assert simulated.stats.requests == asked
    assert mended.states == {OK: 4}


@pytest.mark.parametrize("hook", [RENDER, PARSE], ids=["in-render", "in-parse"])
def test_the_key_in_what_a_hook_raises_is_blanked(hook: str, tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_with(
            tmp_path, simulated.url, hook.format(f"raise ValueError('the key is ' + {KEY[:9]!r} + {KEY[9:]!r})")
        )
    assert any("the key is [secret]" in reason for reason in ran.reasons)
    assert [path.name for path in ran.folder.iterdir() if KEY.encode() in path.read_bytes()] == []


def test_what_a_plugin_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, RENDER.format("print('chatter')"))
    assert ran.states == {OK: 4}
    printed = capsys.readouterr()
    assert "chatter" not in printed.out
    assert "chatter" in printed.err


def test_a_query_can_be_changed_by_nobody(tmp_path: Path) -> None:
    hook = RENDER.format("query.image_ids.append('x')")
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, hook)
    assert any("AttributeError" in reason for reason in ran.reasons)


def test_own_checks_make_an_answer_invalid_with_their_reason(tmp_path: Path) -> None:
    hook = """
    def check_pairs(self, query, pairs):
        return ["fewer than 50 pairs"] if "bad" in query.text else []
"""
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, hook)
        asked = [record.last_user for record in simulated.requests]
    assert ran.states == {OK: 3, INVALID: 1}
    assert ran.reasons == ["fewer than 50 pairs"]
    assert any("fewer than 50 pairs" in message for message in asked)


@pytest.mark.parametrize("where", ["at import", "in a hook", "while loading"])
def test_a_plugin_that_goes_to_another_folder_does_not_move_the_output(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    move = f"import os; os.chdir({str(elsewhere)!r})\n"
    row = 'yield {"id": r["id"], "sentences": r["text"]}'
    loading = f"for r in read_jsonl(path):\n            {move}            {row}"
    hook = {
        "at import": f"\n{move}",
        "in a hook": f"\n    def check_pairs(self, query, pairs):\n        {move}        return []\n",
        "while loading": f"\n    def _load_query_inputs(self, path):\n        {loading}\n",
    }[where]
    write_rows(here / "rows.jsonl", TEXTS)
    monkeypatch.chdir(here)
    with server() as simulated:
        ran = run_with(here, simulated.url, hook, query_inputs_path="rows.jsonl", output_dir=Path("output"))
        again = run_with(here, simulated.url, hook, query_inputs_path="rows.jsonl", output_dir=Path("output"))
    assert (ran.exit_code, again.exit_code) == (0, 0), again.error
    assert Path.cwd() == here
    assert list(elsewhere.iterdir()) == []
    assert (here / "output" / "Hooked.hooked" / "v1" / "pairs.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "told", "good"),
    [
        ("f'RW_{query.id}'", "instruction_id names two pairs 'RW_r00", 0),
        ("f'RW_{number}'", "instruction_id names pairs of 'r000' and of 'r001' 'RW_1'", 1),
    ],
    ids=["within a query", "across queries"],
)
def test_ids_that_collide_are_found_before_everything_is_paid_for(
    name: str, told: str, good: int, tmp_path: Path
) -> None:
    hook = f"\n    def instruction_id(self, query, number):\n        return {name}\n"
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, hook, num_threads=1)
        assert ran.states == {FAILED: 4 - good, **({OK: good} if good else {})}
        assert any(told in reason for reason in ran.reasons)
        asked = simulated.stats.requests
        mended = run_with(tmp_path, simulated.url, "")
        assert (mended.states, simulated.stats.requests) == ({OK: 4}, asked)


def test_ids_that_collide_later_are_reported_with_both_queries_and_nothing_is_lost(tmp_path: Path) -> None:
    """The last of more rows than are compared at once: what is in the way is the export, and what is paid for stays."""
    hook = (
        "\n    def instruction_id(self, query, number):\n        return f'RW_{min(int(query.id[1:]), 1098)}_{number}'\n"
    )
    texts = ["the same for all"] * 1100
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, hook, texts, num_threads=1)
        assert ran.exit_code == 2
        assert str(ran.error).startswith(
            "Pairs of the queries 'r1098' and 'r1099' have the same id 'RW_1098_1'. Nothing"
        )
        asked = simulated.stats.requests
        mended = run_with(tmp_path, simulated.url, "", texts, num_threads=1)
        assert (mended.states, simulated.stats.requests) == ({OK: 1100}, asked)


def test_a_parser_that_finds_neither_pairs_nor_a_problem_accepts_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_with(tmp_path, simulated.url, PARSED.format("Parsed()"))
    assert ran.states == {INVALID: 4}
    assert ran.reasons == ["no pairs"]


DECLARED = {
    "rules = Reject('x', 'y')": "rules must be a list or tuple, it is Reject; a tuple of one needs a comma after it",
    "rules = ('x',)": "rules must hold Repair or Reject or Check or Drop, number 1 is str",
    "without_rules = 'refuses'": "without_rules must be a list or tuple, it is str; a tuple of one needs a comma",
    "heuristics = None": "heuristics must be a list or tuple, it is NoneType",
    "heuristics = (Heuristic('h', 1, len, ''))": "heuristics must be a list or tuple, it is Heuristic; a tuple of one",
    "heuristics = [Heuristic('h', 1, len, ''), len]": "heuristics must hold Heuristic, number 2 is builtin_function",
    "heuristics = (Heuristic('h', -1, len, ''),)": "heuristic 'h': weight -1 and floor 0; a weight is 0 or more",
}


@pytest.mark.parametrize("declared", DECLARED)
def test_an_attribute_that_is_no_list_of_its_kind_is_reported_at_once(tmp_path: Path, declared: str) -> None:
    plugin = PLUGIN.replace("class Rows", "class Declared")
    names = "from syphus import Reject\nfrom syphus.selection import Heuristic\nfrom syphus import"
    plugin = plugin.replace("from syphus import", names) + f"\n    {declared}\n"
    (tmp_path / "declared.py").write_text(plugin, "utf-8")
    with pytest.raises(PluginError) as caught:
        find_plugin("Declared.declared", [tmp_path]).create()
    assert DECLARED[declared] in str(caught.value)


_WAITING_HOOK = """
import sys
from syphus.plugins.sandbox import time_limit
with time_limit(1.0):
    print("waiting", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system can't stop a process")
def test_the_time_that_the_process_was_stopped_does_not_count() -> None:
    with subprocess.Popen([sys.executable, "-c", _WAITING_HOOK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hook:
        assert hook.stdin is not None
        assert hook.stdout is not None
        assert hook.stdout.readline() == b"waiting\n"
        hook.send_signal(signal.SIGSTOP)
        with contextlib.suppress(subprocess.TimeoutExpired):
            hook.wait(1.5)
        hook.stdin.write(b"\n")
        hook.stdin.flush()
        hook.send_signal(signal.SIGCONT)
        assert hook.wait() == 0


def test_code_that_runs_too_long_is_interrupted_wherever_it_is() -> None:
    def never_end() -> None:
        with time_limit(0.05):
            while True:
                pass

    with pytest.raises(PluginError, match="PluginTimeoutError: it took too long"):
        never_end()
