"""For dataset plugins: parsers of model answers."""

from syphus.answers.parsing import (
    Choice,
    Choices,
    Conversation,
    Conversations,
    KeyedLines,
    PlainText,
    Round,
    parse_choices,
    parse_conversations,
    parse_keyed_lines,
    parse_pairs,
    parse_plain_text,
    render_pairs,
)

__all__ = [
    "Choice",
    "Choices",
    "Conversation",
    "Conversations",
    "KeyedLines",
    "PlainText",
    "Round",
    "parse_choices",
    "parse_conversations",
    "parse_keyed_lines",
    "parse_pairs",
    "parse_plain_text",
    "render_pairs",
]
