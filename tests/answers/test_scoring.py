"""Heuristics: what each sees and what it lets pass, and whether all together tell good answers from bad ones."""

from __future__ import annotations

from random import Random
from statistics import median

import pytest
from damage import DAMAGES, Sample, damaged
from scenes import EXAMPLES, SYSTEM, planted, samples

from syphus.answers.cleaning import GENERAL_RULES, Context, clean, pairs_between
from syphus.answers.scoring import (
    HEURISTICS,
    Candidate,
    Heuristic,
    Scored,
    ScoringContext,
    score_all,
    things_of_the_annotation,
)
from syphus.answers.scoring.basic_quality import expected_pairs
from syphus.answers.scoring.copying import question_type
from syphus.answers.scoring.lexicon import related_words, supporting_words
from syphus.answers.scoring.words import content_stems, stem, tokenize
from syphus.cold_start.example_selection import STRATEGIES, choose
from syphus.errors import PluginError
from syphus.types import Message, Pair, PromptImage, Query, State

KITCHEN = (
    "Two men repair an old bicycle in a kitchen.\nA cat sleeps on the green sofa.\nsomebody left four cups on the table"
)


def made(*answers: str, text: str = KITCHEN, query: str = "q") -> Candidate:
    pairs = tuple(Pair(f"What is number {number}?", answer) for number, answer in enumerate(answers, 1))
    return Candidate(Query(query, text), pairs, "\n".join(answers))


def look(name: str, candidate: Candidate, background: ScoringContext | None = None) -> tuple[float, str]:
    heuristic = next(each for each in HEURISTICS if each.name == name)
    return heuristic.score(candidate, background or ScoringContext())


def grounded(answer: str, text: str = KITCHEN) -> tuple[float, str]:
    return look("grounding", made(answer, text=text))


# Grounding.


@pytest.mark.parametrize(
    "answer",
    [
        "Two men are repairing a bicycle.",
        "The men repair an old bike in the kitchen.",  # another word for it
        "An animal is asleep on a couch, and there are 4 cups.",  # a kind, a synonym, a digit
        "The cat has closed its eyes.",  # a part
        "Yes, there is one.",
    ],
)
def test_what_the_annotation_supports_costs_little(answer: str) -> None:
    assert grounded(answer)[0] > 0.75


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("A violin lies on the table.", "'violin'"),
        ("Two men repair a gramophone.", "'gramophone'"),
        ("Three men repair a bicycle.", "three"),
        ("There are 42 cups on the table.", "42"),
        ("A man called Boris repairs the bicycle.", "'boris'"),
        ("A poodle sleeps on the sofa.", "'poodle'"),
    ],
)
def test_unsupported_words_are_named_and_cost(answer: str, named: str) -> None:
    score, note = grounded(answer)
    assert note.startswith("not in the annotation: ")
    assert named in note
    assert score < min(0.8, grounded("Two men repair a bicycle.")[0])


def test_an_answer_with_nothing_of_the_annotation_is_barred() -> None:
    (scored,) = score_all([made("Seven elephants march through the supermarket.")], ScoringContext())
    assert "grounding" in scored.barred


def test_a_guess_weighs_less_than_a_claim() -> None:
    assert grounded("The men might ride to a castle.")[0] > grounded("The men ride to a castle.")[0] + 0.1


def test_lines_of_boxes_are_counted_and_their_coordinates_ignored() -> None:
    boxes = "Some birds fly.\n" + "bird: [0.1, 0.2, 0.3, 0.4]\n" * 3
    assert grounded("Three birds fly.", boxes) == (1.0, "")
    assert grounded("Three ducks fly.", boxes)[0] > grounded("Five ducks fly.", boxes)[0]
    assert "five" in grounded("Five birds fly.", boxes)[1]
    assert "0.1" in grounded("The birds fly at 0.1 of the width.", boxes)[1]


def test_a_digit_that_is_not_decimal_is_not_a_number() -> None:
    for figure in ("²", "①", "①A"):
        assert tokenize(figure)[0].value is None
        assert grounded(f"The room has 30 m {figure}.")[0] <= 1


def test_the_numbers_of_a_list_count_nothing() -> None:
    assert grounded("They do this:\n\n1. The men repair.\n2. The cat sleeps.\n3. The cups stand.") == (
        grounded("They do this:\n\nThe men repair.\nThe cat sleeps.\nThe cups stand.")
    )


