"""Parses question and answer pairs in all their usual forms.

The line form is the one of in-context examples (see `render_pairs`), with the variations that models write:

    Question: What is on the table?      1. **Question:** What is ...      ### Question 1      Question:
    Answer: A red cup.                   **Answer:** A red cup.            What is on ...      What is on the table?
                                                                           ### Answer 1        ===
                                                                           A red cup.          Answer: ...

JSON is read if it begins before the first header: an array of pairs, an object with one array of pairs, a single pair,
or JSON Lines. The keys are question and answer, instruction and response or output, or q and a. An input, as in the
Alpaca format, belongs to its instruction: it is the next line of it.

Rules for ambiguous text:

- A header is at the start of its line: `The question: why?` is text. Remarks after the last answer look like a part of
  that answer, so they stay.
- `Q:` and `A:` are headers only if there is no `Question:` and no `Answer:`. If there is also a `B:`, they may be
  choices or speakers, which is a problem.
- Horizontal rules (`---`, `===`) on the last lines before a header or the end are layout. So are numbered labels
  (`### Pair 2`, `2.`) if the first of them is before the first header.
- All other text is kept byte for byte, without surrounding white space, or the answer has a problem. Nothing is
  repaired.

Problems are short and always worded the same, so that they can be counted: "answer is empty", "no question and answer
pair", "question without an answer", "answer without a question", "two answers to one question", "empty question",
"empty answer", "line that may be a header", "A: and B: may be choices or speakers", "header inside a code fence", "code
fence without an end", "text between code fences", "pairs inside and outside of a code fence", "text behind a
separator", "heading between pairs", "thinking block without an end", "thinking block inside the answer", "not valid
JSON", "duplicate key in the JSON", "two JSON documents", "pairs outside of the JSON", "JSON item that is no pair", "two
questions in one JSON item", "question is not text", "answer is not text", "input is not text", "answer is one of
options that are not in the question", "LaTeX command decoded as an escape", "control character", "half of a surrogate
pair".

Notes: "thinking block", "text before the first question", "text after the last fence", "text after the JSON", "other
keys in the JSON", "the same JSON twice".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from syphus.answers.parsing.answer_text import character_problems, extract_answer, is_empty, strip, unique
from syphus.answers.parsing.json_answers import decoding_problems, find_json, is_fence_or_nothing, read_documents
from syphus.answers.parsing.sections import Header, Section, find_headers, header_pattern, split_sections
from syphus.types import Pair

_HEADERS = header_pattern("question|answer|[qab]")
QUESTION_KEYS = frozenset({"question", "instruction", "q"})  #: of a pair in JSON, in any case
_INPUT_KEY = "input"  # of Alpaca's form: what the instruction is about
ANSWER_KEYS = frozenset({"answer", "response", "output", "a"})
_NO_INPUT = re.compile(r"<?no ?input>?|n/?a|none|null|-", re.IGNORECASE)
_LETTER = re.compile(r"\(?[A-Za-z][).:]?")  # of an option


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser found in one answer. Any problem makes the whole answer invalid: nothing is dropped silently."""

    pairs: tuple[Pair, ...] = ()
    problems: tuple[str, ...] = ()  #: such as "question without an answer"
    notes: tuple[str, ...] = ()  #: harmless, such as "text before the first question"


def parse_pairs(text: str) -> Parsed:
    """Parse the question and answer pairs of an unchanged model answer; the module docstring has the forms and rules.

    Returns the pairs that could be read, the problems (any problem makes the whole answer invalid) and harmless notes.
    Raises nothing.
    """
    answer = extract_answer(text)
    if not answer.text:
        return Parsed((), answer.problems, answer.notes)
    body = "\n" + answer.text
    headers, problems = _choose_headers(find_headers(body, _HEADERS))
    start = find_json(body, 0, headers[0].start if headers else len(body))
    parsed = _from_lines(body, headers, problems) if start < 0 else _from_json(body, start, headers)
    if not answer.problems and not answer.notes:
        return parsed
    return Parsed(parsed.pairs, answer.problems + parsed.problems, answer.notes + parsed.notes)


