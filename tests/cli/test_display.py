"""What --help, --quiet, --verbose, --log-file, NO_COLOR and `python -m syphus` do."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import MAIN, environment, syphus
from typer.core import TyperGroup

from syphus.cli.app import all_commands
from syphus.cli.parameters import GROUPS, group_of
from syphus.cli.streams import uses_colours
from syphus.cli.summary import plugin_table
from syphus.plugins.contract import shipped_folder
from syphus.plugins.discovery import PluginInfo

EXAMPLE = ("--name", "SpotTheDifference.change", "--example", "--offline")


def sections(text: str) -> list[str]:
    return re.findall(r"^([A-Z][\w ]+):$", text, re.MULTILINE)


def test_help_shows_the_commands_and_the_options_in_groups(tmp_path: Path) -> None:
    assert sections(syphus(tmp_path, "--help").stdout) == [
        *("Start a dataset", "Run and watch", "Improve and extend pairs", "Write and check datasets"),
        *("Options", "Input", "Endpoint", "Sampling", "Limits and budget", "Images"),
        *("Judging", "Translation", "Relations", "Output and progress"),
    ]
    assert sections(syphus(tmp_path, "convert", "--help").stdout) == [
        *("Options", "Input", "Limits and budget", "Images", "Output and progress")
    ]
    assert sections(syphus(tmp_path, "cold-start", "--help").stdout)[1] == "Search"


def test_help_lists_every_command_once(tmp_path: Path) -> None:
    commands = all_commands()
    assert isinstance(commands, TyperGroup)
    listed = re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", syphus(tmp_path, "--help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(commands.commands)


@pytest.mark.parametrize("kind", GROUPS, ids=lambda kind: kind.__name__)
def test_every_option_is_in_one_group(kind: type) -> None:
    names = [name for names in GROUPS[kind].values() for name in names.split()]
    assert sorted(names) == sorted(vars(kind)["__dataclass_fields__"])
    assert all(group_of(kind, name) in GROUPS[kind] for name in names)


def test_quiet_says_nothing_where_all_is_well_and_the_log_file_has_everything(tmp_path: Path) -> None:
    done = syphus(tmp_path, *EXAMPLE, "--quiet", "--log-file", "run.log")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "run.log").read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ ", line) for line in lines)
    assert "24 queries = 24 ok" in lines[1]


def test_quiet_still_says_what_stopped_a_run_and_how_to_resume_it(tmp_path: Path) -> None:
    done = syphus(tmp_path, *EXAMPLE, "-q", "--max-requests", "1")
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("To continue, raise the budget: ")


def test_an_error_is_in_the_log_file_too(tmp_path: Path) -> None:
    done = syphus(tmp_path, "export", "nowhere", "--format", "chat", "--log-file", "run.log")
    assert done.returncode == 2
    assert (tmp_path / "run.log").read_text("utf-8").partition(" ")[2] == done.stderr


def test_a_log_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    done = syphus(tmp_path, *EXAMPLE, "--log-file", "none/run.log")
    assert (done.returncode, done.stderr) == (
        2,
        "--log-file none/run.log can't be written: No such file or directory.\n",
    )


def test_verbose_shows_each_request(tmp_path: Path) -> None:
    done = syphus(tmp_path, *EXAMPLE, "--verbose", "--slice_end", "3")
    assert done.stderr.count(": answered in ") >= 3  # the simulated model's form is not always right at once
    assert done.stderr.count(": ok") == 3


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_no_color_and_force_color_count(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert uses_colours(io.StringIO()) == coloured


def test_the_package_runs_as_a_module_and_speaks_of_itself_so(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "syphus", "frobnicate"],
        cwd=tmp_path,
        env=environment(PATH=path, PYTHONPATH=str(MAIN.parent)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(r"No such command 'frobnicate'\. See \S*python\S* -m syphus --help\.\n", done.stderr)


def test_completion_is_printed_for_a_shell(tmp_path: Path) -> None:
    done = syphus(tmp_path, env=environment(**{"_MAIN.PY_COMPLETE": "source_bash"}))
    assert "_completion" in done.stdout


def test_datasets_fit_the_terminal_and_those_of_the_user_come_first() -> None:
    shipped = PluginInfo(
        "Scene.nav", "SN", "Scene navigation: " + "rooms " * 20, str(shipped_folder("datasets") / "a.py")
    )
    own = PluginInfo("Feeder.feeder", "BF", "Clips of a bird feeder, and when", "mine/feeder.py")
    packaged = PluginInfo("Owls.owls", "OW", "Owls", "/usr/lib/python3/site-packages/owls/plugin.py")
    broken = PluginInfo("bad.py", "", "", "mine/bad.py", "bad.py:3 KeyError: 'caption'; it has " + "image, " * 20)
    for width in (40, 80, 120):
        lines = plugin_table([shipped, own, packaged, broken], width)
        assert max(map(len, lines)) <= width
        assert (lines[0], lines[-2]) == ("Yours:", "Built in:")
        assert " ".join(" ".join(lines).split()).count(broken.error.strip()) == 1
        assert "/usr/lib" not in "".join(lines)
    whole = plugin_table([shipped, own, packaged, broken])
    assert "owls/plugin.py" in whole[2]
    assert len(plugin_table([shipped], 80)) == 1
    assert plugin_table([], 80) == []
