"""Splits a text into words, with their stems and their numeric values.

Stems are those of Snowball for English. Chinese and Japanese, which have no spaces, and Korean, whose endings vary, are
split into overlapping pairs of characters, as in search engines, without characters that are mostly grammar. A run of
katakana is one word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

# English words that carry no meaning of their own, so that an answer may use them whatever the annotation says:
# function words, words of time and degree, words for any image or video, and words for reasoning and guessing. Any
# other word that is not in the annotation counts against an answer.

_FUNCTION = """
    a an the this that these those here there it its itself he him his himself she her hers herself they them their
    theirs themselves i me my mine myself we us our ours ourselves you your yours yourself who whom whose which what
    where when why how whether if then else than as so such and or but nor not no yes neither either both all any some
    each every few many much more most several various multiple other others another same own only just also too even
    still yet again once ever never always often sometimes usually now later soon already about above across after
    against along among amid around at away back before behind below beneath beside besides between beyond by down
    during except for from in inside into near nearby next of off on onto opposite out outside over past per since
    through throughout till to together toward towards under until up upon upwards via while with within without
    despite unlike whereas though although because therefore thus hence however moreover furthermore additionally
    instead meanwhile otherwise rather quite very really almost nearly fairly slightly somewhat completely entirely
    fully partially partly mostly mainly largely highly extremely
    be am is are was were been being have has had having do does did doing done can could may might must shall should
    will would ought need needs let lets get gets got getting go goes going gone went come comes coming came make makes
    made making take takes taken taking took give gives given giving gave put puts putting keep keeps kept keeping seem
    seems seemed seeming become becomes became becoming allow allows allowed help helps helping use uses used using
    try tries trying tried start starts begin begins happen happens happening happened
    isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't haven't hasn't hadn't
    i'm i've i'd i'll you're you've he's she's it's they're we're there's that's what's who's let's
    ain't cannot one ones someone somebody anyone anybody everyone everybody nobody something anything everything
    nothing thing things first second third last former latter
"""
_OF_IMAGES = """
    image images picture pictures photo photos photograph photographs scene scenes video videos clip frame frames shot
    view views camera moment background foreground left right center centre middle side sides top bottom front back
    corner edge end part parts area areas place places position positions positioned location located situated placed
    close closer far further distance distant direction facing left-hand right-hand upper lower
    show shows shown showing showcase showcases showcasing depict depicts depicted depicting feature features featured
    featuring capture captures captured display displays displayed displaying include includes included including
    contain contains containing present presents presented see sees seen seeing saw look looks looked looking looked
    appear appears appeared appearing appearance visible notice noticed notable observe observed view viewed viewing
    describe described describing description mention mentioned refer referred call called focus main primary subject
    object objects item items element elements detail details detailed setting environment surroundings surrounding
    overall atmosphere color colors colour colours colored coloured shape size kind kinds type types sort number amount
    group total half whole entire rest pair
    change changes changed difference differences differ differs different similar new old anymore longer
"""
_OF_REASONING = """
    reason reasons purpose likely unlikely possible possibly probably perhaps maybe plausible potential potentially
    suggest suggests suggested suggesting suggestion indicate indicates indicated indicating imply implies infer
    inferred inference conclude concluded conclusion assume explain explains explanation certain certainly clear clearly
    obvious obviously evident apparent apparently seemingly actually indeed simply particular particularly specific
    specifically especially general generally typical typically common commonly usual example instance case cases
    situation situations context factor factors aspect aspects fact idea sense way ways manner order result results
    resulting cause causes caused due lead leads leading effect effects impact influence relate related relation
    relationship associated association combination variety range level degree good better best well great nice
    important importance significant interesting unique special able ability consider considered considering
    consideration determine think thinks thought know known want wants like likes would expect expected prefer enjoy
    enjoys enjoying enjoyed feel feels feeling sense provide provides provided providing offer offers offering create
    creates created creating add adds adding added contribute contributes require requires required involve involves
    involved ensure serve serves served serving engage engaged engaging activity activities action actions event events
    experience opportunity challenge challenges issue issues problem problems time times day moment today currently
    additional addition further large small big little long short high low full empty nice same various overall