def render_pairs(pairs: Iterable[Pair]) -> str:
    """Write pairs as in in-context examples: `Question: ...`, `Answer: ...`, a blank line between pairs.

    `parse_pairs` returns the same pairs, unless one of their texts has surrounding white space, a line that looks like
    a header, a horizontal rule as its last line, or an unclosed code fence.
    """
    return "\n\n".join(f"Question: {pair.instruction}\nAnswer: {pair.answer}" for pair in pairs)


def _choose_headers(found: list[Header]) -> tuple[list[Header], list[str]]:
    """Drop short headers if there are long ones, and name the problems that remain."""
    kinds = {header.kind for header in found}
    if kinds <= {"question", "answer"} or kinds <= {"q", "a"}:
        return found, []
    if kinds <= {"q", "a", "b"}:
        short = [header for header in found if header.kind != "b"]
        return short, ["A: and B: may be choices or speakers"] * bool(short)
    long = [header for header in found if header.kind in ("question", "answer")]
    return long, ["line that may be a header"] * any(kind.endswith("?") for kind in kinds)


def _from_lines(body: str, headers: Sequence[Header], problems: list[str]) -> Parsed:
    """Parse the line form."""
    split = split_sections(body, headers)
    pairs, unpaired = _pair_up(split.sections)
    problems = problems + split.problems + unpaired + character_problems([section.text for section in split.sections])
    notes = ["text before the first question"] * split.before + ["text after the last fence"] * split.after
    return Parsed(tuple(pairs), unique(problems), tuple(notes) if split.sections else ())


def _pair_up(sections: Sequence[Section]) -> tuple[list[Pair], list[str]]:
    """Join each question with the answer that directly follows it."""
    pairs: list[Pair] = []
    problems: list[str] = []
    question: str | None = None
    unexpected = "answer without a question"
    for kind, text in sections:
        if kind[0] == "q":
            if question is not None:
                problems.append("question without an answer")
            question, unexpected = text, "two answers to one question"
        elif question is None:
            problems.append(unexpected)
        else:
            problems += _add_pair(pairs, question, text)
            question = None
    if question is not None:
        problems.append("question without an answer")
    return pairs, problems if sections else ["no question and answer pair"]


def _add_pair(pairs: list[Pair], question: str, answer: str) -> list[str]:
    """Add a pair, or return the problems if one of its texts is empty."""
    if is_empty(question) or is_empty(answer):
        return ["empty question"] * is_empty(question) + ["empty answer"] * is_empty(answer)
    pairs.append(Pair(question, answer))
    return []


def _from_json(body: str, start: int, headers: Sequence[Header]) -> Parsed:
    """Parse the JSON form."""
    read = read_documents(body, start)
    problems = list(read.problems)
    notes = [] if is_fence_or_nothing(body[:start]) else ["text before the first question"]
    items, has_other_keys = _items(read.values)
    if not items and not problems:
        problems.append("two JSON documents" if len(read.values) > 1 else "no question and answer pair")
    pairs: list[Pair] = []
    decoded: list[str] = []
    for item in items:
        texts, wrong = _read_item(item)
        decoded += texts
        problems += wrong or _add_pair(pairs, strip(texts[0]), strip(texts[1]))
        has_other_keys = has_other_keys or _has_other_keys(item)
    problems += decoding_problems(decoded)
    if not read.problems:
        after_json, more_notes = _check_after_json(body, start, read.end)
        problems += after_json + ["pairs outside of the JSON"] * any(header.start >= read.end for header in headers)
        notes += more_notes
    return Parsed(tuple(pairs), unique(problems), unique(notes + ["other keys in the JSON"] * has_other_keys))


