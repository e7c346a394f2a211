"""Languages, tone and glossary, as the user says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from syphus.answers.translation import LANGUAGES, Term, require_identifier
from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.io.records import kind_of
from syphus.io.yaml_files import read_yaml
from syphus.translation.prompts import Target

ALL = "all"
_TONES = ("formal", "informal")
_CODES = ", ".join(LANGUAGES)


def check_options(options: Options) -> None:
    """Sees to it that what the user says makes sense, and that translations can be checked. Raises `ConfigError`."""
    require_identifier()
    build_targets(parse_languages(options.languages, ()), options.tone)
    read_glossary(options.glossary)


def parse_languages(told: str, known: Sequence[str]) -> list[str]:
    """The codes that `--languages` names; where it names none, those that the folder has already, or all there are.

    Raises `ConfigError` for a language that there is not.
    """
    names = [name.strip().lower() for name in told.split(",") if name.strip()]
    if not names:
        return list(known or LANGUAGES)
    if ALL in names:
        return list(LANGUAGES)
    for name in names:
        if name not in LANGUAGES:
            raise ConfigError(f"--languages {name}: there is {_CODES}, and {ALL}.")
    return [code for code in LANGUAGES if code in names]


def build_targets(codes: Sequence[str], tone: str) -> dict[str, Target]:
    """The languages with what `--tone` says of them: a tone for all, or `zh=formal,de=informal`, or nothing.

    Raises `ConfigError`.
    """
    tones = {code: LANGUAGES[code].tone for code in codes}
    for part in (part.strip().lower() for part in tone.split(",") if part.strip()):
        code, equals, own = part.rpartition("=")
        if own not in _TONES or (equals and code not in LANGUAGES):
            raise ConfigError(f"--tone {part}: formal or informal, or one of them by language: zh=formal,de=informal.")
        for each in [code] if equals else codes:
            tones[each] = "formal" if own == "formal" else "informal"
    notes = {code: getattr(LANGUAGES[code], tones[code]) for code in codes}
    return {code: Target(LANGUAGES[code], notes[code]) for code in codes}


def read_glossary(path: Path | None) -> list[Term]:
    """The terms of a YAML file. Raises `ConfigError` with the term that is wrong.

    A term is written the same everywhere (`MIMIC-IT: MIMIC-IT`), or by language (`answer sheet: {de: Antwortbogen}`).
    """
    if path is None:
        return []
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: terms are expected at the top (English: translation), this is {kind_of(document)}")
    return [_term(path, source, wanted) for source, wanted in document.items()]


def _term(path: Path, source: str, wanted: object) -> Term:
    by_language = dict.fromkeys(LANGUAGES, wanted) if isinstance(wanted, str) else wanted
    if not source.strip() or not isinstance(by_language, Mapping):
        raise ConfigError(f'{path}: "{source}": text is expected, or a text for each language, as in {{zh: 参数}}')
    for code, text in by_language.items():
        if code not in LANGUAGES:
            raise ConfigError(f'{path}: "{source}": there is no language {code}; there is {_CODES}')
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f'{path}: "{source}": {code} must be text')
    return Term(source, {str(code): str(text) for code, text in by_language.items()})
