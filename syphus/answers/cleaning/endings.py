r"""Removes what models append to a text: end marks, counts of pairs, labels, notes, remarks, and lone tags.

Such a line follows a complete sentence on its own, and its form shows that it is no part of the answer: it is one
token (`[END]`, `QA_GT_noisy`), a rule (`---`), the number of the pairs in brackets, the label of the next pair, a note
after a rule, or it speaks of the pairs themselves. Other last lines stay: a list, a poem, a letter or an honest note.
What is in doubt makes the answer invalid; see `doubtful_lines.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from syphus.answers.cleaning.meta_commentary import Belonging, belonging
from syphus.answers.cleaning.rules import Context, Mend, Rule
from syphus.answers.parsing.answer_text import extract_answer, is_empty, strip
from syphus.types import Pair

_LAST_SIGNS = (">", "]", "*", ";")  #: of tokens, tags and marks at the end of a text
_MOST_LINES = 8  #: removed from one text
_STOPS = ".!?\u3002\uff01\uff1f\u2026"
_CLOSERS = "\"'\u201d\u2019\u00bb\u300d\u300f)]*_`"
_BREAKS = re.compile(r"(?<!\s)(?:\s*+(?:<br[ \t]*+/?>|&nbsp;)){1,40}\Z", re.IGNORECASE)
#: One token at the end: `</s>`, `<|im_end|>`, `<eos>`, `[SEP]`, with the wide signs of DeepSeek, too.
_TOKEN = re.compile(
    r"(?<![\s\u2581])[\s\u2581]*+(?:<(?P<bars>[|\uff5c])[^<>\n]{1,60}(?P=bars)>|<(?P<slash>/?)(?P<name>[A-Za-z_][\w.-]{0,40})>"
    r"|\[(?P<square>/?[A-Z][A-Z_ ]{2,30})\]|<(?:<[^<>\s]{1,20}>)>|(?P<cdata>\]\]>)|<0x[0-9A-F]{2}>|\[\|\w{2,40}\|\])\Z"
)
_RULE = re.compile(r"(?:[ \t]*+[-=*#_~\u2014\u2500\u2022\u00b7\u25aa+|]){3,}+|#{1,6}|>[> \t]*")
_LAYOUT = re.compile(r"(?:(?<!\s)\s*+</?[A-Za-z][\w-]{0,30}>|\n[ \t]*+[-=*#_~]{2,99}[ \t]*+(?=\n|\Z)){1,40}\Z")
_ENCLOSED = re.compile(
    r"\((?P<round>[^()]*)\)|\[(?P<square>[^\[\]]*)\]|<(?P<angle>[^<>]*)>|\{(?P<curly>[^{}]*)\}"
    r"|[\u3010\u300a\u300c](?P<wide>[^\n\u3011\u300b\u300d]*+)[\u3011\u300b\u300d]"
    r"|(?P<run>[-=~*_#\u2014]{1,12})[ \t]*(?P<ruled>[^\n]*?[^\n\s])[ \t]*(?P=run)"
)
_TOKEN_LINE = re.compile(r"(?=\w*_)[^\W\d]\w++|\W{0,4}[A-Z]{3,}\W{0,4}|[^\w\x00-\x7f]+|\[[A-Za-z_/]+\]|<[A-Za-z_/]+>")
#: What only the work itself has: pairs, their count, and the notes they are made from.
WORK = re.compile(
    r"\b(?:(?:question|q)[- ]?(?:and|&|/)?[- ]?(?:answer|a)s?|(?:qa |q&a )?pairs?|questions?|answers?|captions?"
    r"|annotations?|bounding boxes|responses?|outputs?|words?|tokens?)\b",
    re.IGNORECASE,
)
_OF_THE_WORK = re.compile(
    r"(?:\W{0,4}(?:note(?: that)?|disclaimer|explanation|nb|p\.?s\.?)\W{1,4})?(?:please note that )?"
    r"(?:the (?:above|preceding|following)|these|this|all(?: of)?|both|above|here|i(?:'ve| have)?|the)\b"
    r"[^.\n]{0,60}\b(?:pairs?|questions?|answers?|q&as?|captions?|annotations?|bounding boxes)\b"
    r"|(?:question[- ]answer|q&a|qa) pairs?\b"
    r"|(?:\u4ee5\u4e0a|\u4e0a\u8ff0|\u8fd9\u4e9b)[^\n]{0,30}(?:\u95ee\u7b54|\u95ee\u9898|\u56de\u7b54)",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"(?:please )?(?:do )?let me know (?:if|whether|should)\b.{0,200}"
    r"|(?:please )?feel free to (?:ask|reach|let)\b.{0,200}"
    r"|(?:i )?hope (?:this|these|that|it|they) (?:helps?|works?|meets?|is|are)\b.{0,120}"
    r"|(?:would you like|do you want|shall i|should i)\b (?:me|us|any|more|another|additional|further)\b.{0,200}"
    r"|is there anything else\b.{0,120}|(?:j'esp\u00e8re|ich hoffe|espero|spero|\u5e0c\u671b|\u304a\u5f79\u306b).{0,80}"
    r"|if you\b.{0,80}\b(?:just ask|let me know|tell me|happy to)\b.{0,80}"
    r"|(?:thanks|thank you)\b.{0,40}|\u4ee5\u4e0a(?:\u3067\u3059)?\u3002?"
    r"|(?:done|finished|complete[d]?)[.!]?|(?:the )?end(?: of \w+(?: \w+)?)?[.!]?",
    re.IGNORECASE,
)
#: A label of what is said about the answer, not about the scene.
_LABEL = re.compile(
    r"\W{0,4}(?:explanation|reasoning|rationale|justification|confidence(?: \w+)?|category|categories|sources?"
    r"|references?|disclaimer|(?:word|token|pair|character) count|total(?: \w+){0,2}|number of \w+|tags|keywords"
    r"|topics?)\W{0,3}[:\uff1a]",
    re.IGNORECASE,
)
ANY_LABEL = re.compile(r"\W{0,4}[^\W\d_][\w ]{0,25}\W{0,3}[:\uff1a]")
#: A question of what is written: then a last line may be a part of that.
OF_TEXT = re.compile(
    r"\b(?:says?|reads?|written|write|wrote|writing|screen|signs?|poster|note|credits|lyrics|poem|label|card|message|letter"
    r"|code|script|title|print(?:ed|s)?|mark|recipe|rating|category|ingredients?)\b",
    re.IGNORECASE,
)
#: Who asks for a story gets its last line, too.
_STORY = re.compile(
    r"\b(?:stor(?:y|ies)|tales?|fables?|narrat\w+|plot|histoire|conte|r\u00e9cit|geschichte|m\u00e4rchen|erz\u00e4hl\w*|cuento|historia"
    r"|relato|racconto)\b|\u6545\u4e8b|\u7ae5\u8bdd|\u7269\u8a9e|\u304a\u8a71|\uc774\uc57c\uae30|\ub3d9\ud654|\u0642\u0635\u0629|\u062d\u0643\u0627\u064a\u0629",
    re.IGNORECASE,
)
_FEW_WORDS = re.compile(r"[^\w\[\]<>(){}#]*+(?:[^\W\d_]++[ .!]{0,2}){1,3}[^\w\[\]<>(){}#]*+")
_SENTENCE_END = re.compile(rf"[{_STOPS}](?=\s|\Z)")
_NARRATIVE = 3  #: sentences
_REFERENCES = re.compile(r"(?:\[\^?\d{1,3}\]:?[ \t]+\S[^\n]*(?:\n|\Z))+")
_MARKS_AROUND = re.compile(r"\A[^\w(\[]+|(?<![^\w.!?)\u3002])[^\w.!?)\u3002]++\Z")  #: such as emoji
_HEADING = re.compile(r"#{1,6}[ \t]+\S[^\n]*")
_NUMBER = re.compile(r"\d+")
_FIRST_SIGNS = ("<", "[", "\\", "\u25c1", "\u3010", "\u300a", "{")
_WRAPPER = re.compile(
    r"[<\[\u25c1\u3010\u300a{][ \t]*(?:\w+[:_-])?"
    r"(?:think(?:ing)?|thoughts?|reasoning|answer|response|reply|output|result|solution)[ \t]*[>\]\u25b7\u3011\u300b}]",
    re.IGNORECASE,
)


class _Text(NamedTuple):
    """A text, what it may quote, and its place among the pairs, counted from 1."""

    text: str
    known: str
    number: int
    pairs: int
    others_have_labels: bool
    is_of_text: bool = False  #: whether the question is what is written somewhere
    label: str = ""  #: with which the last line of each answer begins
    others: str = ""  #: the questions and the other answers
    others_are_lines: bool = False  #: whether there are other answers, each of one line

    @property
    def is_last(self) -> bool:
        return self.number == self.pairs


def is_complete(text: str) -> bool:
    """Return whether a text ends as a sentence does, before tags and horizontal rules."""
    text = text.rstrip()
    if text[-1:] in (">", *"-=*#_~"):
        text = _LAYOUT.sub("", text).rstrip()
    return text.rstrip(_CLOSERS)[-1:] in tuple(_STOPS) or text[-1:] in ('"', "\u201d", "\u300d")


def _is_unbalanced(text: str) -> bool:
    """Return whether a text ends in marks of bold or italics that were opened in front of its header."""
    bare = text.rstrip("*")
    return is_complete(bare) and text.count(text[len(bare) :]) % 2 == 1


def _without_tokens(text: str, known: str) -> str:
    """Return a text without line breaks of HTML and tokens of a model at its end."""
    while True:
        if text.endswith("*") and _is_unbalanced(text) and not OF_TEXT.search(known):
            head = text.rstrip("*")
        elif (breaks := _BREAKS.search(text)) and "<br" not in known:
            head = text[: breaks.start()]
        elif found := _TOKEN.search(text[-80:]):
            head = text[: len(text) - len(found[0])]
            token = found[0].strip()
            while head.endswith(token):  # padding comes in numbers
                head = head.removesuffix(token).rstrip()
            is_attached = not found[0][:1].isspace()
            is_own = (
                found["bars"] is not None
                or (found["cdata"] and "<![CDATA[" not in head)
                or (found["slash"] == "/" and is_attached)
            )
            if found["square"] and OF_TEXT.search(known):
                return text
            if found[0].strip() in known or not (is_own or is_complete(head)):
                return text
            if found["name"] and re.search(rf"<{re.escape(found['name'])}\b", head):
                return text  # the end of something that begins in the text
        else:
            return text
        if not head.strip() or head.count("```") % 2:
            return text
        text = head.rstrip()


def _without_last(text: _Text) -> str | None:
    """Return a text without its last line or paragraph if that is no part of it; None if it is."""
    head, _, line = text.text.rpartition("\n")
    head, line = head.rstrip(), line.strip()
    if not head or head.count("```") % 2 or ends_story(text.known, head, line):
        return None
    ends = is_complete(head)
    if _RULE.fullmatch(line) and (ends or len(line) > 3) and "|" not in head:
        return head
    if line in text.known:
        return None
    if text.label and line.startswith(text.label) and ends:
        return head
    paragraph = last_paragraph(text.text)
    if not ends:
        return paragraph and _without_paragraph(text, *paragraph)
    if text.is_of_text and not (_ENCLOSED.fullmatch(line) and WORK.search(line)) and not _OF_THE_WORK.match(line):
        return None
    if line.startswith("</"):
        return _without_block(text, head, line)
    counted = _is_counted(line, text)
    if _TOKEN_LINE.fullmatch(line) or (counted and (_ENCLOSED.fullmatch(line) or WORK.search(line))):
        return head
    if text.text[len(head) :].count("\n") < 2:  # no paragraph by itself
        is_end = (found := _ENCLOSED.fullmatch(line)) and _speaks_of_work(found, text.known)
        if _RULE.fullmatch(head.rpartition("\n")[2].strip()):
            return _without_paragraph(text, head, line)
        return head if is_end else paragraph and _without_paragraph(text, *paragraph)
    return _without_paragraph(text, head, line)


def ends_story(known: str, head: str, line: str) -> bool:
    """Return whether a last line is the end of a story: a word or two, or "The End" after a narrative."""
    if _FEW_WORDS.fullmatch(line) is None:
        return False
    is_end = _NUMBER.search(line) is None and line.strip("*_~ .!").lower() == "the end"
    return _STORY.search(known) is not None or (is_end and len(_SENTENCE_END.findall(head)) >= _NARRATIVE)


def last_paragraph(text: str) -> tuple[str, str] | None:
    """Return the text before the last blank line, and the text after it; None without a blank line."""
    blank = list(re.finditer(r"\n[ \t\r]*\n", text))
    return (text[: blank[-1].start()].rstrip(), text[blank[-1].end() :].strip()) if blank else None


def _is_counted(line: str, text: _Text) -> bool:
    """Return whether a short line numbers the next pair, or says how many there are."""
    numbers = {int(each) for each in _NUMBER.findall(line)}
    if len(line.split()) > 5 or not numbers:
        return False
    return numbers <= ({text.pairs} if text.is_last else {text.number + 1, text.pairs})


def _speaks_of_work(found: re.Match[str], known: str) -> bool:
    """Return whether a line in brackets or between marks is an end mark, or speaks of the pairs."""
    inside = next((each for name, each in found.groupdict().items() if each and name != "run"), "")
    work = WORK.search(inside)
    if work and work[0].lower() in known.lower():
        return False
    return bool(work) or bool(_REMARK.fullmatch(inside)) or (inside.isupper() and len(inside.split()) < 5)


def _without_paragraph(text: _Text, head: str, paragraph: str) -> str | None:
    """Return the text before its last paragraph if that is a note, a label or a remark; None if not."""
    if not is_complete(head) and not _RULE.fullmatch(head.rpartition("\n")[2].strip()):
        return None
    plain = paragraph.strip("*_>#-=~ \t")
    enclosed = _ENCLOSED.fullmatch(paragraph)
    before, _, last = head.rpartition("\n")
    is_behind_rule = bool(before.strip()) and _RULE.fullmatch(last.strip()) is not None
    is_no_answer = (
        (enclosed is not None and _speaks_of_work(enclosed, text.known))
        or (is_behind_rule and "\n" not in paragraph and (paragraph[:1] in "*_>([" or WORK.search(paragraph)))
        or _is_of_the_work(plain, f"{text.known}\n{head}")
        or _REFERENCES.fullmatch(paragraph) is not None
        or (paragraph != plain and paragraph[:1] in "*_>" and ANY_LABEL.match(plain) and WORK.search(plain))
        or (text.is_last and _HEADING.fullmatch(paragraph) is not None)
        or (text.is_last and _REMARK.fullmatch(_MARKS_AROUND.sub("", plain)) is not None)
        or (text.is_last and not text.others_have_labels and _LABEL.match(paragraph) is not None)
    )
    return head if is_no_answer else None


def _is_of_the_work(paragraph: str, known: str) -> bool:
    """Return whether a paragraph speaks of the pairs themselves, and not of questions or pairs in the scene."""
    if _OF_THE_WORK.match(paragraph) is None:
        return False
    words = {found.lower() for found in WORK.findall(paragraph)}
    return not any(word in known.lower() for word in words)


def _without_block(text: _Text, head: str, line: str) -> str | None:
    """Return the text before a block of prose in tags of its own that ends the last answer; None if there is none."""
    name = line.strip("<>/")
    opener = re.search(rf"\n[ \t]*<{re.escape(name)}>[ \t]*\n", head)
    if opener is None:
        return None if f"<{name}" in head else head
    inside, before = head[opener.end() :].strip(), head[: opener.start()].rstrip()
    is_prose = is_complete(inside) and inside.count(" ") > 2 and "<" not in inside
    return before if text.is_last and is_prose and is_complete(before) and name not in text.known else None


def _last_parts(text: str, others_are_lines: bool) -> Iterator[tuple[str, str]]:
    """Yield ways to split off a last part: at the last blank line; if other answers are lines, after the first, too."""
    parts = [last_paragraph(text)] if text.count("```") < 2 else []
    if others_are_lines:
        first, blank = text.partition("\n"), re.split(r"\n[ \t\r]*+\n", text, maxsplit=1)
        parts += [(first[0].rstrip(), first[2].strip()), (blank[0].rstrip(), blank[-1].strip())]
    for part in parts:
        if part is not None and part[0] and part[1] and is_complete(part[0]):
            yield part


def _without_remark(text: _Text) -> str | None:
    """Return the last answer without a remark of the model on its own work at the end; None if there is none."""
    head, _, line = text.text.rpartition("\n")
    if not text.is_last or text.is_of_text or ends_story(text.known, head, line.strip()):
        return None
    for head, part in _last_parts(text.text, text.others_are_lines):
        scene = f"{text.known}\n{text.others}"
        if belonging(part, head, scene, others_are_lines=text.others_are_lines) is Belonging.REMARK:
            return head
    return None


def is_doubtful_remark(pairs: Sequence[Pair], known: str) -> bool:
    """Return whether the shape of the end of the last answer suggests a remark that does not belong to it."""
    others = [text for pair in pairs[:-1] for text in (pair.instruction, pair.answer)]
    if len(pairs) < 2 or any("\n" in pair.answer for pair in pairs[:-1]):
        return False
    return any(
        belonging(part, head, "\n".join((known, *others)), others_are_lines=True) is Belonging.DOUBTFUL
        for head, part in _last_parts(pairs[-1].answer, True)
    )


def _mended(text: _Text) -> tuple[str, int]:
    """Return a text without the lines and tokens appended to it, and how many were removed."""
    found = text.text
    for count in range(_MOST_LINES):
        bare = _without_tokens(found, text.known) if found[-1:] in _LAST_SIGNS else found
        if bare == found and "\n" in found:
            now = text._replace(text=found)
            bare = _without_last(now) or _without_remark(now) or found
        if bare == found:
            return found, count
        found = bare
    return found, _MOST_LINES


def _without_wrapper(text: str, known: str) -> str:
    """Return a text without a draft before it, and without a wrapper such as `<answer>` around all of it."""
    named, boxed = _WRAPPER.match(text), text.startswith("\\boxed{") and text.count(" ") > 1
    is_data = text.startswith("<![CDATA[") and not OF_TEXT.search(known)
    if not (named or boxed or is_data) or (named and named[0] in known):
        return text
    bare = strip(extract_answer(text).text)
    return bare if bare and not is_empty(bare) else text


def _may_have_ending(text: str) -> bool:
    return "\n" in text or text[-1:] in _LAST_SIGNS


def _unwrap(pairs: Sequence[Pair], context: Context) -> tuple[tuple[Pair, ...], int]:
    """Return the pairs without wrappers around their answers, as in JSON, and the number of wrappers removed."""
    mended = tuple(
        replace(pair, answer=_without_wrapper(pair.answer, f"{context.query.text}\n{pair.instruction}"))
        if pair.answer[:1] in _FIRST_SIGNS
        else pair
        for pair in pairs
    )
    return mended, sum(old.answer != new.answer for old, new in zip(pairs, mended, strict=True))


def _mend(pairs: Sequence[Pair], context: Context) -> tuple[tuple[Pair, ...], int]:
    """Return the pairs without lines and tokens appended to their texts, and how many were removed."""
    for pair in pairs:  # most answers have none; a loop takes half the time of any()
        if "\n" in pair.answer or pair.answer[-1:] in _LAST_SIGNS or pair.instruction[-1:] in _LAST_SIGNS:
            break
    else:
        return tuple(pairs), 0
    mended, total = [], 0
    labels = [_has_label(pair.answer) for pair in pairs]
    label = _common_label(pairs)
    for number, pair in enumerate(pairs, 1):
        instruction, answer, known = pair.instruction, pair.answer, context.query.text
        if instruction[-1:] in _LAST_SIGNS and (bare := _without_tokens(instruction, known)) != instruction:
            instruction, total = bare, total + 1
        if _may_have_ending(answer):
            others = any(labels[: number - 1] + labels[number:])
            is_of_text = OF_TEXT.search(pair.instruction) is not None
            text = _Text(answer, f"{known}\n{instruction}", number, len(pairs), others, is_of_text, label)
            if text.is_last and "\n" in answer:
                others_are_lines = len(pairs) > 1 and not any("\n" in each.answer for each in pairs[:-1])
                said = "\n".join(each for other in pairs[:-1] for each in (other.instruction, other.answer))
                text = text._replace(others=said, others_are_lines=others_are_lines)
            answer, count = _mended(text)
            total += count
        mended.append(replace(pair, instruction=instruction, answer=answer))
    return tuple(mended), total


def _common_label(pairs: Sequence[Pair]) -> str:
    """Return the label of the last line of every answer, such as "Difficulty:"; "" if they differ."""
    lines = [pair.answer.rpartition("\n")[2] for pair in pairs if "\n" in pair.answer]
    if len(lines) < max(len(pairs), 2):
        return ""
    found = {match[0] if (match := ANY_LABEL.match(line)) else "" for line in lines}
    return found.pop() if len(found) == 1 else ""


def _has_label(answer: str) -> bool:
    paragraph = last_paragraph(answer) if "\n" in answer else None
    return paragraph is not None and ANY_LABEL.match(paragraph[1]) is not None


#: They remove what models append to a text or wrap around it.
ENDING_RULES: tuple[Rule, ...] = (
    Mend("wrapper around a text", _unwrap, needs=("<", "[", "\\boxed", "\u25c1", "\u3010", "\u300a", "{")),
    Mend("line behind a text", _mend, needs=("\n", *_LAST_SIGNS)),
)
