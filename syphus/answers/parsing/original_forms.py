r"""Parses the forms of answers that the prompts of the first Syphus teach.

    Question: What is taken?     Conversation 1 - Hold a party     CH2Eng Translation: A cat.     {"a": {"zh": "..."},
    Answer: A nut.               Human role: A student             Expansion_with_Eng_1: A cat.    "b": {"zh": "..."}}
                                 Round 1:
                                 Human: Where can we sit?
                                 Assistant: On the sofas.

An answer is read as pairs of question and answer if it can be. If not, it is read as conversations, as the texts under
the keys of the prompt's own examples, or as an object of two objects with the same keys, and becomes pairs:

- of each round of a conversation, with the id `XX_INS_<query>_activity0_round1`;
- of each text under a key, whose instruction is the key and the text of the query;
- of the two texts under each key of the two objects, such as the languages of a translation, with the id `<query>_zh`.
"""

from __future__ import annotations

from collections.abc import Sequence

from syphus.answers.parsing.answer_text import extract_answer
from syphus.answers.parsing.conversations import parse_conversations
from syphus.answers.parsing.json_answers import find_json, read_only_document
from syphus.answers.parsing.keyed_lines import parse_keyed_lines
from syphus.answers.parsing.pairs import Parsed, parse_pairs
from syphus.types import Pair, Query

#: The key of a round in a pair's id; `related` gives a pair the earlier rounds of the same activity.
ROUND = "_round"


def parse_original(text: str, query: Query, short_name: str, keys: Sequence[str] = ()) -> Parsed:
    """Parse an unchanged answer to a prompt of the first Syphus; `keys` are those of the objects in its examples.

    Returns the problems of `parse_pairs` if no form fits. Raises nothing.
    """
    parsed = parse_pairs(text)
    if parsed.pairs and not parsed.problems:
        return parsed
    others = (_conversations(text, f"{short_name}_INS_{query.id}"), _keyed(text, query, keys), _parallel(text, query))
    return next((other for other in others if other.pairs and not other.problems), parsed)


def _conversations(text: str, prefix: str) -> Parsed:
    read = parse_conversations(text, needs_reason=False)
    pairs = [
        Pair(human, assistant, f"{prefix}_activity{activity}{ROUND}{number}")
        for activity, conversation in enumerate(read.conversations)
        for number, (human, assistant) in enumerate(conversation.rounds, 1)
    ]
    return Parsed(tuple(pairs), read.problems, read.notes)


def _keyed(text: str, query: Query, keys: Sequence[str]) -> Parsed:
    if not keys:
        return Parsed()
    read = parse_keyed_lines(text, keys)
    return Parsed(tuple(Pair(f"{key}: {query.text}", each) for key, each in read.texts.items()), read.problems)


def _parallel(text: str, query: Query) -> Parsed:
    """Return the pairs of `{"a": {"zh": "...", "es": "..."}, "b": {"zh": "...", "es": "..."}}`."""
    answer = extract_answer(text)
    body = "\n" + answer.text
    start = find_json(body, 0, len(body)) if answer.text and not answer.problems else -1
    if start < 0:
        return Parsed()
    document, problems, notes = read_only_document(body, start, ("text before the JSON", "text after the JSON"))
    sides = list(document.values()) if isinstance(document, dict) else []
    if problems or len(sides) != 2 or not all(_is_texts(side) for side in sides) or set(sides[0]) != set(sides[1]):
        return Parsed()
    first, second = sides
    return Parsed(tuple(Pair(first[key], second[key], f"{query.id}_{key}") for key in first), (), tuple(notes))


def _is_texts(side: object) -> bool:
    """Return whether this is an object of texts, none of them empty."""
    texts = list(side.values()) if isinstance(side, dict) else []
    return bool(texts) and all(isinstance(each, str) and each.strip() for each in texts)
