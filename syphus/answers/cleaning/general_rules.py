"""The rules that apply to every dataset.

An answer must describe what can be seen, and must not mention the notes (the annotation) that the model was given. A
plugin switches a rule off by naming it in `without_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from syphus.answers.cleaning.citations import CITATION_RULES
from syphus.answers.cleaning.doubtful_lines import DOUBTFUL_LINE_RULES
from syphus.answers.cleaning.endings import ENDING_RULES
from syphus.answers.cleaning.meta_commentary import REMARK_RULES
from syphus.answers.cleaning.rules import (
    LIKE_ASCII,
    Check,
    Context,
    Drop,
    Needs,
    OneOfEach,
    Reject,
    Repair,
    Rule,
    describe_match,
    searchable,
    straighten_apostrophes,
    texts_with_places,
)
from syphus.answers.cleaning.sent_texts import SentKind, is_mostly_foreign, split_words
from syphus.types import Pair

# Mentions of the notes: "according to the description", "the sentences do not mention it", "it is not specified".

_NOTES = r"(?:descriptions?|captions?|annotations?|narrations?|bounding box(?:es)?|metadata|timestamps?)"
_WEAK_NOTES = r"(?:sentences?|input|summary|ground truth|texts?|notes|data|information)"  # a sign may have a text, too
_POSSIBLE_NOTES = rf"(?:{_WEAK_NOTES}|lists?|context|scenario|details?)"
_GIVEN = r"(?:given|provided|above|supplied)"
_ADJECTIVES = rf"(?:(?:{_GIVEN}|image|video|scene|dense) )*"
_SAYS = r"(?:mention|state|specif(?:y|ie)|indicate|provide|describe|say|suggest)(?:s|d|ed)?\b"
_SAYS_OR_NOT = rf"(?:do(?:es)? not |do(?:es)?n't |did not |didn't )?{_SAYS}"
_SOURCE = (
    r"(?:based on|according to|judging by|from|per"
    r"|(?:stated|mentioned|described|noted|indicated|given|provided) (?:in|by))"
)
_NOT_A_PLACE = r"\b(?! (?:on|under|below|beside|at|by) )"  # "the price is not stated on the tag"
_NOTES_WORDS = (
    "description", "caption", "annotation", "narration", "bounding box", "metadata", "timestamp",
)  # fmt: skip
_WEAK_WORDS = ("sentence", "input", "summary", "ground truth", "text", "notes", "data", "information")
_POSSIBLE_WORDS = (*_WEAK_WORDS, "list", "context", "scenario", "detail")
_GIVEN_PHRASES = tuple(
    f"{first} {given} "
    for first in ("the", "this", "these", "your")
    for given in ("given", "provided", "above", "supplied")
)
_SAYS_WORDS = ("mention", "state", "specif", "indicate", "provide", "describe", "say", "suggest")
_SOURCE_WORDS = (
    "based on ", "according to ", "judging by ", "from ", "per ",
    "stated ", "mentioned ", "described ", "noted ", "indicated ", "given ", "provided ",
)  # fmt: skip
#: Each form of a mention, with groups of words: every match of the form contains a word of each of its groups, those of
#: the first group being the rarest. The whole pattern takes 300 microseconds an answer, and hardly any answer needs it.
_LEAK_FORMS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        rf"\b{_SOURCE} (?:the|these|those|this|your) {_ADJECTIVES}{_NOTES}{_NOT_A_PLACE}",
        (_NOTES_WORDS, _SOURCE_WORDS),
    ),
    (
        rf"\b(?:based on|according to|as per|as (?:stated|mentioned) in) the {_WEAK_NOTES}(?=[,.;])",
        (
            ("based on the ", "according to the ", "as per the ", "as stated in the ", "as mentioned in the "),
            _WEAK_WORDS,
        ),
    ),
    (
        rf"\b(?:the|this|these|your) {_GIVEN} (?:{_NOTES}|{_POSSIBLE_NOTES})\b",
        (_GIVEN_PHRASES, (*_NOTES_WORDS, *_POSSIBLE_WORDS)),
    ),
    (
        rf"\bthe {_POSSIBLE_NOTES} (?:that (?:is|was|were) |you (?:have )?)?(?:given|provided|supplied){_NOT_A_PLACE}",
        (("given", "provided", "supplied"), _POSSIBLE_WORDS),
    ),
    (rf"\b(?:the|these|those) {_ADJECTIVES}{_NOTES} {_SAYS_OR_NOT}", (_NOTES_WORDS, _SAYS_WORDS)),
    (
        rf"\b(?:the|these|those) (?:\w+ )?(?:sentences?|input|summary|ground truth) {_SAYS_OR_NOT}",
        (("sentence", "input", "summary", "ground truth"), _SAYS_WORDS),
    ),
    (
        r"\bthe notes (?:also |only |do not |don't )?(?:mention|state|specify|indicate|provide|describe|say|suggest)\b",
        (("the notes ",), _SAYS_WORDS),
    ),
    (
        rf"\bas the (?:{_NOTES}|{_POSSIBLE_NOTES}) {_SAYS}",
        (("as the ",), _SAYS_WORDS, (*_NOTES_WORDS, *_POSSIBLE_WORDS)),
    ),
    (rf"\bin the {_ADJECTIVES}{_NOTES}, ", (_NOTES_WORDS, ("in the ",))),
    (
        rf"(?:\bnot|n't) (?:(?:explicitly|clearly|directly) )?(?:mentioned|specified|stated){_NOT_A_PLACE}",
        (("mentioned", "specified", "stated"), ("not ", "n't ")),
    ),
    (
        rf"\bthere (?:is|was) (?:no|not enough) (?:information|mention|details?){_NOT_A_PLACE}",
        (("there is no", "there was no"), ("information", "mention", "detail")),
    ),
)
_LEAK = re.compile("|".join(form for form, _ in _LEAK_FORMS), re.IGNORECASE)
_LEAK_NEEDS: Needs = (*(OneOfEach(groups) for _, groups in _LEAK_FORMS), *LIKE_ASCII)
_NOTE = re.compile(rf"\b(?:{_NOTES}|{_POSSIBLE_NOTES})\b")
_LABEL = re.compile(r"^[\w ]+:", re.MULTILINE)  # "sentences: ..." names a field of the annotation


def _find_leaks(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find mentions of the notes. What the annotation itself mentions is allowed, such as a caption on a screen."""
    annotation = _LABEL.sub("", context.query.text.lower())
    for place, text in texts_with_places(pairs):
        straight = straighten_apostrophes(text)
        for match in _LEAK.finditer(straight) if _may_leak(straight.lower()) else ():
            if not any(note.rstrip("s") in annotation for note in _NOTE.findall(match[0].lower())):
                yield describe_match(place, match[0])