def test_a_number_belongs_to_what_it_counts() -> None:
    assert "four" in grounded("Four men repair a bicycle.")[1]  # there are four cups
    assert grounded("There are four cups, and two men.")[1] == ""


def test_the_worst_pair_pulls_the_score_down() -> None:
    good, bad = "Two men repair a bicycle.", "A violin, a trumpet and nine drums are on stage."
    alone, both = look("grounding", made(good))[0], look("grounding", made(good, good, good, bad))[0]
    assert both < 0.6 * alone


def test_words_of_the_system_message_are_ignored() -> None:
    told = ScoringContext("You see frames of a surveillance helicopter.")
    assert "'helicopter'" in grounded("The helicopter shows two men.")[1]
    assert look("grounding", made("The helicopter shows two men."), told)[1] == ""


@pytest.mark.parametrize(
    "text", ["两个男人在厨房修理自行车。", "Zwei Männer reparieren ein altes Fahrrad in einer großen Küche."]
)
def test_another_language_is_not_compared(text: str) -> None:
    candidate = made("Two men repair a bicycle, and they are sitting on the floor.", text=text)
    assert look("grounding", candidate)[0] == look("coverage", candidate)[0] == 0.5


def test_kinds_are_below_each_other_and_never_in_a_circle_of_unlike_things() -> None:
    assert {stem("duck"), stem("penguin")} <= supporting_words()[stem("bird")] <= supporting_words()[stem("animal")]
    assert stem("bird") not in supporting_words()[stem("duck")]
    assert stem("bird") in related_words()[stem("duck")]
    assert stem("car") not in supporting_words()[stem("person")]
    assert stem("plate") not in supporting_words()[stem("food")]


def test_irregular_forms_and_spellings_share_a_stem() -> None:
    for one, other in (
        ("men", "man"),
        ("ridden", "riding"),
        ("grey", "gray"),
        ("children", "child"),
        ("sat", "sitting"),
    ):
        assert stem(one) == stem(other)
    assert content_stems("In the image, there are some of these.") == frozenset()


# The others.


def test_coverage_is_the_share_of_the_statements_that_are_mentioned() -> None:
    everything = (
        "Two men repair an old bicycle in a kitchen. A cat sleeps on a green sofa. Four cups are left on a table."
    )
    scores = [look("coverage", made(answer)) for answer in (everything, "Two men repair a bicycle.", "It is dark.")]
    assert scores[0] == (1.0, "")
    assert 0.2 < scores[1][0] < 0.4
    assert scores[1][1] == "2 of 3 statements not mentioned"
    assert scores[2] == (0.0, "3 of 3 statements not mentioned")


def test_a_word_that_only_a_question_has_covers_half() -> None:
    query = Query("q", "A violet submarine surfaces.")
    asked = Candidate(query, (Pair("Does a violet submarine surface?", "Yes."),), "")
    told = Candidate(query, (Pair("What is it?", "A violet submarine surfaces."),), "")
    assert look("coverage", told)[0] == 1.0
    assert look("coverage", asked)[0] == pytest.approx(0.5 / 0.9)


def test_an_annotation_of_a_word_or_two_may_be_paraphrased() -> None:
    (scored,) = score_all([made("The two images show the very same.", text="no difference anywhere")], ScoringContext())
    assert scored.barred == ()


def test_variety_counts_openings_types_and_distance() -> None:
    def asked(*questions: str) -> float:
        pairs = tuple(Pair(question, "Yes.") for question in questions)
        return look("variety", Candidate(Query("q", KITCHEN), pairs, ""))[0]

    same = asked("What is on the table?", "What is on the sofa?", "What is on the floor?")
    different = asked("What is on the table?", "How many men are there?", "Why might the cat sleep?")
    assert same < 0.5 < 0.95 < different
    assert asked("What is on the table?") == 0.5
    assert asked("What is red?", "Why is the cat red?") < asked("What is red?", "Why is the cat asleep?")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many cups are there?", "how many"),
        ("How do they repair it?", "how"),
        ("What are the men doing?", "what happens"),
        ("What has changed between the images?", "what happens"),
        ("What might come next?", "what if"),
        ("In which room are they?", "where"),
        ("Which cup is broken?", "which"),
        ("What color is the sofa?", "what colour"),
        ("Is the cat awake?", "yes or no"),
        ("Describe the kitchen.", "tell"),
    ],
)
def test_a_question_has_a_type(question: str, kind: str) -> None:
    assert question_type(question) == kind