"""
COMMON = frozenset(f"{_FUNCTION} {_OF_IMAGES} {_OF_REASONING}".split())

NUMBERS = {
    "zero": 0.0, "one": 1.0, "single": 1.0, "two": 2.0,
    "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0,
    "eleven": 11.0, "twelve": 12.0, "dozen": 12.0, "thirteen": 13.0, "fourteen": 14.0, "fifteen": 15.0,
    "sixteen": 16.0, "seventeen": 17.0, "eighteen": 18.0, "nineteen": 19.0, "twenty": 20.0, "thirty": 30.0,
    "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0, "eighty": 80.0, "ninety": 90.0, "hundred": 100.0,
    "thousand": 1000.0,
}  # fmt: skip

#: Irregular forms that a stemmer does not recognise, each with its base form.
_IRREGULAR = """
    men:man women:woman children:child feet:foot teeth:tooth mice:mouse geese:goose people:person persons:person
    knives:knife wives:wife wolves:wolf shelves:shelf loaves:loaf halves:half scarves:scarf calves:calf
    drunk:drink oxen:ox dice:die policemen:policeman firemen:fireman fishermen:fisherman
    sat:sit sitting:sit seated:sit stood:stand lay:lie lying:lie laid:lie laying:lie ran:run running:run rode:ride
    ridden:ride drove:drive driven:drive flew:fly flown:fly swam:swim swum:swim ate:eat eaten:eat drank:drink
    held:hold wore:wear worn:wear threw:throw thrown:throw caught:catch hung:hang leaf:leaves
    spoke:speak spoken:speak said:say told:tell wrote:write written:write sang:sing sung:sing fell:fall
    fallen:fall grew:grow grown:grow broke:break broken:break built:build bought:buy brought:bring slept:sleep
    asleep:sleep woke:wake awoke:wake met:meet sold:sell swung:swing slid:slide shook:shake bent:bend
    fed:feed led:lead lit:light blew:blow blown:blow drew:draw drawn:draw rose:rise risen:rise
    bitten:bite bit:bite hid:hide hidden:hide knelt:kneel leapt:leap paid:pay stuck:stick won:win
    buses:bus lenses:lens gases:gas bikes:bike grey:gray tyre:tire tyres:tire doughnut:donut doughnuts:donut
"""
IRREGULAR = {form: base for form, _, base in (pair.partition(":") for pair in _IRREGULAR.split())}


_WORD = re.compile("\\d+(?:[.,:]\\d+)*|[^\\W\\d_]+(?:['\u2019][^\\W\\d_]+)*")
_ENDS_SENTENCE = re.compile(r"(?:\A|[.!?:;\"“(\n-])\W*\Z")
_BETWEEN_SENTENCES = re.compile(r"(?<=[^\d\s][.!?])\s+|\n+")
_LABEL = re.compile(r"^[ \t]*\(?\d{1,2}[.)](?=\s)", re.MULTILINE)
_RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3005]+|[\uac00-\ud7a3]+|[\u30a1-\u30fa\u30fc]+")  # in one script
_GRAMMAR = re.compile("[的了在是着和与及或也都就很吗呢吧啊之而且但这那有个只位张]|正在|可以|其他")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")
_BOX = re.compile(r"\[\s*-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?)*\s*\]")

_HARDLY_ENGLISH, _ENGLISH = 0.2, 0.25  #: shares of function words
_ENOUGH_WORDS = 8  #: before their language is guessed


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text, in lower case: its stem, its value if it is a number, and whether it seems to be a name."""

    text: str
    stem: str
    value: float | None = None
    is_name: bool = False
    ends_phrase: bool = False  #: followed by a punctuation mark, or last


