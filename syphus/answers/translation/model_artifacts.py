"""Finds what a model adds of its own: comments on the translation, labels, escapes, left-over JSON."""

from __future__ import annotations

import re
from functools import cache

from syphus.answers.translation.languages import LANGUAGES

#: Invisible characters that no text needs: control characters, zero-width spaces, direction overrides.
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202d\u202e\ufeff]")
_ESCAPES = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrt\"]|&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[0-9a-fA-F]{1,6});"
    r"|(?:%[0-9A-F]{2}){2,}|%20|\ufffd|Ã[\x80-\xbf]|â€"
)
_JSON = re.compile(
    r"^\s*[{\[]\s*\"|\"\s*:\s*[\"{\[]|\"\s*[\]},][\s\]},]*$|\"(?:answer|instruction|question|translation)\"|</?[ab]>|```json"
)
#: Patterns of English comments, each with a pattern for sources whose translation may say the same.
_ENGLISH_COMMENTS = (
    (r"\btranslat(?:ion|ed|e|ing)\b", r"translat|interpret"),
    (r"\bhere(?:'s| is| are) (?:the|your)\b", r"\bhere\b"),
    (r"\bI(?:'m| am) (?:sorry|unable)\b|\bI can(?:'t|not)\b", r"\bsorry\b|\bunable\b|\bcan(?:'t|not)\b"),
    (r"\bas an ai\b|\blanguage model\b", r"\bai\b|language model"),
    (r"\blet me know\b|\bhope this helps\b", r"\blet me know\b|\bhope\b"),
)
_ENGLISH_LABELS = "question", "answer", "instruction", "response", "note", "q", "a"
_LABELS = (*_ENGLISH_LABELS, *(label for each in LANGUAGES.values() for label in each.labels), *LANGUAGES)
_LABEL = re.compile(rf"^\W{{0,4}}(?:{'|'.join(_LABELS)})\**\s?[:：]", re.I)
_ENGLISH_LABEL = re.compile(
    r"^\W{0,4}(?:question|answer|instructions?|response|notes?|description|q|a|warning)\**\s?:", re.I
)
_NOTE_LABELS = "|".join(
    ("note", *(label for each in LANGUAGES.values() if "Han" not in each.scripts for label in each.note_labels))
)
#: Apart from the others, because Han words have no gaps between them.
_HAN_NOTE_LABELS = "|".join(label for each in LANGUAGES.values() if "Han" in each.scripts for label in each.note_labels)
_NOTE = re.compile(rf"[(（\[]?\b(?:{_NOTE_LABELS})\b\**\s?[:：]|[(（]?(?:{_HAN_NOTE_LABELS})\s?[:：]", re.I)
_MARGIN = 160  # characters at either end in which comments are searched for


@cache
def _comment_pattern(own: tuple[str, ...], allowed: frozenset[int]) -> re.Pattern[str]:
    """Return the pattern of comments, without the English ones in `allowed`, which the source matches itself."""
    english = [pattern for number, (pattern, _) in enumerate(_ENGLISH_COMMENTS) if number not in allowed]
    return re.compile("|".join((*english, *(own if 0 not in allowed else ()))) or r"(?!)", re.I)


class SourceArtifacts:
    """The artifacts that the source has itself; its translation may have them, too."""

    __slots__ = ("comments", "escapes", "has_json", "has_label", "has_note", "invisible")

    def __init__(self, text: str) -> None:
        self.invisible = frozenset(_INVISIBLE.findall(text))
        self.escapes = set(_ESCAPES.findall(text)) if _may_have_escape(text) else set()
        self.has_json = bool(_JSON.search(text))
        self.has_label = bool(_ENGLISH_LABEL.match(text))
        self.has_note = bool(re.search(r"\bnotes?\b|\bremark", text, re.I))
        self.comments = frozenset(
            number for number, (_, like) in enumerate(_ENGLISH_COMMENTS) if re.search(like, text, re.I)
        )


def _may_have_escape(text: str) -> bool:
    return "\\" in text or "&" in text or "%" in text or "\ufffd" in text or "Ã" in text or "â€" in text


def find_escape(source: SourceArtifacts, text: str) -> str:
    """Return an escape or an invisible character that the source does not have, or ""."""
    if (unseen := _INVISIBLE.search(text)) and unseen[0] not in source.invisible:
        return f"U+{ord(unseen[0]):04X}"
    if not _may_have_escape(text):
        return ""
    return next((found for found in _ESCAPES.findall(text) if found not in source.escapes), "")


def find_json(source: SourceArtifacts, text: str) -> str:
    """Return a piece of the structured answer in a text, or ""."""
    if source.has_json or not ('"' in text or "<" in text or "```" in text):
        return ""
    found = _JSON.search(text)
    return found[0].strip() if found else ""


def find_comment(source: SourceArtifacts, text: str, own: tuple[str, ...]) -> str:
    """Return a comment of the model, or ""; `own` are the language's patterns for "translation"."""
    if not source.has_label and (label := _LABEL.match(text)):
        return label[0]
    pattern = _comment_pattern(own, source.comments)
    if found := pattern.search(text, 0, _MARGIN) or (
        pattern.search(text, max(_MARGIN, len(text) - _MARGIN)) if len(text) > _MARGIN else None
    ):
        return found[0]
    if not source.has_note and (":" in text or "：" in text) and (found := _NOTE.search(text)):
        return found[0]
    return ""
