"""The text of the simulated endpoint: its form, its grounding, its defects, and that it is always the same."""

import json
import re

import pytest

from syphus.simulator.annotation_facts import MAX_FACTS, extract_facts, subject
from syphus.simulator.chat_request import Body, read_chat
from syphus.simulator.model_answers import ModelBehaviour, SimulatedAnswer, write_answer
from syphus.simulator.prompt_reader import ParsedPrompt, PromptReader

SYSTEM = "Two images of a car park are described by what changed. Write questions and answers about the differences."
ANNOTATION = "the blue car has moved\na person appeared in the second picture\nthe grey van is gone"
TIGHT = "Question: What moved?\nAnswer: A bike did.\nQuestion: Where to?\nAnswer: To the left."
LOOSE = "Question: What moved?\nAnswer: A bike did.\n\nQuestion: Where to?\nAnswer: To the left.\n"
ARRAY = json.dumps([{"question": "What moved?", "answer": "A bike did."}] * 2)
NEAT = ModelBehaviour(seed=0, sloppiness=0, cold_sloppiness=0)


def messages(example: str = "", system: str = SYSTEM, annotation: str = ANNOTATION) -> list[Body]:
    shown = (
        [{"role": "user", "content": "the bike moved"}, {"role": "assistant", "content": example}] if example else []
    )
    return [{"role": "system", "content": system}, *shown, {"role": "user", "content": annotation}]


def ask(
    turns: list[Body], behaviour: ModelBehaviour = NEAT, book: PromptReader | None = None, **more: object
) -> tuple[SimulatedAnswer, ParsedPrompt]:
    chat = read_chat(json.dumps({"model": "m", "messages": turns, **more}).encode())
    prompt = (book or PromptReader()).read(chat.messages)
    return write_answer(chat, prompt, behaviour), prompt


def text(turns: list[Body], behaviour: ModelBehaviour = NEAT, **more: object) -> str:
    return ask(turns, behaviour, None, **more)[0].texts[0]


