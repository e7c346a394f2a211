"""Drafts and wrappers around an answer, in any brackets, and sound answers that look like them."""

from __future__ import annotations

import pytest

from syphus.answers.parsing import parse_pairs, parse_plain_text
from syphus.answers.parsing.answer_text import extract_answer
from syphus.answers.parsing.json_answers import read_single_object

TEXT = "Question: Which bird is it?\nAnswer: A robin.\n\nQuestion: What does it do?\nAnswer: It lands on the feeder."
DRAFT = "Let me draft.\nQuestion: What of the draft?\nAnswer: Only a draft.\n"
PAIRS = [("Which bird is it?", "A robin."), ("What does it do?", "It lands on the feeder.")]

WRAPPED = [
    f"<answer>\n{TEXT}\n</answer>",
    f"<answer type='pairs'>{TEXT}</answer>",
    f"<output>\n<answer>\n{TEXT}\n</answer>\n</output>",
    f"[ANSWER]\n{TEXT}\n[/ANSWER]",
    f"\u25c1answer\u25b7{TEXT}\u25c1/answer\u25b7",
    f"<|begin_of_box|>{TEXT}<|end_of_box|>",
    f"<|begin_of_solution|>\n{TEXT}\n<|end_of_solution|>",
    f"<|im_start|>assistant\n{TEXT}<|im_end|>",
    f"{TEXT}<|eot_id|>",
    f"{TEXT}\n<\uff5cend\u2581of\u2581sentence\uff5c>",
    f"{TEXT}\n</answer>",
    f"< answer >\n{TEXT}\n</ answer >",
]
DRAFTED = [
    f"\u25c1think\u25b7\n{DRAFT}\u25c1/think\u25b7\n{TEXT}",
    f"<think >\n{DRAFT}</think >\n{TEXT}",
    f"<seed:think>\n{DRAFT}</seed:think>\n{TEXT}",
    f"<analysis>\n{DRAFT}</analysis>\n{TEXT}",
    f"<scratchpad>\n{DRAFT}</scratchpad>\n\n<answer>\n{TEXT}\n</answer>",
    f"[REFLECTION]\n{DRAFT}[/REFLECTION]\n{TEXT}",
    f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>\n\n<|begin_of_solution|>{TEXT}<|end_of_solution|>",
    f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{TEXT}<|END_RESPONSE|>",
    f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}<|return|>",
    f"<think>{DRAFT}</think><answer>{TEXT}</answer>",
    f"Thinking...\n{DRAFT}...done thinking.\n\n{TEXT}",
    f"*Thinking...*\n\n{DRAFT}\n*...done thinking.*\n\n{TEXT}",
    f"[BEGIN REASONING]\n{DRAFT}[END REASONING]\n{TEXT}",
    f"BEGIN DRAFT\n{DRAFT}END DRAFT\n{TEXT}",
    f"\\begin{{think}}\n{DRAFT}\\end{{think}}\n{TEXT}",
    f"(thinking)\n{DRAFT}(/thinking)\n{TEXT}",
    f"\u27e6think\u27e7\n{DRAFT}\u27e6/think\u27e7\n{TEXT}",
    f"<<think>>\n{DRAFT}<</think>>\n{TEXT}",
    f"[[think]]\n{DRAFT}[[/think]]\n{TEXT}",
    f"%%think%%\n{DRAFT}%%/think%%\n{TEXT}",
    f":::thinking\n{DRAFT}:::\n{TEXT}",
    f"/* thinking\n{DRAFT}*/\n{TEXT}",
    f"{DRAFT}</think>\n{TEXT}",
    f"{DRAFT}\u25c1/think\u25b7\n{TEXT}",
]


@pytest.mark.parametrize("text", [*WRAPPED, *DRAFTED])
def test_wrappers_and_drafts_are_no_part_of_an_answer(text: str) -> None:
    parsed = parse_pairs(text)
    assert [(pair.instruction, pair.answer) for pair in parsed.pairs] == PAIRS
    assert not parsed.problems
    assert parsed.notes  # never in silence


