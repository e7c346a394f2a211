"""Forms of answers that are no pairs in lines or JSON: conversations of rounds, multiple choice, texts under keys, the
blocks of LLaVA, and plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import orjson

from syphus.simulator.form_types import DEFECTS, AnswerInput, Form, Writer, with_leak_phrase, write_chatter, write_pairs
from syphus.simulator.wording import lower_first, make_pairs

_CONVERSATION = re.compile(r"^\W*Conversation \d+", re.IGNORECASE | re.MULTILINE)
_HUMAN = re.compile(r"^\W*Human:", re.IGNORECASE | re.MULTILINE)
_CANDIDATE = re.compile(r"^(.+?) - Human role: (.+?)\s*$", re.MULTILINE)
_OPTION = re.compile(r"^\W*Options? \d+:", re.IGNORECASE | re.MULTILINE)
_QUESTION = re.compile(r"^\W*Question\b[ \d]*:", re.IGNORECASE | re.MULTILINE)
_SEPARATOR = re.compile(r"^===\s*$", re.MULTILINE)
_KEY = re.compile(r"([A-Za-z][^:\n]{0,60}):[ \t]")
_LAST_TEXT = re.compile(r"[^\n:]+\Z")

_PASTIMES = (("Hold a small party", "A host"), ("Read in peace", "A guest"), ("Do the cleaning", "A tenant"))
_WRONG_OPTIONS = (
    "The very opposite happens.",
    "It takes place under water.",
    "Everybody has left long before.",
    "It was snowing inside the house.",
    "A horse has done it.",
    "It is only a painting on the wall.",
    "Somebody has switched off the light.",
)
_DOERS = ("A man", "A woman", "A boy", "A girl", "Somebody", "A juggler", "A cook", "A cyclist")
_DEEDS = ("slips on a wet floor", "hides behind a curtain", "balances a stack of cups", "opens the wrong door",
          "pulls a scarf out of a hat", "sits down beside the chair", "throws a ball over the fence")  # fmt: skip
_REACTIONS = ("and everybody laughs", "to the surprise of all", "as if nothing had happened", "again and again")


def _form(name: str, shown: Callable[[str], int], asked: Callable[[str], bool], write: Writer, gap: str) -> Form:
    """A form whose items stand apart by `gap`."""

    def spoilt(spoil: Callable[[str], str]) -> Writer:
        return lambda source, random: spoil(write(source, random))

    return Form(
        name,
        shown,
        asked,
        write,
        {
            "chatter": write_chatter,
            "unpaired": spoilt(lambda text: text.rpartition("\n")[0]),
            "numbered_headers": spoilt(lambda text: re.sub(r"^([A-Z][\w -]*:)", r"**\1**", text, flags=re.MULTILINE)),
            "greeting": spoilt(lambda text: f"Sure! Here is what you have asked for:\n\n{text}"),
            "leak_phrase": spoilt(
                lambda text: _LAST_TEXT.sub(lambda last: f" {with_leak_phrase(last[0].strip())}", text)
            ),
            "one_pair": spoilt(lambda text: text.partition(gap)[0]),
        },
    )


def _never(_: str) -> bool:
    return False


def _counting(item: re.Pattern[str], mark: re.Pattern[str]) -> Callable[[str], int]:
    """Counts the items of an example that has the form's mark; there are none in another."""
    return lambda example: len(item.findall(example)) if mark.search(example) else 0


def _write_conversations(source: AnswerInput, random: Random) -> str:
    shown = len(_CONVERSATION.findall(source.example))
    rounds = len(_HUMAN.findall(source.example)) // shown if shown else 3
    candidates = _CANDIDATE.findall(source.annotation) or list(_PASTIMES)
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
    for place, pair in enumerate(make_pairs(source.facts, rounds, False, random), 1):
        asked = f"Now that we are here for this: {activity}, {lower_first(pair.instruction)}"  # no other asks the same
        lines += [f"Round {place}:", f"Human: {asked}", f"Assistant: {pair.answer}"]
    return "\n".join(lines)


def _write_choices(source: AnswerInput, random: Random) -> str:
    first = source.example.lower().partition("answer")[0]
    many = len(_OPTION.findall(first)) or 4
    return "\n\n".join(_choice(pair.instruction, pair.answer, many, random) for pair in write_pairs(source, random))


