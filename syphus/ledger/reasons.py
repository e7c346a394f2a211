"""The reasons of outcomes that code acts on, in the spelling that ledgers hold.

A reason is one stored line of text. Most reasons are only counted and shown. These few also decide what happens next,
so their spelling is fixed: old ledgers hold it.
"""

from __future__ import annotations

from enum import StrEnum


class ReasonKind(StrEnum):
    """Why a query or a translation has no usable result. A value that ends in a space begins a longer reason."""

    BAD_ROW = "bad row"  #: the row can't be read
    EMPTY_ANNOTATION = "the annotation is empty"
    PLUGIN = "plugin: "  #: the plugin's code failed on the row
    IMAGE = "image: "  #: an image of the row can't be sent
    CONTENT_FILTER = "content filter on the "  #: prompt or answer
    JUDGE = "judge: "  #: a judge rejected the translation
    ANOTHER_FORM = "asked again in another form"  #: the answer was not JSON as it was asked for; of pending queries
    OTHER = ""

    @classmethod
    def parse(cls, reason: str) -> ReasonKind:
        """Return the kind of a stored reason; `OTHER` for one that no code acts on."""
        for kind in cls:
            if reason == kind or (kind.endswith(" ") and reason.startswith(kind)):
                return kind
        return cls.OTHER

    @property
    def is_fixed_by_retry(self) -> bool:
        """Whether another attempt may succeed although nothing else has changed."""
        return self not in (
            ReasonKind.BAD_ROW,
            ReasonKind.EMPTY_ANNOTATION,
            ReasonKind.PLUGIN,
            ReasonKind.IMAGE,
        )
