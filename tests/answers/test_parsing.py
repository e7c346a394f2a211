from __future__ import annotations

import functools
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from harness import HERE

from syphus.answers.parsing import pairs as parser
from syphus.answers.parsing.json_answers import find_json, read_documents
from syphus.answers.parsing.pairs import Parsed, parse_pairs, render_pairs
from syphus.answers.parsing.sections import find_headers, header_pattern, split_sections
from syphus.types import Pair

ANSWERS = HERE / "data" / "answers"


@dataclass(frozen=True)
class Entry:
    """One entry of the corpus; tests/support/data/answers/README.md says how to write one."""

    name: str
    answer: str
    expected: Parsed


def texts(entry: dict[str, object], field: str) -> tuple[str, ...]:
    values = entry.get(field, [])
    assert isinstance(values, list)
    assert all(isinstance(value, str) for value in values), f"{entry['name']}: quote the {field}"
    return tuple(values)


def read_entry(entry: dict[str, object], file: Path) -> Entry:
    assert entry.keys() <= {"name", "answer", "pairs", "problems", "notes"}, entry
    name, answer, pairs = entry["name"], entry["answer"], entry.get("pairs", [])
    assert isinstance(name, str)
    assert isinstance(answer, str), f"{name}: quote the answer"
    assert isinstance(pairs, list)
    for pair in pairs:
        assert {"q": str, "a": str} == {key: type(value) for key, value in pair.items()}, f"{name}: quote {pair}"
    expected = Parsed(
        tuple(Pair(pair["q"], pair["a"]) for pair in pairs), texts(entry, "problems"), texts(entry, "notes")
    )
    return Entry(f"{file.stem}: {name}", answer, expected)


FILES = sorted(ANSWERS.glob("*.yaml"))


@functools.cache
def entries(file: Path) -> list[Entry]:
    return [read_entry(entry, file) for entry in yaml.safe_load(file.read_text(encoding="utf-8"))]


def corpus() -> list[Entry]:
    return [entry for file in FILES for entry in entries(file)]


