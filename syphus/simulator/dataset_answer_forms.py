"""Forms of answers other than pairs in lines or JSON.

Conversations of rounds, multiple choice, texts under keys, the blocks of LLaVA, plain text, the verdict of a judge, and
the description of a task.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import orjson

from syphus.simulator.answer_form_types import (
    DEFECTS,
    MADE_UP,
    AnswerInput,
    Form,
    Writer,
    with_leak_phrase,
    write_chatter,
    write_pairs,
)
from syphus.simulator.wording import lower_first, make_pairs

_CONVERSATION = re.compile(r"^\W*Conversation \d+", re.IGNORECASE | re.MULTILINE)
_HUMAN = re.compile(r"^\W*Human:", re.IGNORECASE | re.MULTILINE)
_CANDIDATE = re.compile(r"^(.+?) - Human role: (.+?)\s*$", re.MULTILINE)
_OPTION = re.compile(r"^\W*Options? \d+:", re.IGNORECASE | re.MULTILINE)
_QUESTION = re.compile(r"^\W*Question\b[ \d]*:", re.IGNORECASE | re.MULTILINE)
_SEPARATOR = re.compile(r"^===\s*$", re.MULTILINE)
_KEY = re.compile(r"([A-Za-z][^:\n]{0,60}):[ \t]")
_LAST_TEXT = re.compile(r"[^\n:]+\Z")

_ACTIVITIES = (("Hold a small party", "A host"), ("Read in peace", "A guest"), ("Do the cleaning", "A tenant"))
_WRONG_OPTIONS = (
    "The very opposite happens.",
    "It takes place under water.",
    "Everybody has left long before.",
    "It was snowing inside the house.",
    "A horse has done it.",
    "It is only a painting on the wall.",
    "Somebody has switched off the light.",
)
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_STEM = 4  # letters; words that begin with the same ones count as equal
_JSON = re.compile(r"\{.*\}", re.DOTALL)
_CRITERIA = ("grounded", "complete", "clear", "natural")
_PAIR_CRITERIA = ("grounded", "answers", "hides_source", "form", "useful")
_TELLING = 3  # words
_EXAMPLE_QUESTION = re.compile(r"^Question: (.+)$", re.MULTILINE)

_ACTORS = ("A man", "A woman", "A boy", "A girl", "Somebody", "A juggler", "A cook", "A cyclist")
_ACTIONS = ("slips on a wet floor", "hides behind a curtain", "balances a stack of cups", "opens the wrong door",
          "pulls a scarf out of a hat", "sits down beside the chair", "throws a ball over the fence")  # fmt: skip
_REACTIONS = ("and everybody laughs", "to the surprise of all", "as if nothing had happened", "again and again")


def _form(
    name: str,
    count_items: Callable[[str], int],
    is_requested_by: Callable[[str], bool],
    write: Writer,
    separator: str,
) -> Form:
    """Return a form whose items are separated by `separator`."""

    def changed(change: Callable[[str], str]) -> Writer:
        return lambda source, random: change(write(source, random))

    return Form(
        name,
        count_items,
        is_requested_by,
        write,
        {
            "chatter": write_chatter,
            "unpaired": changed(lambda text: text.rpartition("\n")[0]),
            "numbered_headers": changed(lambda text: re.sub(r"^([A-Z][\w -]*:)", r"**\1**", text, flags=re.MULTILINE)),
            "greeting": changed(lambda text: f"Sure! Here is what you have asked for:\n\n{text}"),
            "leak_phrase": changed(
                lambda text: _LAST_TEXT.sub(lambda last: f" {with_leak_phrase(last[0].strip())}", text)
            ),
            "one_pair": changed(lambda text: text.partition(separator)[0]),
        },
    )


def _never(_: str) -> bool:
    return False


def _counting(item: re.Pattern[str], sign: re.Pattern[str]) -> Callable[[str], int]:
    """Return a function that counts the items of an example; 0 if it does not have the `sign` of the form."""
    return lambda example: len(item.findall(example)) if sign.search(example) else 0


def _write_conversations(source: AnswerInput, random: Random) -> str:
    conversations = len(_CONVERSATION.findall(source.example))
    rounds = len(_HUMAN.findall(source.example)) // conversations if conversations else 3
    candidates = _CANDIDATE.findall(source.annotation) or list(_ACTIVITIES)
    chosen = random.sample(candidates, min(source.count, len(candidates)))
    return "\n\n".join(
        _conversation(number, activity, role, rounds, source, random)
        for number, (activity, role) in enumerate(chosen, 1)
    )


def _conversation(number: int, activity: str, role: str, rounds: int, source: AnswerInput, random: Random) -> str:
    lines = [
        f"Conversation {number} - {activity}",
        f"Human role: {role}",
        f"reason: {random.choice(source.facts) if source.facts else 'There is enough room.'}",
    ]
    for turn, pair in enumerate(make_pairs(source.facts, rounds, False, random), 1):
        # The activity makes the question unique: no two conversations ask the same.
        question = f"Now that we are here for this: {activity}, {lower_first(pair.instruction)}"
        lines += [f"Round {turn}:", f"Human: {question}", f"Assistant: {pair.answer}"]
    return "\n".join(lines)


def _write_choices(source: AnswerInput, random: Random) -> str:
    first = source.example.lower().partition("answer")[0]
    count = len(_OPTION.findall(first)) or 4
    return "\n\n".join(_choice(pair.instruction, pair.answer, count, random) for pair in write_pairs(source, random))


def _choice(question: str, right: str, count: int, random: Random) -> str:
    options = random.sample(_WRONG_OPTIONS, min(count - 1, len(_WRONG_OPTIONS)))
    position = random.randrange(count)
    options.insert(position, right)
    listed = [f"Options {number}: {option}" for number, option in enumerate(options, 1)]
    return "\n".join([f"Question: {question}", *listed, f"Answer: {position + 1}"])


def _keys(example: str) -> list[str]:
    """Return the keys of an example that has nothing but lines of `key: text` with different keys."""
    matches = [_KEY.match(line) for line in example.splitlines() if line.strip()]
    keys = [match[1] for match in matches if match]
    return keys if len(keys) == len(matches) == len(set(keys)) >= 2 else []


def _write_keyed_lines(source: AnswerInput, random: Random) -> str:
    keys = _keys(source.example)
    actors = random.sample(_ACTORS, min(len(keys), len(_ACTORS)))
    action, reaction = random.choice(_ACTIONS), random.choice(_REACTIONS)
    return "\n".join(f"{key}: {actor} {action}, {reaction}." for key, actor in zip(keys, actors, strict=False))


def _write_blocks(source: AnswerInput, random: Random) -> str:
    return "\n".join(
        f"Question:\n{pair.instruction}\n===\nAnswer:\n{pair.answer}\n===" for pair in write_pairs(source, random)
    )


def _write_plain_text(source: AnswerInput, random: Random) -> str:
    return " ".join(random.sample(source.facts, len(source.facts))) or "There is nothing special to be seen."


CONVERSATIONS = _form(
    "conversations of rounds",
    count_items=_counting(_CONVERSATION, _HUMAN),
    is_requested_by=lambda system_message: "Conversation 1" in system_message,
    write=_write_conversations,
    separator="\n\n",
)
CHOICES = _form(
    "multiple choice",
    count_items=_counting(_QUESTION, _OPTION),
    is_requested_by=lambda system_message: "Options 1" in system_message,
    write=_write_choices,
    separator="\n\n",
)
BLOCKS = _form(
    "blocks of question and answer",
    count_items=_counting(_QUESTION, _SEPARATOR),
    is_requested_by=lambda system_message: _SEPARATOR.search(system_message) is not None,
    write=_write_blocks,
    separator="===\nQuestion",
)
KEYED_LINES = _form(
    "texts under keys",
    count_items=lambda example: 1 if _keys(example) else 0,
    is_requested_by=_never,
    write=_write_keyed_lines,
    separator="\n",
)
PLAIN_TEXT = _form(
    "plain text",
    count_items=_never,
    is_requested_by=lambda system_message: "plain text" in system_message.lower(),
    write=_write_plain_text,
    separator=". ",
)


# About pairs: the verdict of a judge, and the description of a task


def _words(text: str) -> set[str]:
    return {word[:_STEM] for word in _LONG_WORD.findall(text.lower())}


def _write_verdict(source: AnswerInput, random: Random) -> str:  # noqa: ARG001 - a `Writer`
    """Grade pairs by how many of their words are in the annotation."""
    found = _JSON.search(source.annotation)
    data = orjson.loads(found[0]) if found else {}
    words = _words(" ".join(str(pair.get("answer", "")) for pair in data.get("pairs", [])))
    known = _words(str(data.get("annotation", "")))
    share = len(words & known) / len(words) if words else 0.0
    grade = 1 + round(4 * min(1.0, share / 0.7))
    verdict: dict[str, object] = dict.fromkeys(_CRITERIA, grade)
    return orjson.dumps({**verdict, "reason": f"{share:.0%} of it can be found in the annotation."}).decode()


def _write_pair_verdicts(source: AnswerInput, random: Random) -> str:
    """Find a pair grounded unless its answer is made up, or none of its words is in the question or the annotation.

    Of a question whose sound answer the judge knows, only this answer is grounded.
    """
    flaws = source.flaws
    found = _JSON.search(source.annotation)
    data = orjson.loads(found[0]) if found else {}
    annotation = _words(str(data.get("annotation", "")))
    verdicts = []
    for pair in data.get("pairs", []):
        words, known = _words(str(pair["answer"])), annotation | _words(str(pair["question"]))
        is_made_up = str(pair["answer"]) in MADE_UP or (len(words) >= _TELLING and not words & known)
        if pair["question"] in flaws.sound_pairs:
            is_made_up = pair["answer"] != flaws.sound_pairs[pair["question"]]
        errs = random.random() < (flaws.judge_misses if is_made_up else flaws.judge_alarms)
        passed = dict.fromkeys(_PAIR_CRITERIA, True) | {"grounded": is_made_up == errs}
        reason = "None of it is in the annotation." if is_made_up else "It is in the annotation."
        verdicts.append({"pair": pair["pair"], "reason": reason, **passed})
    return orjson.dumps({"verdicts": verdicts}).decode()


def _write_description(source: AnswerInput, random: Random) -> str:
    """Write a short and a long description of the pairs that the prompt shows."""
    questions = _EXAMPLE_QUESTION.findall(source.annotation)
    example = random.choice(questions) if questions else "What is there to be seen?"
    short = f"Answer questions about what is shown, such as: {example}"
    long = (
        f"{short} The questions are about objects, people and events; the answer is found by looking closely. "
        "Answers are full sentences, definite, and supported by what is to be seen."
    )
    return f"Short: {short}\nLong: {long}"


PAIR_VERDICTS = Form(
    "verdicts on pairs",
    count_items=lambda _: 0,
    is_requested_by=lambda system_message: '"verdicts"' in system_message and '"grounded"' in system_message,
    write=_write_pair_verdicts,
    defects=dict.fromkeys(DEFECTS, write_chatter),
)
VERDICT = Form(
    "verdict",
    count_items=lambda _: 0,
    is_requested_by=lambda system_message: '"grounded"' in system_message and '"reason"' in system_message,
    write=_write_verdict,
    defects=dict.fromkeys(DEFECTS, write_chatter),
)
DESCRIPTION = Form(
    "description of a task",
    count_items=lambda _: 0,
    is_requested_by=lambda system_message: "Short:" in system_message and "Long:" in system_message,
    write=_write_description,
    defects=dict.fromkeys(DEFECTS, write_chatter),
)
