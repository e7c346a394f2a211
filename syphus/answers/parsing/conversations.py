r"""Conversations of rounds out of a model's answer: the form of scene navigation.

    Conversation 1 - Hold a party          ### Conversation 1: Hold a party      **Conversation 1 - Hold a party**
    Human role: A college student          - **Human role:** A college student   **Role**: A college student
    reason: There are many seats.          - **Reason:** There are many seats.   **Reason for choosing it:** There are
    Round 1:                               #### Round 1                          many seats.
    Human: Where can we sit?               **Human:** Where can we sit?          **Round 1**
    Assistant: On the two sofas.           **Assistant:** On the two sofas.      User: Where can we sit?
    Round 2: ...                           ...                                   Assistant: ...

Rules for what could be read in two ways:

- `Conversation 1` and `Round 1` begin their line, and a dash, a colon or the end of the line follows the number.
- Role, reason and activity are headers before the first round only: later, `Reason: ...` is what somebody says.
- The role may stand behind the activity, as in a list of candidates: `Hold a party - Human role: A college student`.
- A round is what a human says and what the assistant answers. `Round 1` may be missing, and has a title at most.

What is said is kept byte for byte, but for the white space around it, or the answer has a problem.

Problems, besides those of code fences, thinking blocks and characters (see `pairs.py`): "answer is empty", "no
conversation", "text under no conversation", "conversation without an activity", "conversation without a role",
"conversation without a reason", "conversation without a round", "two activities in one conversation", "two roles in one
conversation", "two reasons in one conversation", "human without an assistant", "assistant without a human", "two
answers of the assistant", "empty human", "empty assistant", "empty round", "two exchanges in one round", "text of no
speaker", "line that may be a header", "conversations are not counted up", "rounds are not counted up".

Notes: "thinking block", "text before the first conversation", "text after the last fence", "title of a round".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from syphus.answers.parsing.answer_text import character_problems, extract_answer, is_empty, strip, unique
from syphus.answers.parsing.sections import Header, Section, find_headers, header_pattern, split_sections

_TITLE = re.compile(
    r"\n[ \t>#]*+(?:[-+*\u2022][ \t]++)?([*_]*+)(conversation|round)[ \t]*+#?(\d{1,4})([*_]*+)[ \t]*+"
    r"(?:[:\uff1a.\-\u2013\u2014]([*_]*+)|(?=\r?(?:\n|\Z)))",
    re.IGNORECASE,
)
_FIELDS = header_pattern(r"human role|role|activity|reason(?:[ \t]+for[ \t]+[^\n:]{0,60})?|human|user|assistant")
_KINDS = {"human role": "role", "user": "human"}
_TITLE_LABEL = re.compile(r"activity[ \t]*+:[ \t]*+", re.IGNORECASE)
_ROLE_BEHIND = re.compile(r"[-\u2013\u2014,;(][ \t]*+human role[ \t]*+:", re.IGNORECASE)


class Round(NamedTuple):
    """What a human says, and what the assistant answers."""

    human: str
    assistant: str


class Conversation(NamedTuple):
    """One conversation: what is done, who asks, why it fits, and the rounds in their order."""

    activity: str
    role: str
    reason: str
    rounds: tuple[Round, ...]


class Conversations(NamedTuple):
    """What was read out of one answer; `problems` and `notes` as in `Parsed`."""

    conversations: tuple[Conversation, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_conversations(text: str) -> Conversations:
    """Reads the conversations of a model's answer; the module's text has the form and the rules.

    Takes the answer as it came. Gives the conversations that are whole, the problems (any one makes the answer invalid
    as a whole) and harmless notes. Raises nothing, whatever the text holds.
    """
    answer = extract_answer(text)
    if not answer.text:
        return Conversations((), answer.problems, answer.notes)
    body = "\n" + answer.text
    headers, counted = _find(body)
    split = split_sections(body, headers)
    groups = list(_by_conversation(split.sections))
    problems = [*answer.problems, *counted, *split.problems]
    problems += ["line that may be a header"] * any(header.kind.endswith("?") for header in headers)
    conversations, notes = [], list(answer.notes)
    if not groups:
        problems.append("no conversation")
    elif split.before:
        notes.append("text before the first conversation")
    for group in groups:
        conversation, wrong, title = _read(group)
        problems += wrong
        notes += ["title of a round"] * title
        conversations += [conversation] if conversation and not wrong else []
    problems += character_problems([section.text for section in split.sections])
    notes += ["text after the last fence"] * split.after
    return Conversations(tuple(conversations), unique(problems), unique(notes))


def _find(body: str) -> tuple[list[Header], list[str]]:
    """The headers in their order, and the problems with their numbers."""
    titles, numbers = [], []
    for match in _TITLE.finditer(body):
        opened, word, number, before, behind = match.groups()
        closing = "" if before or behind else opened[::-1]
        titles.append(Header(match.start(), match.end(), word.lower(), closing))
        numbers.append((word.lower(), int(number)))
    headers: list[Header] = []
    talking = True  # before the first conversation nothing has a role or a reason
    for header in sorted([*titles, *find_headers(body, _FIELDS)]):
        kind = "reason" if header.kind.startswith("reason ") else _KINDS.get(header.kind, header.kind)
        if kind in ("conversation", "round", "human", "assistant"):
            talking = kind != "conversation"
        elif talking and not kind.startswith(("human", "assistant")):
            continue
        headers.append(header._replace(kind=kind))
    return headers, _counting_problems(numbers)


def _counting_problems(numbers: Sequence[tuple[str, int]]) -> list[str]:
    """What is wrong with the numbers of conversations and rounds: gaps are not, and steps back are."""
    problems = []
    last = {"conversation": 0, "round": 0}
    for word, number in numbers:
        if number <= last[word]:
            problems.append(f"{word}s are not counted up")
        last[word] = number
        if word == "conversation":
            last["round"] = 0
    return problems


def _by_conversation(sections: Sequence[Section]) -> Iterator[list[Section]]:
    """The sections of each conversation; those before the first are a group only where something speaks there."""
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


def _read(group: Sequence[Section]) -> tuple[Conversation | None, list[str], bool]:
    """One conversation, what is wrong with it, and whether a round of it has a title."""
    problems: list[str] = []
    found: dict[str, list[str]] = {"activity": [], "role": [], "reason": []}
    first = next(index for index, section in enumerate(group) if section.kind == "conversation")
    if first:
        problems.append("text under no conversation")
    for section in group[first:]:
        if section.kind == "conversation":
            activity, role, rest = _title(section.text)
            found["activity"] += [activity] * bool(activity)
            found["role"] += [role] * bool(role)
            problems += ["text of no speaker"] * rest
        elif section.kind in found:
            found[section.kind].append(section.text)
    rounds, wrong, has_title = _rounds(group[first:])
    problems += _field_problems(found) + wrong
    problems += ["conversation without a round"] * (not rounds and not wrong)
    if problems:
        return None, problems, has_title
    return Conversation(found["activity"][0], found["role"][0], found["reason"][0], tuple(rounds)), [], has_title


def _title(text: str) -> tuple[str, str, bool]:
    """The activity and the role in the line of a conversation, and whether there is more than that line."""
    line, _, rest = text.partition("\n")
    line = strip(line)
    label = _TITLE_LABEL.match(line)
    line = line[label.end() :] if label else line
    behind = _ROLE_BEHIND.search(line)
    if behind is None:
        return line, "", bool(strip(rest))
    role = strip(line[behind.end() :])
    return strip(line[: behind.start()]), role.removesuffix(")") if behind[0][0] == "(" else role, bool(strip(rest))


def _field_problems(found: dict[str, list[str]]) -> list[str]:
    problems = []
    for name, plural in (("activity", "activities"), ("role", "roles"), ("reason", "reasons")):
        texts = set(found[name])
        if not texts or any(map(is_empty, texts)):
            problems.append(f"conversation without {'an' if name == 'activity' else 'a'} {name}")
        elif len(texts) > 1:
            problems.append(f"two {plural} in one conversation")
    return problems


def _rounds(sections: Sequence[Section]) -> tuple[list[Round], list[str], bool]:
    """The exchanges of a conversation, what is wrong with them, and whether a round has a title."""
    rounds: list[Round] = []
    problems: list[str] = []
    human: str | None = None
    wanted = "assistant without a human"
    in_round = -1  # exchanges under the heading of the round at hand; before any heading they are not counted
    has_title = False
    for kind, text in [*sections, Section("round", "")]:
        if kind == "round":
            unanswered = human is not None
            problems += ["human without an assistant"] * unanswered + ["empty round"] * (
                in_round == 0 and not unanswered
            )
            human, wanted, in_round = None, "assistant without a human", 0
            has_title = has_title or bool(text)
            problems += ["text of no speaker"] * ("\n" in text)
        elif kind == "human":
            problems += ["human without an assistant"] * (human is not None)
            human, wanted = text, "two answers of the assistant"
        elif kind == "assistant" and human is None:
            problems.append(wanted)
        elif kind == "assistant" and human is not None:
            problems += ["empty human"] * is_empty(human) + ["empty assistant"] * is_empty(text)
            problems += ["two exchanges in one round"] * (in_round == 1)
            rounds.append(Round(human, text))
            human, in_round = None, in_round + 1 if in_round >= 0 else -1
    return rounds, problems, has_title
