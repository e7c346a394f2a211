"""The recipes of CONTRIBUTING.md work as written: their files are put into a copy of the project, and its tests pass.

Most share one copy, and one run of its tests, since to load them takes longer than to pass them.

A file's name stands above its block, and says where the text goes: `(at the end)`, `(below the line ...)` or
`(above the line ...)`, which is the first line that begins so, or nowhere, which makes the block the whole file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest
from warm_python import SHARED

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
_BLOCK = re.compile(
    r"^(?P<indent> *)\*\*(?P<file>\S+)\*\*(?: \((?P<where>[^\n]+)\))?\n\n"
    r" *(?P<fence>`{3,4})\w+\n(?P<text>.*?)^ *(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
#: The tests that a recipe's last step names, or as many of them as show that it works.
RECIPES = {
    "Add a dataset": (
        "tests/datasets/test_shipped_datasets.py tests/project/test_docs.py",
        "gardens or Gardens or (shipped and table)",
    ),
    "Add an export format": (
        "tests/formats/test_formats.py tests/formats/test_reviewed_exports.py tests/project/test_architecture.py",
        "questions or map or registry",
    ),
    "Add a heuristic": ("tests/project/test_heuristics_page.py", "heuristics_page"),
    "Add a kind of endpoint": (
        "tests/endpoints/test_remote_endpoint.py tests/project/test_architecture.py",
        "addressed",
    ),
    "Add a fault of an endpoint": (
        "tests/simulator/test_simulator_faults.py tests/main_job/test_faults.py",
        "teapot or fate",
    ),
}


def copy_project(folder: Path) -> Path:
    """A copy of what a contributor has cloned."""
    copy = folder / "project"
    copy.mkdir()
    for path in (*ROOT.glob("*.*"), ROOT / "Makefile", ROOT / "LICENSE"):
        if path.is_file():
            shutil.copy(path, copy)
    for name in ("syphus", "datasets", "prompts", "examples", "docs", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name)  # with what is compiled, which takes longer than the tests
    return copy


def follow(recipe: str, project: Path) -> None:
    """Put the files of a recipe where it says."""
    section = PAGE.partition(f"\n## {recipe}\n")[2].partition("\n## ")[0]
    for block in _BLOCK.finditer(section):
        path = project / block["file"].replace("\\", "")
        text = textwrap.indent(textwrap.dedent(block["text"]), _own_indent(block))
        if block["where"] is None:
            path.write_text(text, "utf-8")
        elif block["where"] == "at the end":
            path.write_text(path.read_text("utf-8") + text, "utf-8")
        else:
            lines = path.read_text("utf-8").splitlines(keepends=True)
            ((side, begins),) = re.findall(r"(above|below) the (?:line|row of) `([^`]+)`", block["where"])
            starts = (begins, f"| [`{begins}`]")
            place = next(number for number, line in enumerate(lines, side == "below") if line.startswith(starts))
            path.write_text("".join([*lines[:place], text, *lines[place:]]), "utf-8")


def _own_indent(block: re.Match[str]) -> str:
    """The spaces that the text has beyond those of the list that the block is in."""
    least = min(len(line) - len(line.lstrip()) for line in block["text"].splitlines() if line.strip())
    return " " * (least - len(block["indent"]))


def run_tests(project: Path, files: Iterable[str], names: str) -> str:
    """What pytest prints, with a line for each test."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *files, "-k", names]
    environ = {name: value for name, value in os.environ.items() if name != SHARED}  # that has loaded our own code
    return subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints of a project in which somebody has followed all recipes."""
    project = copy_project(tmp_path_factory.mktemp("recipes"))
    for recipe in RECIPES:
        follow(recipe, project)
    files = dict.fromkeys(file for files, _ in RECIPES.values() for file in files.split())
    return run_tests(project, files, " or ".join(f"({names})" for _, names in RECIPES.values()))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_works_as_written(recipe: str, tested: str) -> None:
    files, names = RECIPES[recipe]
    ended = re.findall(rf"^([A-Z]+) ((?:{'|'.join(files.split())})(?:::\S+)?)", tested, re.MULTILINE)
    assert [test for how, test in ended if how != "PASSED"] == [], tested[-4000:]
    assert any(names.split()[0] in test for _, test in ended), tested[-4000:]


@pytest.fixture(scope="module")
def with_language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which somebody has followed the recipe of a language."""
    project = copy_project(tmp_path_factory.mktemp("language"))
    follow("Add a language", project)
    return project


def test_a_language_of_one_entry_is_translated_into(with_language: Path) -> None:
    arguments = ["--name", "SpotTheDifference.change", "--example", "--offline", "--languages", "it"]
    done = subprocess.run([sys.executable, "main.py", *arguments], cwd=with_language, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (with_language / "output" / "SpotTheDifference.change" / "v1" / "SD_instructions_it.json").exists()


def test_a_language_of_one_entry_fails_only_the_tests_that_say_what_is_missing(with_language: Path) -> None:
    files = ["tests/answers/test_translation_checks.py", "tests/translation/test_translation_parts.py"]
    printed = run_tests(with_language, files, "not damage and not takes_long")
    failed = re.findall(r"^FAILED \S+::(\S+)", printed, re.MULTILINE)
    data = [f"test_every_language_has_its_test_data[it-{part}]" for part in ("tuning", "held_out", "further")]
    assert failed == [*data, "test_the_help_names_every_language"], printed[-3000:]
    assert 'tests/support/translations/held_out.json: 20 of 20 samples have no "it": "' in printed
    assert 'tests/support/damaged_translations.py: COMMENTS has no "it"' in printed
    assert "the help of --languages in syphus/config/options.py does not name ['it']" in printed


def test_every_recipe_has_a_test() -> None:
    recipes = re.findall(r"^## (Add .+)$", PAGE, re.MULTILINE)
    assert recipes == [*dict.fromkeys([*list(RECIPES)[:2], "Add a language", *list(RECIPES)[2:]])]
