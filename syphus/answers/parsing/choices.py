r"""Parses multiple-choice questions.

    Question: Why is it funny?        **Question 1:** Why is it funny?      1. Question: Why is it funny?
    Options 1: He falls.              **Options:**                             (A) He falls.
    Options 2: He sings.              1. He falls.                             (B) He sings.
    Answer: 1                         2. He sings.                             Answer: (A) He falls.
                                      **Answer:** Option 1

Options are numbered from 1 or lettered from A: each below a header, as lines below `Options:`, or as the last lines of
the question. The answer is the number or letter of an option, optionally followed by its text, or the text alone. If
options are themselves numbers or letters, an answer that is the place of one and the text of another is a problem.

JSON is read if it begins before the first header: an object with `question_1`, `question_2`, ..., each of them with
`question`, `option_1`, `option_2`, ... and `answer`; or with the lists `questions` and `options` instead.

Texts are kept byte for byte, without surrounding white space, or the answer has a problem.

Problems, besides those of JSON, code fences, thinking blocks and characters (see `pairs.py`): "answer is empty", "no
question with options", "text under no question", "empty question", "question without options", "options are not
counted up", "text between options", "empty option", "two options are the same", "an option is marked" (as the right
one), "question without an answer", "two answers to one question", "answer is no option", "answer may be two options",
"answer and its text are different options", "line that may be a header".

Notes: "thinking block", "text before the first question", "text after the last fence", "text after the JSON",
"explanation of an answer".
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
from syphus.answers.parsing.sections import find_headers, header_pattern, split_sections

_HEADERS = header_pattern("question|options?|choices?|(?:correct[ \t]+)?answer|explanation")
_NUMBER = re.compile(r"(\d{1,4})\D*\Z")  # in the header of an option, after its word
_LINE = re.compile(r"(?:[-*\u2022][ \t]++)?[(\[*]*+(\d{1,2}|[A-Z])[)\].:]++\**+(?=[ \t]|\Z)")
_CHOSEN = re.compile(
    r"(?:options?[ \t]*+)?[(\[*]*+(\d{1,2}|[A-Za-z])(?![\w'])[)\]*.:,\-\u2013\u2014 \t]*+", re.IGNORECASE
)
_MARKED = re.compile(r"[\u2713\u2714\u2705]|[(\[*](?:correct|right)(?: answer| option)?[)\]*]", re.IGNORECASE)


class Choice(NamedTuple):
    """A question, its options, and the number of the right one, counted from 1."""

    question: str
    options: tuple[str, ...]
    answer: int


class Choices(NamedTuple):
    """The choices of one answer; `problems` and `notes` as in `Parsed`."""

    choices: tuple[Choice, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Part(NamedTuple):
    kind: str
    number: int  # of an option; 0 if its header has none
    text: str


def parse_choices(text: str) -> Choices:
    """Parse the multiple-choice questions of an unchanged model answer; the module docstring has the form and rules.

    Returns the complete questions, the problems (any problem makes the whole answer invalid) and harmless notes. Raises
    nothing.
    """
    answer = extract_answer(text)
    if not answer.text:
        return Choices((), answer.problems, answer.notes)
    body = "\n" + answer.text
    headers = find_headers(body, _HEADERS)
    start = find_json(body, 0, headers[0].start if headers else len(body))
    if start >= 0:
        return _from_json(body, start, answer)
    split = split_sections(body, headers)
    parts = [
        _Part(_section_kind(header.kind), _header_number(body[header.start : header.end]), section.text)
        for header, section in zip(headers, split.sections, strict=False)
    ]
    problems = [*answer.problems, *split.problems]
    if len(headers) != len(split.sections) or any(header.kind.endswith("?") for header in headers):
        problems.append("line that may be a header")
    choices, wrong = _read_choices(parts)
    problems += wrong + character_problems([section.text for section in split.sections])
    notes = [*answer.notes]
    notes += ["text before the first question"] * (split.before and bool(parts))
    notes += ["text after the last fence"] * split.after
    notes += ["explanation of an answer"] * any(part.kind == "explanation" for part in parts)
    return Choices(tuple(choices), unique(problems), unique(notes))


def _from_json(body: str, start: int, answer: AnswerText) -> Choices:
    """Read `{"question_1": {"question": ..., "option_1": ..., ..., "answer": "1"}, ...}`; `questions` may be a list."""
    document, problems, notes = read_only_document(
        body, start, ("text before the first question", "text after the JSON")
    )
    items = numbered_members(document, "question")
    problems = [*answer.problems, *problems]
    if not items and not problems:
        problems.append("no question with options")
    choices, decoded = [], []
    for item in items:
        question, right = text_members(item, "question", "answer")
        options = [text for text in numbered_members(item, "option") if isinstance(text, str)]
        place = item.get("answer") if isinstance(item, dict) else None
        right = str(place) if isinstance(place, int) and not isinstance(place, bool) else right
        decoded += [question, *options]
        bare = list(map(strip, options))
        wrong = ["empty question"] * is_empty(question) + _option_problems(bare)
        number, unanswered = _read_answer([right] * (not is_empty(right)), bare)
        problems += wrong + unanswered
        if not wrong and not unanswered:
            choices.append(Choice(strip(question), tuple(bare), number))
    return Choices(tuple(choices), unique(problems + decoding_problems(decoded)), unique((*answer.notes, *notes)))


def _section_kind(word: str) -> str:
    return "option" if word.startswith(("option", "choice")) else word.split()[-1]


def _header_number(header: str) -> int:
    after_word = re.search(r"(?:options?|choices?)(.*)", header, re.IGNORECASE | re.DOTALL)
    found = _NUMBER.search(after_word[1]) if after_word else None
    return int(found[1]) if found else 0


def _read_choices(parts: Sequence[_Part]) -> tuple[list[Choice], list[str]]:
    """Return the complete questions, and the problems of the others."""
    groups = list(_group_by_question(parts))
    choices, problems = [], ["no question with options"] * (not groups)
    if parts and parts[0].kind != "question":
        problems.append("text under no question")
    for group in groups:
        question, options, wrong = _read_options(group)
        problems += ["empty question"] * is_empty(question) + wrong
        number, unanswered = _read_answer([part.text for part in group if part.kind == "answer"], options)
        problems += unanswered
        if not wrong and not unanswered and not is_empty(question):
            choices.append(Choice(question, tuple(options), number))
    return choices, problems


def _group_by_question(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    starts = [index for index, part in enumerate(parts) if part.kind == "question"]
    for start, end in zip(starts, [*starts[1:], len(parts)], strict=False):
        yield list(parts[start:end])


def _read_options(group: Sequence[_Part]) -> tuple[str, list[str], list[str]]:
    """Return the question, its options, and their problems."""
    question = group[0].text
    headed = [part for part in group if part.kind == "option"]
    if len(headed) == 1 and not headed[0].number:
        rest, marks, options = _split_enumerated(headed[0].text)
        wrong = ["text between options"] * bool(rest)
    elif headed:
        marks, options, wrong = [str(part.number) for part in headed], [part.text for part in headed], []
    else:
        question, marks, options = _split_enumerated(question)
        wrong = []
    if len(options) < 2:
        return question, options, wrong or ["question without options"]
    counted = marks in ([str(number + 1) for number in range(len(marks))], [_letter(n) for n in range(len(marks))])
    wrong += ["options are not counted up"] * (not counted)
    return question, options, wrong + _option_problems(options)


def _option_problems(options: Sequence[str]) -> list[str]:
    wrong = ["question without options"] * (len(options) < 2)
    wrong += ["empty option"] * any(map(is_empty, options))
    wrong += ["two options are the same"] * (len(set(map(_normalize_option, options))) < len(options))
    return wrong + ["an option is marked"] * any(map(_MARKED.search, options))


def _split_enumerated(text: str) -> tuple[str, list[str], list[str]]:
    """Return the text before the enumerated lines at the end of a text, the marks of these lines, and their texts."""
    lines = text.split("\n")
    found = [(index, match) for index, line in enumerate(lines) if (match := _LINE.match(strip(line)))]
    if not found:
        return text, [], []
    starts = [index for index, _ in found]
    options = []
    for (start, match), end in zip(found, [*starts[1:], len(lines)], strict=True):
        lines[start] = strip(lines[start])[match.end() :]
        options.append(strip("\n".join(lines[start:end])))
    return strip("\n".join(lines[: starts[0]])), [match[1] for _, match in found], options


def _read_answer(texts: Sequence[str], options: Sequence[str]) -> tuple[int, list[str]]:
    """Return the number of the right option, counted from 1, and the problems of the answer."""
    if not texts:
        return 0, ["question without an answer"]
    if len(texts) > 1:
        return 0, ["two answers to one question"]
    bare = [_normalize_option(option) for option in options]
    by_text = bare.index(_normalize_option(texts[0])) + 1 if _normalize_option(texts[0]) in bare else 0
    chosen = _CHOSEN.match(texts[0])
    by_place = _option_number(chosen[1]) if chosen else 0
    if chosen is None or not 1 <= by_place <= len(options):
        return by_text, ["answer is no option"] * (not by_text)
    rest = _normalize_option(texts[0][chosen.end() :])
    if by_text and not rest and by_text != by_place:
        return 0, ["answer may be two options"]
    if by_text or not rest or rest == bare[by_place - 1]:
        return by_text or by_place, []
    return 0, ["answer and its text are different options" if rest in bare else "answer is no option"]


def _option_number(mark: str) -> int:
    return int(mark) if mark.isdigit() else ord(mark.upper()) - ord("A") + 1


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _normalize_option(text: str) -> str:
    """Return an option in the form for comparing: without quotes, bold marks and full stop, ignoring case."""
    return text.strip(" \t\r\n.\"'*()\u201c\u201d").casefold()