def _items(values: Sequence[object]) -> tuple[Sequence[object], bool]:
    """Return what should be pairs (the documents, or the array in the only one), and whether there are other keys."""
    if len(values) != 1:
        return (values if all(map(_is_like_a_pair, values)) else []), False
    document = values[0]
    if isinstance(document, list):
        return document, False
    if not isinstance(document, dict) or _is_like_a_pair(document):
        return [document], False
    arrays = [value for value in document.values() if isinstance(value, list)]
    return (arrays[0], len(document) > 1) if len(arrays) == 1 else ([], False)


def _is_like_a_pair(value: object) -> bool:
    return isinstance(value, dict) and bool(_values(value, QUESTION_KEYS) or _values(value, ANSWER_KEYS))


def _has_other_keys(item: object) -> bool:
    """Return whether a pair has members that are neither question nor answer."""
    names = QUESTION_KEYS | ANSWER_KEYS | {_INPUT_KEY}
    return isinstance(item, dict) and _is_like_a_pair(item) and any(key.strip().lower() not in names for key in item)


def _values(item: Mapping[str, object], names: frozenset[str]) -> list[object]:
    """Return the values of all keys that are in `names`, ignoring case."""
    return [value for key, value in item.items() if key.strip().lower() in names]


def _read_item(item: object) -> tuple[list[str], list[str]]:
    """Return the decoded question and answer of an item, and the problems that prevent a pair."""
    members = item if isinstance(item, dict) else {}
    questions, answers = _values(members, QUESTION_KEYS), _values(members, ANSWER_KEYS)
    if not questions and not answers:
        return [], ["JSON item that is no pair"]
    problems = {
        "question without an answer": not answers,
        "answer without a question": not questions,
        "two questions in one JSON item": len(questions) > 1,
        "two answers to one question": len(answers) > 1,
        "question is not text": not all(isinstance(value, str) for value in questions),
        "answer is not text": not all(isinstance(value, str) for value in answers),
    }
    texts = [value for value in (*questions, *answers) if isinstance(value, str)]
    wrong = [problem for problem, found in problems.items() if found] + _other_problems(members, texts)
    given = next(iter(_values(members, frozenset({_INPUT_KEY}))), "")
    if not wrong and isinstance(given, str) and not is_empty(given) and not _NO_INPUT.fullmatch(strip(given)):
        texts[0] = f"{strip(texts[0])}\n{strip(given)}"
    return texts, wrong


def _other_problems(item: Mapping[str, object], texts: Sequence[str]) -> list[str]:
    """Return the problems of members without which the pair says something else."""
    given = _values(item, frozenset({_INPUT_KEY}))
    problems = ["input is not text"] * any(not isinstance(each, str | None) and each != [] for each in given)
    names = QUESTION_KEYS | ANSWER_KEYS | {_INPUT_KEY}
    lists = [
        value for key, value in item.items() if key.strip().lower() not in names and isinstance(value, list | dict)
    ]
    answer = strip(texts[-1]) if texts else ""
    points = any(len(each) > 1 and _LETTER.fullmatch(answer) for each in lists)
    return problems + ["answer is one of options that are not in the question"] * points


def _check_after_json(body: str, start: int, end: int) -> tuple[list[str], list[str]]:
    """Return problems and notes about the text after the JSON, which was read from `start` to `end`."""
    document = body[start:end]
    notes = []
    again = find_json(body, end, len(body))
    while again >= 0 and body.startswith(document, again):
        notes = ["the same JSON twice"]
        end = again + len(document)
        again = find_json(body, end, len(body))
    rest = body[end:]
    if again >= 0 or rest.lstrip(" \t")[:1] in ("[", "{"):
        return ["two JSON documents"], notes
    if strip(rest)[:1] in (",", "]", "}"):
        return ["not valid JSON"], notes
    return [], notes + ["text after the JSON"] * (not is_fence_or_nothing(rest))
