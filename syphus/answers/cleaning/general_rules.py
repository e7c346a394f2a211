"""The rules that apply to every dataset.

An answer must describe what can be seen, and must not mention the notes (the annotation) that the model was given. A
plugin switches a rule off by naming it in `without_rules`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from syphus.answers.cleaning.citations import CITATION_RULES
from syphus.answers.cleaning.doubtful_lines import DOUBTFUL_LINE_RULES
from syphus.answers.cleaning.endings import ENDING_RULES, OF_TEXT
from syphus.answers.cleaning.meta_commentary import REMARK_RULES
from syphus.answers.cleaning.non_answers import answers_its_question
from syphus.answers.cleaning.rules import (
    Check,
    Context,
    Drop,
    Reject,
    Repair,
    Rule,
    describe_match,
    searchable,
    straighten_apostrophes,
    texts_with_places,
)
from syphus.answers.cleaning.sent_texts import SentKind, is_mostly_foreign, split_words
from syphus.answers.cleaning.source_mentions import MENTION_RULES
from syphus.answers.cleaning.unfinished import UNFINISHED_RULES
from syphus.types import Pair

_NOT_QUOTED = r"(?<![\"\u201c])"  # not said by somebody in the image
_ABLE = (
    r"(?:assist|help|provide|see|view|access|answer|describe|determine|watch|tell|say|identify|compare|judge|give|know)"
)
_REFUSAL = (
    r"\bas an ai\b|\blanguage model\b|\bi(?:'m| am) (?:just |only )?an? (?:text-based )?(?:ai|assistant|chatbot)\b"
    rf"|{_NOT_QUOTED}\bi(?:'m| am) (?:sorry, (?:but )?i|unable to|not able to|afraid (?:that )?i (?:can|am|do))\b"
    rf"|{_NOT_QUOTED}\bi (?:can'?t|cannot|could not|couldn't) {_ABLE}\b"
    rf"|{_NOT_QUOTED}\bi (?:do not|don't) have (?:access|enough|the ability|any (?:access|information)|sufficient)\b"
    rf"|\bi apologi[sz]e, but\b|{_NOT_QUOTED}\b(?:sorry|unfortunately), (?:but )?i (?:can|am|do|need)"
    r"|\b(?:sorry|unfortunately), (?:but )?without the\b|\bi need to (?:see|view) the\b"
    r"|\bit(?:'s| is) (?:impossible|not possible) (?:for me )?to (?:tell|say|determine|answer|know)\b[^.]{0,80}"
    r"\b(?:without|from|given|based on|with) (?:the|this|these|what)\b"
    r"|\b(?:cannot|can't|can not) be (?:answered|determined)\b[^.]{0,80}"
    r"\b(?:information|given|provided|text|notes|description)\b"
    r"|\bthere (?:is|are) no images? (?:attached|provided|included|given)\b"
    r"|\b(?:text|context|input|information)\b[^.]{0,80}\bdoes(?:n't| not) (?:contain|provide|include|give) enough\b"
)
_REFUSAL_NEEDS = (
    "as an ai", "language model", "i'm ", "i am ", "i can", "i could", "i do", "i need", "sorry, ", "unfortunately",
    "apologi", "possible", "answered", "determined", "no image", "enough",
)  # fmt: skip
_CHAT_REMARK = (
    r"\n[^\S\n]*+(?:(?:please )?let me know if you(?:'d| would)? (?:need|want|like|prefer)\b"
    r"|(?:please )?feel free to ask\b|i hope (?:this|these|that|it) (?:helps?|works?|meets?)\b"
    r"|(?:would you like|do you want) me to\b|is there anything else\b"
    r"|note: (?:the|these|all|both) (?:pairs?|questions?|answers?)\b|\(?word count:)"
)
_CHAT_REMARK_NEEDS = ("let me know", "feel free", "i hope", " me to", "anything else", "note:", "word count")
_STUCK_WORDS = 4
_LONG_WORDS = 6  # a shorter sentence may come twice
_SENTENCE = re.compile(r"(?<![^.!?\n\u3002\uff01\uff1f])[^.!?\n\u3002\uff01\uff1f]++[.!?\u3002\uff01\uff1f]")
_QUOTATION_MARKS = '"\u201c\u201d\u300c'
_ENDS = ".!? "
_BLANK = ".\u2026_\u2013\u2014- "  # what a form leaves to be filled in
_BRACKETS = "<[{("
_IN_BRACKETS = re.compile(r"[<\[{(]{1,2}([^<>\[\]{}()\n]{1,60})[>\]})]{1,2}\.?")
_FIELDS = {
    "question": re.compile(r"\b(?:question|instruction|query)"),
    "answer": re.compile(r"\b(?:answer|response|output)"),
}
#: A label where a text should be: "Question 1", "Answer:", "Question: ...", and a text with the next label inside.
_LABEL_ALONE = re.compile(
    r"(?:(?:question|answer|instruction|response|pair)[ #]*\d{0,2}|[qa]\d{1,2})[ ]?(?::[ .\u2026]*)?\Z"
    r"|(?:question|answer):[ ]*(?:question|answer):",
    re.IGNORECASE,
)
_NEXT_LABEL = re.compile(
    r"(?<=[.?!])[ \n](?:===\n)?(?:Question|Answer)(?: \d{1,2})?:(?:\s|\Z)|\n(?:Question|Answer)(?: \d{1,2})?:(?:\s|\Z)"
    r"|<(?:question|answer)>|\n===\n?(?=\n|Question|\Z)"
)
_MODEL_MARKUP = re.compile(
    r"<[|\uff5c][\w\u2581/ .-]{1,40}[|\uff5c]>|</?s>|\[/?INST\]|<</?SYS>>"
    r"|</?(?:start|end)_of_turn>|<(?:eos|bos|pad|unk)>|</?(?:image|video|audio)>|\u2581(?=\w)|(?<!\u2581)\u2581++\Z|\ufffd",
    re.IGNORECASE,
)
_MARKUP_SIGNS = ("<", "[", "\u2581", "\ufffd")
#: Who asks about tokens, or names them, means the token itself.
_ABOUT_MARKUP = re.compile(r"\b(?:tokens?|toke?ni[sz]er|prompts?|templates?|tags?|markup|html)\b", re.IGNORECASE)


def _find_model_markup(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find special tokens of the model, except those that the pair itself is about."""
    questions = [pair.instruction for pair in pairs for _ in range(2)]
    for question, (place, text) in zip(questions, texts_with_places(pairs), strict=True):
        if not any(map(text.__contains__, _MARKUP_SIGNS)):
            continue
        for match in _MODEL_MARKUP.finditer(text):
            is_mentioned = _ABOUT_MARKUP.search(f"{question}\n{text}") and not _ends_text(text, match)
            if not is_mentioned and match[0] not in context.query.text:
                yield describe_match(place, match[0])


