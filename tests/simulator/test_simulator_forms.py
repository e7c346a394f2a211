"""The forms of answers other than plain pairs: the simulated endpoint writes them, and with the usual defects."""

from __future__ import annotations

from random import Random

import pytest

from syphus.answers.parsing import parse_choices, parse_conversations, parse_keyed_lines, parse_pairs, parse_plain_text
from syphus.plugins.contract import load_prompt_template
from syphus.plugins.discovery import find_plugin
from syphus.simulator.answer_form_types import DEFECTS, AnswerInput, Form
from syphus.simulator.answer_forms import FORMS, detect_form

FACTS = ("The bed stands by the window.", "A lamp hangs over the desk.", "The door is open.")
ANNOTATION = "Sentences:\nthe bed stands by the window.\n\nCandidate activities:\n" + "\n".join(
    f"Activity {number} - Human role: Role {number}" for number in range(9)
)
KEYS = ("CH2Eng Translation", *(f"Expansion_with_Eng_{number}" for number in range(1, 6)))
SHIPPED = {
    "SceneNavigation.3d": "conversations of rounds",
    "FunQA_mcqa.funqa": "multiple choice",
    "FunQA_translation.funqa": "texts under keys",
    "FunQA_dia.funqa": "question and answer lines",
    "LlavaConversation.llava": "blocks of question and answer",
    "LlavaReasoning.llava": "blocks of question and answer",
    "LlavaDetail.llava": "plain text",
}


def shown_by(name: str) -> tuple[Form, AnswerInput]:
    """The form that a shipped prompt is answered in, and a source to write about."""
    prefix = load_prompt_template(find_plugin(name, installed="none").create())
    examples = [message["content"] for message in prefix.in_context if message["role"] == "assistant"]
    form, shown = detect_form(examples, prefix.system_message)
    assert shown
    return form, AnswerInput(FACTS, form.count_items(examples[-1]) or 1, False, examples[-1], ANNOTATION)


@pytest.mark.parametrize(("name", "form"), SHIPPED.items())
def test_a_prompt_is_answered_in_its_form(name: str, form: str) -> None:
    assert shown_by(name)[0].name == form


@pytest.mark.parametrize(
    ("system_message", "form"),
    [
        ("Write like this:\nConversation 1 - ...", "conversations of rounds"),
        ("Question: ...\nOptions 1: ...", "multiple choice"),
        ("Question:\n...\n===\nAnswer:\n...", "blocks of question and answer"),
        ("Question: ...\nAnswer: ... in plain text", "question and answer lines"),
        ("Describe it in plain text.", "plain text"),
        ("Describe it.", "question and answer lines"),
    ],
)
def test_without_an_example_the_system_message_says_the_form(system_message: str, form: str) -> None:
    found, shown = detect_form([], system_message)
    assert (found.name, shown) == (form, False)


def test_conversations_have_the_rounds_of_the_example_and_activities_of_the_annotation() -> None:
    form, source = shown_by("SceneNavigation.3d")
    read = parse_conversations(form.write(source, Random(1)))
    assert (read.problems, read.notes) == ((), ())
    assert [len(each.rounds) for each in read.conversations] == [3, 3, 3]
    assert len({each.activity for each in read.conversations}) == 3
    assert all(each.activity.replace("Activity", "Role") == each.role for each in read.conversations)


def test_choices_have_the_options_of_the_example_and_the_right_one_is_a_fact() -> None:
    form, source = shown_by("FunQA_mcqa.funqa")
    places = set()
    for seed in range(20):
        read = parse_choices(form.write(source, Random(seed)))
        assert (read.problems, read.notes) == ((), ())
        assert [len(choice.options) for choice in read.choices] == [5] * 5
        for choice in read.choices:
            assert any(fact[1:] in choice.options[choice.answer - 1] for fact in FACTS)
            places.add(choice.answer)
    assert places == {1, 2, 3, 4, 5}


def test_texts_stand_under_the_keys_of_the_example_and_differ() -> None:
    form, source = shown_by("FunQA_translation.funqa")
    read = parse_keyed_lines(form.write(source, Random(1)), KEYS)
    assert (read.problems, read.notes) == ((), ())
    assert len(set(read.texts.values())) == 6


def test_blocks_and_plain_text_are_what_they_should_be() -> None:
    form, source = shown_by("LlavaConversation.llava")
    text = form.write(source, Random(1))
    assert len(parse_pairs(text).pairs) == text.count("\nAnswer:\n") == 3
    form, source = shown_by("LlavaDetail.llava")
    assert sorted(parse_plain_text(form.write(source, Random(1))).text) == sorted(" ".join(FACTS))


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_every_form_has_every_usual_defect(form: Form) -> None:
    asked = '{"languages": ["zh", "de"], "instruction": "Who is it?", "answer": "A man with a red hat."}'
    source = AnswerInput(FACTS, 3, False, "", asked if form.name == "translations" else ANNOTATION)
    assert set(form.defects) == set(DEFECTS)
    assert form.write(source, Random(1)) == form.write(source, Random(1))
    for name, write in form.defects.items():
        assert write(source, Random(1)) == write(source, Random(1))
        # without an example there are no keys, and a plain text has no headers
        if form.name != "texts under keys" and (form.name, name) != ("plain text", "numbered_headers"):
            assert write(source, Random(1)) != form.write(source, Random(1)), name


def test_the_parsers_notice_the_defects() -> None:
    form, source = shown_by("SceneNavigation.3d")
    assert parse_conversations(form.defects["unpaired"](source, Random(1))).problems
    assert len(parse_conversations(form.defects["one_pair"](source, Random(1))).conversations) == 1
    assert parse_conversations(form.defects["greeting"](source, Random(1))).notes
    assert not parse_conversations(form.defects["numbered_headers"](source, Random(1))).problems
    assert (
        "the description"
        in parse_conversations(form.defects["leak_phrase"](source, Random(1))).conversations[-1].rounds[-1].assistant
    )
    form, source = shown_by("FunQA_mcqa.funqa")
    assert parse_choices(form.defects["unpaired"](source, Random(1))).problems == ("question without an answer",)
    assert parse_choices(form.defects["leak_phrase"](source, Random(1))).problems == ("answer is no option",)
