"""What a model adds of its own: comments on the translation, labels, escapes, left-over JSON."""

from __future__ import annotations

import re
from functools import cache

#: Signs that no text has and nobody sees: control characters, blanks without a width, turned directions.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202d\u202e\ufeff]")
_ESCAPES = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrt\"]|&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[0-9a-fA-F]{1,6});"
    r"|(?:%[0-9A-F]{2}){2,}|%20|\ufffd|Ã[\x80-\xbf]|â€"
)
_JSON = re.compile(
    r"^\s*[{\[]\s*\"|\"\s*:\s*[\"{\[]|\"\s*[\]},][\s\]},]*$|\"(?:answer|instruction|question|translation)\"|</?[ab]>|```json"
)
#: What a comment says, in English: each with what a source says whose translation may say so, too.
_ENGLISH = (
    (r"\btranslat(?:ion|ed|e|ing)\b", r"translat|interpret"),
    (r"\bhere(?:'s| is| are) (?:the|your)\b", r"\bhere\b"),
    (r"\bI(?:'m| am) (?:sorry|unable)\b|\bI can(?:'t|not)\b", r"\bsorry\b|\bunable\b|\bcan(?:'t|not)\b"),
    (r"\bas an ai\b|\blanguage model\b", r"\bai\b|language model"),
    (r"\blet me know\b|\bhope this helps\b", r"\blet me know\b|\bhope\b"),
)
_LABEL = re.compile(
    r"^\W{0,4}(?:question|answer|instruction|response|note|q|a"
    r"|pregunta|respuesta|instrucción|nota|frage|antwort|anweisung|anmerkung|hinweis|réponse|consigne|remarque"
    r"|问题|问|回答|答案|答|指令|说明|注|質問|問|答え|指示|注意|질문|답변|답|지시|참고|سؤال|السؤال|جواب|الجواب|إجابة|الإجابة|التعليمات|ملاحظة"
    r"|zh|ja|es|de|fr|ko|ar)\**\s?[:：]",
    re.I,
)
_ENGLISH_LABEL = re.compile(
    r"^\W{0,4}(?:question|answer|instructions?|response|notes?|description|q|a|warning)\**\s?:", re.I
)
_BEHIND = re.compile(
    r"[(（\[]?\b(?:note|nota|anmerkung|hinweis|remarque|참고|ملاحظة)\b\**\s?[:：]|[(（]?(?:注|备注|译注|訳注|注記)\s?[:：]",
    re.I,
)
_NEAR = 160  # characters from either end within which a comment stands


@cache
def _comments(own: tuple[str, ...], said: frozenset[int]) -> re.Pattern[str]:
    """The patterns that count for a source that says some of it itself."""
    english = [pattern for number, (pattern, _) in enumerate(_ENGLISH) if number not in said]
    return re.compile("|".join((*english, *(own if 0 not in said else ()))) or r"(?!)", re.I)


class Remarks:
    """What a source says itself of all this; a translation may then say so, too."""

    __slots__ = ("escapes", "json", "labelled", "noted", "said", "unseen")

    def __init__(self, text: str) -> None:
        self.unseen = frozenset(_UNSEEN.findall(text))
        self.escapes = set(_ESCAPES.findall(text)) if _may_escape(text) else set()
        self.json = bool(_JSON.search(text))
        self.labelled = bool(_ENGLISH_LABEL.match(text))
        self.noted = bool(re.search(r"\bnotes?\b|\bremark", text, re.I))
        self.said = frozenset(number for number, (_, like) in enumerate(_ENGLISH) if re.search(like, text, re.I))


def _may_escape(text: str) -> bool:
    return "\\" in text or "&" in text or "%" in text or "\ufffd" in text or "Ã" in text or "â€" in text


def escapes(source: Remarks, text: str) -> str:
    """An escape that the source does not have, or a sign that nobody sees; else ""."""
    if (unseen := _UNSEEN.search(text)) and unseen[0] not in source.unseen:
        return f"U+{ord(unseen[0]):04X}"
    if not _may_escape(text):
        return ""
    return next((found for found in _ESCAPES.findall(text) if found not in source.escapes), "")


def left_over_json(source: Remarks, text: str) -> str:
    """A piece of the structured answer inside of a text, or ""."""
    if source.json or not ('"' in text or "<" in text or "```" in text):
        return ""
    found = _JSON.search(text)
    return found[0].strip() if found else ""


def comment(source: Remarks, text: str, own: tuple[str, ...]) -> str:
    """A comment of the model, or ""; `own` are patterns of the language for "translation"."""
    if not source.labelled and (label := _LABEL.match(text)):
        return label[0]
    pattern = _comments(own, source.said)
    if found := pattern.search(text, 0, _NEAR) or (
        pattern.search(text, max(_NEAR, len(text) - _NEAR)) if len(text) > _NEAR else None
    ):
        return found[0]
    if not source.noted and (":" in text or "：" in text) and (found := _BEHIND.search(text)):
        return found[0]
    return ""