@pytest.mark.parametrize(
    ("message", "bounds"),
    [
        ("Write two to four pairs of a question and its answer.", (2, 4)),
        ("Write one to five pairs.", (1, 5)),
        ("Ask exactly one question about the photo.", (1, 1)),
        ("Write at least 3 different questions.", (3, None)),
        ("Write up to six pairs.", (1, 6)),
        ("Write 5-7 pairs.", (5, 7)),
        ("Each message tells of two images. Describe them.", (1, None)),
    ],
)
def test_the_number_of_pairs_is_the_one_that_the_message_states(message: str, bounds: tuple[int, int | None]) -> None:
    assert expected_pairs(ScoringContext(message)) == bounds


def test_a_rule_counts_before_the_message_and_other_candidates_last() -> None:
    assert expected_pairs(ScoringContext("Write two pairs.", rules=(pairs_between(4),))) == (4, None)
    assert expected_pairs(ScoringContext("Write two pairs.", rules=(pairs_between(4),), least=1, most=9)) == (1, 9)
    assert expected_pairs(ScoringContext(others=(made(*"abcdefgh"), made(*"abcdef"), made()))) == (3, None)
    short = look("number of pairs", made("a"), ScoringContext("Write three pairs."))
    assert short == (0.25, "1 of 3")
    assert look("number of pairs", made(*"abcdef"), ScoringContext("Write three pairs."))[0] == 0.5
    assert expected_pairs(ScoringContext(others=(made("a"), made("b"), made()))) == (1, 1)  # as of a description


def test_an_answer_that_breaks_a_rule_is_barred_with_the_rules_name_and_place() -> None:
    (scored,) = score_all([made("I'm sorry, I can't see it.")], ScoringContext(rules=GENERAL_RULES))
    assert "keeps the rules" in scored.barred
    assert scored.notes["keeps the rules"].startswith("refuses (answer 1: ")


@pytest.mark.parametrize("state", [State.INVALID, State.TRUNCATED, State.REFUSED, State.FAILED, State.PENDING])
def test_only_an_accepted_answer_can_be_chosen(state: State) -> None:
    query, pairs = Query("q", KITCHEN), made("Two men repair a bicycle.").pairs
    (scored,) = score_all([Candidate(query, pairs, "x", state, "why not")], ScoringContext())
    assert scored.notes["keeps the rules"] == "why not"
    assert "keeps the rules" in scored.barred
    assert choose([scored]) == []


def test_an_answer_that_stops_in_the_middle_is_not_whole() -> None:
    assert look("whole sentences", made('He says "stop."', "It is (nearly) **done!**", "是。")) == (1.0, "")
    assert look("whole sentences", made("Two men repair.", "A cat sleeps on the"))[0] == 0.5


def test_length_costs_at_both_ends() -> None:
    assert look("length", made("Two.")) == (1 / 6, "an answer of 1 word")
    assert look("length", made("Two men repair an old bicycle.")) == (1.0, "")
    assert look("length", made("word " * 600))[0] == 0.5


TAUGHT = (
    Message(role="user", content="A knight."),
    Message(role="assistant", content="Question: Who?\nAnswer: The knight polishes his dented helmet."),
)


def test_phrases_of_an_example_are_copies_unless_the_annotation_has_them() -> None:
    background = ScoringContext(examples=TAUGHT)
    score, note = look("copies no example", made("Two men. The knight polishes his dented helmet."), background)
    assert score < 0.8
    assert note == "from an example: the knight polishes his dented"
    own = made("The knight polishes his dented helmet.", text="a knight polishes a dented helmet")
    assert look("copies no example", own, background) == (1.0, "")


