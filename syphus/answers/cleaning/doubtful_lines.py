"""Finds last lines that may be no part of an answer: the end of a draft, a heading, a label, the next turn of a chat.

They look like sound lines, so they make the answer invalid. What is certain to be no part is taken off by `endings.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.endings import (
    ANY_LABEL,
    OF_TEXT,
    WORK,
    ends_story,
    is_complete,
    is_doubtful_remark,
    last_paragraph,
)
from syphus.answers.cleaning.meta_commentary import asks_for_tags, is_related
from syphus.answers.cleaning.rules import Check, Context, Rule, describe_match
from syphus.types import Pair

_LONE_CLOSER = re.compile(r"(?:[<\[\u3010\u300a{\u2039\uff1c]|&lt;)[ \t]*/[^\n<>]{1,40}|-->|~~~|\"\"\"|'''|\*\*")
_BARE = re.compile(
    r"[\[<{\u3010\u300a\u300c][^\s\[\]<>{}]{1,30}[\]>}\u3011\u300b\u300d]"
)  #: perhaps the end of a draft

#: The next turn of a chat, or a pair after an answer: a question and, below it, its answer.
_NEXT_TURN = re.compile(
    r"\n(?:#+ ?|\*\*)?(?P<role>User|Human|Assistant)(?:\*\*)?:[^\n]*"
    r"|\n[ \t\r]*\n\W{0,4}Q\d?\W{1,4}[^\n]+\?\W{0,4}\n+\W{0,4}A\d?\W{1,4}[^\n]+"
)


def _find_lone_lines(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find last lines that may be the end of a draft, or a heading of the next pair."""
    for number, pair in enumerate(pairs, 1):
        if "\n" not in pair.answer:
            continue
        head, _, line = pair.answer.rpartition("\n")
        line, before = line.strip(), head.strip()
        if not before or not line or before.count("```") % 2 or line in f"{context.query.text}\n{pair.instruction}":
            continue
        if OF_TEXT.search(pair.instruction) or ends_story(pair.instruction, before, line):
            continue
        if line.startswith("#") and asks_for_tags(pair.instruction):
            continue
        if found := _goes_on(pair.answer, f"{context.query.text}\n{pair.instruction}".lower()):
            yield describe_match(f"answer {number}", found)
            continue
        is_doubtful = _LONE_CLOSER.fullmatch(line) is not None and _is_unopened(before, line)
        if number < len(pairs) and not is_doubtful and is_complete(before):
            is_doubtful = _BARE.fullmatch(line) is not None or _is_heading(pair.answer, line)
        elif number == len(pairs) and not is_doubtful:
            known = f"{context.query.text}\n{pair.instruction}"
            is_label = is_complete(before) and _is_lone_label(pairs, line, f"{known}\n{before}")
            is_doubtful = is_label or is_doubtful_remark(pairs, known)
        if is_doubtful:
            yield describe_match(f"answer {number}", line)


def _goes_on(answer: str, known: str) -> str:
    """Return the line in which a model without an end speaks for the next speaker, or writes a pair in short form."""
    for match in _NEXT_TURN.finditer(answer):
        role = match["role"]
        is_new = role is None or role.lower() not in known
        if is_new and is_complete(answer[: match.start()]):
            return match[0].strip()
    return ""


def _is_lone_label(pairs: Sequence[Pair], line: str, known: str) -> bool:
    """Return whether a last paragraph is a label, and no other answer has one line more than a text.

    Behind the label are a word or two, or what speaks of the pairs ("Final check: both answers are short.").
    """
    head = pairs[-1].answer.rpartition("\n")[0].rstrip()
    paragraph = last_paragraph(pairs[-1].answer) or (head, line)
    is_alone = paragraph[1] == line and ("\n" not in head or paragraph[0] == head)
    if not is_alone or len(pairs) < 2 or any("\n" in pair.answer for pair in pairs[:-1]):
        return False
    label = ANY_LABEL.match(line)
    value = line[label.end() :].strip() if label else ""
    if label and any(work.lower() not in known.lower() for work in WORK.findall(value)):
        return True
    return bool(value) and len(value.split()) < 3 and value[-1].isalnum() and value not in paragraph[0]


def _is_unopened(before: str, closer: str) -> bool:
    """Return whether nothing in a text begins what the line closes."""
    name = re.search(r"\w[\w:.-]*", closer)
    return name[0] not in before if name else (before.count(closer) % 2 == 0 and "<!--" not in before)


def _is_heading(answer: str, line: str) -> bool:
    """Return whether a line by itself is short and no sentence."""
    paragraph = last_paragraph(answer)
    is_short = paragraph is not None and paragraph[1] == line and len(line) <= 25 and line[-1].isalnum()
    return is_short and not (":" in line and paragraph is not None and is_related(line, paragraph[0]))


#: What may be a heading of the next pair, a remark, or the end of a draft, is a fault.
DOUBTFUL_LINE_RULES: tuple[Rule, ...] = (
    Check("a line that may be no part of the answer", _find_lone_lines, needs=("\n",)),
)
