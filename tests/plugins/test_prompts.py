from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from syphus.answers.parsing.pairs import parse_pairs
from syphus.errors import PromptError
from syphus.plugins.prompts import (
    PromptTemplate,
    find_prompt,
    prompt_digest,
    read_prompt,
    render_messages,
    to_prompt_template,
)
from syphus.types import Message, Pair

USER = {"role": "user", "content": "a car is gone"}
ANSWER = {"role": "assistant", "content": "Question: What?\nAnswer: A car."}
PAIRS = [{"question": "What is gone?", "answer": "A car.\nA red one."}, {"question": "Sure?", "answer": "Yes: very."}]


def prompt(*turns: object, system: object = "You see.") -> dict[str, object]:
    return {"system_message": system, "in_context": list(turns)}


def assistant(content: object) -> str:
    """How the content of an assistant turn is rendered."""
    return to_prompt_template(prompt(USER, {"role": "assistant", "content": content}), "p").in_context[1]["content"]


def test_a_prompt_is_the_same_in_yaml_and_in_json(tmp_path: Path) -> None:
    turns = [USER, {"role": "assistant", "content": PAIRS}]
    (tmp_path / "p.json").write_text(json.dumps(prompt(*turns)), encoding="utf-8-sig")
    (tmp_path / "p.yaml").write_text(
        "system_message: You see.\nin_context:\n- role: user\n  content: a car is gone\n- role: assistant\n  content:\n"
        "  - question: What is gone?\n    answer: |-\n      A car.\n      A red one.\n"
        '  - {question: "Sure?", answer: "Yes: very."}\n',
        encoding="utf-8",
    )
    one, other = (to_prompt_template(read_prompt(tmp_path / name), name) for name in ("p.json", "p.yaml"))
    assert one == other
    assert one.system_message == "You see."
    assert [message["role"] for message in one.in_context] == ["user", "assistant"]


@pytest.mark.parametrize("spelling", [str.lower, str.title, str.upper])
def test_pairs_are_rendered_as_the_parser_reads_them(spelling: type[str]) -> None:
    text = assistant([{spelling(key): value for key, value in pair.items()} for pair in PAIRS])
    assert text == "Question: What is gone?\nAnswer: A car.\nA red one.\n\nQuestion: Sure?\nAnswer: Yes: very."
    assert parse_pairs(text).pairs == tuple(Pair(pair["question"], pair["answer"]) for pair in PAIRS)


def test_pairs_are_rendered_with_the_question_first_whatever_the_order_of_the_keys() -> None:
    assert assistant([{"answer": "A car.", "question": "What?"}]) == "Question: What?\nAnswer: A car."


def test_objects_with_other_keys_are_rendered_line_by_line() -> None:
    items = [
        {"Question": "Which?", "Options 1": "a", "Answer": "1"},
        {"Question": "Who?", "Options 1": "b", "Answer": "2"},
    ]
    assert assistant(items) == "Question: Which?\nOptions 1: a\nAnswer: 1\n\nQuestion: Who?\nOptions 1: b\nAnswer: 2"
    assert assistant([{"Expansion_with_Eng_1": "one", "A": "two"}]) == "Expansion_with_Eng_1: one\nA: two"


@pytest.mark.parametrize("keys", [("Q", "A"), ("instruction", "response"), ("Instruction", "output")])
def test_pairs_by_other_names_are_rendered_in_the_form_that_is_read(keys: tuple[str, str]) -> None:
    text = assistant([dict(zip(keys, pair.values(), strict=True)) for pair in PAIRS])
    assert parse_pairs(text).pairs == tuple(Pair(pair["question"], pair["answer"]) for pair in PAIRS)


def test_text_is_sent_as_it_is_written() -> None:
    text = "  {{7*7}} {0.__class__} %s ${HOME} \n<a>ü</a> \n"
    prefix = to_prompt_template(
        prompt({"role": "user", "content": text}, {"role": "assistant", "content": text}, system=text), "p"
    )
    messages = render_messages(prefix, text)
    assert [message["content"] for message in messages] == [text] * 4
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]


def test_an_empty_system_message_is_left_out() -> None:
    prefix = to_prompt_template(prompt(USER, ANSWER, system=""), "p")
    assert [message["role"] for message in render_messages(prefix, "x")] == ["user", "assistant", "user"]


def test_a_prompt_without_examples_is_a_prompt() -> None:
    assert to_prompt_template({"system_message": "You see."}, "p") == PromptTemplate("You see.", ())


def turn(**changes: object) -> dict[str, object]:
    return {**ANSWER, **changes}


