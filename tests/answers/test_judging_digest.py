"""The digests of the code that judges answers: which files they cover, and which changes they notice."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from syphus.answers import judging_digest as digests
from syphus.answers.judging_digest import ACCEPTANCE_FILES, TRANSLATION_CHECK_FILES, code_digest

ANSWERS = Path(digests.__file__).parent


def file_of(module: str) -> Path | None:
    """The file of a module of `syphus.answers`; None for every other one."""
    inside = module.split(".")[2:]
    path = ANSWERS.joinpath(*inside)
    if module.split(".")[:2] != ["syphus", "answers"]:
        return None
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if inside and file.is_file()), None)


def imported_files(file: Path) -> Iterable[Path]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found = file_of(f"{node.module}.{alias.name}") or file_of(node.module)
                yield from [found] if found else []


def import_closure(*files: str) -> set[Path]:
    closure: set[Path] = set()
    waiting = [ANSWERS / file for file in files]
    while waiting:
        file = waiting.pop()
        if file not in closure:
            closure.add(file)
            waiting += imported_files(file)
    return closure


def test_the_digest_of_the_parser_covers_what_parsers_and_rules_import() -> None:
    # some cleaning rules, such as `things_of_the_annotation`, live among the scores
    rules = (f"scoring/{name}.py" for name in ("changes", "claims", "counting", "invented"))
    files = import_closure("parsing/__init__.py", "cleaning/__init__.py", *rules)
    assert list(ACCEPTANCE_FILES) == sorted(files)


def test_the_digest_of_the_translation_checks_covers_what_they_import() -> None:
    assert list(TRANSLATION_CHECK_FILES) == sorted(import_closure("translation/check.py"))


SOURCE = '''"""Counts."""

LIMIT = 3  # pairs

def few(n: int) -> bool:
    """Whether n is small."""
    return n < LIMIT
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# pairs", "#: the number of pairs"),
        ('"""Counts."""', '"""Counts things."""'),
        ('    """Whether n is small."""\n', ""),
        ("return n < LIMIT", "return (\n        n < LIMIT\n    )"),
    ],
)
def test_comments_docstrings_and_layout_change_no_digest(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(SOURCE, "utf-8")
    first = code_digest([file])
    assert before in SOURCE
    file.write_text(SOURCE.replace(before, after), "utf-8")
    assert code_digest([file]) == first


@pytest.mark.parametrize(("before", "after"), [("3", "4"), ("n < LIMIT", "n <= LIMIT"), ("return", "yield")])
def test_changed_code_changes_the_digest(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(SOURCE, "utf-8")
    first = code_digest([file])
    file.write_text(SOURCE.replace(before, after), "utf-8")
    assert code_digest([file]) != first


def test_settings_are_part_of_the_digest() -> None:
    assert len({code_digest([], b"one"), code_digest([], b"other"), code_digest([])}) == 3