def _choice(question: str, right: str, many: int, random: Random) -> str:
    options = random.sample(_WRONG_OPTIONS, min(many - 1, len(_WRONG_OPTIONS)))
    place = random.randrange(many)
    options.insert(place, right)
    listed = [f"Options {number}: {option}" for number, option in enumerate(options, 1)]
    return "\n".join([f"Question: {question}", *listed, f"Answer: {place + 1}"])


def _keys(example: str) -> list[str]:
    """The keys of an example that is nothing but different keys with their texts, a line each."""
    found = [_KEY.match(line) for line in example.splitlines() if line.strip()]
    keys = [match[1] for match in found if match]
    return keys if len(keys) == len(found) == len(set(keys)) >= 2 else []


def _write_keyed_lines(source: AnswerInput, random: Random) -> str:
    keys = _keys(source.example)
    doers = random.sample(_DOERS, min(len(keys), len(_DOERS)))
    deed, reaction = random.choice(_DEEDS), random.choice(_REACTIONS)
    return "\n".join(f"{key}: {doer} {deed}, {reaction}." for key, doer in zip(keys, doers, strict=False))


def _write_blocks(source: AnswerInput, random: Random) -> str:
    return "\n".join(
        f"Question:\n{pair.instruction}\n===\nAnswer:\n{pair.answer}\n===" for pair in write_pairs(source, random)
    )


def _write_plain_text(source: AnswerInput, random: Random) -> str:
    return " ".join(random.sample(source.facts, len(source.facts))) or "There is nothing special to be seen."


CONVERSATIONS = _form(
    "conversations of rounds",
    shown=_counting(_CONVERSATION, _HUMAN),
    asked=lambda system_message: "Conversation 1" in system_message,
    write=_write_conversations,
    gap="\n\n",
)
CHOICES = _form(
    "multiple choice",
    shown=_counting(_QUESTION, _OPTION),
    asked=lambda system_message: "Options 1" in system_message,
    write=_write_choices,
    gap="\n\n",
)
BLOCKS = _form(
    "blocks of question and answer",
    shown=_counting(_QUESTION, _SEPARATOR),
    asked=lambda system_message: _SEPARATOR.search(system_message) is not None,
    write=_write_blocks,
    gap="===\nQuestion",
)
KEYED_LINES = _form(
    "texts under keys",
    shown=lambda example: 1 if _keys(example) else 0,
    asked=_never,
    write=_write_keyed_lines,
    gap="\n",
)
PLAIN_TEXT = _form(
    "plain text",
    shown=_never,
    asked=lambda system_message: "plain text" in system_message.lower(),
    write=_write_plain_text,
    gap=". ",
)


# FOLDED from tasks.py:
# Forms of answers that are about pairs: the verdict of a judge, and the description of a task.

_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_STEM = 4  # letters by which two words are taken for the same
_JSON = re.compile(r"\{.*\}", re.DOTALL)
_CRITERIA = ("grounded", "complete", "clear", "natural")
_ASKED = re.compile(r"^Question: (.+)$", re.MULTILINE)


def _words(text: str) -> set[str]:
    return {word[:_STEM] for word in _LONG_WORD.findall(text.lower())}


def _write_verdict(source: AnswerInput, random: Random) -> str:  # noqa: ARG001 - as every writer
    """Numbers by how much of the pairs is in the annotation."""
    found = _JSON.search(source.annotation)
    data = orjson.loads(found[0]) if found else {}
    told = _words(" ".join(str(pair.get("answer", "")) for pair in data.get("pairs", [])))
    known = _words(str(data.get("annotation", "")))
    share = len(told & known) / len(told) if told else 0.0
    number = 1 + round(4 * min(1.0, share / 0.7))
    verdict: dict[str, object] = dict.fromkeys(_CRITERIA, number)
    return orjson.dumps({**verdict, "reason": f"{share:.0%} of it can be found in the annotation."}).decode()


def _write_description(source: AnswerInput, random: Random) -> str:
    """Two texts about the pairs that are shown."""
    asked = _ASKED.findall(source.annotation)
    example = random.choice(asked) if asked else "What is there to be seen?"
    short = f"Answer questions about what is shown, such as: {example}"
    long = (
        f"{short} The questions are about objects, people and events; the answer is found by looking closely. "
        "Answers are full sentences, definite, and supported by what is to be seen."
    )
    return f"Short: {short}\nLong: {long}"


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
