"""All checks of one pair in one language."""

from __future__ import annotations

from collections.abc import Sequence

from syphus.translation.languages import Language
from syphus.translation.reasons import Reason
from syphus.translation.types import Checked, Fault, Place, Term, Translatable

_PLACES: tuple[Place, Place] = ("instruction", "answer")


class Features:
    """What the checks need to know of a source. Made once, it serves all languages."""

    def __init__(self, source: Translatable) -> None:
        self.source = source


def check_translation(
    source: Translatable | Features, translated: Translatable, language: Language, terms: Sequence[Term] = ()
) -> Checked:
    """Looks for everything that shows `translated` not to be the translation of `source` into `language`.

    `terms` is the glossary. Who checks several languages of one source makes its `Features` once and gives these.
    """
    features = source if isinstance(source, Features) else Features(source)
    faults: list[Fault] = []
    for place in _PLACES:
        before, after = getattr(features.source, place), getattr(translated, place)
        if any(map(str.isalnum, before)) and not any(map(str.isalnum, after)):
            faults.append(Fault(Reason.EMPTY, place, after.strip()))
    return Checked(tuple(faults))
