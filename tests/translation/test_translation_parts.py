"""The parts of translation that need no server: reading answers, splitting texts, parsing options."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from syphus.answers.translation import LANGUAGES, Term, Translatable, check_translation
from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.simulator.translation.fake_text import DAMAGES, WORDS, fake_translation, filler_words, with_damage
from syphus.translation.chunks import SourcePair, join_chunks, pair_queries, parse_chunk, split_text
from syphus.translation.options import build_targets, parse_languages, read_glossary
from syphus.translation.prompts import languages_prompt
from syphus.translation.responses import MISSING, NO_JSON, NOT_VALID, read_members, read_translation
from syphus.translation.source_pairs import read_file_pairs

SOURCE = Translatable("Who is it?", "A man.")
ZH = '"zh": {"instruction": "他是谁\uff1f", "answer": "一个男人。"}'
DE = '"de": {"instruction": "Wer ist das?", "answer": "Ein Mann."}'


@pytest.mark.parametrize(
    ("text", "keys", "problem"),
    [
        (f"{{{ZH}, {DE}}}", ["zh", "de"], ""),
        (f"```json\n{{{ZH}}}\n```", ["zh"], ""),
        (f"Here you are: {{{ZH}, {DE},}} Anything else?", ["zh", "de"], ""),
        (f"<think>{{...}}</think>{{{ZH}}}", ["zh"], ""),
        (f'{{{ZH}, "de": {{"instruction": "Wer', ["zh"], NOT_VALID),
        (f"{{{ZH}, {DE}", ["zh", "de"], NOT_VALID),
        (f"{{{ZH}, oh well}}", ["zh"], NOT_VALID),
        (f"{{{ZH}, {ZH}}}", ["zh"], "the same key twice"),
        ("I can't do that.", [], NO_JSON),
        ("", [], "answer is empty"),
        ("{}", [], ""),
    ],
)
def test_members_are_read_up_to_where_the_answer_breaks_off(text: str, keys: list[str], problem: str) -> None:
    members = read_members(text)
    assert list(members.values) == keys
    assert members.problem == problem


def test_a_member_is_a_translation_or_a_reason_why_not() -> None:
    members = read_members(
        '{"a": {"instruction": "x", "answer": " y\\n"}, "b": [], "c": {"instruction": 3}, "d": "\\\\u"}'
    )
    assert read_translation(members, "a", SOURCE) == Translatable("x", "y")
    assert read_translation(members, "a", Translatable("", "A man.")) == Translatable("", "y")
    assert read_translation(members, "b", SOURCE) == "not an object with the texts"
    assert read_translation(members, "c", SOURCE) == "the instruction is no text"
    assert read_translation(members, "e", SOURCE) == MISSING
    broken = read_members('{"a": {"instruction": "x", "answer": "half \\ud83d"}}')
    assert read_translation(broken, "a", SOURCE) == "half of a surrogate pair"


@pytest.mark.parametrize("longest", [40, 97, 300])
def test_a_text_is_split_at_breaks_and_nothing_is_lost(longest: int) -> None:
    text = "One sentence here. And another one!\nA line of its own\n\nA paragraph, which goes on and on. " * 6
    pieces = split_text(text, longest)
    assert "".join(gap + piece for gap, piece in pieces) == text
    assert all(len(piece) <= longest for _, piece in pieces)
    assert all(piece[-1:] in ".!n" or not piece for _, piece in pieces[:-1])  # n: of "own"


def test_a_code_block_is_not_split() -> None:
    block = "```\n" + "x = 1\n" * 10 + "```"
    pieces = [piece for _, piece in split_text(f"{'Some words first. ' * 6}\n{block}\n{'And more. ' * 5}", 170)]
    assert block in "\n".join(pieces)
    assert all(piece.count("```") % 2 == 0 for piece in pieces)


def test_chunks_are_joined_as_the_language_joins_sentences() -> None:
    parts = [("", "甲。"), (" ", "乙。"), ("\n\n", "丙。")]
    assert join_chunks(parts, LANGUAGES["zh"]) == "甲。乙。\n\n丙。"
    assert join_chunks(parts, LANGUAGES["ko"]) == "甲。 乙。\n\n丙。"


def test_a_long_pair_is_several_queries_that_name_their_pair() -> None:
    pair = SourcePair("p", Translatable("What happens?", "He walks on. " * 500), ("i1",), ("q",), ("q",))
    made = [parse_chunk(query.id, query.text, query.meta) for query in pair_queries(pair)]
    assert {(piece.pair_id, piece.total) for piece in made} == {("p", len(made))}
    assert made[0].source == Translatable("What happens?", "")
    assert made[0].related == ("q",)
    assert not made[1].related
    assert "".join(piece.separator + piece.source.answer for piece in made[1:]) == "He walks on. " * 500


def test_only_rounds_of_a_conversation_have_earlier_context(tmp_path: Path) -> None:
    def line(name: str, image: str, *related: str) -> str:
        rest = ", ".join(f'"{each}"' for each in related)
        return f'"{name}": {{"instruction": "a", "answer": "b", "image_ids": ["{image}"], "rel_ins_ids": [{rest}]}}'

    lines = [
        *(line("r0", "x"), line("r1", "x", "r0"), line("r2", "x", "r0", "r1")),  # a conversation
        *(line("m1", "y", "m2"), line("m2", "y", "m1")),  # all pairs about a video
        line("s", "z", "r0", "r1"),  # similar ones, about other images
    ]
    path = tmp_path / "T_instructions.json"
    path.write_text(f'{{"meta": {{}}, "data": {{{", ".join(lines)}}}}}', "utf-8")
    seen = {query.id: query.meta.get("context", ()) for query in read_file_pairs(path, allow_bad=False)}
    assert seen == {"r0": (), "r1": ("r0",), "r2": ("r0", "r1"), "m1": (), "m2": (), "s": ()}


def test_languages_are_parsed() -> None:
    assert parse_languages("", []) == parse_languages("all", ["zh"]) == list(LANGUAGES)
    assert parse_languages("", ["ko"]) == ["ko"]
    assert parse_languages("ar, ZH", []) == ["zh", "ar"]


def test_the_help_names_every_language() -> None:
    help_text = next(field for field in fields(Options) if field.name == "languages").metadata["help"]
    missing = [code for code in LANGUAGES if code not in re.findall(r"\w+", help_text)]
    assert not missing, f"the help of --languages in syphus/config/options.py does not name {missing}"


def test_tones_are_parsed() -> None:
    notes = {code: target.note for code, target in build_targets(["de", "fr"], "formal,fr=informal").items()}
    assert notes == {"de": LANGUAGES["de"].formal, "fr": LANGUAGES["fr"].informal}


def test_a_glossary_is_read_and_its_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "terms.yaml"
    path.write_text("MIMIC-IT: MIMIC-IT\nanswer sheet: {de: Antwortbogen}\n", "utf-8")
    same, by_language = read_glossary(path)
    assert same == Term("MIMIC-IT", dict.fromkeys(LANGUAGES, "MIMIC-IT"))
    assert by_language == Term("answer sheet", {"de": "Antwortbogen"})
    for text, message in (
        ("a: {xx: b}", '"a": unknown language xx; use zh, ja, '),
        ("a: 3", '"a": expected text, or a text for each language'),
        ("- a", "expected an object of terms"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=message):
            read_glossary(path)


def test_only_the_terms_of_the_text_are_sent() -> None:
    terms = [Term("red hat", {"zh": "红帽子"}), Term("blue", {"zh": "蓝"}), Term("red", {"de": "rot"})]
    ask = languages_prompt(Translatable("The Red Hats?", "Yes."), list(build_targets(["zh"], "").values()), (), terms)
    assert '"terms":{"red hat":{"zh":"红帽子"}}' in ask.messages[1]["content"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_without_filler_words_is_made_up_of_its_sample(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filler_words.cache_clear()
    monkeypatch.delitem(WORDS, code, raising=False)
    source = Translatable("Is {name} at gate 12?", "Yes, {name} has been waiting there. It is five past three.")
    made = Translatable(
        fake_translation(source.instruction, code, "instruction"), fake_translation(source.answer, code, "answer")
    )
    filler_words.cache_clear()
    assert check_translation(source, made, LANGUAGES[code]).ok


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_can_be_made_up_and_every_damage_is_seen(code: str) -> None:
    from random import Random

    source = Translatable(
        "Is {name} at gate 12?", "Yes, {name} has been waiting at gate 12 since 3:05 in the afternoon."
    )
    texts = {"instruction": source.instruction, "answer": source.answer}
    made = {field: fake_translation(text, code, field) for field, text in texts.items()}
    assert check_translation(source, Translatable(**made), LANGUAGES[code]).ok
    for name, damage in DAMAGES.items():
        spoilt = damage(texts, made, code, Random(0))
        assert spoilt is not None, name
        assert not check_translation(source, Translatable(**spoilt), LANGUAGES[code]).ok, name
    assert with_damage(texts, made, code, Random(1)) != made
