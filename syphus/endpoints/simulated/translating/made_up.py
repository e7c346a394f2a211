"""Made-up text in a language, in the place of an English one: as long, with the same lines, marks, numbers and quotes.

It says nothing of what the English says. The same text always becomes the same.
"""

from __future__ import annotations

import re
from random import Random

from syphus.endpoints.simulated.translating.words import WORDS, Words
from syphus.translation import LANGUAGES

_FENCE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
#: What stays as it is: code, addresses, placeholders, formulas, quotes, labels of choices, numbers, marks, emoji.
_KEPT = re.compile(
    r"`[^`\n]+`"
    r"|(?:https?://|www\.)[^\s<>()]*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|info)\b(?:/[^\s<>()]*[\w/])?"
    r"|\{\{[^{}\n]{1,60}\}\}|\{[^{}\n]{0,40}\}|%\(\w+\)[sdif]|(?<![\d%])%[sdif](?![A-Za-z])"
    r"|</?\w[\w-]*[ ]?/?>|<\|\w+\|>"
    r"|\[\w+\]|\$[^\s$](?:[^$\n]*[^\s$])?\$(?!\d)"
    r"|\"[^\"\n]+\"|\u201c[^\u201d\n]+\u201d|(?<!\w)'[^'\n]{1,80}'(?!\w)|\u2018[^\u2019\n]+\u2019"
    r"|(?:^|(?<=[\s(]))[A-H][.):](?=\s|$)|^\(?[A-H]\)?$"
    r"|[$€£¥]?\s?[-+]?\d+(?:[.,:/]\d+)*(?:\s?(?:%|°[CF]?|[ap]\.?m\b)|\s(?:thousand|million|billion)\b)?"
    r"(?:\s(?:percent|dollars?|euros?)\b)?"
    r"|\*\*|[#>|*]+|[()\[\]]|[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]+"
)
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_SCALED = re.compile(r"([\d.,]*\d)\s(thousand|million|billion)")
_SIGNS = {"percent": "%", "dollar": "$", "euro": "€"}
_SPELT = re.compile(r"(percent|dollar|euro)s?$")
_LINE = re.compile(r"(\s*(?:[-*+•]\s|\d{1,3}[.)]\s|#{1,6}\s|>\s?)?)(.*?)(\s*)\Z", re.DOTALL)
_ENDS = ".?!"
_SENTENCE = re.compile(r"([^.?!,;:\n]*)([.?!,;:\n]+|\Z)")


def made_up(text: str, code: str, field: str = "") -> str:
    """`text` as it might look in the language with this code.

    The instruction and the answer of a pair have words of their own, so that one is never found inside of the other.
    """
    maker = _Maker(code, field, Random(f"{code}/{text}"))
    parts = _FENCE.split(text)
    return "".join(part if n % 2 else "\n".join(map(maker.line, part.split("\n"))) for n, part in enumerate(parts))


class _Maker:
    def __init__(self, code: str, field: str, random: Random) -> None:
        self._words: Words = WORDS[code]
        self._filling = self._words.filling[field == "instruction" :: 2]
        least, most = LANGUAGES[code].length
        self._ratio = (least * most) ** 0.5
        self._random = random

    def line(self, line: str) -> str:
        found = _LINE.match(line)
        assert found is not None
        mark, said, end = found.groups()
        parts: list[str] = []
        at = 0
        for kept in _KEPT.finditer(said):
            parts += [
                self._spoken(said[at : kept.start()], begins=not at),
                _SPELT.sub(_sign, _SCALED.sub(_digits, kept[0])),
            ]
            at = kept.end()
        parts.append(self._spoken(said[at:], begins=not at))
        return mark + "".join(parts) + end

    def _spoken(self, text: str, begins: bool) -> str:
        """Words in the place of words; commas and the like go, the ends of sentences stay."""
        if not any(map(str.isalnum, text)):
            between = f" {self._filled('and')} " if "," in text else ""
            return between or "".join(self._ended(c) if c in _ENDS else c for c in text)
        made: list[str] = []
        for said, end in _SENTENCE.findall(text):
            filled = self._filled(said)
            if begins or (made and made[-1][-1:] in _ENDS):
                filled = filled[:1].upper() + filled[1:]
            begins = begins and not filled
            made.append(filled + (self._ended(end[0]) if end[:1] in tuple(_ENDS) else ""))
        bare = text.strip(" \t,;:")
        before, after = text.partition(bare)[::2]
        spaced = [" " if any(map(str.isspace, edge)) else "" for edge in (before, after)]
        return spaced[0] + self._words.blank.join(part for part in made if part) + spaced[1]

    def _filled(self, said: str) -> str:
        if not any(map(str.isalnum, said)):
            return ""
        found: list[str] = []
        length, wanted = 0, len(said.strip()) * self._ratio - 2
        while not found or length < wanted:
            word = self._random.choice(self._filling)
            if found[-1:] != [word]:
                found.append(word)
                length += len(word) + len(self._words.blank)
        return self._words.blank.join(found)

    def _ended(self, end: str) -> str:
        return self._words.ends[_ENDS.index(end)]


def _digits(found: re.Match[str]) -> str:
    """`2.5 million` as 2500000."""
    return f"{float(found[1].replace(',', '')) * _SCALES[found[2]]:.0f}"


def _sign(spelt: re.Match[str]) -> str:
    """`30 percent` as 30 %."""
    return _SIGNS[spelt[1]]