def _ends_text(text: str, match: re.Match[str]) -> bool:
    """Return whether a token follows the full stop of a text, where the model ends its turn."""
    return not text[match.end() :].strip() and text[: match.start()].rstrip()[-1:] in (".", "!", "?", "\u3002")


def _find_repeated_questions(pairs: Sequence[Pair], _: Context) -> Iterable[tuple[int, str]]:
    return _repeated(pairs, undressed_texts([pair.instruction for pair in pairs]), "question")


def _find_repeated_answers(pairs: Sequence[Pair], _: Context) -> Iterable[tuple[int, str]]:
    """Find repeated answers. Short ones ("On the left.") may answer two questions; from four words on, not three."""
    answers = undressed_texts([pair.answer for pair in pairs])
    if len(set(answers)) == len(answers):
        return ()
    counts = Counter(answers)
    known = {words for words in counts if _is_long(words) or (counts[words] > 2 and words.count(" ") > 2)}
    return _repeated(pairs, [words if words in known else "" for words in answers], "answer")


_CONTRACTED = re.compile(r"(?<=\w)'(s|re|ll|ve|m)\b|n't\b")
_WHOLE = {"s": " is", "re": " are", "ll": " will", "ve": " have", "m": " am"}
_SEPARATOR = "\0"  #: between texts; no white space, so that it stays
_DRESS = str.maketrans(dict.fromkeys('*_`~#.,;:!?"“”', " "))


