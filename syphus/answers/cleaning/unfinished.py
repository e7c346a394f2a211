"""Finds answers that are not what was asked for as a whole: cut off, of far too many pairs, in another language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.endings import is_complete
from syphus.answers.cleaning.rules import Check, Context, Doubt, Rule, describe_match, searchable
from syphus.answers.cleaning.sent_texts import split_words
from syphus.answers.translation.identify import identify
from syphus.types import Pair

# Texts that end in the middle, though no server said so.

#: After such a word a text goes on: articles, conjunctions, prepositions that need an object, possessives.
_GOES_ON = frozenset((
    "a", "an", "the", "and", "or", "but", "nor", "of", "to", "into", "onto", "with", "from", "at", "for", "than",
    "because", "while", "whereas", "although", "that", "which", "whose", "his", "its", "their", "my", "your", "our",
    "this",
    "these", "is", "are", "was", "were", "be", "has", "have", "very", "as", "if", "when", "where", "between", "above",
    "among",
    "against", "toward", "towards", "during", "under", "upon", "every", "each",
))  # fmt: skip
_MAY_END = frozenset(
    ("is", "are", "was", "were", "be", "has", "have", "this", "these", "that", "above", "under", "each")
)
_PHRASE, _LONG, _LEAST_LETTERS = 3, 6, 2  # spaces of a text, words of a clause, letters of a word that breaks off
_CLOSERS = " \t*_\"'\u201d)"


def _find_cut_texts(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find texts that break off. A phrase may have no full stop; a clause that goes on, or half a word, is cut."""
    for number, pair in enumerate(pairs, 1):
        text = pair.answer
        if text[-1:] in ".!?" or is_complete(text) or "\n" in text or text.count(" ") < _PHRASE:
            continue
        last, length = text.rstrip(_CLOSERS).rpartition(" ")[2].lower(), text.count(" ") + 1
        word = last.rstrip(",;:")
        if not word.isalpha():
            continue
        is_broken = last[-1] == "," or (word in _GOES_ON and (length >= _LONG or word not in _MAY_END))
        if is_broken or _is_half_a_word(word, text, context.query.text):
            yield describe_match(f"answer {number}", f"...{text[-40:]}")
        elif length >= _LONG and number == len(pairs) and context.ends_sentences:
            others_end = all(is_complete(each.answer) for each in pairs[:-1])
            place = describe_match(f"answer {number}", f"...{text[-40:]}")
            yield place if others_end else Doubt(place)


def _is_half_a_word(word: str, text: str, annotation: str) -> bool:
    """Return whether a last word is the beginning of a word of the annotation, and itself stands nowhere."""
    if len(word) < _LEAST_LETTERS or len(text.split()) < _LONG:
        return False
    known = set(split_words(annotation))
    begins = [each for each in known if each.startswith(word)]
    is_form = any(len(each) - len(word) <= 2 for each in begins)  # "bike" of "bikes"
    return bool(begins) and not is_form and word not in known


# Numbers of pairs.


def _find_wrong_count(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find answers with less than half or more than twice as many pairs as the prompt asks for."""
    least, most = context.asked_pairs if not context.query.pairs else (0, None)
    if 2 * len(pairs) < least:
        yield f"{len(pairs)} of at least {least}"
    if most is not None and len(pairs) > 2 * most:
        yield f"{len(pairs)} of at most {most}"


# Languages in one script.

_ENGLISH = frozenset((
    "the", "a", "an", "is", "are", "was", "were", "of", "in", "on", "and", "to", "with", "it", "he", "she", "they",
    "you", "there", "at", "by", "his", "her", "their", "its", "has", "have", "no", "yes", "from", "this", "that", "for",
    "not",
    "be", "as", "who", "what", "which", "one", "two", "next", "near", "behind", "your", "can", "does", "do", "while",
))  # fmt: skip
_ENOUGH, _FOREIGN_SHARE = 6, 0.12  #: words of a text whose language shows; share of English function words


def _find_other_languages(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find Latin answers in another language, where the examples are English.

    Answers with English function words are English; of the others, lists of names for one, the identifier is asked.
    """
    if context.scripts != {"LATIN"}:
        return
    if len(_ENGLISH.intersection(searchable(pairs).vocabulary)) >= _ENOUGH:
        return  # nearly all English answers
    words = searchable(pairs).words
    if 5 * sum(map(_ENGLISH.__contains__, words)) >= 2 * len(words):
        return
    if not _is_english(split_words(context.sent.sample)):
        return
    for number, pair in enumerate(pairs, 1):
        said = split_words(pair.answer)
        is_suspect = len(said) >= _ENOUGH and sum(map(_ENGLISH.__contains__, said)) < _FOREIGN_SHARE * len(said)
        if is_suspect and identify(pair.answer, "en").matches is False:
            yield describe_match(f"answer {number}", pair.answer)


def _is_english(words: Sequence[str]) -> bool:
    return 5 * sum(map(_ENGLISH.__contains__, words)) >= len(words) > 0


UNFINISHED_RULES: tuple[Rule, ...] = (
    Check("ends in the middle of a sentence", _find_cut_texts),
    Check("far from the number of pairs asked for", _find_wrong_count),
    Check("is in another language than the examples", _find_other_languages),
)
