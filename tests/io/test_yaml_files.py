from __future__ import annotations

from pathlib import Path

import pytest

from syphus.errors import ConfigError, PromptError
from syphus.io.yaml_files import MAX_BYTES, read_yaml


def save(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_collections_and_blocks_come_as_plain_data(tmp_path: Path) -> None:
    text = "a:\n- b\n- {c: [1, x]}\nd: |-\n  two\n  lines\ne: >-\n  one\n  line\n? f\n: 'it''s'\n"
    assert read_yaml(save(tmp_path, text)) == {
        "a": ["b", {"c": [1, "x"]}],
        "d": "two\nlines",
        "e": "one line",
        "f": "it's",
    }


TEXT = "NO yes on off True y 12:30:00 2024-02-01 2001-12-14T21:59:43Z 007 0x1F 0o17 1_000 .inf .nan +.5 1. 3.10.2 1e ='"
VALUES = {"true": True, "false": False, "null": None, "~": None, "0": 0, "-5": -5, "+5": 5, "3.10": 3.1, "1e3": 1000.0}


@pytest.mark.parametrize("word", TEXT.split())
def test_what_only_yaml_1_1_takes_for_something_else_stays_text(tmp_path: Path, word: str) -> None:
    assert read_yaml(save(tmp_path, f"a: {word}")) == {"a": word}


@pytest.mark.parametrize("word", VALUES)
def test_words_and_numbers_of_yaml_1_2_are_read_unless_in_quotes(tmp_path: Path, word: str) -> None:
    got = read_yaml(save(tmp_path, f"[{word}, '{word}', \"{word}\"]"))
    assert repr(got) == repr([VALUES[word], word, word])


def test_a_missing_value_is_none_and_an_empty_file_too(tmp_path: Path) -> None:
    assert read_yaml(save(tmp_path, "a:\nb: 1")) == {"a": None, "b": 1}
    assert read_yaml(save(tmp_path, "# nothing\n")) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_script_is_read_in_utf_8_and_utf_16(tmp_path: Path, encoding: str) -> None:
    assert read_yaml(save(tmp_path, "a: 漢字 😀 عربي\r\nb: 2\r\n".encode(encoding))) == {"a": "漢字 😀 عربي", "b": 2}


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    "alias bomb": (BOMB, "a.yaml:1:4: anchors (&) and aliases (*) are not allowed"),
    "alias": ("a: *b", "a.yaml:1:4: anchors (&) and aliases (*) are not allowed"),
    "anchor on a mapping": ("a:\n  &x {b: 1}", "a.yaml:2:3: anchors"),
    "python tag": ("a: !!python/object/apply:os.system [x]", "a.yaml:1:4: tags (!) are not allowed"),
    "harmless tag": ("a: !!str 1", "a.yaml:1:4: tags (!) are not allowed"),
    "duplicate key": ("a: 1\nb: {c: 1, c: 2}", 'a.yaml:2:11: duplicate key "c"'),
    "duplicate key in another spelling": ("a: 1\n'a': 2", 'a.yaml:2:1: duplicate key "a"'),
    "key that is a number": ("1: a", "a.yaml:1:1: a key must be text"),
    "key that is a list": ("[a]: b", "a.yaml:1:1: a key must be text"),
    "two documents": ("a: 1\n---\nb: 2", "a.yaml:2:1: only one document"),
    "bad indent": ("a: 1\n  b: 2", "a.yaml:2:4: mapping values are not allowed here"),
    "open list": ("a: [1, 2", "a.yaml:1:9: expected ',' or ']'"),
    "tab": ("a:\n\t- b", "a.yaml:2:1: found character '\\t' that cannot start any token"),
    "control character": ("a: \x07", "a.yaml: the control character U+0007 is not allowed"),
    "too large a number": ("a: 1e400", "a.yaml:1:4: the number is too large"),
    "thousands of digits": (f"a: {'9' * 5000}", "a.yaml:1:4: a number with thousands of digits"),
    "deep": ("[" * 20_000, "a.yaml: nested too deeply"),
    "too long": ("a" * (MAX_BYTES + 1), "a.yaml: larger than 1,048,576 bytes"),
    "invalid UTF-8": (b"a: 1\nb: \xff", "a.yaml: line 2: invalid UTF-8"),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_unsafe_or_ambiguous_is_refused_with_its_place(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(save(tmp_path, text))
    told = str(caught.value).replace(f"{tmp_path}/", "")
    assert told.startswith(problem)
    assert "\n" not in told


def test_the_error_is_of_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="No such file"):
        read_yaml(tmp_path / "no.yaml", PromptError)
    with pytest.raises(PromptError, match="duplicate key"):
        read_yaml(save(tmp_path, "a: 1\na: 1"), PromptError)
