"""Servers of local models: which model they have, and what of its name is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import HERE, Listener, server, write_rows

from syphus.config.options import Options
from syphus.errors import NoEndpointError
from syphus.main_job import run
from syphus.model_names import public_name
from syphus.types import State


def options(folder: Path) -> Options:
    return Options(
        name="Rows.rows",
        query_inputs_path=str(write_rows(folder / "rows.jsonl", 2)),
        datasets_dir=(HERE / "plugins",),
        output_dir=folder / "output",
    )


def test_the_only_model_of_a_server_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with server(models=("/home/me/qwen.gguf",)) as simulated:
        given = options(tmp_path)
        done = run(given, {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": simulated.url}, Listener())
    assert done.report.counts.states[State.OK] == 2
    assert "No model is named: /home/me/qwen.gguf is used, the only one at " in caplog.text
    (settings,) = done.report.settings
    assert settings["model"] == "/home/me/qwen.gguf"


def test_several_models_are_listed_and_none_is_taken(tmp_path: Path) -> None:
    with server(models=("llama3:8b", "qwen3:4b")) as simulated:
        environ = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": simulated.url}
        with pytest.raises(NoEndpointError, match=r"has several: llama3:8b, qwen3:4b\. Pass --model\."):
            run(options(tmp_path), environ, Listener())
        assert simulated.stats.requests == 0


def test_a_server_without_a_list_changes_nothing(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    with pytest.raises(NoEndpointError, match=r"No model is named\. Pass --model"):
        run(options(tmp_path), environ, Listener())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("/home/me/models/qwen05.gguf", "qwen05.gguf"),
        ("~/models/gemma/", "gemma"),
        ("./m.gguf", "m.gguf"),
        ("..\\models\\m.gguf", "m.gguf"),
        ("C:\\Users\\me\\llama.gguf", "llama.gguf"),
        ("\\\\server\\share\\llama.gguf", "llama.gguf"),
        ("/home/me/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/b968826d", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("accounts/fireworks/models/llama-v3", "accounts/fireworks/models/llama-v3"),
        ("hf.co/bartowski/Llama:Q4_K_M", "hf.co/bartowski/Llama:Q4_K_M"),
        ("ft:gpt-4o-mini:org::id", "ft:gpt-4o-mini:org::id"),
    ],
)
def test_of_a_path_the_last_part_is_published(name: str, published: str) -> None:
    assert public_name(name) == published


def test_no_folder_of_a_model_is_in_what_is_published(tmp_path: Path) -> None:
    with server(served_models=("/home/me/models/qwen.gguf",), models=("qwen",)) as simulated:
        given = options(tmp_path)
        run(given, {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": simulated.url}, Listener())
    (file,) = given.folder.glob("*_instructions.json")
    assert json.loads(file.read_text("utf-8"))["meta"]["models"] == ["qwen.gguf"]