def undressed(text: str) -> str:
    """Return a text in lower case without marks, bold, contractions and further spaces, to compare it with another."""
    text = straighten_apostrophes(text.casefold())
    if "'" in text:
        text = _CONTRACTED.sub(lambda found: _WHOLE.get(found[1] or "", " not"), text)
    return " ".join(text.translate(_DRESS).split())


def undressed_texts(texts: Sequence[str]) -> list[str]:
    """Return each text as `undressed` does; together they take a third of the time."""
    found = undressed(_SEPARATOR.join(texts)).split(_SEPARATOR)
    return list(map(str.strip, found)) if len(found) == len(texts) else list(map(undressed, texts))


def _repeated(pairs: Sequence[Pair], words: Sequence[str], part: str) -> Iterable[tuple[int, str]]:
    """Yield the pairs that repeat an earlier one. `words` are what to compare of each pair; "" is never a repetition.

    Pairs with ids such as `..._round2` form conversations, and each conversation is compared with itself only. Once a
    round is a repetition, the later rounds are yielded too: without it they would make no sense.
    """
    if len(set(words)) == len(words):
        return
    earlier: set[tuple[str, str]] = set()
    broken: set[str] = set()
    for index, (pair, said) in enumerate(zip(pairs, words, strict=True)):
        conversation = pair.id.rpartition("round")[0] if pair.id else ""
        if (said and (conversation, said) in earlier) or (conversation and conversation in broken):
            broken.add(conversation)
            yield index, describe_match(f"{part} {index + 1}", pair.answer if part == "answer" else pair.instruction)
        earlier.add((conversation, said))


def _is_long(text: str) -> bool:
    return text.count(" ") >= _LONG_WORDS - 1 or (not text.isascii() and len(split_words(text)) >= 2 * _LONG_WORDS)