def documented(heading: str) -> set[str]:
    """The texts in quotes in the paragraph of the module's docstring that begins with the heading."""
    paragraph = next(part for part in (parser.__doc__ or "").split("\n\n") if part.startswith(heading))
    return {" ".join(quoted.split()) for quoted in re.findall(r'"([^"]+)"', paragraph)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_answer_of_the_corpus_is_parsed_as_expected(file: Path) -> None:
    read = {entry.name: parse_pairs(entry.answer) for entry in entries(file)}
    assert read == {entry.name: entry.expected for entry in entries(file)}


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(corpus()) >= 200
    assert len({entry.name for entry in corpus()}) == len(corpus())


def test_every_documented_problem_and_note_is_in_the_corpus_and_no_other() -> None:
    assert {problem for entry in corpus() for problem in entry.expected.problems} == documented("Problems are")
    assert {note for entry in corpus() for note in entry.expected.notes} == documented("Notes:")


def can_be_rendered(entry: Entry) -> bool:
    fields = [field for pair in entry.expected.pairs for field in (pair.instruction, pair.answer)]
    return bool(fields) and not entry.expected.problems and not any("\nQuestion:" in field for field in fields)


def test_pairs_of_the_corpus_come_back_when_they_are_rendered() -> None:
    pairs = {entry.name: entry.expected.pairs for entry in filter(can_be_rendered, corpus())}
    assert len(pairs) > 150
    assert {name: parse_pairs(render_pairs(each)).pairs for name, each in pairs.items()} == pairs


# Pieces of text that something between a model and a data set has spoilt before.
PIECES = [
    *[
        "the",
        "cat",
        "is",
        "a",
        "3",
        "12:30",
        "It's",
        '"quoted"',
        "“curly”",
        "naïve",
        "cafe\u0301",
        "图片\uff1a里",
        "ماذا؟",
        "👩🏽‍🚀",
    ],
    *["question", "Answer", "Question: why", "the answer: none", "Q", "A:", "Q: x", "1. Question:", "a: b", "==="],
    *[
        "**bold**",
        "*it*",
        "__x__",
        "_",
        "*",
        "#",
        "# title",
        "> quote",
        "- item",
        "1.",
        "2)",
        "---",
        "| a | b |",
        "`code`",
    ],
    *["$\\frac{a}{b}$", "\\theta", "\\n", "\\", "\\u00e9", "{", "}", '[{"question": "x"}]', "<b>", "&amp;", "</think>"],
    *["\u2028", "\u2029", "\u0085", "\u200f", "\u200b", "\ufeff", "\u3000", "\xa0", "\t", "```x```", "%s", "{0}"],
]
HARMLESS = ["the", "cat.", "图片", "ماذا؟", "👍", "$x$", "a: b", "12:30", "(so)", "\\theta"]


def make_text(rng: random.Random) -> str:
    """A text of a few lines; each begins and ends with a word that makes it no header, rule, label or fence."""
    lines = [
        " ".join([rng.choice(HARMLESS), *rng.choices(PIECES, k=rng.randint(0, 6)), rng.choice(HARMLESS)])
        for _ in range(rng.choice([1, 1, 1, 2, 3]))
    ]
    return rng.choice(["\n", "\n\n", "\r\n", "\n    "]).join(lines)


def make_pairs(rng: random.Random) -> list[Pair]:
    return [Pair(make_text(rng), make_text(rng)) for _ in range(rng.randint(1, 6))]


def numbered(pairs: list[Pair], form: str, joint: str = "\n\n") -> str:
    return joint.join(form.format(i=i, q=pair.instruction, a=pair.answer) for i, pair in enumerate(pairs, start=1))


def as_json(pairs: list[Pair]) -> list[dict[str, str]]:
    return [{"question": pair.instruction, "answer": pair.answer} for pair in pairs]


LAYOUTS: dict[str, Callable[[list[Pair]], str]] = {
    "rendered": render_pairs,
    "no blank lines": lambda pairs: numbered(pairs, "Question: {q}\nAnswer: {a}", "\n"),
    "no space": lambda pairs: numbered(pairs, "Question:{q}\nAnswer:{a}"),
    "numbers before": lambda pairs: numbered(pairs, "{i}. Question: {q}\n   Answer: {a}"),
    "numbers behind": lambda pairs: numbered(pairs, "question {i}: {q}\nANSWER {i}: {a}"),
    "bold": lambda pairs: numbered(pairs, "**Question {i}:** {q}\n**Answer**: {a}", "\n\n---\n\n"),
    "headings": lambda pairs: numbered(pairs, "### Question {i}\n{q}\n\n### Answer {i}\n{a}"),
    "labels": lambda pairs: numbered(pairs, "## Pair {i}\n- **Question:** {q}\n- **Answer:** {a}"),
    "full-width colons": lambda pairs: numbered(pairs, "Question\uff1a{q}\nAnswer\uff1a{a}"),
    "LLaVA": lambda pairs: numbered(pairs, "Question:\n{q}\n===\nAnswer:\n{a}\n===", "\n"),
    "fence": lambda pairs: f"Here you are:\n```text\n{render_pairs(pairs)}\n```\nEnjoy!",
    "thinking": lambda pairs: f"<think>\nQuestion: none\n</think>\n\n{render_pairs(pairs)}",
    "JSON": lambda pairs: json.dumps(as_json(pairs), ensure_ascii=False),
    "indented JSON": lambda pairs: f"```json\n{json.dumps({'pairs': as_json(pairs)}, indent=2)}\n```",
    "JSON Lines": lambda pairs: "\n".join(json.dumps(pair, ensure_ascii=False) for pair in as_json(pairs)),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_nothing_inside_a_text_is_changed_in_any_layout(layout: Callable[[list[Pair]], str]) -> None:
    rng = random.Random(17)
    for _ in range(150):
        pairs = make_pairs(rng)
        parsed = parse_pairs(layout(pairs))
        assert parsed.pairs == tuple(pairs)
        assert parsed.problems == ()


def test_a_text_that_holds_code_comes_back() -> None:
    pairs = [
        Pair("What does it print?", '```python\nprint("hi")\n```'),
        Pair("Why?", "See:\n\n```\nx = 1\n```\nThat is all."),
    ]
    assert parse_pairs(render_pairs(pairs)) == Parsed(tuple(pairs))


def test_no_pairs_are_rendered_to_nothing() -> None:
    assert render_pairs([]) == ""


def test_any_answer_is_parsed_without_an_error_or_invented_text() -> None:
    rng = random.Random(23)
    ends = ["\n", "\n", " ", "", "\r\n", "\n\n"]
    headers = [
        "Question:",
        "Answer:",
        "**Question 1:**",
        "Answer",
        "Q:",
        "A:",
        "B:",
        "```",
        "===",
        "<think>",
        "</think>",
    ]
    brackets = ["[", "]", "{", "}", '"', ",", ":", '{"question":', '"answer":', '"a"', "\0", "\ud800", "\\"]
    for _ in range(3000):
        pool = rng.choice([headers + PIECES, headers * 3 + HARMLESS, brackets + headers, PIECES])
        answer = "".join(rng.choice(pool) + rng.choice(ends) for _ in range(rng.randint(0, 30)))
        parsed = parse_pairs(answer)
        assert parsed.pairs or parsed.problems
        assert len(set(parsed.problems)) == len(parsed.problems)
        if find_json("\n" + answer, 0, len(answer) + 1) < 0:
            assert all(pair.instruction in answer and pair.answer in answer for pair in parsed.pairs)


def test_every_prefix_of_json_that_was_cut_off_has_a_problem() -> None:
    whole = json.dumps({"pairs": as_json([Pair("What is it?", "A \\kite\\."), Pair("Who?", "A girl")])})
    assert not parse_pairs(whole).problems
    for end in range(len(whole)):
        assert parse_pairs(whole[:end]).problems, whole[:end]


def test_every_c0_control_character_but_tab_and_line_ends_is_a_problem() -> None:
    found = [code for code in range(32) if parse_pairs(f'[{{"question": "a", "answer": "b\\u{code:04x}c"}}]').problems]
    assert found == [code for code in range(32) if chr(code) not in "\t\n\r"]


NASTY = [
    *["*", "_", " ", "#", ">", "-", "`", "=", ":", "\uff1a", "1", "1.", "(1", "**", "** ", "\t", "\u3000", "\0", "🪁"],
    *[
        "\n",
        "\r\n",
        "\n*",
        "\n**Question",
        "\nQuestion",
        "\nQuestion:",
        "\nQ:",
        "\nA:",
        "\nB:",
        "\nAnswer 1",
        "\nAnswer (",
    ],
    *[
        "\n**Answer",
        "\n**Answer:",
        "\n*Question:* *",
        "\nQuestion: a\nAnswer: b",
        "\n1.\nQuestion: a\nAnswer: b",
        "\n1",
        "\n2",
    ],
    *["```", "\n```", "\n```py", "```py\n", "\n```py\n```", "\n> ```", "a```b\n", "```x```", "\n===", "\n---", "\n>"],
    *[
        "[",
        "{",
        "\n[",
        "\n{",
        '["',
        '{"',
        '{"a":',
        '[{"a":',
        '[{"a":1},',
        "{}",
        "\n{}",
        "{},",
        "\n[]",
        '"',
        '\\"',
        "\\",
        ",",
    ],
    *[
        "[,",
        ", ",
        '{"q":"x","a":"b"}\n',
        '\n{"q":"x","a":"b"}\nx',
        '\n[{"q":"x","a":"b"}]',
        "<think>",
        "</think>",
        "\n</think>",
    ],
]
FRONTS = {
    "nothing": "",
    "a question": "Question: a\n",
    "a header without its colon": "Question",
    "a bold question": "**Question: ",
    "a label": "1\nQuestion: a\n",
    "an array with a string": '["',
    "an object with a string": '{"a": "',
    "a thinking block": "<think>",
    "a fence": "```\n",
}
MANY = ["\nQuestion", "\nQuestion: a", "```py\n", "\n```", "[", "\n[", '"', "*", "\n> ", "\n{}"]


def seconds(answer: str, times: int) -> float:
    spent = []
    for _ in range(times):
        start = time.process_time()
        parse_pairs(answer)
        spent.append(time.process_time() - start)
    return min(spent)


def grows_too_fast(make: Callable[[int], str], times: int = 1) -> bool:
    """Sixteen times the text may take up to 64 times the time; where the work is quadratic, it takes 256 times."""
    small, large = make(1_000), make(16_000)
    if seconds(large, times) < 64 * max(seconds(small, times), 5e-5):
        return False
    return times > 1 or grows_too_fast(make, times=7)  # a single slow run says nothing


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS.keys())
def test_the_work_grows_no_faster_than_the_answer(front: str) -> None:
    def repeated(unit: str, size: int) -> str:
        return front + unit * (size // len(unit)) + "x"

    assert not [unit for unit in NASTY if grows_too_fast(functools.partial(repeated, unit))]


@pytest.mark.parametrize("front", MANY, ids=repr)
def test_the_work_grows_no_faster_than_an_answer_of_two_halves(front: str) -> None:
    def halves(unit: str, size: int) -> str:
        return front * (size // 2 // len(front)) + unit * (size // 2 // len(unit))

    assert not [unit for unit in NASTY if grows_too_fast(functools.partial(halves, unit))]


def test_readers_of_other_forms_use_the_same_pieces() -> None:
    text = "\n**Round 1:**\n- Human: Hi\n- Assistant: Hello.\n\n### Round 2\nHuman: Bye"
    headers = find_headers(text, header_pattern("round|human|assistant"))
    sections = split_sections(text, headers).sections
    assert [(section.kind, section.text) for section in sections] == [
        ("round", ""),
        ("human", "Hi"),
        ("assistant", "Hello."),
        ("round", ""),
        ("human", "Bye"),
    ]


def test_a_document_that_holds_no_pairs_is_read_as_strictly() -> None:
    text = '\nSure:\n```json\n{"a": {"fr": "un", "de": "eins",}, "b": {}}\n```'
    read = read_documents(text, find_json(text, 0, len(text)))
    assert read.values == [{"a": {"fr": "un", "de": "eins"}, "b": {}}]
    assert read.problems == []
    assert text[read.end :] == "\n```"


@pytest.mark.parametrize(
    ("given", "instruction"),
    [('"STOP"', "Say what the sign says.\nSTOP"),
     ('""', "Say what the sign says."), ("null", "Say what the sign says."),
     ('"<noinput>"', "Say what the sign says."), ('"N/A"', "Say what the sign says."),
     ('" a\\nb "', "Say what the sign says.\na\nb")],
)  # fmt: skip
def test_the_input_of_an_alpaca_answer_belongs_to_its_instruction(given: str, instruction: str) -> None:
    text = f'[{{"instruction": "Say what the sign says.", "input": {given}, "output": "It says halt."}}]'
    assert parse_pairs(text) == Parsed((Pair(instruction, "It says halt."),))


def test_a_member_that_the_pair_needs_is_never_lost_in_silence() -> None:
    tagged = '[{"question": "Which bird?", "tags": ["bird", "feeder"], "answer": "A robin."}]'
    assert parse_pairs(tagged) == Parsed((Pair("Which bird?", "A robin."),), (), ("other keys in the JSON",))
