"""Digests of the code that judges answers.

A run notes the digest in its ledger. When the digest changes, the stored answers are judged again, without a request.
Only what the code does counts: rewording a comment or a docstring, or reformatting a file, changes no digest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from pathlib import Path

_FOLDER = Path(__file__).parent

#: The files that decide whether an answer is accepted: parsers, cleaning rules, and all that they import from here.
ACCEPTANCE_FILES = tuple(
    _FOLDER / name
    for name in (
        "cleaning/__init__.py",
        "cleaning/citations.py",
        "cleaning/dataset_rules.py",
        "cleaning/doubtful_lines.py",
        "cleaning/endings.py",
        "cleaning/general_rules.py",
        "cleaning/meta_commentary.py",
        "cleaning/non_answers.py",
        "cleaning/rules.py",
        "cleaning/sent_texts.py",
        "cleaning/source_mentions.py",
        "cleaning/times.py",
        "cleaning/unfinished.py",
        "parsing/__init__.py",
        "parsing/answer_text.py",
        "parsing/choices.py",
        "parsing/conversations.py",
        "parsing/json_answers.py",
        "parsing/json_forms.py",
        "parsing/keyed_lines.py",
        "parsing/original_forms.py",
        "parsing/pairs.py",
        "parsing/plain_text.py",
        "parsing/sections.py",
        "scoring/candidates.py",
        "scoring/changes.py",
        "scoring/claims.py",
        "scoring/counting.py",
        "scoring/grounding.py",
        "scoring/invented.py",
        "scoring/lexicon.py",
        "scoring/norms.py",
        "scoring/words.py",
        "translation/identify.py",
    )
)

#: The files that decide whether a translation is accepted: `check_translation`, and all that it imports from here.
TRANSLATION_CHECK_FILES = tuple(
    _FOLDER / "translation" / name
    for name in (
        "check.py",
        "digits.py",
        "features.py",
        "identify.py",
        "languages.py",
        "layout.py",
        "model_artifacts.py",
        "number_phrases.py",
        "number_reader.py",
        "number_words.py",
        "numbers.py",
        "protected_spans.py",
        "source_numbers.py",
        "types.py",
        "units.py",
        "untranslated.py",
    )
)


def code_digest(files: Iterable[Path], settings: bytes = b"") -> str:
    """Return 16 hex digits that change with the code in `files` and with `settings`."""
    sources = (_normalized(file.read_bytes()).encode() for file in files)
    return blake2b(b"\0".join([settings, *sources]), digest_size=8).hexdigest()


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


@cache
def _normalized(source: bytes) -> str:
    """The source without comments and docstrings, in one layout."""
    return ast.unparse(_WithoutDocstrings().visit(ast.parse(source)))
