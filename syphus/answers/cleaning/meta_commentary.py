r"""Finds what a model says of its own work after an answer, in any language, and the courtesies around it.

What such a remark says is different in each language; its shape is not. Four things are looked at: whether any word
with a meaning is also in the annotation or in the pairs (`is_related`), whether the other answers are one line each,
whether it has a label, a heading, a score or check marks, and whether it speaks to somebody. No one of them is enough.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

from syphus.answers.cleaning.rules import LIKE_ASCII, Context, Mend, Rule
from syphus.types import Pair


class Belonging(IntEnum):
    """Whether a last part belongs to its answer."""

    OWN = 0
    DOUBTFUL = 1
    REMARK = 2


_FEW_WORDS, _MOST_WORDS = 3, 60
_LEAST_LETTERS = 5  #: of a word that shows a relation in a language whose function words are not known
_STOPS = ".!?\u3002\uff01\uff1f\u2026\u061f"
_LETTER = re.compile(r"[^\W\d_]")
_WORDS = re.compile(r"[^\W\d_]+")
#: A label ends in a colon; a heading is a line by itself in Markdown or bold.
_LABEL = re.compile(r"[^\w\n]{0,6}[^\W\d_][\w '\u2019/-]{0,40}[^\w\n]{0,4}[:\uff1a]")
_HEADING = re.compile(r"(?:#{1,6}[ \t]+[^\n]+|(?:\*\*|__)[^\n*_]+(?:\*\*|__):?)[ \t]*(?=\n|\Z)")
_TITLE = re.compile(r"[^\W\d_][\w '\u2019-]{2,30}")
#: What an appraisal has and a description has not: a score of a whole, a check mark.
_APPRAISAL = re.compile(
    r"\b\d{1,3}(?:[.,]\d+)?[ \t]?/[ \t]?(?:5|10|100)\b|\[[xX ]\]|[\u2713\u2714\u2705\u2717\u2718\u274c]"
)
_LIST = re.compile(r"\n[ \t]*(?:(?:[-*\u2022\u2713\u2714\u2705]|\d{1,2}[.)]|\[[xX ]\])[ \t]|[^\W\d_][\w ]{1,20}:)")
#: The parts of the form that is filled in: question, answer, pair, caption, in the languages that Syphus writes.
_WORK = re.compile(
    r"\b(?:questions?|answers?|pairs?|captions?|annotations?|réponses?|paires?|légendes?|fragen?|antwort(?:en)?|paare?n?"
    r"|bildunterschrift(?:en)?|preguntas?|respuestas?|pares|leyendas?|domand[ae]|rispost[ae]|coppi[ae]|perguntas?|respostas?"
    r"|вопрос\w{0,3}|ответ\w{0,3})\b"
    r"|问答|问题|回答|質問|答案|질문|답변"
    r"|أسئلة|إجاب|سؤال",
    re.IGNORECASE,
)
#: First and second person: pronouns, and the forms that stand for them where a language leaves them out.
_PERSON = re.compile(
    r"\b(?:i|me|my|you|yours?|je|j|moi|vous|votre|vos|tu|te|toi|ich|mir|mich|ihnen|du|dir|dich|yo|ustede?s?|ti|mi|eu"
    r"|vocês?|ik|jij|jou|я|мне|вы|вам|вас|тебе)\b"
    r"|\b\w{3,}(?:dme|same|dime|mmi)\b|您|你|我|ください|下さい|세요"
    r"|십시오|시면|\bلك\b|أنا",
    re.IGNORECASE,
)
_OWN_SCRIPT = re.compile("[ɐ-\U0010ffff]")


def belonging(part: str, head: str, scene: str, *, others_are_lines: bool) -> Belonging:
    """Return whether a last part, after a complete sentence, belongs to its answer.

    `head` is the answer before it, and `scene` everything else: the annotation, the questions, the other answers.
    `others_are_lines` says that there are other answers, and that each is one line.
    """
    bare = part.strip("*_>#-=~ \t")
    words = _WORDS.findall(bare)
    if not words or len(words) > _MOST_WORDS or "`" in part:
        return Belonging.OWN
    first = head.rpartition("\n")[2].lstrip()
    if _LABEL.match(part) and _LABEL.match(first):
        return Belonging.OWN  # a dialogue
    english = seems_english(bare)
    if is_related(bare, f"{scene}\n{head}"):
        return Belonging.OWN
    heading = _HEADING.match(part)
    title = _TITLE.match(part) if others_are_lines else None
    label = heading or _LABEL.match(part) or (title if title and part[title.end() : title.end() + 1] == "\n" else None)
    speaks = _WORK.search(bare) is not None or _PERSON.search(bare) is not None
    if label:
        value = part[label.end() :].strip()
        if (
            _APPRAISAL.search(part)
            or speaks
            or heading
            or (value and label is not title and len(value.split()) <= _FEW_WORDS)
        ):
            return Belonging.REMARK if heading or others_are_lines or _APPRAISAL.search(part) else Belonging.OWN
        return Belonging.DOUBTFUL if others_are_lines and _LIST.search(part) else Belonging.OWN
    if len(words) < _FEW_WORDS and bare.isascii() and bare[-1:] != "!":
        is_title = others_are_lines and _TITLE.fullmatch(bare) and part == bare
        return Belonging.REMARK if is_title else Belonging.OWN
    if english or part[:1] in "([":
        return Belonging.OWN
    if speaks or bare[-1:] in "!?\uff01\uff1f\u061f" or seems_english(head):
        return Belonging.REMARK
    return Belonging.DOUBTFUL if others_are_lines else Belonging.OWN


def is_related(part: str, scene: str) -> bool:
    """Return whether a word with a meaning is in both texts."""
    from syphus.answers.scoring.words import content_stems  # imported late: scoring builds on this package

    least = 3 if seems_english(scene) else _LEAST_LETTERS
    said = {stem for stem in content_stems(part) if len(stem) >= least or not stem.isascii()}
    return not said.isdisjoint(content_stems(scene))


def seems_english(text: str) -> bool:
    """Return whether a text of a few words is English: one word in four is an English function word."""
    from syphus.answers.scoring.words import COMMON  # imported late, as above

    words = _WORDS.findall(text.lower())
    letters = len(_OWN_SCRIPT.findall(text))
    return 2 * letters < len(text) and 4 * sum(word in COMMON for word in words) >= len(words)


# Sources and hashtags after a text, on its last line or below it.

_SOURCES = (
    r"(?:sources?|ref(?:erence)?s?|quellen?|fuentes?|fonti?|fontes?|citations?|captions?|источник"
    r"|来源|出典|출처|المصدر|مصدر)"
)
_DASHES = r"[-\u2010-\u2015~*\u2022\u2192>]{1,2}"
_BEHIND = rf"(?<=[{_STOPS}\"\u201d)])\s++"
_SOURCE = re.compile(
    rf"{_BEHIND}(?:(?:{_DASHES}[ \t]*|[(\[*_]{{0,2}}){_SOURCES}[*_]{{0,2}}[ \t]?[:\uff1a][^\n]{{1,120}}"
    rf"|[\u2013\u2014][ \t]*{_SOURCES}[ \t]\d{{1,3}}\.?)[ \t]*\Z",
    re.IGNORECASE,
)
_TAG = r"[#\uff03][^\W\d_][\w-]*"
_HASHTAGS = re.compile(rf"{_BEHIND}(?:[^\W\d_]{{2,12}}[:\uff1a][ \t]*)?{_TAG}(?:[ \t\n,]+{_TAG})*\s*\Z")
#: A footnote below a text: its mark, and what it points at. Those of the second group may begin items of a list, too.
_FOOTNOTE = re.compile(
    r"(?:(?P<sure>\[\^\w{1,12}\]:|\{\d{1,2}\}:|\[\d{1,2}\]:|[\u00b9\u00b2\u00b3\u2074-\u2079]+|\^\d{1,2}|[\u2020\u2021])"
    r"|\[\d{1,2}\]|\*{1,2}\d{1,2}|\(\d{1,2}\)|\d{1,2}:)[ \t]*\S[^\n]*"
)
#: Who asks for something to be written, named or posted wants its tags, too.
_ASKS_FOR_TAGS = re.compile(
    r"#|tag|タグ|标签|話題|话题|태그|وسم|هاشتاغ|dièse"
    r"|\bpost|tweet|instagram|twitter|social|caption|slogan|publi|verfass|schreib|escrib|rédige|écri|scriv|write|compose|creat",
    re.IGNORECASE,
)
#: Who asks what is written, or for sources, gets them.
_ASKS_FOR_SOURCES = re.compile(
    r"\b(?:footnotes?|says?|reads?|written|writes?|labels?|sign|credits?|ingredients?|poem|letter|card|note)\b"
    rf"|{_SOURCES}",
    re.IGNORECASE,
)

# Courtesies before an answer: words of assent, where no yes or no was asked for.

_ASSENT = re.compile(
    r"\u00a1?(?:(?:sure(?: thing)?|certainly|of course|bien sûr|avec plaisir|selbstverständlich|claro que sí"
    r"|por supuesto|com certeza|当然|好的|もちろんです"
    r"|물론입니다|بالتأكيد|بالطبع)[ \u00a0\u202f]?[!\uff01.\u3002,\uff0c\u060c]"
    r"|(?:absolutely|(?:great|good|excellent) question|certainement|gerne|natürlich|claro|certo|certamente|конечно"
    r"|물론이죠)[ \u00a0\u202f]?[!\uff01])[ \t\n]*(?=\S)",
    re.IGNORECASE,
)
_SIGNS_OF_ASSENT = (
    "sure", "certainly", "course", "absolutely", "question!", "sûr", "plaisir", "certainement", "gerne", "natürlich",
    "selbst", "claro", "supuesto", "certo", "certamente", "certeza", "конечно", "当然", "好的",
    "もちろん", "물론", "بالتأكيد", "بالطبع",
)  # fmt: skip
#: Words that ask for something other than yes or no, in the languages that Syphus writes.
_ASKS_OPENLY = re.compile(
    r"\b(?:what|which|who|whose|whom|where|when|why|how|qu(?:e|el|els|elle|elles|i|oi|and)|où|comment|pourquoi|combien|wer|wen|wem"
    r"|was|wo|wohin|woher|wann|warum|wie(?:viele?)?|welche[rsmn]?|qué|cuál(?:es)?|quién(?:es)?|dónde|cuándo|cómo"
    r"|cuánt[oa]s?|che|chi|dove|quando|perché|come|quant[ieoa]|quale?|quem|onde|por que|что|кто|где"
    r"|когда|почему|как\w{0,3}|сколько|ماذا"
    r"|ما|من|أين|متى|لماذا|كيف|كم|أي)\b"
    r"|什么|哪|谁|怎么|为什么|多少|几|何|誰|どこ|いつ|なぜ|どう|どの"
    r"|무엇|뭐|누구|어디|언제|왜|어떻게|몇|어떤|어느",
    re.IGNORECASE,
)
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")
_OF_SPEECH = re.compile(
    r"\b(?:sa(?:ys?|id|ying)|reads?|written|answer(?:s|ed)?|repl(?:y|ies|ied)|respon\w+|tell|told|dit|sagt|dice)\b",
    re.IGNORECASE,
)


def assent_before(text: str, question: str) -> int:
    """Return the length of the courtesy before an answer, 0 if there is none: "Sure! ", "Bien sûr ! "."""
    found = _ASSENT.match(text)
    if found is None or _OF_SPEECH.search(question) or not _LETTER.match(text, found.end()):
        return 0
    asks_openly = not question.rstrip().endswith(_QUESTION_MARKS) or _ASKS_OPENLY.search(question)
    return found.end() if asks_openly else 0


def asks_for_tags(question: str) -> bool:
    """Return whether a question asks for hashtags, or for a text that has some."""
    return _ASKS_FOR_TAGS.search(question) is not None


def _without_remarks(text: str, question: str, known: str) -> str:
    """Return an answer without the courtesy before it, and without a source or hashtags after it."""
    text = text[assent_before(text, question) :]
    if (found := _SOURCE.search(text)) and not _ASKS_FOR_SOURCES.search(question) and found[0].strip() not in known:
        text = text[: found.start()]
    if "\n" in text and not _ASKS_FOR_SOURCES.search(question):
        text = _without_footnotes(text, known)
    if "#" in text or "\uff03" in text:
        found = _HASHTAGS.search(text)
        if found and not asks_for_tags(question) and found[0].strip() not in known:
            text = text[: found.start()]
    return text


def _without_footnotes(text: str, known: str) -> str:
    """Return a text without the footnotes below it; a second line may make a list of what could be one."""
    head, found = text, None
    while "\n" in head:
        before, _, line = head.rpartition("\n")
        match = _FOOTNOTE.fullmatch(line.strip())
        if match is None or line.strip() in known:
            break
        if not match["sure"] and (found or _FOOTNOTE.fullmatch(before.rpartition("\n")[2].strip())):
            return text
        head, found = before.rstrip(), match
    return head if head.rstrip("\"'\u201d)*_")[-1:] in tuple(_STOPS) else text


def _mend(pairs: Sequence[Pair], context: Context) -> tuple[tuple[Pair, ...], int]:
    mended = tuple(
        replace(pair, answer=text)
        if (text := _without_remarks(pair.answer, pair.instruction, context.query.text)) != pair.answer
        else pair
        for pair in pairs
    )
    return mended, sum(old is not new for old, new in zip(pairs, mended, strict=True))


REMARK_RULES: tuple[Rule, ...] = (
    Mend(
        "remark around a text",
        _mend,
        needs=("\n", "#", "\uff03", ":", "\uff1a", "\u2013", "\u2014", *_SIGNS_OF_ASSENT, *LIKE_ASCII),
    ),
)