def pairs(written: str) -> list[tuple[str, str]]:
    """A strict reading: nothing but complete pairs of lines."""
    lines = [line for line in written.split("\n") if line]
    assert [line.split(": ")[0].lower() for line in lines] == ["question", "answer"] * (len(lines) // 2), written
    said = [line.split(": ", 1)[1] for line in lines]
    return list(zip(said[::2], said[1::2], strict=True))


def test_the_same_request_gets_the_same_text_and_another_seed_another() -> None:
    assert text(messages(TIGHT)) == text(messages(TIGHT))
    texts = {text(messages(TIGHT), ModelBehaviour(seed, 0, 0)) for seed in range(5)}
    assert len(texts) > 1
    assert text(messages(TIGHT)) != text(messages(TIGHT), seed=7)


@pytest.mark.parametrize(("example", "blank_lines"), [(TIGHT, False), (LOOSE, True)], ids=["tight", "loose"])
def test_question_answer_lines_have_the_spacing_of_the_example(example: str, blank_lines: bool) -> None:
    written = text(messages(example))
    assert len(pairs(written)) == 2
    assert ("\n\n" in written) is blank_lines


def test_headers_are_spelt_as_in_the_example() -> None:
    assert text(messages(TIGHT.lower())).startswith("question: ")


def test_the_answers_are_made_of_the_words_of_the_annotation() -> None:
    for question, response in pairs(text(messages(TIGHT))):
        assert question.endswith("?")
        assert any(line in response.lower() for line in ANNOTATION.split("\n"))
        assert "description" not in question + response


def test_the_openings_and_questions_vary_over_annotations() -> None:
    asked = {pairs(text(messages(TIGHT, annotation=f"the car number {n} has moved")))[0][0] for n in range(30)}
    assert len({re.sub(r"the .*number", "", question) for question in asked}) >= 4


def test_json_is_answered_where_an_example_shows_it_with_its_keys() -> None:
    shown = json.dumps(
        [{"instruction": "What moved?", "response": "A bike."}, {"instruction": "Why?", "response": "Wind."}]
    )
    assert [set(item) for item in json.loads(text(messages(shown)))] == [{"instruction", "response"}] * 2
    assert {*json.loads(text(messages(f"```json\n{ARRAY}\n```")))[0]} == {"question", "answer"}


def test_json_is_answered_where_only_the_system_message_asks_for_it() -> None:
    written = json.loads(text(messages(system=f"{SYSTEM} Answer with a JSON array.")))
    assert written
    assert all(set(item) == {"question", "answer"} for item in written)


@pytest.mark.parametrize("annotation", ["", "  \n", "[]", "car: [1, 2, 3, 4]"])
def test_an_annotation_without_sentences_still_gets_a_pair(annotation: str) -> None:
    assert pairs(text(messages(TIGHT, annotation=annotation)))


def test_no_difference_is_answered_as_such() -> None:
    written = pairs(text(messages(TIGHT, annotation="there are no differences")))
    assert "no differences" in written[0][1]
    assert "difference" in written[0][0] or "change" in written[0][0]


@pytest.mark.parametrize(
    ("demand", "expected"),
    [("Write exactly two pairs.", {2}), ("at least six questions", {6}), ("exactly 3 question-answer pairs", {3})],
)
def test_the_number_of_pairs_that_is_asked_for_is_given(demand: str, expected: set[int]) -> None:
    counts = {len(pairs(text(messages(TIGHT, f"{SYSTEM} {demand}", f"the car {n} has moved")))) for n in range(20)}
    assert counts == expected


def test_the_number_of_pairs_lies_between_those_of_the_examples() -> None:
    turns = messages(TIGHT)[:-1] + messages("\n".join([TIGHT] * 2))[1:-1]
    counts = {len(pairs(text([*turns, {"role": "user", "content": f"{ANNOTATION} {n}"}]))) for n in range(40)}
    assert counts == {2, 3, 4}


def defects(turns_of: list[list[Body]], behaviour: ModelBehaviour) -> float:
    """The share of `turns_of` that is answered with something else than without sloppiness."""
    book = PromptReader()
    spoilt = [
        ask(turns, behaviour, book)[0].texts != ask(turns, ModelBehaviour(0, 0, 0), book)[0].texts for turns in turns_of
    ]
    return sum(spoilt) / len(spoilt)


def numbered(example: str = "", tail: tuple[Body, ...] = ()) -> list[list[Body]]:
    return [[*messages(example, annotation=f"{ANNOTATION}\nthe car {n} is new"), *tail] for n in range(600)]


# What is drawn follows from the prompt, so these shares are the same every time; the bounds leave room for other
# wording. A defect does not always show: where there is one pair anyway, "only one pair" changes nothing.
def test_without_examples_about_a_third_has_a_defect_with_them_about_one_in_a_hundred() -> None:
    usual = ModelBehaviour(0, 0.01, 0.35)
    assert 0.25 < defects(numbered(), usual) < 0.42
    assert 0.002 < defects(numbered(TIGHT), usual) < 0.03
    assert defects(numbered(TIGHT), NEAT) == 0


def test_after_a_correction_the_form_is_kept_better_and_the_first_annotation_is_answered() -> None:
    tail: tuple[Body, ...] = (
        {"role": "assistant", "content": "There is a lot to see."},
        {
            "role": "user",
            "content": "Your answer could not be used: no question was found. Write question and answer lines.",
        },
    )
    assert defects(numbered(tail=tail), ModelBehaviour(0, 0.01, 0.35)) < 0.08
    written, prompt = ask([*messages(), *tail])
    assert prompt.annotation == ANNOTATION
    assert "car" in written.texts[0] or "van" in written.texts[0] or "person" in written.texts[0]


def test_an_example_with_an_unknown_form_counts_as_none() -> None:
    assert not ask(messages("A long walk along the river."))[1].style.form_shown
    assert ask(messages(TIGHT))[1].style.form_shown


def test_what_is_longer_than_max_tokens_is_cut_there() -> None:
    cut, _ = ask(messages(LOOSE, annotation="木の下に猫がいます。猫は眠っています。"), max_tokens=20)
    whole, _ = ask(messages(LOOSE, annotation="木の下に猫がいます。猫は眠っています。"), max_completion_tokens=2000)
    assert cut.finish_reasons == ("length",)
    assert whole.finish_reasons == ("stop",)
    assert whole.texts[0].startswith(cut.texts[0])
    assert cut.usage.completion_tokens <= 20


def test_usage_counts_four_bytes_a_token_and_four_tokens_a_message() -> None:
    turns: list[Body] = [
        {"role": "user", "content": "näh"},
        {"role": "user", "content": [{"type": "text", "text": "ab"}]},
    ]
    given, _ = ask(turns, n=3)
    assert given.usage.prompt_tokens == 2 + 2 * 4  # four bytes and two, rounded up, and the framing of two messages
    assert given.usage.completion_tokens == sum(-(-len(written.encode()) // 4) for written in given.texts)


def test_several_choices_differ() -> None:
    assert len(set(ask(messages(TIGHT), n=4)[0].texts)) == 4


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("1. R walks up to P.\n2. P smiles at R.", ["R walks up to P.", "P smiles at R."]),
        ('timestamps: [[0, 19], [17, 55]]\nsentences: ["A girl stands in a room.", " She dances now."]', None),
        ("image a:\nA woman holding a pizza.\nperson: [64.7, 5.7, 414.2, 627.1]\n", ["A woman holding a pizza."]),
        (
            "timestamp: 108\ndescription: C opens the door\nobjects: sofa; clock\nPlease write at least 6 questions.",
            None,
        ),
        ("pizza: [1, 2, 3, 4]", ["There is a pizza in the picture."]),
        ("木の下に猫がいます。猫は眠っています。", ["木の下に猫がいます。", "猫は眠っています。"]),
    ],
)
def test_facts_are_the_sentences_of_every_kind_of_annotation(annotation: str, expected: list[str] | None) -> None:
    found = extract_facts(annotation)
    assert found
    assert expected is None or found == expected
    assert not any(re.search(r"\d{2}|question", fact) for fact in found)


def test_only_so_many_facts_are_used() -> None:
    assert len(extract_facts("\n".join(f"the car {n} has moved" for n in range(50)))) == MAX_FACTS


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("The blue car has moved.", "the blue car"),
        ("A person appeared in the second picture.", "the person"),
        ("In the after image there is a blue truck not displayed before.", "the blue truck"),
        ("He opens the door.", "the scene"),
        ("C opens the door.", "the person"),
        ("Two people are gone.", "the two people"),
    ],
)
def test_the_subject_of_a_fact_is_its_first_noun_phrase(fact: str, expected: str) -> None:
    assert subject(fact) == expected


def test_a_pair_of_shoes_is_something_to_tell_of() -> None:
    assert extract_facts("A man ties a pair of shoes.\nPlease write three pairs.") == ["A man ties a pair of shoes."]