def _find_repeated_sentences(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    """Find answers that say one sentence twice. Code and quotations may."""
    words = searchable(pairs)
    may_be_stuck = 3 * len(words.vocabulary) <= 2 * len(words.words) + 3 * _STUCK_WORDS
    for place, text in texts_with_places(pairs, "answer"):
        if "`" in text:
            continue
        if may_be_stuck and (found := _stuck_phrase(text)):
            yield describe_match(place, found)
        if text.count(".") + text.count("!") + text.count("\u3002") < 2:
            continue
        earlier: set[str] = set()
        for sentence in map(str.strip, _SENTENCE.findall(text.casefold())):
            if sentence in earlier and _is_long(sentence) and not any(map(sentence.__contains__, _QUOTATION_MARKS)):
                yield describe_match(place, sentence)
            earlier.add(sentence)


def _stuck_phrase(text: str) -> str:
    """Return a phrase of four or more words that comes three times, at most a word apart, as from a stuck model."""
    words = text.split()
    if len(words) < 3 * _STUCK_WORDS or len(set(words)) > len(words) * 2 // 3:
        return ""  # as nearly all texts
    words = undressed(text).split()
    for start in range(len(words) - 3 * _STUCK_WORDS + 1):
        for length in range(_STUCK_WORDS, (len(words) - start) // 3 + 2):
            phrase = words[start : start + length]
            steps = {step for step in (length, length + 1) if words[start + step : start + step + length] == phrase}
            if any(words[start + 2 * step : start + 2 * step + length] == phrase for step in steps):
                return " ".join(phrase)
    return ""


def _find_questions_as_answers(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    for number, pair in enumerate(pairs, 1):
        answer, question = pair.answer.casefold(), pair.instruction.casefold()
        same = answer.rstrip(_ENDS) == question.rstrip(_ENDS)
        if same and ("?" in pair.instruction or _is_long(answer)):
            yield describe_match(f"answer {number}", pair.answer)


def _find_placeholders(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    """Find the marks with which a prompt shows the form: "..." and "<question>"."""
    for number, pair in enumerate(pairs, 1):
        for part, text in (("question", pair.instruction), ("answer", pair.answer)):
            if text[:1].isalnum():  # as most texts do
                is_label = text[0] in "QqAaIiPpRr" and _LABEL_ALONE.match(text)
                if is_label and (":" in text or _LABEL_ALONE.match(pair.instruction)):
                    yield describe_match(f"{part} {number}", text)
                continue
            blank = text[:1] in _BLANK and not text.strip(_BLANK) and (len(text) > 1 or text == "\u2026")
            tag = _IN_BRACKETS.fullmatch(text) if text[:1] in _BRACKETS else None
            names_field = tag is not None and _FIELDS[part].search(tag[1].casefold())
            if blank or names_field or (part == "question" and text and not any(map(str.isalnum, text))):
                yield describe_match(f"{part} {number}", text)


def _find_labels_inside(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find answers that hold the form of the next pair."""
    for number, pair in enumerate(pairs, 1):
        if OF_TEXT.search(pair.instruction) or _ABOUT_MARKUP.search(pair.instruction):
            continue
        for part, text in (("question", pair.instruction), ("answer", pair.answer)):
            if (found := _NEXT_LABEL.search(text)) and found[0].strip() not in context.query.text:
                yield describe_match(f"{part} {number}", text[found.start() :])


def _find_other_scripts(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find answers that are mostly in a script that no in-context example has. What a sign says may be in any."""
    if not context.scripts or ("LATIN" in context.scripts and searchable(pairs).lowered.isascii()):
        return
    if is_mostly_foreign("".join(pair.instruction + pair.answer for pair in pairs), context.scripts):
        yield describe_match("answer 1", pairs[0].answer if pairs else "")
    for place, text in texts_with_places(pairs, "instruction"):
        if is_mostly_foreign(text, context.scripts):
            yield describe_match(place, text)


def _copies(kinds: frozenset[SentKind]) -> Callable[[Sequence[Pair], Context], Iterable[str]]:
    def find(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
        """Find what was sent. Hardly any answer has something of it, so all texts are searched together first."""
        if not context.sent.may_be_in(searchable(pairs).words):
            return
        for place, text in texts_with_places(pairs):
            if found := context.sent.find_copy(text, context.query.text, context.asked, kinds):
                yield describe_match(place, found)

    return find


GENERAL_RULES: tuple[Rule, ...] = (
    Repair("the user (you)", r"\bthe user \(you\)", "you", needs=("user (you)",)),
    *CITATION_RULES,
    *ENDING_RULES,
    *REMARK_RULES,
    *DOUBTFUL_LINE_RULES,
    *UNFINISHED_RULES,
    answers_its_question,
    *MENTION_RULES,
    Reject("refuses", _REFUSAL, part="answer", needs=_REFUSAL_NEEDS),
    Reject("speaks to whoever asked", _CHAT_REMARK, part="answer", needs=_CHAT_REMARK_NEEDS),
    Check("holds a token of the model", _find_model_markup, needs=_MARKUP_SIGNS),
    Check("holds the form and no text", _find_placeholders),
    Check(
        "holds the form of another pair",
        _find_labels_inside,
        needs=("question:", "answer:", "question ", "answer ", "<", "=="),
    ),
    Check("repeats its instructions", _copies(frozenset((SentKind.INSTRUCTION, SentKind.CORRECTION)))),
    Drop("repeats a question", _find_repeated_questions),
    Drop("gives one answer twice", _find_repeated_answers),
    Check("answers with the question", _find_questions_as_answers),
    Check("says one sentence twice", _find_repeated_sentences),
    Check("is in another script than the examples", _find_other_scripts),
    Check("copies an in-context example", _copies(frozenset((SentKind.EXAMPLE,)))),
)
