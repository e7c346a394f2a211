"""What people see of a translated run: numbers of one scope, how to retry what failed, and which model it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from harness import KEY, Listener, Ran, run_rows, server
from processes import syphus
from translation_runs import make_pairs, run_translation, write_pairs

from syphus.config.options import Options
from syphus.formats.report import TranslationResult
from syphus.ledger.sessions import last_settings
from syphus.ledger.store import open_for_reading
from syphus.translation.job import translate


def status(folder: Path) -> list[str]:
    return syphus(folder.parent, "status", str(folder)).stdout.splitlines()


def translate_run(ran: Ran, url: str, listener: Listener | None = None, **options: Any) -> TranslationResult:
    """Translate a run at the server at `url`, which the environment names, as it names no model."""
    given = Options(**{"num_threads": 4, "languages": "zh", **options})
    environ = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY}
    return translate(ran.folder, None, given, environ, listener or Listener())


def model_of_translation(folder: Path) -> object:
    store = open_for_reading(folder)
    try:
        return (last_settings(store, "translate") or {}).get("model")
    finally:
        store.close()


def log_end(folder: Path) -> str:
    lines = (folder / "run.log").read_text("utf-8").splitlines()
    return next(line for line in reversed(lines) if " ends; " in line).partition(" ends; ")[2]


def test_status_counts_the_requests_of_rows_and_of_translations_apart(tmp_path: Path) -> None:
    with server(poison_once={"row 1": "server_error"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, ["row 0", "row 1", "row 2"])
        before, rows = status(ran.folder), simulated.stats.requests
        assert f"{rows} requests; without an answer: 1 server error 500" in before
        simulated.configure(poison={'"languages"': "content_filter"}, poison_once={})
        config = tmp_path / "config.json"
        failed = translate(ran.folder, None, Options(config=config, languages="zh,ja", max_attempts=2), {}, Listener())
        assert failed.exit_code == 1
        sent = simulated.stats.requests - rows
    after = status(ran.folder)
    assert after[0] == before[0]
    assert f"{rows} requests; without an answer: 1 server error 500" in after
    pairs = ran.report.counts.pairs
    line = next(line for line in after if line.startswith(f"{pairs} pairs in 2 languages"))
    assert f"    {sent} requests, $0.00" in line
    assert any(
        line.startswith(f"{sent} requests of the translation; without an answer: {sent} content") for line in after
    )
    report = json.loads((ran.folder / "report.json").read_text("utf-8"))
    assert report["requests"] == rows + sent  # the whole run's, as always
    assert report["translation"]["requests"] == sent


def test_failed_translations_can_be_looked_at_and_retried_by_the_commands_of_status(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 3)
        config = tmp_path / "config.json"
        simulated.configure(poison={'"languages"': "content_filter"})
        options = Options(config=config, languages="zh,ja", max_attempts=1)
        translate(ran.folder, None, options, {}, Listener())
        pairs = ran.report.counts.pairs
        lines = status(ran.folder)
        for code in ("zh", "ja"):
            assert f"Look at the translations: syphus rows {ran.folder} --language {code} --state refused" in lines
        (hint,) = [line.partition(": ")[2] for line in lines if line.startswith("Retry the translations with: ")]
        assert hint.startswith(f"syphus translate {ran.folder} ")
        assert hint.endswith("--retry refused")
        plain = syphus(tmp_path, "rows", str(ran.folder), "--language", "zh", "-n", "1").stdout
        assert "\npair        " in plain
        assert "annotation" not in plain
        look = syphus(tmp_path, "rows", str(ran.folder), "--language", "zh", "--state", "refused", "--json")
        assert len(json.loads(look.stdout)) == pairs
        simulated.configure(poison={})
        done = syphus(tmp_path, *hint.split()[1:])
        assert done.returncode == 0, done.stderr
    lines = status(ran.folder)
    assert not any("translations" in line for line in lines)
    assert f"{pairs} pairs in 2 languages: {2 * pairs} = {2 * pairs} ok" in "\n".join(lines)


def test_failed_translations_of_a_file_are_retried_by_the_command_of_the_file(tmp_path: Path) -> None:
    with server(poison={"the 2 bicycles": "server_error"}) as simulated:
        done = run_translation(write_pairs(tmp_path, make_pairs(3)), simulated.url, languages="zh", max_attempts=1)
    lines = status(done.ledger)
    assert f"Look at the translations: syphus rows {done.ledger} --language zh --state failed" in lines
    assert "To retry the translations, add --languages zh --retry failed to the command of the translation." in lines
    assert any(re.match(r"3 pairs in 1 language: .*    3 requests, ", line) for line in lines)


def test_the_log_of_a_translation_ends_with_its_translations(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 3)
        pairs = ran.report.counts.pairs
        translate_run(ran, simulated.url, languages="zh,ja")
    assert f"{pairs} pairs in 2 languages: {2 * pairs} ok, $0.00" in log_end(ran.folder)
    assert "0 pairs" not in log_end(ran.folder).replace(f"{pairs} pairs", "")


@pytest.mark.parametrize("models", [(), ("gpt-4o-mini", "other")])
def test_a_translation_without_a_model_takes_that_of_the_run(tmp_path: Path, models: tuple[str, ...]) -> None:
    listener = Listener()
    with server(models=models) as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, config={"model": "gpt-4o-mini"})
        assert translate_run(ran, simulated.url, listener).exit_code == 0
    assert model_of_translation(ran.folder) == "gpt-4o-mini"
    assert "No model is named: the translation takes gpt-4o-mini, as the run did." in listener.lines
    with server() as elsewhere:  # the begun translation goes on with its own model
        assert translate_run(ran, elsewhere.url, languages="zh,ja").exit_code == 0
    assert model_of_translation(ran.folder) == "gpt-4o-mini"


def test_a_translation_at_another_server_takes_the_model_of_that_server(tmp_path: Path) -> None:
    with server() as simulated, server() as elsewhere:
        ran = run_rows(tmp_path, simulated.url, 2, config={"model": "gpt-4o-mini"})
        translate_run(ran, elsewhere.url)
    assert model_of_translation(ran.folder) == "chat"


def test_a_begun_translation_keeps_its_model_though_the_run_has_another(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, config={"model": "gpt-4o-mini"})
        translate_run(ran, simulated.url, model="chat")
        sent = simulated.stats.requests
        translate_run(ran, simulated.url)
        assert simulated.stats.requests == sent  # what is paid for is not asked for again
        translate_run(ran, simulated.url, languages="ja")
    assert model_of_translation(ran.folder) == "chat"
