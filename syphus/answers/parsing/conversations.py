r"""Parses conversations in rounds, as in scene navigation.

    Conversation 1 - Hold a party          ### Conversation 1: Hold a party      **Conversation 1 - Hold a party**
    Human role: A college student          - **Human role:** A college student   **Role**: A college student
    reason: There are many seats.          - **Reason:** There are many seats.   **Reason for choosing it:** There are
    Round 1:                               #### Round 1                          many seats.
    Human: Where can we sit?               **Human:** Where can we sit?          **Round 1**
    Assistant: On the two sofas.           **Assistant:** On the two sofas.      User: Where can we sit?
    Round 2: ...                           ...                                   Assistant: ...

Rules for ambiguous text:

- `Conversation 1` and `Round 1` are at the start of a line, and a dash, a colon or the end of the line follows.
- Role, reason and activity are headers only before the first round. Later, `Reason: ...` is part of what is said.
- The role may follow the activity on one line, as in a list: `Hold a party - Human role: A college student`.
- A round is one utterance of the human and the assistant's answer. `Round 1` is optional and may only have a title.

JSON is read if it begins before the first header: an object with `conversation_1`, `conversation_2`, ..., each of them
with `activity`, `role`, `reason` and `round_1`, `round_2`, ..., which have `human` and `assistant`; or with the lists
`conversations` and `rounds` instead.

Utterances are kept byte for byte, without surrounding white space, or the answer has a problem.

Problems, besides those of JSON, code fences, thinking blocks and characters (see `pairs.py`): "answer is empty", "no
conversation", "text under no conversation", "conversation without an activity", "conversation without a role",
"conversation without a reason", "conversation without a round", "two activities in one conversation", "two roles in one
conversation", "two reasons in one conversation", "human without an assistant", "assistant without a human", "two
answers of the assistant", "empty human", "empty assistant", "empty round", "two exchanges in one round", "text of no
speaker", "line that may be a header", "conversations are not counted up", "rounds are not counted up".

Notes: "thinking block", "text before the first conversation", "text after the last fence", "text after the JSON",
"title of a round".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from syphus.answers.parsing.answer_text import AnswerText, character_problems, extract_answer, is_empty, strip, unique
from syphus.answers.parsing.json_answers import (
    decoding_problems,
    find_json,
    numbered_members,
    read_only_document,
    text_members,
)
from syphus.answers.parsing.sections import Header, Section, find_headers, header_pattern, split_sections

_TITLE = re.compile(
    r"\n[ \t>#]*+(?:[-+*\u2022][ \t]++)?([*_]*+)(conversation|round)[ \t]*+#?(\d{1,4})([*_]*+)[ \t]*+"
    r"(?:[:\uff1a.\-\u2013\u2014]([*_]*+)|(?=\r?(?:\n|\Z)))",
    re.IGNORECASE,
)
_FIELDS = header_pattern(r"human role|role|activity|reason(?:[ \t]+for[ \t]+[^\n:]{0,60})?|human|user|assistant")
_KINDS = {"human role": "role", "user": "human"}
_TITLE_LABEL = re.compile(r"activity[ \t]*+:[ \t]*+", re.IGNORECASE)
_ROLE_IN_TITLE = re.compile(r"[-\u2013\u2014,;(][ \t]*+human role[ \t]*+:", re.IGNORECASE)


class Round(NamedTuple):
    """One utterance of the human, and the assistant's answer."""

    human: str
    assistant: str


class Conversation(NamedTuple):
    """One conversation: the activity, the role of the human, the reason why it fits, and the rounds in order."""

    activity: str
    role: str
    reason: str
    rounds: tuple[Round, ...]


