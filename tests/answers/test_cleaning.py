"""Rules of cleaning: what each finds and leaves alone, and what becomes of a run that they reject something of."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from harness import run_rows, server

from syphus import Check, Pair, Query, Reject, Repair
from syphus.answers.cleaning import (
    GENERAL_RULES,
    Context,
    Drop,
    Rule,
    RuleSet,
    answers_of_words,
    asked_by_the_wearer,
    clean,
    images_in_order,
    instead_of,
    no_boxes,
    no_letters_for_people,
    no_names,
    no_timestamps,
    pairs_between,
    source_mentions,
)
from syphus.answers.cleaning.sent_texts import SentTexts
from syphus.answers.cleaning.source_mentions import MENTION_RULES
from syphus.answers.scoring.counting import numbers_of_the_annotation
from syphus.types import PromptImage, State

TAUGHT = "It shows a very long answer that stands in the in-context examples."


def rejections(pairs: Sequence[Pair], *rules: Rule, text: str = "") -> dict[str, str]:
    return clean(pairs, rules, Context(Query("q", text), SentTexts([("", TAUGHT), ("", "It shows it.")]))).rejections


def general(answer: str, question: str = "What is there?") -> list[str]:
    return list(rejections([Pair(question, answer)], *GENERAL_RULES))


def test_a_repair_replaces_its_matches_and_is_counted() -> None:
    pairs = [Pair("Can the user (you) see it?", "Yes, The User (you) can."), Pair("Why?", "Because.")]
    cleaned = clean(pairs, GENERAL_RULES, Context(Query("q", "")))
    assert cleaned.pairs == (Pair("Can you see it?", "Yes, you can."), Pair("Why?", "Because."))
    assert cleaned.repairs == {"the user (you)": 2}
    assert cleaned.rejections == {}


def test_a_rule_may_hold_for_one_part_only_and_repairs_come_first() -> None:
    pairs = [Pair("grey or gray?", "grey")]
    repair, reject = Repair("spelling", "grey", "gray", part="answer"), Reject("british", "grey", part="answer")
    assert clean(pairs, [reject, repair], Context(Query("q", ""))).pairs == (Pair("grey or gray?", "gray"),)
    assert rejections(pairs, reject, repair) == {}
    assert rejections(pairs, reject) == {"british": "answer 1: grey"}


def test_a_check_says_where() -> None:
    check = Check("odd", lambda pairs, context: [pair.answer for pair in pairs if context.query.text in pair.answer])
    assert rejections([Pair("q", "abc"), Pair("q", "xbx")], check, text="b") == {"odd": "abc"}


LEAKS = [
    "According to the description, a car is there.",
    "Based on the given captions, he is happy.",
    "The caption says that it rains.",
    "The captions do not mention a dog.",
    "As described in the annotation, it is red.",
    "From the provided information, it can be seen that he runs.",
    "The color is not mentioned in the description.",
    "Judging by the bounding boxes, the cup is left.",
    "In the above text, a man walks.",
    "The given sentences suggest a party.",
    "The sentences mention a dog.",
    "According to the sentences, he runs.",
    "Based on the information provided, he runs.",
    "From the information given, he is a teacher.",
    "According to the information you provided, he runs.",
    "As per the description, he runs.",
    "As the notes say, a car has left.",
    "As the description indicates, he runs.",
    "In the description, it says that he runs.",
    "The scene description mentions a dog.",
    "The video description states that he runs.",
    "The caption doesn\u2019t mention it.",
    "The third sentence says that he runs.",
    "It is not mentioned what she eats.",
    "The color isn't specified.",
    "There is no information about the color.",
    "There is not enough information to say.",
    "Based on the text, a dog runs.",
    "According to the ground truth, he runs.",
    "The input describes a dog.",
]
FINE = [
    "From the description on the package one learns how to build it.",
    "The notes provided on the whiteboard show a formula.",
    "The information provided by the sign is in French.",
    "According to the text on the screen, the game is over.",
    "The man gives no details about the plan.",
    "The price is not stated on the tag.",
    "He mentions the notes to the teacher.",
    "She says that the list above the counter shows the prices.",
    "The sign says that the road is closed.",
    "The text on the shirt describes a band.",
    "He reads a description of the painting on the wall.",
    "She takes notes while the teacher talks.",
    "From the position of the sun, it is noon.",
    "Based on his clothes, he plays tennis.",
    "According to the clock on the tower, it is three.",
    "The list on the fridge has five lines.",
    "It is not clear.",
    "The caption under the photo in the newspaper is too small to read.",
]


@pytest.mark.parametrize("answer", LEAKS)
def test_mentions_of_the_notes_are_found(answer: str) -> None:
    assert general(answer) == ["speaks of its notes"]


@pytest.mark.parametrize("answer", FINE)
def test_descriptions_of_the_scene_are_left_alone(answer: str) -> None:
    assert general(answer) == []


def test_notes_that_the_annotation_mentions_are_allowed() -> None:
    pair = Pair("What appears?", "The caption says that the shop is closed.")
    assert rejections([pair], *GENERAL_RULES, text="a caption appears on a black screen") == {}
    assert rejections([pair], *GENERAL_RULES, text="caption: a black screen") != {}


@pytest.mark.parametrize(
    "answer",
    ["As an AI language model, I see nothing.", "I'm sorry, but I can't see it.", "I cannot assist with that.",
     "I\u2019m sorry, but I can\u2019t assist with that.", "I apologize, but I cannot determine it.",
     "I don't have access to the video.", "I cannot describe the image without seeing it.",
     "Unfortunately, I can't watch videos.", "Sorry, I can't help with that."],
)  # fmt: skip
def test_a_refusal_in_an_answer_is_found(answer: str) -> None:
    assert general(answer) == ["refuses"]
    assert general("Fine.", question=answer) == []


@pytest.mark.parametrize(
    "answer",
    ['He says: "I can\'t assist you."', "The sign says \u201cI cannot access it\u201d.",
     "He says sorry, and they laugh.", "Unfortunately, it rains."],
)  # fmt: skip
def test_a_quote_is_not_a_refusal(answer: str) -> None:
    assert general(answer) == []


@pytest.mark.parametrize(
    "remark",
    ["Let me know if you need more pairs!", "I hope these help.", "Would you like me to write more?",
     "Note: These pairs are made up.", "Is there anything else you would like to know?"],
)  # fmt: skip
def test_a_chat_remark_is_taken_off_the_end_and_found_elsewhere(remark: str) -> None:
    found = clean([Pair("What is there?", f"A cup.\n\n{remark}")], GENERAL_RULES, Context(Query("q", "")))
    assert found.pairs == (Pair("What is there?", "A cup."),)
    assert found.repairs == {"line behind a text": 1}
    assert general(f"A cup.\n{remark}\nIt is red.") == ["speaks to whoever asked"]


@pytest.mark.parametrize(
    "answer",
    ["Let me know if the sofa is too soft.", "Put it there.\n\nWould you like the lamp on?", "A sign.\nNote: no dogs.",
     "I hope this bridge holds."],
)  # fmt: skip
def test_speech_within_the_scene_is_left_alone(answer: str) -> None:
    assert general(answer) == []


@pytest.mark.parametrize("token", ["</s>", "<|im_end|>", " [/INST]", "<end_of_turn>"])
def test_a_special_token_is_taken_off_the_end_and_found_elsewhere(token: str) -> None:
    found = clean([Pair("What is there?", f"A cup.{token}")], GENERAL_RULES, Context(Query("q", "")))
    assert found.pairs == (Pair("What is there?", "A cup."),)
    assert found.repairs == {"line behind a text": 1}
    assert general(f"A cup.{token} Then a plate.") == ["holds a token of the model"]
    assert general("It shows <b>bold</b> and 3 <|4.") == []


def test_a_question_that_comes_twice_is_found_however_it_is_written() -> None:
    pairs = [Pair("What is it?", "A car."), Pair("what is it", "A bus.")]
    assert rejections(pairs, *GENERAL_RULES) == {"repeats a question": "question 2: what is it"}


def test_a_long_text_of_an_example_is_a_copy_and_a_short_one_is_not() -> None:
    assert general(TAUGHT.upper()) == ["copies an in-context example"]
    assert general("It shows it.") == []


def test_a_copy_is_found_with_any_apostrophe_and_the_first_one_is_reported() -> None:
    taught = SentTexts([("", "It\u2019s the tall man who holds the large blue umbrella."), ("", TAUGHT)])
    pairs = [Pair("Who?", "It's the tall man who holds the large blue umbrella."), Pair("What?", TAUGHT)]
    found = clean(pairs, GENERAL_RULES, Context(Query("q", ""), taught)).rejections
    assert found == {"copies an in-context example": "answer 1: it's the tall man who holds the large blue umbrella"}


CASES: list[tuple[Rule, list[str], list[str]]] = [
    (
        no_timestamps,
        ["At 12 seconds he jumps.", "It starts at the 3.5s mark.", "See timestamp 107.7.", "In [0, 19] she sings.",
         "Between 4 and 9, at second 4, he falls.", "at 1:05 s it ends", "a 10-second mark", "from 10s on",
         "from 10s on", "at the 12 s mark", "From 0 to 19 seconds he stands.", "It lasts from 17 to 55 seconds.",
         "The first 14 seconds show a man.", "in the last 20 seconds", "at the 1:20 mark", "Around 00:45 he stops.",
         "He jumps at 0:12.", "By the 30th second he jumps.", "The video lasts 55 seconds.",
         "The video is about 55 seconds long.", "at time 12 he jumps"],
        ["It takes a few seconds.", "He wins in 10 laps.", "Two men, at 3 tables.", "The second man waits.",
         "films from the 1990s", "music from the 80s", "about 1920s fashion", "The clock shows 10:30.",
         "It starts at 10:30 in the morning.", "He runs 100 meters in 12 seconds.", "the first 3 dancers",
         "The video has 3 parts.", "the timer counts down from 10", "The last two seconds are lost."],
    ),
    (
        no_letters_for_people,
        ["man X stands there", "C picks up a cup", "#O laughs", "Person B is here", "Then O walks away.",
         "C opened it.", "What did C do?", "You and X talk.", "Then X hands you a cup.", "You gave it to Y.",
         "He took it from C.", "the lady A", "X's cup", "Who is X?"],
        ["I walk.", "A man stands.", "vitamin C is good", "Plan B was better.", "the letter K, big", "a T-shirt",
         "It says \"C\".", "an X-ray", "size M fits", "a C clamp", "You got an A.", "Hepatitis B is bad.", "the D key",
         "The sign reads B.", "the man I met", "A & B", "He is a B.", "two D batteries", "a USB C cable",
         "row F", "It is marked with an X."],
    ),
    (
        no_boxes,
        ["It is at [64.72, 5.75, 414.2, 62.06].", "at [3, 4]", "It begins at 12.5.", "its coordinates", "64 pixels",
         "from (0.412, 0.5) on", "64.72, 5.75", "a bit right of 0.412", "It ends at 0.5 of the width", "x = 0.3",
         "at 12.5. Then", "positioned at 0.5 horizontally", "The coordinates are known."],
        ["There are 3 chairs.", "It is 2. There", "A box [of wood]", "the boxes", "It costs $3.50.", "for $0.99",
         "A pixel art poster.", "He coordinates the team.",
         "a 2.5 metre fence", "0.75 litres of milk", "1.5 to 2.5 metres", "rated 4.5 of 5", "Windows 3.11 is old",
         "sold at 3.50 euros", "at 7.30 pm", "about 0.25 miles", "a 0.33l can", "Python 3.11, and others"],
    ),
    (numbers_of_the_annotation, ["There are 4 cars.", "in 1987"], ["There are 3 cars.", "two of 12", "no number"]),
    (answers_of_words(2, 4), ["one", "one two three four five"], ["one two", "one two three four"]),
    (no_names("a name", ["Ross", "Joey T."]), ["Ross's hat", "and Joey T. too"], ["cross it", "ross", "Rossi"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "bad", "fine"), CASES, ids=[rule.name for rule, *_ in CASES])
def test_rules_to_choose_from(rule: Rule, bad: list[str], fine: list[str]) -> None:
    def found(text: str) -> bool:
        return bool(rejections([Pair("?", text)], rule, text="three men, 3 cars, 12 bags, two dogs"))

    assert [text for text in bad if not found(text)] == []
    assert [text for text in fine if found(text)] == []


NUMBERS_IN_WORDS = (  #: a text of the notes, an answer, and whether its number is in the notes
    ("A couple dances.", "2 people dance.", True),
    ("Both dogs sleep.", "There are 2 dogs.", True),
    ("Half a dozen eggs", "There are 6 eggs.", True),
    ("half a dozen eggs", "There are 12 eggs.", False),
    ("Two dozen roses", "There are 24 roses.", True),
    ("twenty-five chairs", "There are 25 chairs.", True),
    ("twenty-five chairs", "There are 26 chairs.", False),
    ("fourteen chairs", "There are 14 chairs, in the 2nd row of both.", False),
    ("fourteen chairs, the second row", "There are 14 chairs, in the 2nd row.", True),
    ("6 eggs", "There are a dozen eggs.", False),
    ("6 eggs", "There are half a dozen eggs.", True),
    ("six eggs", "Half-a-dozen eggs are there.", True),
    ("12 eggs", "A dozen eggs are there.", True),
    ("12 eggs", "There are half a dozen eggs.", False),
    ("24 roses", "There are 2 dozen roses.", True),
    ("20 roses", "There are two dozen roses.", False),
    ("11 eggs", "There are about a dozen eggs, a dozen or so.", True),
    ("many people", "Dozens of people wait; rolls are sold by the dozen.", True),
    ("2 dogs", "Both dogs sleep, a couple of them.", True),
)


@pytest.mark.parametrize(("notes", "answer", "is_known"), NUMBERS_IN_WORDS)
def test_a_number_in_words_is_the_number_in_digits(notes: str, answer: str, is_known: bool) -> None:
    assert bool(rejections([Pair("?", answer)], numbers_of_the_annotation, text=notes)) is not is_known


def test_a_number_may_be_counted_in_images_that_the_model_sees() -> None:
    seen, pair = Query("q", "3 cars", images=(PromptImage(id="seen"),)), Pair("?", "There are 4 cars.")
    assert clean([pair], [numbers_of_the_annotation], Context(seen)).rejections == {}


def test_a_replacement_has_a_capital_at_the_start_of_a_sentence() -> None:
    rule = instead_of("a name", r"(?-i:Ross)(?!\w)", "the man")
    cleaned = clean([Pair("Ross? Is it Ross's?", "Rossi is.\nRoss is, cross Ross.")], rule, Context(Query("q", "")))
    assert cleaned.pairs == (Pair("The man? Is it the man's?", "Rossi is.\nThe man is, cross the man."),)
    assert cleaned.repairs == {"a name": 4}


@pytest.mark.parametrize(
    ("text", "put_right"),
    [
        ("Image 1 and image 2 differ.", "The first image and the second image differ."),
        ("What is in the image A that image B lacks?", "What is in the first image that the second image lacks?"),
        ("In image a, it rains; in image b it snows.", "In the first image, it rains; in the second image it snows."),
        ("In the image a man sits.", "In the image a man sits."),
        ("Image 10, and image 25", "Image 10, and image 25"),
        ("In photo 1 and Picture B it rains.", "In the first image and the second image it rains."),
    ],
)
def test_the_images_of_a_pair_have_no_letters_and_numbers(text: str, put_right: str) -> None:
    assert clean([Pair("q", text)], images_in_order, Context(Query("q", ""))).pairs == (Pair("q", put_right),)


def test_the_wearer_asks_and_is_answered() -> None:
    assert rejections([Pair("What do I hold?", 'You hold a cup, and it says "I am yours".')], asked_by_the_wearer) == {}
    assert rejections([Pair("What do you hold?", "A cup.")], asked_by_the_wearer) != {}
    assert rejections([Pair("What do I hold?", "I hold a cup.")], asked_by_the_wearer) != {}
    assert rejections([Pair("What do I hold?", "My cup is there.")], asked_by_the_wearer) != {}
    assert rejections([Pair("What do I cut?", "You cut an I-beam.")], asked_by_the_wearer) == {}


def test_the_number_of_pairs() -> None:
    pairs = [Pair("q", "a")] * 3
    assert rejections(pairs, pairs_between(2, 2)) == {"not 2 pairs": "3 of at most 2"}
    assert rejections(pairs, pairs_between(6)) == {"not at least 6 pairs": "3 of at least 6"}
    assert rejections(pairs, pairs_between(2, 4)) == {}


def test_a_rejected_answer_is_asked_again_counted_and_listed(tmp_path: Path) -> None:
    with server(poison={"bad": "leak_phrase"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, ["a fine row", "a bad row"], num_threads=1)
    assert ran.states == {State.OK: 1, State.INVALID: 1}
    assert ran.reasons == ["speaks of its notes"]
    assert ran.report.rules == {"repairs": {}, "rejections": {"speaks of its notes": 4}}  # one repeats another
    (entry,) = json.loads((ran.folder / "invalid.json").read_text("utf-8"))
    assert entry["id"] == "r001"
    assert entry["reason"] == "speaks of its notes"
    assert entry["places"][0].startswith("speaks of its notes (answer 1: ")
    assert "description" in entry["answer"]


DATASET_RULES = (*images_in_order, no_timestamps, no_boxes, numbers_of_the_annotation)
SHIPPED = [rule for rule in (*DATASET_RULES, *GENERAL_RULES) if not isinstance(rule, Drop)]
FOUND = [
    "AS AN AI I see nothing.",
    "A Language Model is no eye.",
    "I'm sorry, but I fail.",
    "I am unable to.",
    "I can't see it.",
    "I cannot access it.",
    "The user (you) sees it.",
    "Image 1 and image A, image B, IMAGE 2",
    "I don't have access.",
    "I apologize, but I",
    "Unfortunately, I can't.",
    *[
        f"A cup.\n{word}"
        for word in (
            "Let me know if you want more",
            "Feel free to ask",
            "I HOPE this helps",
            "Would you like me to go on?",
            "Do you want me to",
            "Is there anything else",
            "Note: these pairs",
            "Word count: 3",
        )
    ],
    "<|end|>",
    "</s>",
    "[INST]",
    "<end_of_turn>",
    "<eos>",
    "<BOS>",
    "<pad>",
    "<unk>",
    "image a has a car, image b, too",
    "Image 1 shows",
    "Image 2 shows",
]


def test_what_rules_need_changes_no_verdict() -> None:
    """Each rule alone, skipped where a text has nothing that it needs, against the same rule run on every text."""
    texts = [*FOUND, *LEAKS, *FINE, "At 0:12 he waits.", "The TIMESTAMP is old.", "Pixels.", "\u0663 cups. [1]", "Yes*"]
    texts += ["<answer>A cup is there.</answer>", "<response> It is red."]
    texts += [f"It is a cup.{end}" for end in ("\n---", "</s>", "\u00b2", " [1][2]", "\n\nEND", "**", "\n[END]")]
    texts += [
        "Sure! It is red.",
        "It is red. \u2014 Source: caption 1",
        "It is red. #cup",
        "It is red.\n[^1]: a caption",
    ]
    chance = random.Random(7)
    answers = [[Pair("What is there?", text)] for text in texts]
    answers += [
        [Pair(chance.choice(texts), "".join(chance.sample(texts, 2))[: chance.randint(9, 90)]) for _ in range(3)]
        for _ in range(150)
    ]
    applied = set()
    for rule in SHIPPED:
        quick, slow = RuleSet((rule,)), RuleSet((replace(rule, needs=()),))
        for pairs in answers:
            expected = slow.clean(pairs, Context(Query("q", "a cup")))
            assert quick.clean(pairs, Context(Query("q", "a cup"))) == expected, (rule.name, pairs)
            if expected.repairs or expected.rejections:
                applied.add(rule.name)
    assert {rule.name for rule in SHIPPED if rule.needs} <= applied | {"a mark that may be a citation"}


_MENTION_WORDS = (
    "the|this|these|those|your|image|given|provided|above|supplied|scene|dense|that|is|was|were|you|have|description"
    "|captions|annotation|narrations|metadata|timestamp|sentence|sentences|input|summary|text|notes|data|information"
    "|list|context|scenario|details|mention|states|stated|specified|mentioned|says|does|do|not|doesn't|didn't|isn't"
    "|explicitly|there|no|enough|from|per|as|in|on|by|,|based on|according to|judging by|bounding box|ground truth"
    "|noted in|as per|ment\u0131oned|say\u017f"
)


def test_the_quick_search_for_mentions_of_the_notes_changes_no_verdict() -> None:
    """Sentences of the words in the patterns: the search for words never says no where the whole pattern matches."""
    pattern = re.compile("|".join(form for form, _ in source_mentions._LEAK_FORMS), re.IGNORECASE)
    rules = RuleSet(MENTION_RULES)
    words = _MENTION_WORDS.split("|")
    chance = random.Random(12)
    matched = 0
    for _ in range(12_000):
        text = " ".join(chance.choices(words, k=chance.randint(3, 12))).replace(" ,", ",")
        text = chance.choice((text, text.upper(), text.title()))
        if pattern.search(text):
            matched += 1
            assert rules.clean([Pair("What is there?", text)], Context(Query("q", "a cup"))).rejections, text
    assert matched > 300