def test_phrases_of_another_querys_answer_are_copies_and_of_the_same_annotation_are_not() -> None:
    one = made("A sleepy dragon guards the silver treasure.", text="a dragon guards a silver treasure", query="a")
    copy, twin = made(one.answer, query="b"), made(one.answer, text=one.query.text, query="c")
    background = ScoringContext(others=(one, copy, twin))
    scores = [look("copies no other", each, background)[0] for each in (one, copy, twin)]
    assert scores[1] < 0.8 < scores[0] == scores[2] == 1.0
    first, second = (made("Brave dragons guard silver coins.", text="a dragon", query=name) for name in "ab")
    assert look("copies no other", first, ScoringContext(others=(first, second))) == (1.0, "")
    stock = "There are no differences between the two images."
    twice = (made(stock, query="a"), made(stock, text="another", query="b"))
    assert look("copies no other", twice[0], ScoringContext(others=twice)) == (1.0, "")


@pytest.mark.parametrize(
    "answer",
    [
        "According to the caption, it is old.",
        "The notes don't tell.",
        "It is at [0.12, 0.4, 0.5, 0.6].",
        "See these sentences.",
    ],
)
def test_mentions_of_the_notes_are_leaks(answer: str) -> None:
    assert look("no leak", made(answer))[0] == 0.0


def test_a_note_in_the_scene_is_not_a_leak() -> None:
    assert look("no leak", made("She reads the note.", text="a woman reads a note")) == (1.0, "")
    assert look("no leak", made("Here is the description of the image.")) == (1.0, "")


# All together.


def test_the_total_is_the_weighted_mean_and_halved_where_a_floor_is_missed() -> None:
    table = (
        Heuristic("a", 3, lambda *_: (1.0, ""), "A."),
        Heuristic("b", 1, lambda *_: (0.2, "low"), "B."),
        Heuristic("shown", 0, lambda *_: (0, ""), "Shown alone."),
    )
    (scored,) = score_all([made("x")], ScoringContext(), table)
    assert (scored.total, scored.barred, dict(scored.notes)) == (0.8, (), {"b": "low"})
    (barred,) = score_all(
        [made("x")], ScoringContext(), table, [Heuristic("b", 1, lambda *_: (0.2, ""), "B.", floor=0.3)]
    )
    assert (barred.total, barred.barred) == (0.4, ("b",))


@pytest.mark.parametrize("result", [1.5, (2, ""), (0.5,), ("1", ""), (0.5, None), (float("nan"), ""), None])
def test_a_heuristic_that_returns_something_else_is_named(result: object) -> None:
    odd = Heuristic("odd", 1, lambda *_: result, "Odd.")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(PluginError, match="heuristic 'odd' must return a number from 0 to 1 and a text, it returned"):
        score_all([made("x")], ScoringContext(), extra=[odd])


def test_every_heuristic_has_its_own_name_and_says_what_it_looks_at() -> None:
    assert len({each.name for each in HEURISTICS}) == len(HEURISTICS)
    assert all(each.explained.endswith(".") and each.weight > 0 and 0 <= each.floor <= 1 for each in HEURISTICS)


def total(sample: Sample) -> float:
    candidate = Candidate(sample.query, (sample.pair,), sample.pair.answer)
    (scored,) = score_all([candidate], ScoringContext(SYSTEM, least=1))
    return scored.total


@pytest.mark.parametrize("kind", [kind for kind in DAMAGES if kind != "cut at a sentence"])
def test_a_good_answer_ranks_above_its_damaged_copy(kind: str) -> None:
    good = samples(60, seed=1)
    copies = damaged(good, kind, Random(1))
    assert len(copies) >= 6
    above = [total(good[place]) > total(copy) for place, copy in copies]
    assert sum(above) >= 0.9 * len(above)


@pytest.mark.parametrize("seed", range(5))
def test_fifty_bad_candidates_among_two_hundred_rank_low_and_are_not_chosen(seed: int) -> None:
    candidates, bad = planted(200, 50, seed)
    scored = score_all(candidates, ScoringContext(SYSTEM, EXAMPLES, others=tuple(candidates)))
    middle = median(each.total for each in scored)
    below = [each.total < middle for each in scored if each.candidate.key in bad]
    assert sum(below) >= 0.95 * len(below)
    for strategy in STRATEGIES:
        chosen = choose(scored, 8, strategy=strategy, seed=seed)
        assert len(chosen) == 8
        assert not {each.candidate.key for each in chosen} & bad, strategy
    assert not _wrongly_barred(scored, bad)


