"""Parsers of model answers: text in; pairs, or the problems that prevent reading them, out. Pure functions.

answer_text.py    thinking blocks, white space, characters that are never allowed
choices.py        multiple-choice questions
conversations.py  conversations in rounds, with activity, role and reason
json_answers.py   strict JSON
json_forms.py     answers as one JSON object: schemas, and the check of answers against them
keyed_lines.py    texts under given keys
original_forms.py the forms that the prompts of the first Syphus teach
pairs.py          question and answer pairs: parse_pairs and render_pairs
plain_text.py     one plain text
sections.py       headers ("Question 1:") and the text below them
"""

from syphus.answers.parsing.choices import Choice, Choices, parse_choices
from syphus.answers.parsing.conversations import Conversation, Conversations, Round, parse_conversations
from syphus.answers.parsing.json_forms import (
    PAIRS_FORM,
    JsonForm,
    choices_form,
    conversations_form,
    keys_form,
    object_schema,
    text_form,
)
from syphus.answers.parsing.keyed_lines import KeyedLines, parse_keyed_lines
from syphus.answers.parsing.original_forms import parse_original
from syphus.answers.parsing.pairs import parse_pairs, render_pairs
from syphus.answers.parsing.plain_text import PlainText, parse_plain_text

__all__ = [
    "PAIRS_FORM",
    "Choice",
    "Choices",
    "Conversation",
    "Conversations",
    "JsonForm",
    "KeyedLines",
    "PlainText",
    "Round",
    "choices_form",
    "conversations_form",
    "keys_form",
    "object_schema",
    "parse_choices",
    "parse_conversations",
    "parse_keyed_lines",
    "parse_original",
    "parse_pairs",
    "parse_plain_text",
    "render_pairs",
    "text_form",
]
