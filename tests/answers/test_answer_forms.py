"""Answers of other forms than question and answer: each of the corpus is read as it should be, and none altered."""

from __future__ import annotations

import functools
import random
import re
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml
from harness import HERE

from syphus.answers.parsing import choices, conversations, keyed_lines, pairs, plain_text

ANSWERS = HERE / "data" / "answers"
KEYS = ("Translation", "Rewording_1", "Rewording_2")


def read_conversations(text: str) -> dict[str, Any]:
    read = conversations.parse_conversations(text)
    whole = [{**each._asdict(), "rounds": [list(one) for one in each.rounds]} for each in read.conversations]
    return {"conversations": whole, "problems": list(read.problems), "notes": list(read.notes)}


def read_choices(text: str) -> dict[str, Any]:
    read = choices.parse_choices(text)
    whole = [{**each._asdict(), "options": list(each.options)} for each in read.choices]
    return {"choices": whole, "problems": list(read.problems), "notes": list(read.notes)}


def read_keyed_lines(text: str) -> dict[str, Any]:
    read = keyed_lines.parse_keyed_lines(text, KEYS)
    return {"texts": read.texts, "problems": list(read.problems), "notes": list(read.notes)}


def read_plain_text(text: str) -> dict[str, Any]:
    read = plain_text.parse_plain_text(text, "text")
    return {"text": "" if read.problems else read.text, "problems": list(read.problems), "notes": list(read.notes)}


FORMS: dict[str, tuple[ModuleType, Callable[[str], dict[str, Any]]]] = {
    "conversations": (conversations, read_conversations),
    "choices": (choices, read_choices),
    "keyed_lines": (keyed_lines, read_keyed_lines),
    "plain_text": (plain_text, read_plain_text),
}
KEY: dict[str, tuple[str, object]] = {"keyed_lines": ("texts", {}), "plain_text": ("text", "")}  #: and without any


@functools.cache
def corpus(form: str) -> list[dict[str, Any]]:
    files = sorted((ANSWERS / form).glob("*.yaml"))
    return [entry for file in files for entry in yaml.safe_load(file.read_text(encoding="utf-8"))]


def texts(value: object) -> Iterator[str]:
    """All texts that were read."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@pytest.mark.parametrize("form", FORMS)
def test_each_answer_of_the_corpus_is_parsed_as_expected(form: str) -> None:
    key, empty = KEY.get(form, (form, []))
    expected = {}
    for entry in corpus(form):
        assert entry.keys() <= {"name", "answer", key, "problems", "notes"}
        values = {name: entry.get(name, empty if name == key else []) for name in (key, "problems", "notes")}
        expected[entry["name"]] = values
    assert {entry["name"]: FORMS[form][1](entry["answer"]) for entry in corpus(form)} == expected


@pytest.mark.parametrize("form", FORMS)
def test_nothing_inside_a_text_is_changed(form: str) -> None:
    changed = []
    for entry in corpus(form):
        read = FORMS[form][1](entry["answer"])
        for name in ("problems", "notes"):
            del read[name]
        if "{" not in entry["answer"]:
            changed += [(entry["name"], text) for text in texts(read) if text not in entry["answer"]]
    assert changed == []


@pytest.mark.parametrize("form", FORMS)
def test_the_corpus_is_large_and_its_names_are_unique(form: str) -> None:
    assert len(corpus(form)) >= 40
    assert len({entry["name"] for entry in corpus(form)}) == len(corpus(form))
    assert sum("problems" not in entry for entry in corpus(form)) >= 20


def documented(module: ModuleType, heading: str) -> set[str]:
    paragraph = next(part for part in (module.__doc__ or "").split("\n\n") if part.startswith(heading))
    return {" ".join(quoted.split()) for quoted in re.findall(r'"([^"]+)"', paragraph)}


@pytest.mark.parametrize("form", FORMS)
def test_every_documented_problem_and_note_is_in_the_corpus_and_no_other(form: str) -> None:
    module = FORMS[form][0]
    shared = documented(pairs, "Problems are")
    found = {problem for entry in corpus(form) for problem in entry.get("problems", [])}
    found = {re.sub(r"(?<=: )(?:Translation|Rewording_\d)$", "KEY", problem) for problem in found}
    assert documented(module, "Problems,") <= found
    assert found <= documented(module, "Problems,") | shared
    notes = {note for entry in corpus(form) for note in entry.get("notes", [])}
    assert notes == documented(module, "Notes:")


PIECES = [
    "Conversation 1 - x", "Conversation 2", "Human role: r", "reason: y", "Round 1:", "Round 2", "Human: a", "User:",
    "Assistant: b", "Question: q", "Options 1: o", "Options 2: p", "Options:", "A) a", "B) b", "1. x", "Answer: 1",
    "Answer: B", "Explanation: e", "Translation: t", "Rewording_1: u", "**Rewording_2:** v", "Rewording_9: w",
    '{"Translation": "t"}', '{"', "```", "---", "===", "<think>", "</think>", "the", "\0", "\ud800", "", "图片", "**",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_any_answer_is_parsed_without_an_error_or_invented_text(form: str) -> None:
    rng = random.Random(31)
    read = FORMS[form][1]
    for _ in range(2000):
        answer = "".join(
            rng.choice(PIECES) + rng.choice(["\n", "\n", "\r\n", " ", "\n\n"]) for _ in range(rng.randint(0, 25))
        )
        result = read(answer)
        problems = result.pop("problems")
        notes = result.pop("notes")
        assert problems or any(result.values())
        assert len(set(problems)) == len(problems)
        assert len(set(notes)) == len(notes)
        if '{"' not in answer:
            assert [text for text in texts(result) if text not in answer] == []


UNITS = [
    "\n", " ", "*", "\n*", "\n-", "\n1.", "\nA)", "(", "-", "- ", "\nConversation", "\nConversation 1", "\nRound 1",
    "\nHuman:", "\nHuman", "\nOptions 1", "\nreason for ", "\nTranslation", "\nRewording 1", '{"', "```", "human role",
    "\nRound 1 ", "- human role", "1", "\n\t",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_work_grows_no_faster_than_the_answer(form: str) -> None:
    fronts = ["", "Conversation 1 - ", "Question: q\nAnswer: ", "Translation: ", "Question: q\nOptions: "]

    def repeated(front: str, unit: str, size: int) -> str:
        return front + unit * (size // len(unit)) + "x"

    def seconds(answer: str, times: int) -> float:
        spent = []
        for _ in range(times):
            start = time.process_time()
            FORMS[form][1](answer)
            spent.append(time.process_time() - start)
        return min(spent)

    def grows_too_fast(make: Callable[[int], str], times: int = 1) -> bool:
        """Sixteen times the text may take up to 64 times the time; where the work is quadratic, it takes 256 times."""
        if seconds(make(16_000), times) < 64 * max(seconds(make(1_000), times), 2e-4):
            return False
        return times > 1 or grows_too_fast(make, times=7)  # a single slow run says nothing

    slow = [
        (front, unit) for front in fronts for unit in UNITS if grows_too_fast(functools.partial(repeated, front, unit))
    ]
    assert slow == []