@lru_cache(maxsize=4_000)
def tokenize(text: str) -> tuple[Word, ...]:
    """Return all words in order, without coordinates in brackets and the numbers of list items."""
    text = _LABEL.sub(" ", _BOX.sub(" ", text))
    has_spaces = _UNSPACED.search(text) is None
    found: list[Word] = []
    for match in _WORD.finditer(text):
        written, (start, end) = match[0], match.span()
        if not has_spaces and _UNSPACED.search(written):
            found += _split_characters(written)
            continue
        is_name = written[0].isupper() and not _ENDS_SENTENCE.search(text, max(0, start - 4), start)
        found.append(_read_word(written, is_name, text[end : end + 1] not in (" ", "-")))
    return tuple(found)


@lru_cache(maxsize=20_000)
def _read_word(written: str, is_name: bool, ends_phrase: bool) -> Word:
    small = re.sub("['\u2019]s?$", "", written.casefold())
    stemmed = small if small[0].isdecimal() else stem(small)
    return Word(small, stemmed, _numeric_value(small), is_name and small not in COMMON, ends_phrase)


def _split_characters(run: str) -> Iterator[Word]:
    """Yield the words of a run of Chinese, Japanese or Korean characters; hiragana is left out as grammar."""
    for part in _RUN.findall(_GRAMMAR.sub(" ", run)):
        pairs = [part] if "\u30a0" < part[0] < "\u3100" or len(part) == 1 else map("".join, pairwise(part))
        yield from (Word(each, each) for each in pairs)


@lru_cache(maxsize=1_000)
def split_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences and lines of a text; a full stop after a digit ends none."""
    return tuple(_BETWEEN_SENTENCES.split(text))


@lru_cache(maxsize=4_000)
def content_stems(text: str) -> frozenset[str]:
    """Return the stems of the words that carry meaning, without numbers and common words."""
    return frozenset(w.stem for w in tokenize(text) if w.value is None and not is_common(w.stem))


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Return the stem of a lower-case word; "riding" and "ride" have the same stem, and so have "men" and "man"."""
    return _stemmer()(IRREGULAR.get(word, word))


def is_common(stemmed: str) -> bool:
    """Return whether a stem is that of a word without a meaning of its own."""
    return len(stemmed) < 2 or stemmed in _common_stems()


def jaccard_similarity(one: Collection[str], other: Collection[str]) -> float:
    """Return the Jaccard index of two collections: the share of their elements that both have; 0 if both are empty."""
    both = set(one) | set(other)
    return len(set(one) & set(other)) / len(both) if both else 0.0


@lru_cache(maxsize=1_000)
def are_comparable(annotation: str, text: str) -> bool:
    """Return whether two texts can be compared: the annotation has words, and both seem to be in one language.

    They are in different languages if the scripts differ, or if the annotation has no English function words, the text
    has many, and they have no other word in common.
    """
    known = content_stems(annotation)
    if not known:
        return False
    same_script, english = _mostly_latin(annotation) == _mostly_latin(text), seems_english(annotation)
    if same_script and english:
        return True  # without looking at the words of the text
    said = content_stems(text)
    foreign = not english and _function_word_share(text) > _ENGLISH
    return not said or (same_script and not (foreign and known.isdisjoint(said)))


def seems_english(text: str) -> bool:
    """Return whether a text has English function words, or is too short to tell."""
    return _function_word_share(text) >= _HARDLY_ENGLISH


def _function_word_share(text: str) -> float:
    found = tokenize(text)
    return sum(word.text in COMMON for word in found) / len(found) if len(found) >= _ENOUGH_WORDS else 0.5


def _mostly_latin(text: str) -> bool:
    if text.isascii():
        return True
    letters = [letter for letter in text[:2000] if letter.isalpha()]
    return sum(letter < "\u0250" for letter in letters) >= 3 * sum(letter >= "\u0250" for letter in letters)


def _numeric_value(word: str) -> float | None:
    if word in NUMBERS:
        return NUMBERS[word]
    if not word[0].isdecimal() or ":" in word:
        return None
    plain = word.replace(",", "") if re.fullmatch(r"\d{1,3}(?:,\d{3})+", word) else word.replace(",", ".")
    return float(plain) if plain.count(".") <= 1 else None


@cache
def _common_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in COMMON) | COMMON


@cache
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer  # imported late, because it loads all its languages

    stemmer: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return stemmer
