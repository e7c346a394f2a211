"""Question and answer pairs out of a model's answer, whatever of the usual forms it comes in, or the reason why not.

The line form is what in-context examples teach (see `render_pairs`), and what models make of it:

    Question: What is on the table?      1. **Question:** What is ...      ### Question 1      Question:
    Answer: A red cup.                   **Answer:** A red cup.            What is on ...      What is on the table?
                                                                           ### Answer 1        ===
                                                                           A red cup.          Answer: ...

JSON is read where it begins before the first header: an array of pairs, an object that holds one, a single pair, or
JSON Lines, with the keys question and answer, instruction and response or output, q and a.

Rules for what could be read in two ways:

- A header begins its line: `The question: why?` is text. What a model says behind its last answer can't be told from
  that answer, so it stays.
- `Q:` and `A:` are headers only where no `Question:` and no `Answer:` is. Where a `B:` is as well, they may be choices
  or speakers, and that is a problem.
- Rules (`---`, `===`) on the last lines before a header or the end belong to the layout. So do labels that count on
  (`### Pair 2`, `2.`) where the first of them stands before the first header.
- All other text is kept byte for byte, but for the white space around it, or the answer has a problem. Nothing is
  repaired.

Problems are short and always spelt the same, to be counted: "answer is empty", "no question and answer pair",
"question without an answer", "answer without a question", "two answers to one question", "empty question", "empty
answer", "line that may be a header", "A: and B: may be choices or speakers", "header inside a code fence", "code fence
without an end", "text between code fences", "text behind a separator", "heading between pairs", "thinking block without
an end", "thinking block inside the answer", "not valid JSON", "duplicate key in the JSON", "two JSON documents", "pairs
outside of the JSON", "JSON item that is no pair", "two questions in one JSON item", "question is not text", "answer is
not text", "LaTeX command decoded as an escape", "control character", "half of a surrogate pair".

Notes: "thinking block", "text before the first question", "text after the last fence", "text after the JSON", "other
keys in the JSON", "the same JSON twice".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.answers.parsing.answer_text import character_problems, extract_answer, is_empty, strip, unique
from syphus.answers.parsing.json_answers import decoding_problems, find_json, is_fence_or_nothing, read_documents
from syphus.answers.parsing.sections import Header, Section, find_headers, header_pattern, split_sections
from syphus.types import Pair, Parsed

_HEADERS = header_pattern("question|answer|[qab]")
QUESTION_KEYS = frozenset({"question", "instruction", "q"})  #: of a pair in JSON, in any case
ANSWER_KEYS = frozenset({"answer", "response", "output", "a"})


def parse_pairs(text: str) -> Parsed:
    """Reads the question and answer pairs of a model's answer; the module's text has the forms and the rules.

    Takes the answer as it came. Gives the pairs that could be read, the problems (any one makes the answer invalid as a
    whole) and harmless notes. Raises nothing, whatever the text holds.
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
    """Writes pairs as in-context examples show them: `Question: ...`, `Answer: ...`, a blank line between pairs.

    `parse_pairs` gives the same pairs back, unless a text of theirs has white space around it, a line that looks like a
    header, a rule as its last line, or a code fence without an end.
    """
    return "\n\n".join(f"Question: {pair.instruction}\nAnswer: {pair.answer}" for pair in pairs)


def _choose_headers(found: list[Header]) -> tuple[list[Header], list[str]]:
    """Leaves out the short headers where there is a long one, and names why what is left may be no header."""
    kinds = {header.kind for header in found}
    if kinds <= {"question", "answer"} or kinds <= {"q", "a"}:
        return found, []
    if kinds <= {"q", "a", "b"}:
        short = [header for header in found if header.kind != "b"]
        return short, ["A: and B: may be choices or speakers"] * bool(short)
    long = [header for header in found if header.kind in ("question", "answer")]
    return long, ["line that may be a header"] * any(kind.endswith("?") for kind in kinds)


def _from_lines(body: str, headers: Sequence[Header], problems: list[str]) -> Parsed:
    """Reads the line form."""
    split = split_sections(body, headers)
    pairs, unpaired = _pair_up(split.sections)
    problems = problems + split.problems + unpaired + character_problems([section.text for section in split.sections])
    notes = ["text before the first question"] * split.before + ["text after the last fence"] * split.after
    return Parsed(tuple(pairs), unique(problems), tuple(notes) if split.sections else ())


def _pair_up(sections: Sequence[Section]) -> tuple[list[Pair], list[str]]:
    """Joins each question with the answer that follows it at once."""
    pairs: list[Pair] = []
    problems: list[str] = []
    question: str | None = None
    wanted = "answer without a question"
    for kind, text in sections:
        if kind[0] == "q":
            if question is not None:
                problems.append("question without an answer")
            question, wanted = text, "two answers to one question"
        elif question is None:
            problems.append(wanted)
        else:
            problems += _add_pair(pairs, question, text)
            question = None
    if question is not None:
        problems.append("question without an answer")
    return pairs, problems if sections else ["no question and answer pair"]


def _add_pair(pairs: list[Pair], question: str, answer: str) -> list[str]:
    """Adds a pair when both of it say something, and names what is empty when not."""
    if is_empty(question) or is_empty(answer):
        return ["empty question"] * is_empty(question) + ["empty answer"] * is_empty(answer)
    pairs.append(Pair(question, answer))
    return []


def _from_json(body: str, start: int, headers: Sequence[Header]) -> Parsed:
    """Reads the JSON form."""
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
        wrong, more_notes = _check_after_json(body, start, read.end)
        problems += wrong + ["pairs outside of the JSON"] * any(header.start >= read.end for header in headers)
        notes += more_notes
    return Parsed(tuple(pairs), unique(problems), unique(notes + ["other keys in the JSON"] * has_other_keys))


def _items(values: Sequence[object]) -> tuple[Sequence[object], bool]:
    """Gives what should be the pairs: the documents, or the array in the only one; and whether that has other keys."""
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
    """Says whether a pair has members that are neither question nor answer."""
    names = QUESTION_KEYS | ANSWER_KEYS
    return isinstance(item, dict) and _is_like_a_pair(item) and any(key.strip().lower() not in names for key in item)


def _values(item: dict[str, object], names: frozenset[str]) -> list[object]:
    """Gives the values of all keys that are one of the names, in any case."""
    return [value for key, value in item.items() if key.strip().lower() in names]


def _read_item(item: object) -> tuple[list[str], list[str]]:
    """Gives an item's question and answer as they were decoded, and why they are no pair."""
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
    return texts, [problem for problem, found in problems.items() if found]


def _check_after_json(body: str, start: int, end: int) -> tuple[list[str], list[str]]:
    """Gives the problems and notes about what stands behind the JSON, which was read from `start` to `end`."""
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