def _may_leak(lowered: str) -> bool:
    """Return whether a text has what the rule needs; here one text, where the rule was skipped for all in one."""
    has = lowered.__contains__
    return any(all(any(map(has, words)) for words in groups) for _, groups in _LEAK_FORMS) or (
        not lowered.isascii() and any(map(has, LIKE_ASCII))
    )


no_mention_of_notes: Rule = Check("speaks of its notes", _find_leaks, needs=_LEAK_NEEDS)


_NOT_QUOTED = r"(?<![\"\u201c])"  # not said by somebody in the image
_REFUSAL = (
    r"\bas an ai\b|\blanguage model\b"
    rf"|{_NOT_QUOTED}\bi(?:'m| am) (?:sorry, (?:but )?i|unable to|not able to)\b"
    rf"|{_NOT_QUOTED}\bi (?:can'?t|cannot) (?:assist|help|provide|see|view|access|answer|describe|determine|watch)\b"
    rf"|{_NOT_QUOTED}\bi (?:do not|don't) have (?:access|enough|the ability)\b"
    rf"|\bi apologi[sz]e, but i\b|{_NOT_QUOTED}\b(?:sorry|unfortunately), (?:but )?i (?:can|am|do)"
)
_REFUSAL_NEEDS = ("as an ai", "language model", "i'm ", "i am ", "i can", "i do", "sorry, ", "unfortunately", "apologi")
_CHAT_REMARK = (
    r"\n[^\S\n]*+(?:(?:please )?let me know if you(?:'d| would)? (?:need|want|like|prefer)\b"
    r"|(?:please )?feel free to ask\b|i hope (?:this|these|that|it) (?:helps?|works?|meets?)\b"
    r"|(?:would you like|do you want) me to\b|is there anything else\b"
    r"|note: (?:the|these|all|both) (?:pairs?|questions?|answers?)\b|\(?word count:)"
)
_CHAT_REMARK_NEEDS = ("let me know", "feel free", "i hope", " me to", "anything else", "note:", "word count")
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
_MODEL_MARKUP = re.compile(
    r"<[|\uff5c][\w\u2581/ .-]{1,40}[|\uff5c]>|</?s>|\[/?INST\]|<</?SYS>>"
    r"|</?(?:start|end)_of_turn>|<(?:eos|bos|pad|unk)>|</?(?:image|video|audio)>|\u2581(?=\w)|(?<!\u2581)\u2581++\Z|\ufffd",
    re.IGNORECASE,
)
_MARKUP_SIGNS = ("<", "[", "\u2581", "\ufffd")
#: Who asks about tokens, or names them, means the token itself.
_ABOUT_MARKUP = re.compile(r"\b(?:tokens?|toke?ni[sz]er|prompts?|templates?|tags?|markup|html)\b", re.IGNORECASE)