BAD = {
    "a list": ([], 'p: a prompt must be an object with "system_message" and "in_context"'),
    "unknown key": ({**prompt(), "examples": []}, 'p: unknown key "examples"'),
    "no system message": ({"in_context": []}, 'p: no "system_message"'),
    "system message that is nothing": (prompt(system=None), "p: system_message: text is expected, this is None"),
    "in_context that is text": ({"system_message": "", "in_context": "x"}, 'p: "in_context" must be a list'),
    "turn that is text": (prompt(USER, "x"), "p: turn 2: a turn must be an object"),
    "turn with another key": (prompt(USER, turn(name="x")), "p: turn 2: a turn must be an object"),
    "turn without content": (prompt({"role": "user"}), "p: turn 1: a turn must be an object"),
    "system turn": (
        prompt({"role": "system", "content": "x"}),
        'p: turn 1: the role is "system"; put its text into "system_message"',
    ),
    "content that is a number": (prompt(USER, turn(content=3)), "p: turn 2: text is expected, this is 3"),
    "pairs in a user turn": (prompt({"role": "user", "content": PAIRS}), "p: turn 1: text is expected, this is [{"),
    "empty content": (prompt(USER, turn(content=" \n")), "p: turn 2: the content is empty"),
    "no pairs": (prompt(USER, turn(content=[])), "p: turn 2: the content is empty"),
    "pair that is text": (prompt(USER, turn(content=["x"])), "p: turn 2: item 1 must be an object"),
    "answer that is a number": (
        prompt(USER, turn(content=[PAIRS[0], {"question": "How many?", "answer": 3}])),
        'p: turn 2: item 2, "answer": text is expected, this is 3; put it in quotes',
    ),
    "mistyped key": (
        prompt(USER, turn(content=[{"question": "What?", "anser": "It."}])),
        'p: turn 2: item 1 has the keys question, anser: a pair has "question" and "answer"',
    ),
    "key that is mistyped once": (
        prompt(USER, turn(content=[PAIRS[0], {"question": "What?", "anser": "It."}])),
        "p: turn 2: item 2 has the keys question, anser, item 1 has question, answer: all items need the same keys",
    ),
    "no question": (prompt(USER, turn(content=[{"Answer": "It."}])), "p: turn 2: item 1 has the keys Answer: a pair"),
    "empty answer": (
        prompt(USER, turn(content=[{"question": "What?", "answer": " "}])),
        'p: turn 2: item 1: "answer" is empty',
    ),
    "NUL": (prompt(turn(role="user", content="a\0")), "p: turn 1: holds a NUL character"),
    "lone surrogate": (prompt(system="\ud800"), "p: system_message: holds half a surrogate pair (U+D800)"),
    "begins with an assistant": (prompt(ANSWER), "p: turn 1 is the assistant's; the first turn must be the user's"),
    "two users": (prompt(USER, USER, ANSWER), "p: turn 2 is a second user turn; a turn of the assistant is missing"),
    "two assistants": (
        prompt(USER, ANSWER, ANSWER),
        "p: turn 3 is a second assistant turn; a turn of the user is missing",
    ),
    "ends with a user": (prompt(USER, ANSWER, USER), "p: turn 3 is not answered"),
}


@pytest.mark.parametrize(("data", "problem"), BAD.values(), ids=BAD)
def test_a_wrong_prompt_is_reported_with_its_turn(data: object, problem: str) -> None:
    with pytest.raises(PromptError) as caught:
        to_prompt_template(data, "p")
    assert str(caught.value).startswith(problem)


def test_of_a_lenient_prompt_what_is_odd_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    data = {**prompt(ANSWER, ANSWER), "per_example_prefix": None}
    with caplog.at_level(logging.WARNING):
        prefix = to_prompt_template(data, "p", lenient=True)
    assert [message["role"] for message in prefix.in_context] == ["assistant", "assistant"]
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "p: not used: per_example_prefix",
        "p: turn 1: an assistant turn without a question",
        "p: turn 2: an assistant turn without a question",
    ]


def test_two_user_turns_are_an_error_even_for_a_lenient_prompt() -> None:
    with pytest.raises(PromptError, match="turn 2 is a second user turn"):
        to_prompt_template(prompt(USER, USER, ANSWER), "p", lenient=True)


def test_the_digest_changes_with_every_part_and_only_then() -> None:
    def of(system: str, *contents: str) -> str:
        roles = ["user", "assistant"] * len(contents)
        turns = [Message(role=role, content=text) for role, text in zip(roles, contents, strict=False)]
        return prompt_digest(PromptTemplate(system, tuple(turns)))

    digests = {of("s"), of("s "), of("s", "a", "b"), of("s", "a", "b\n"), of("s", "ab", ""), of("", "s", "a"), of("ü")}
    assert len(digests) == 7
    assert of("s", "a", "b") == prompt_digest(
        PromptTemplate("s", (Message(content="a", role="user"), Message(content="b", role="assistant")))
    )
    assert len(of("s")) == 16


def test_a_prompt_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (two / "p.yaml").touch()
    (two / "q.json").touch()
    (one / "q.yml").touch()
    assert find_prompt("p", [one, two]) == two / "p.yaml"
    assert find_prompt("q", [one, two]) == one / "q.yml"
    with pytest.raises(PromptError) as caught:
        find_prompt("r", [one, two, one / ".." / "two"])
    told = f"no prompt file r.yaml (or .json) in {one}, {two}"
    assert str(caught.value) == f"{told}; write one, or name one with --prompt_path"


BAD_FILES = {
    "p.json": ('{"system_message": "a",\n}', "p.json:2:1: "),
    "double.json": ('{"system_message": "a", "system_message": "b"}', 'double.json: duplicate key "system_message"'),
    "list.json": ("[]", "list.json: a prompt must be an object"),
    "p.yaml": ("system_message: a\n  b: c", "p.yaml:2:4: mapping values are not allowed here"),
    "colon.yaml": (
        "system_message: hi: there",
        'colon.yaml:1:19: mapping values are not allowed here; put text that holds ": " in quotes',
    ),
    "empty.yaml": ("", "empty.yaml: a prompt must be an object"),
    "p.txt": ("x", "p.txt: a prompt file ends in .yaml, .yml, .json"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_holds_no_prompt_is_reported_with_its_place(tmp_path: Path, name: str) -> None:
    text, problem = BAD_FILES[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(PromptError) as caught:
        read_prompt(tmp_path / name)
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(problem)


def test_a_missing_file_is_a_prompt_error(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"no\.json: No such file"):
        read_prompt(tmp_path / "no.json")
