"""What weak models do instead of answering: they repeat the prompt, the form, an example or themselves.

The real prompt and rules of a shipped dataset judge each answer. Whatever merely looks like that is accepted.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from syphus import Pair, Query
from syphus.answers.cleaning import GENERAL_RULES, Context, clean
from syphus.answers.cleaning.sent_texts import NOTHING_SENT, SentTexts
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.request import RequestBuilder
from syphus.exchange import Completion, Usage
from syphus.ledger.records import Row
from syphus.plugins.contract import load_prompt_template
from syphus.plugins.discovery import find_plugin
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.types import Outcome

NOTES = "the blue car is gone\na woman with a dog walks along the road"
ASKED = "What has changed?"
TOLD = "The blue car is gone."


@pytest.fixture(scope="module")
def stage() -> GenerateStage:
    dataset = find_plugin("SpotTheDifference.change").create()
    return GenerateStage(
        GenerationContext(
            dataset=dataset,
            template=load_prompt_template(dataset),
            request_builder=RequestBuilder("m", {}),
            redactor=SecretRedactor(),
        )
    )


def judged(stage: GenerateStage, *pairs: tuple[str, str], notes: str = NOTES) -> Outcome:
    text = "\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in pairs)
    return stage.judge(Row(1, Query("q", notes)), Completion(text, "stop", "m", Usage())).outcome


THING = "a thing that the annotation does not hold"
INSTRUCTIONS = "repeats its instructions"
EXAMPLE = "copies an in-context example"
FORM = "holds the form and no text"
QUESTION = "answers with the question"
SENTENCE = "says one sentence twice"
SCRIPT = "is in another script than the examples"


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (ASKED, "That answer can't be used: empty answer. Answer again.", INSTRUCTIONS),
        (ASKED, "Answer again, in exactly the form that was asked for and nothing else.", INSTRUCTIONS),
        ("THAT ANSWER CAN\u2019T BE USED?", TOLD, INSTRUCTIONS),
        (ASKED, "You write training data for an assistant that compares two images.", INSTRUCTIONS),
        (ASKED, "The notes have spelling mistakes and clumsy grammar. Write correct English.", INSTRUCTIONS),
        (ASKED, "Vary the questions: an overview where several things differ, then single objects.", INSTRUCTIONS),
        (ASKED, "The red van has driven off, two more people are standing near the bike rack.", EXAMPLE),
        (ASKED, "Two more people are standing near the bike rack.", EXAMPLE),
        (ASKED, "The man with the umbrella has moved closer to the entrance.", EXAMPLE),
        ("Is the red van still at the loading dock in the second image?", "No.", EXAMPLE),
        (ASKED, "two more peopel are standing near the bike rack in the second picture", EXAMPLE),
        ("...", "...", FORM),
        (ASKED, "...", FORM),
        (ASKED, "\u2026", FORM),
        ("___", TOLD, FORM),
        ("<question>", TOLD, FORM),
        (ASKED, "<answer>", FORM),
        ("[Your question here]", "[Your answer here]", FORM),
        ("{{question 1}}", "{{answer 1}}", FORM),
        ("(the question)", TOLD, FORM),
        (ASKED, "---", FORM),
        (ASKED, "What has changed", QUESTION),
        ("Is the blue car gone?", "is the blue car gone?", QUESTION),
        (ASKED, "The blue car is gone from the road. The blue car is gone from the road.", SENTENCE),
        (ASKED, "The woman walks along the road today. It is nice. The woman walks along the road today.", SENTENCE),
        (ASKED, "蓝色的汽车不见了，一个女人带着一只狗走在路上。", SCRIPT),
        ("发生了什么变化？", TOLD, SCRIPT),
        (ASKED, "Синяя машина исчезла, по дороге идёт женщина.", SCRIPT),
        (ASKED, "اختفت السيارة الزرقاء وامرأة تمشي على الطريق", SCRIPT),
        (ASKED, "नीली कार चली गई है और एक महिला चल रही है", SCRIPT),
    ],
)
def test_what_is_no_answer_is_rejected(stage: GenerateStage, question: str, answer: str, reason: str) -> None:
    assert reason in judged(stage, (question, answer)).rejected_by


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the difference between the two images?", "There is no visible difference."),
        ("Can you spot a difference between the left image and the right image?", TOLD),
        (
            "Can you spot a difference between the left image and the right image?",
            "No, there is no visible difference between the left image and the right image.",
        ),
        ("Which vehicle appears only in the first image, and where is it?", "The blue car."),
        ("How many more people are there in the second image than in the first image?", "One more, the woman."),
        (ASKED, "The car is gone. It is gone."),
        (ASKED, "Gone, gone, gone."),
        (ASKED, "-"),
        ("Which sign does the road have?", "?"),
        ("What does the road have?", "[a, b]"),
        ("What does the sign on the road say?", "<stop>"),
        ("What does the sign on the road say?", "欢迎光临"),
        ("What does the sign on the road say?", 'It says "欢迎光临" in the middle.'),
        ("Say gone.", "Gone."),
        (ASKED, 'The woman says "the car is gone from the road." The man says "the car is gone from the road."'),
        (ASKED, "`the blue car is gone from here.` `the blue car is gone from here.`"),
    ],
)
def test_what_only_looks_like_it_is_accepted(stage: GenerateStage, question: str, answer: str) -> None:
    context = Context(Query("q", NOTES), stage.sent, "", frozenset({"LATIN"}))
    assert clean([Pair(question, answer)], GENERAL_RULES, context).rejections == {}


@pytest.mark.parametrize(
    ("question", "answer"),
    [  # of a real model, with the examples of the prompt
        (ASKED, "The woman has moved closer to the entrance."),
        ("Where is the woman now?", "She moved closer to the entrance, and the car is gone."),
        ("Is the car still parked in front of the gate?", "No, the car is gone."),
    ],
)
def test_a_few_words_of_an_example_are_too_many_if_they_bring_a_thing(
    stage: GenerateStage, question: str, answer: str
) -> None:
    assert judged(stage, (question, answer)).rejected_by == (THING,)


@pytest.mark.parametrize(
    ("answer", "notes"),
    [
        ("The woman has moved closer to the entrance.", "the woman moved to the entrance"),
        ("The woman has moved closer to the entrance.", "a woman moved to the entrace"),
        ("There is one woman less than in the first image.", NOTES),
        ("The woman is now closer to the road.", NOTES),
    ],
)
def test_a_few_words_of_an_example_may_be_used_for_what_the_annotation_holds(
    stage: GenerateStage, answer: str, notes: str
) -> None:
    assert judged(stage, (ASKED, answer), notes=notes).pairs


def test_a_text_of_the_row_may_stand_in_an_example_too(stage: GenerateStage) -> None:
    notes = "the man with the umbrela moved closer to the entrance"
    assert judged(stage, (ASKED, "The man with the umbrella moved closer to the entrance."), notes=notes).pairs
    notes = "there is a white truck parked in front of the gate"
    told = "A white truck is parked in front of the gate."
    assert judged(stage, (ASKED, told), notes=notes).pairs


def test_a_repeated_question_costs_its_pair_and_not_the_others(stage: GenerateStage) -> None:
    rest = [("Who walks along the road?", "A woman does."), ("What is with her?", "A dog is with her.")]
    kept = judged(stage, (ASKED, TOLD), *rest, ("what has changed", "A woman walks along the road."))
    assert [pair.answer for pair in kept.pairs] == [TOLD, "A woman does.", "A dog is with her."]
    assert kept.repairs == {"repeats a question": 1}
    few = judged(stage, (ASKED, TOLD), rest[0], (ASKED, "The blue car has gone."))
    assert few.reason == "repeats a question"


def test_one_long_answer_to_two_questions_costs_the_second_pair(stage: GenerateStage) -> None:
    long = "A woman with a dog walks along the road."
    rest = [("What is gone?", TOLD), ("Is she with a dog?", "Yes."), ("Is the car gone?", "Yes.")]
    kept = judged(stage, ("Who walks there?", long), *rest, ("What is new?", long))
    assert len(kept.pairs) == 4
    assert kept.repairs == {"gives one answer twice": 1}
    assert judged(stage, ("Who walks there?", long), ("What is new?", long)).reason == "gives one answer twice"


def test_conversations_may_say_the_same_and_end_where_one_repeats_itself() -> None:
    long = "A shelf with many books stands to the right of the door."
    said = [("What is there?", long), ("And then?", "Take a book."), ("And?", "Read."), ("Well?", "Sleep.")]
    first, second = ([Pair(*each, f"SN_INS_s_activity{n}_round{i}") for i, each in enumerate(said)] for n in (0, 1))
    context = Context(Query("q", NOTES), NOTHING_SENT)
    assert clean([*first, *second], GENERAL_RULES, context).repairs == {}
    second[1] = replace(second[1], answer=long)
    cleaned = clean([*first, *second], GENERAL_RULES, context)
    assert [pair.id[-16:] for pair in cleaned.pairs] == [*(f"activity0_round{n}" for n in range(4)), "activity1_round0"]
    assert cleaned.repairs == {"gives one answer twice": 3}


def test_without_examples_an_answer_may_be_in_any_script() -> None:
    pairs = [Pair("发生了什么变化？", "蓝色的汽车不见了。")]
    assert clean(pairs, GENERAL_RULES, Context(Query("q", NOTES), NOTHING_SENT)).rejections == {}


def test_quoted_wordings_of_the_instructions_are_for_use() -> None:
    wording = "Nothing unusual can be noticed by the guard at this gate tonight."
    for told, found in ((f'If so, say "{wording}"', {}), (wording, {INSTRUCTIONS})):
        context = Context(Query("q", NOTES), SentTexts(instructions=[told]))
        assert set(clean([Pair(ASKED, wording)], GENERAL_RULES, context).rejections) == set(found)