def _find_model_markup(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find tokens of the model's own, but not those that are what the pair is about."""
    questions = [pair.instruction for pair in pairs for _ in range(2)]
    for question, (place, text) in zip(questions, texts_with_places(pairs), strict=True):
        if not any(map(text.__contains__, _MARKUP_SIGNS)):
            continue
        for match in _MODEL_MARKUP.finditer(text):
            is_mentioned = _ABOUT_MARKUP.search(f"{question}\n{text}") and not _ends_text(text, match)
            if not is_mentioned and match[0] not in context.query.text:
                yield describe_match(place, match[0])


def _ends_text(text: str, match: re.Match[str]) -> bool:
    """Return whether a token stands behind the full stop of a text, where the model ends its turn."""
    return not text[match.end() :].strip() and text[: match.start()].rstrip()[-1:] in (".", "!", "?", "\u3002")


def _find_repeated_questions(pairs: Sequence[Pair], _: Context) -> Iterable[tuple[int, str]]:
    return _repeated(pairs, lambda pair: " ".join(pair.instruction.casefold().split()).rstrip(".!?"), "question")


def _find_repeated_answers(pairs: Sequence[Pair], _: Context) -> Iterable[tuple[int, str]]:
    """Find long answers that were given before; "Yes." and "On the left." may answer two questions."""
    return _repeated(pairs, lambda pair: words if _is_long(words := pair.answer.casefold()) else "", "answer")


def _repeated(pairs: Sequence[Pair], words_of: Callable[[Pair], str], part: str) -> Iterable[tuple[int, str]]:
    """Yield the pairs whose words came before, if there are any.

    A conversation, whose pairs the plugin gives ids such as `..._round2`, stands for itself: another one may say the
    same. Behind a round that is left out, the later ones would make no sense.
    """
    earlier: set[tuple[str, str]] = set()
    broken: set[str] = set()
    for index, pair in enumerate(pairs):
        conversation = pair.id.rpartition("round")[0] if pair.id else ""
        words = words_of(pair)
        if (words and (conversation, words) in earlier) or (conversation and conversation in broken):
            broken.add(conversation)
            yield index, describe_match(f"{part} {index + 1}", pair.answer if part == "answer" else pair.instruction)
        earlier.add((conversation, words))


def _is_long(text: str) -> bool:
    return text.count(" ") >= _LONG_WORDS - 1 or (not text.isascii() and len(split_words(text)) >= 2 * _LONG_WORDS)


def _find_repeated_sentences(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    """Find answers that say one sentence twice. Code and quotations may."""
    for place, text in texts_with_places(pairs, "answer"):
        if text.count(".") + text.count("!") + text.count("\u3002") < 2 or "`" in text:
            continue
        earlier: set[str] = set()
        for sentence in map(str.strip, _SENTENCE.findall(text.casefold())):
            if sentence in earlier and _is_long(sentence) and not any(map(sentence.__contains__, _QUOTATION_MARKS)):
                yield describe_match(place, sentence)
            earlier.add(sentence)


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
            if text[:1].isalnum():
                continue  # as most texts do
            blank = text[:1] in _BLANK and not text.strip(_BLANK) and (len(text) > 1 or text == "\u2026")
            tag = _IN_BRACKETS.fullmatch(text) if text[:1] in _BRACKETS else None
            names_field = tag is not None and _FIELDS[part].search(tag[1].casefold())
            if blank or names_field or (part == "question" and text and not any(map(str.isalnum, text))):
                yield describe_match(f"{part} {number}", text)


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
    no_mention_of_notes,
    Reject("refuses", _REFUSAL, part="answer", needs=_REFUSAL_NEEDS),
    Reject("speaks to whoever asked", _CHAT_REMARK, part="answer", needs=_CHAT_REMARK_NEEDS),
    Check("holds a token of the model", _find_model_markup, needs=_MARKUP_SIGNS),
    Check("holds the form and no text", _find_placeholders),
    Check("repeats its instructions", _copies(frozenset((SentKind.INSTRUCTION, SentKind.CORRECTION)))),
    Drop("repeats a question", _find_repeated_questions),
    Drop("gives one answer twice", _find_repeated_answers),
    Check("answers with the question", _find_questions_as_answers),
    Check("says one sentence twice", _find_repeated_sentences),
    Check("is in another script than the examples", _find_other_scripts),
    Check("copies an in-context example", _copies(frozenset((SentKind.EXAMPLE,)))),
)
