"""What the simulated endpoint learns from in-context examples, and how it fails without them."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest
from cold import SYSTEM, texts

from syphus.answers.parsing import parse_pairs, render_pairs
from syphus.answers.scoring import Candidate
from syphus.cold_start.rubric import VERDICT_SCHEMA, read_verdict, rubric_messages
from syphus.simulator import Simulation, with_options
from syphus.simulator.answer_form_types import DEFECTS, AnswerInput
from syphus.simulator.answer_forms import QUESTION_ANSWER
from syphus.simulator.chat_request import Body, read_chat
from syphus.simulator.learning import FAILURES, JudgedExample, Obedience, choose_failure, judge_examples
from syphus.simulator.model_answers import ModelBehaviour, write_answer
from syphus.simulator.prompt_reader import PromptReader
from syphus.simulator.wording import make_pairs
from syphus.types import Pair, Query

ASKED = "the old sailor is painting a wooden boat\nthe masked nurse is washing an iron stove"
RIGHT = (
    "Question: What is the sailor doing?\nAnswer: The old sailor is painting a wooden boat.\n\n"
    "Question: Who is at the stove?\nAnswer: The masked nurse is washing an iron stove."
)
WRONG = {
    "format": "There is a lot to be seen here, and all of it is worth a look.",
    "ungrounded": "Question: What is there?\nAnswer: Seventeen elephants celebrate their wedding anniversary above "
    "several glittering skyscrapers.",
    "copied": "Question: What is there?\nAnswer: Several interesting objects can be noticed throughout.",
    "leak": RIGHT.replace("The old sailor", "According to the description, the old sailor"),
}


def share(examples: list[tuple[str, str]], obedience: Obedience) -> Counter[str]:
    """How 2,000 answers fail, in percent."""
    seen, random = judge_examples(examples, QUESTION_ANSWER), Random(0)
    kinds = Counter(choose_failure(seen, obedience, 0.6, random) for _ in range(2000))
    return Counter({kind: round(count / 20) for kind, count in kinds.items() if kind})


def test_the_more_good_examples_the_fewer_answers_fail() -> None:
    failing = [share([(ASKED, RIGHT)] * count, "examples").total() for count in range(4)]
    assert failing == sorted(failing, reverse=True)
    assert 55 <= failing[0] <= 65
    assert failing[3] <= 3


def test_without_examples_answers_fail_in_every_way_and_one_that_learns_nothing_always_does() -> None:
    assert set(share([], "examples")) == set(FAILURES)
    assert share([(ASKED, RIGHT)] * 3, "never").total() >= 55


@pytest.mark.parametrize("fault", WRONG)
def test_a_bad_example_is_seen_as_such_and_imitated(fault: str) -> None:
    (lesson,) = judge_examples([(ASKED, WRONG[fault])], QUESTION_ANSWER)
    assert fault in lesson.faults
    imitated = share([(ASKED, WRONG[fault])], "examples")
    assert imitated[fault] > 30
    mixed = share([(ASKED, RIGHT)] * 2 + [(ASKED, WRONG[fault])], "examples")
    assert mixed[fault] < imitated[fault]


def test_an_example_with_fewer_pairs_than_there_is_to_tell_counts_as_too_few_beside_longer_ones() -> None:
    one, three = RIGHT.partition("\n\n")[0], f"{RIGHT}\n\n{RIGHT}"
    faults = [each.faults for each in judge_examples([(ASKED, one), (ASKED, three)], QUESTION_ANSWER)]
    assert faults == [("few",), ()]
    assert judge_examples([(ASKED, RIGHT)], QUESTION_ANSWER) == (JudgedExample(ASKED, RIGHT, ()),)


def written(annotation: str, examples: list[tuple[str, str]], behaviour: ModelBehaviour) -> str:
    turns: list[Body] = [{"role": "system", "content": SYSTEM}]
    for asked, told in examples:
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
    chat = read_chat(json.dumps({"model": "m", "messages": [*turns, {"role": "user", "content": annotation}]}).encode())
    return write_answer(chat, PromptReader().read(chat.messages), behaviour).texts[0]


def test_answers_are_the_same_for_the_same_messages_and_seed() -> None:
    behaviour = ModelBehaviour(3, 0, 0, "examples", 0.6)
    rows = texts(40).values()
    first = [written(text, [], behaviour) for text in rows]
    assert first == [written(text, [], behaviour) for text in rows]
    assert first != [written(text, [], ModelBehaviour(4, 0, 0, "examples", 0.6)) for text in rows]


def test_good_examples_give_whole_pairs_that_repeat_no_question_of_theirs() -> None:
    behaviour = ModelBehaviour(3, 0, 0, "examples", 0.0)
    example = "Question: What can you tell me about the old sailor?\nAnswer: The old sailor is painting a boat.\n"
    for text in texts(40).values():
        parsed = parse_pairs(written(f"{text}\nthe old sailor is asleep", [(ASKED, example * 2)], behaviour))
        assert parsed.problems == ()
        assert "What can you tell me about the old sailor?" not in [pair.instruction for pair in parsed.pairs]


@pytest.mark.parametrize("defect", DEFECTS)
def test_where_the_examples_have_asked_all_there_is_to_ask_it_is_asked_again(defect: str) -> None:
    told = ["一只狗在码头睡觉。"]  # which the endpoint can ask about in few ways
    asked = frozenset(pair.instruction for seed in range(99) for pair in make_pairs(told, 9, False, Random(seed)))
    assert make_pairs(told, 2, False, Random(1), asked)
    source = AnswerInput(told, 2, False, "", "", asked)
    assert QUESTION_ANSWER.defects[defect](source, Random(1))


def test_the_setting_is_one_of_three_and_can_be_given_on_the_command_line() -> None:
    assert with_options(Simulation(), {"obedience": "never", "cold_failures": "0.5"}).obedience == "never"
    with pytest.raises(ValueError, match="obedience must be one of form, examples, never, not 'always'"):
        with_options(Simulation(), {"obedience": "always"})


def test_a_verdict_is_asked_for_and_given_in_its_form() -> None:
    good = Candidate(Query("q", ASKED), tuple(parse_pairs(RIGHT).pairs), RIGHT)
    bad = Candidate(Query("q", ASKED), (Pair("What?", "Elephants celebrate a glittering wedding."),), "")
    scores = []
    for candidate in (good, bad):
        system, user = rubric_messages(candidate)
        chat = read_chat(json.dumps({"model": "m", "messages": [system, user]}).encode())
        verdict = read_verdict(
            write_answer(chat, PromptReader().read(chat.messages), ModelBehaviour(0, 0, 0, "never", 1.0)).texts[0]
        )
        assert (verdict.problem, set(verdict.scores)) == ("", set(VERDICT_SCHEMA["required"]) - {"reason"})  # type: ignore[call-overload]  # a JSON schema
        scores.append(sum(verdict.scores.values()))
    assert scores[0] > scores[1]
    assert render_pairs(good.pairs) == RIGHT