def _wrongly_barred(scored: list[Scored], bad: set[str]) -> list[Scored]:
    return [each for each in scored if each.barred and each.candidate.key not in bad]


NOTES = "the black suv is gone\na man with an umbrela stands near the red car"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("A woman with a dog has appeared.", "answer 1: woman"),
        ("The truck is gone.", "answer 1: truck"),
        ("It stands beside a wall.", "answer 1: wall"),
        ("The vehicle is no longer there.", None),
        ("A man with an umbrella stands by the red car.", None),
        ("The SUV has driven off, and the scene is the same otherwise.", None),
        ("There is no difference between the images.", None),
        ("He may be waiting for a bus.", None),
        ("A woman can be seen near the car.", "answer 1: woman"),
        ("A dog can now be spotted.", "answer 1: dog"),
        ("It leaves space for visitors.", None),
    ],
)
def test_a_thing_that_the_annotation_does_not_hold_is_rejected(answer: str, found: str | None) -> None:
    def rejected(query: Query) -> str | None:
        cleaned = clean([Pair("What?", answer)], [things_of_the_annotation], Context(query))
        return cleaned.rejections.get(things_of_the_annotation.name)

    assert rejected(Query("q", NOTES)) == found
    assert rejected(Query("q", NOTES, images=(PromptImage(id="seen"),))) is None
    assert rejected(Query("q", "一辆黑色的车不见了")) is None


@pytest.mark.parametrize(
    ("annotation", "answer"),
    [
        ("a man walks on a rainy day", "The man walks in the rain."),
        ("a man walks on a rainy day", "The weather is rainy."),
        ("two people cross the street", "The pedestrians cross the street."),
        ("some animals stand in a field", "The cows stand in a field."),
        ("a wooden bench under a tree", "The tree gives shade for visitors."),
        ("a snowy hill", "Snow covers the hill."),
    ],
)
def test_what_may_follow_from_the_annotation_is_not_rejected(annotation: str, answer: str) -> None:
    cleaned = clean([Pair("What?", answer)], [things_of_the_annotation], Context(Query("q", annotation)))
    assert cleaned.rejections == {}


def test_numbers_that_two_annotations_have_are_no_copies() -> None:
    text = "The clock on the tower shows ten past four."
    others = tuple(made(f"It seems that {text.lower()}", text=f"{text} {more}", query=more) for more in ("A", "B"))
    assert look("copies no other", others[0], ScoringContext(others=others)) == (1.0, "")


# An answer against itself, and the form of a question.


def test_repetitions_cost_within_one_answer_and_between_answers() -> None:
    told = "Two men repair an old bicycle in the kitchen."
    other = "There are four cups on the table."
    assert look("repeats nothing", made(told, other)) == (1.0, "")
    for again in (made(told, other, f"It seems that {told.lower()}"), made(f"{told} {told}", other)):
        score, note = look("repeats nothing", again)
        assert score < 0.8
        assert note == "repeated: two men repair an old"


def test_an_example_with_too_few_pairs_is_barred_and_one_with_too_many_is_not() -> None:
    asked = ScoringContext("Write three to five pairs.")
    totals = [score_all([made(*["Two men repair a bicycle."] * count)], asked)[0] for count in (1, 2, 3, 9)]
    assert ["number of pairs" in each.barred for each in totals] == [True, False, False, False]


def test_one_question_varies_enough_if_one_is_expected() -> None:
    assert look("variety", made("A cat."), ScoringContext("Write exactly one question."))[0] == 1.0
    assert look("variety", made("A cat."), ScoringContext("Write two questions."))[0] == 0.5


def test_the_number_of_an_option_does_not_count_things() -> None:
    assert grounded("(3) Two men repair a bicycle.") == grounded("Two men repair a bicycle.")


# Other languages: the same scene, retold, and something else.