@pytest.mark.parametrize(
    "text",
    [
        f"{DRAFT}</analysis>\n{TEXT}",
        f"<think>\n{DRAFT}{TEXT}",
        f"{TEXT}\n<think>\n{DRAFT}</think>\n{TEXT}",
        f"{DRAFT}[/PLAN]\n{TEXT}",
    ],
)
def test_a_draft_that_looks_like_the_answer_is_a_problem(text: str) -> None:
    assert parse_pairs(text).problems


SOUND = [
    "The tag <b> makes text bold.",
    "It says <EXIT> above the door.",
    "<b>Bold</b> words come first, and <i>others</i> follow.",
    "<p>First paragraph.</p>\n<p>Second paragraph.</p>",
    "<3 means love.",
    "[1] is the first, [2] the second.",
    "[Music] plays while they dance.",
    "Use `</div>` to close it:\n<div>\n  <p>text</p>\n</div>",
    "if (a < b && c > d) { return x[0]; }",
    "The area is \\boxed{42} square metres, or \\frac{a}{b}.",
    "x < y and y > z",
    "\u300a\u7ea2\u697c\u68a6\u300b is a novel; \u300c\u5199\u300d means to write.",
    "- [x] done\n- [ ] open",
    "[link](https://example.org) and ![image](a.png)",
    "<https://example.org> is the address.",
    "<!-- a comment --> stands before the code.",
    "List<String> names = new ArrayList<>();",
    "<svg width='10'>\n<rect/>\n</svg>\nThis draws a square.".replace("\nThis", " This"),
    'She said: "</think> is how it ends".',
]


@pytest.mark.parametrize("text", SOUND)
def test_an_answer_that_only_looks_like_that_stays_as_it_is(text: str) -> None:
    assert extract_answer(text) == (text, (), ())
    assert parse_plain_text(text).text == text
    (pair,) = parse_pairs(f"Question: What is it?\nAnswer: {text}").pairs
    assert pair.answer == text


LINES = [
    f"Here they are...\n{TEXT}",
    f"Pairs:\n{TEXT}",
    f"--- Pairs ---\n{TEXT}\n---",
    f"Start here\n{TEXT}",
    f"Before we begin...\n\n{TEXT}",
]


@pytest.mark.parametrize("text", LINES)
def test_a_line_before_the_first_question_that_nothing_ends_opens_no_draft(text: str) -> None:
    assert [(pair.instruction, pair.answer) for pair in parse_pairs(text).pairs] == PAIRS


@pytest.mark.parametrize("text", ["$\\boxed{x^{2}}$", "\\boxed{42}", "\\boxed{}", "\\boxed{x = 5 + y}", "\\boxed{3/4}"])
def test_a_formula_stays_in_its_box(text: str) -> None:
    assert extract_answer(text) == (text, (), ())


def test_a_box_is_opened_if_it_holds_all() -> None:
    assert extract_answer("\\boxed{A robin.}").text == "A robin."
    assert extract_answer("$\\boxed{\\text{A robin.}}$").text == "A robin."
    assert extract_answer("\\boxed{1} and \\boxed{2}").text == "\\boxed{1} and \\boxed{2}"


@pytest.mark.parametrize(
    "text",
    ['{"score": 4}', '<think>{"score": 1}</think>\n{"score": 4}', '<answer>\n{"score": 4}\n</answer>',
     '\u25c1think\u25b7\nHm.\n\u25c1/think\u25b7\n```json\n{"score": 4}\n```', '{"score": 4}<|im_end|>',
     '<|begin_of_box|>{"score": 4}<|end_of_box|>'],
)  # fmt: skip
def test_the_reply_of_a_judge_is_read_without_drafts_and_wrappers(text: str) -> None:
    assert read_single_object(text) == {"score": 4}


def test_a_reply_of_a_judge_that_only_thinks_says_nothing() -> None:
    assert read_single_object('<think>{"score": 4}') is None
    assert read_single_object('{"score": 4} and {"score": 5}') is None
