"""Parses the options of a translation: languages, tone and glossary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from syphus.answers.translation import LANGUAGES, Term, require_identifier
from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.io.records import type_name
from syphus.io.yaml_files import read_yaml
from syphus.text import did_you_mean
from syphus.translation.prompts import Target

ALL = "all"
_TONES = ("formal", "informal")
_CODES = ", ".join(LANGUAGES)


def check_options(options: Options) -> None:
    """Check the options, and that the package for language identification is installed. Raises `ConfigError`."""
    require_identifier()
    build_targets(parse_languages(options.languages, ()), options.tone)
    read_glossary(options.glossary)


def parse_languages(text: str, known: Sequence[str]) -> list[str]:
    """Return the codes that `--languages` names; if it names none, the `known` ones of the folder, or else all.

    Raises `ConfigError` for an unknown language.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names:
        return list(known or LANGUAGES)
    if ALL in names:
        return list(LANGUAGES)
    codes = {language.name.lower(): code for code, language in LANGUAGES.items()}
    names = [codes.get(name, name) for name in names]
    for name in names:
        if name not in LANGUAGES:
            near = did_you_mean(name, [*codes, *LANGUAGES])
            raise ConfigError(f"--languages {name}: unknown language{near or f'; use {_CODES} or {ALL}.'}")
    return [code for code in LANGUAGES if code in names]


def build_targets(codes: Sequence[str], tone: str) -> dict[str, Target]:
    """Return the languages by code, each with the tone that `--tone` sets.

    `tone` is one tone for all, or `zh=formal,de=informal`, or empty for the default of each language. Raises
    `ConfigError`.
    """
    tones = {code: LANGUAGES[code].tone for code in codes}
    for part in (part.strip().lower() for part in tone.split(",") if part.strip()):
        code, equals, value = part.rpartition("=")
        if value not in _TONES or (equals and code not in LANGUAGES):
            raise ConfigError(f"--tone {part}: use formal or informal, or set it by language: zh=formal,de=informal.")
        for each in [code] if equals else codes:
            tones[each] = "formal" if value == "formal" else "informal"
    notes = {code: getattr(LANGUAGES[code], tones[code]) for code in codes}
    return {code: Target(LANGUAGES[code], notes[code]) for code in codes}


def read_glossary(path: Path | None) -> list[Term]:
    """Read the terms of a YAML file. Raises `ConfigError`, which names the bad term.

    A term has one translation for all languages (`MIMIC-IT: MIMIC-IT`), or one for each
    (`answer sheet: {de: Antwortbogen}`).
    """
    if path is None:
        return []
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path}: expected an object of terms (English: translation), found {type_name(document)}")
    return [_read_term(path, source, translation) for source, translation in document.items()]


def _read_term(path: Path, source: str, translation: object) -> Term:
    by_language = dict.fromkeys(LANGUAGES, translation) if isinstance(translation, str) else translation
    if not source.strip() or not isinstance(by_language, Mapping):
        raise ConfigError(f'{path}: "{source}": expected text, or a text for each language, as in {{zh: 参数}}')
    for code, text in by_language.items():
        if code not in LANGUAGES:
            raise ConfigError(f'{path}: "{source}": unknown language {code}; use {_CODES}')
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f'{path}: "{source}": {code} must be text')
    return Term(source, {str(code): str(text) for code, text in by_language.items()})