class Conversations(NamedTuple):
    """The conversations of one answer; `problems` and `notes` as in `Parsed`."""

    conversations: tuple[Conversation, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_conversations(text: str, needs_reason: bool = True) -> Conversations:
    """Parse the conversations of an unchanged model answer; the module docstring has the form and the rules.

    Without `needs_reason`, a conversation in lines may have no reason, which is "" then. Returns the complete
    conversations, the problems (any problem makes the whole answer invalid) and harmless notes. Raises nothing.
    """
    answer = extract_answer(text)
    if not answer.text:
        return Conversations((), answer.problems, answer.notes)
    body = "\n" + answer.text
    headers, numbering_problems = _find_headers(body)
    start = find_json(body, 0, headers[0].start if headers else len(body))
    if start >= 0:
        return _from_json(body, start, answer)
    split = split_sections(body, headers)
    groups = list(_group_by_conversation(split.sections))
    problems = [*answer.problems, *numbering_problems, *split.problems]
    problems += ["line that may be a header"] * any(header.kind.endswith("?") for header in headers)
    conversations, notes = [], list(answer.notes)
    if not groups:
        problems.append("no conversation")
    elif split.before:
        notes.append("text before the first conversation")
    for group in groups:
        conversation, wrong, has_title = _read_conversation(group, needs_reason)
        problems += wrong
        notes += ["title of a round"] * has_title
        conversations += [conversation] if conversation and not wrong else []
    problems += character_problems([section.text for section in split.sections])
    notes += ["text after the last fence"] * split.after
    return Conversations(tuple(conversations), unique(problems), unique(notes))


def _from_json(body: str, start: int, answer: AnswerText) -> Conversations:
    """Read `{"conversation_1": {"activity", "role", "reason", "round_1": {"human", "assistant"}, ...}, ...}`."""
    around = ("text before the first conversation", "text after the JSON")
    document, problems, notes = read_only_document(body, start, around)
    items = numbered_members(document, "conversation")
    problems = [*answer.problems, *problems]
    if not items and not problems:
        problems.append("no conversation")
    conversations, decoded = [], []
    for item in items:
        fields = text_members(item, "activity", "role", "reason")
        turns = [text_members(turn, "human", "assistant") for turn in numbered_members(item, "round")]
        decoded += [*fields, *(text for turn in turns for text in turn)]
        found = {name: [text] for name, text in zip(("activity", "role", "reason"), fields, strict=True)}
        wrong = _field_problems(found) + ["conversation without a round"] * (not turns)
        wrong += [f"empty {who}" for who, texts in zip(("human", "assistant"), zip(*turns, strict=True), strict=False)
                  if any(map(is_empty, texts))]  # fmt: skip
        problems += wrong
        if not wrong:
            rounds = tuple(Round(strip(human), strip(assistant)) for human, assistant in turns)
            activity, role, reason = map(strip, fields)
            conversations.append(Conversation(activity, role, reason, rounds))
    problems += decoding_problems(decoded)
    return Conversations(tuple(conversations), unique(problems), unique((*answer.notes, *notes)))


def _find_headers(body: str) -> tuple[list[Header], list[str]]:
    """Return the headers in order, and the problems of their numbers."""
    titles, numbers = [], []
    for match in _TITLE.finditer(body):
        opened, word, number, before, after = match.groups()
        closing = "" if before or after else opened[::-1]
        titles.append(Header(match.start(), match.end(), word.lower(), closing))
        numbers.append((word.lower(), int(number)))
    headers: list[Header] = []
    in_rounds = True  # there is no role or reason before the first conversation
    for header in sorted([*titles, *find_headers(body, _FIELDS)]):
        kind = "reason" if header.kind.startswith("reason ") else _KINDS.get(header.kind, header.kind)
        if kind in ("conversation", "round", "human", "assistant"):
            in_rounds = kind != "conversation"
        elif in_rounds and not kind.startswith(("human", "assistant")):
            continue
        headers.append(header._replace(kind=kind))
    return headers, _numbering_problems(numbers)


def _numbering_problems(numbers: Sequence[tuple[str, int]]) -> list[str]:
    """Return the problems of the numbers of conversations and rounds: gaps are allowed, steps back are not."""
    problems = []
    last = {"conversation": 0, "round": 0}
    for word, number in numbers:
        if number <= last[word]:
            problems.append(f"{word}s are not counted up")
        last[word] = number
        if word == "conversation":
            last["round"] = 0
    return problems


def _group_by_conversation(sections: Sequence[Section]) -> Iterator[list[Section]]:
    """Yield the sections of each conversation; the first group also has the sections before it."""
    group: list[Section] = []
    started = False
    for section in sections:
        if section.kind == "conversation" and started:
            yield group
            group = []
        started = started or section.kind == "conversation"
        group.append(section)
    if started:
        yield group


def _read_conversation(group: Sequence[Section], needs_reason: bool) -> tuple[Conversation | None, list[str], bool]:
    """Return one conversation, its problems, and whether one of its rounds has a title."""
    problems: list[str] = []
    found: dict[str, list[str]] = {"activity": [], "role": [], "reason": []}
    first = next(index for index, section in enumerate(group) if section.kind == "conversation")
    if first:
        problems.append("text under no conversation")
    for section in group[first:]:
        if section.kind == "conversation":
            activity, role, has_rest = _split_title(section.text)
            found["activity"] += [activity] * bool(activity)
            found["role"] += [role] * bool(role)
            problems += ["text of no speaker"] * has_rest
        elif section.kind in found:
            found[section.kind].append(section.text)
    if not needs_reason and not found["reason"]:
        del found["reason"]
    rounds, wrong, has_title = _read_rounds(group[first:])
    problems += _field_problems(found) + wrong
    problems += ["conversation without a round"] * (not rounds and not wrong)
    if problems:
        return None, problems, has_title
    reason = found.get("reason", [""])[0]
    return Conversation(found["activity"][0], found["role"][0], reason, tuple(rounds)), [], has_title


def _split_title(text: str) -> tuple[str, str, bool]:
    """Return the activity and the role in the title of a conversation, and whether more lines follow."""
    line, _, rest = text.partition("\n")
    line = strip(line)
    label = _TITLE_LABEL.match(line)
    line = line[label.end() :] if label else line
    has_rest, match = bool(strip(rest)), _ROLE_IN_TITLE.search(line)
    if match is None:
        return line, "", has_rest
    role = strip(line[match.end() :])
    return strip(line[: match.start()]), role.removesuffix(")") if match[0][0] == "(" else role, has_rest


def _field_problems(found: dict[str, list[str]]) -> list[str]:
    problems = []
    for name, plural in (("activity", "activities"), ("role", "roles"), ("reason", "reasons")):
        if name not in found:
            continue
        texts = set(found[name])
        if not texts or any(map(is_empty, texts)):
            problems.append(f"conversation without {'an' if name == 'activity' else 'a'} {name}")
        elif len(texts) > 1:
            problems.append(f"two {plural} in one conversation")
    return problems


def _read_rounds(sections: Sequence[Section]) -> tuple[list[Round], list[str], bool]:
    """Return the rounds of a conversation, their problems, and whether one of them has a title."""
    rounds: list[Round] = []
    problems: list[str] = []
    human: str | None = None
    unexpected = "assistant without a human"  # the problem if an answer comes now
    in_round = -1  # exchanges below the heading of the current round; -1 before any heading
    has_title = False
    for kind, text in [*sections, Section("round", "")]:
        if kind == "round":
            unanswered = human is not None
            problems += ["human without an assistant"] * unanswered + ["empty round"] * (
                in_round == 0 and not unanswered
            )
            human, unexpected, in_round = None, "assistant without a human", 0
            has_title = has_title or bool(text)
            problems += ["text of no speaker"] * ("\n" in text)
        elif kind == "human":
            problems += ["human without an assistant"] * (human is not None)
            human, unexpected = text, "two answers of the assistant"
        elif kind == "assistant" and human is None:
            problems.append(unexpected)
        elif kind == "assistant" and human is not None:
            problems += ["empty human"] * is_empty(human) + ["empty assistant"] * is_empty(text)
            problems += ["two exchanges in one round"] * (in_round == 1)
            rounds.append(Round(human, text))
            human, in_round = None, in_round + 1 if in_round >= 0 else -1
    return rounds, problems, has_title