ABROAD: dict[str, tuple[list[str], list[str], list[str]]] = {
    "zh": (
        ["两名男子在厨房里修理一辆旧自行车。", "一只猫睡在绿色的沙发上。", "有人在桌子上留下了四个杯子。"],
        ["两名男子正在厨房里修一辆旧自行车。", "猫正在绿色沙发上睡觉。", "桌子上有四个杯子。"],
        ["一位女士正在花园里弹小提琴。", "狗在红色的汽车里。", "天空中有九个气球。"],
    ),
    "ja": (
        [
            "二人の男性がキッチンで古い自転車を修理している。",
            "緑のソファで猫が眠っている。",
            "誰かがテーブルに四つのカップを置いた。",
        ],
        [
            "二人の男性はキッチンで古い自転車を直しています。",
            "猫は緑色のソファの上で眠っています。",
            "テーブルの上にはカップが四つあります。",
        ],
        ["女性は庭でバイオリンを弾いています。", "犬は赤い車の中にいます。", "空に九つの風船が浮かんでいます。"],
    ),
    "ko": (
        [
            "두 남자가 부엌에서 낡은 자전거를 수리한다.",
            "고양이가 초록색 소파에서 잔다.",
            "누군가 탁자 위에 컵 네 개를 두었다.",
        ],
        [
            "두 남자는 부엌에서 낡은 자전거를 고치고 있습니다.",
            "고양이는 초록색 소파 위에서 자고 있습니다.",
            "탁자 위에 컵이 네 개 있습니다.",
        ],
        [
            "여자는 정원에서 바이올린을 연주합니다.",
            "개는 빨간 자동차 안에 있습니다.",
            "하늘에 풍선 아홉 개가 떠 있습니다.",
        ],
    ),
    "ar": (
        ["رجلان يصلحان دراجة قديمة في المطبخ.", "قطة تنام على الأريكة الخضراء.", "ترك شخص ما أربعة أكواب على الطاولة."],
        [
            "يقوم الرجلان بإصلاح دراجة قديمة في المطبخ.",
            "القطة نائمة على الأريكة الخضراء.",
            "هناك أربعة أكواب على الطاولة.",
        ],
        ["تعزف المرأة على الكمان في الحديقة.", "الكلب داخل السيارة الحمراء.", "هناك تسعة بالونات في السماء."],
    ),
    "de": (
        [
            "Zwei Männer reparieren ein altes Fahrrad in der Küche.",
            "Eine Katze schläft auf dem grünen Sofa.",
            "Jemand hat vier Tassen auf dem Tisch stehen lassen.",
        ],
        [
            "Die beiden Männer reparieren in der Küche ein altes Fahrrad.",
            "Die Katze schläft auf dem grünen Sofa.",
            "Auf dem Tisch stehen vier Tassen, die jemand dort gelassen hat.",
        ],
        ["Die Frau spielt im Garten Geige.", "Der Hund sitzt im roten Auto.", "Am Himmel schweben neun Ballons."],
    ),
    "es": (
        [
            "Dos hombres reparan una bicicleta vieja en la cocina.",
            "Un gato duerme en el sofá verde.",
            "Alguien dejó cuatro tazas en la mesa.",
        ],
        [
            "Los dos hombres están reparando una bicicleta vieja en la cocina.",
            "El gato está dormido en el sofá verde.",
            "Hay cuatro tazas en la mesa que alguien dejó.",
        ],
        [
            "La mujer toca el violín en el jardín.",
            "El perro está dentro del coche rojo.",
            "En el cielo flotan nueve globos.",
        ],
    ),
}


@pytest.mark.parametrize("language", ABROAD)
def test_in_other_languages_right_answers_rank_above_invented_ones(language: str) -> None:
    lines, told, invented = ABROAD[language]
    annotation = "\n".join(lines)
    good, bad = score_all([made(*told, text=annotation), made(*invented, text=annotation)], ScoringContext())
    assert not good.barred, good.scores
    assert good.scores["length"] > 0.85
    assert bad.barred
    assert bad.total < good.total / 2


def test_an_annotation_that_is_handed_on_scores_below_words_of_its_own() -> None:
    notes = "Two men repair an old bicycle in a small kitchen.\nA grey cat sleeps on the green sofa by the window."
    query = Query("q", notes)
    asked = ("What are the men doing?", "Where does the cat sleep?")
    own = ("The two men are fixing an old bike in the kitchen.", "On the green couch, right beside the window.")
    parrot, teller = (Candidate(query, tuple(map(Pair, asked, answers)), "") for answers in (notes.splitlines(), own))
    context = ScoringContext("Write two pairs.", ())
    copied, told = score_all([parrot, teller], context)
    assert (copied.scores["own words"], told.scores["own words"]) == (0.0, 1.0)
    assert copied.total < told.total
