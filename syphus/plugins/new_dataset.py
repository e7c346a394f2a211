"""Writes a new plugin and its prompt for a file of annotations: `syphus new`.

The file is looked at first. What identifies a row, what text is shown to the model, and which images belong to it is
guessed from the names and the values of its columns. The guesses are printed, so that they can be corrected.
"""

from __future__ import annotations

import builtins
import keyword
import os
import re
import unicodedata
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from syphus.errors import ConfigError, InputError, RunError, UsageError
from syphus.io.durable import replace_file
from syphus.plugins.annotation_shape import LIST, LOOKED_AT, Column, Path_, Shape, look_at
from syphus.plugins.contract import queries
from syphus.plugins.loading import load_file, plugins_in
from syphus.plugins.plugin_source import ColumnGuess, plugin_source, prompt_source
from syphus.storage.addresses import as_url
from syphus.text import listed, missing_key, one_line, pluralize

_TEXT_NAMES = re.compile(
    r"caption|text|sentence|\braw\b|descri|narrat|comment|utter|question|answer|title|label|class|tag|value"
)
_ID_NAMES = re.compile(r"(?:^|[_.\- ]|[a-z])(?:id|uid|uuid|key|index|name|no|nr|number)s?$|^column_1$", re.IGNORECASE)
_IMAGE_NAMES = re.compile(r"image|img|photo|pict|video|clip|frame|file|bild", re.IGNORECASE)
_VIDEO_NAMES = re.compile(r"video|clip", re.IGNORECASE)
_CHECKED = 1000  # rows that the new plugin reads before it is handed over


class NewDataset(NamedTuple):
    """The files of a new dataset, and in `lines` what was guessed; `name` is for `--name`."""

    name: str
    plugin: Path
    prompt: Path
    lines: tuple[str, ...]


def new_dataset(
    name: str, query_inputs_path: str | Path, *, text: str = "", id_column: str = "", folder: str | Path = "."
) -> NewDataset:
    """Write `datasets/NAME.py` and `prompts/NAME.yaml` below `folder` for the annotations at `query_inputs_path`.

    `text` and `id_column` name the columns of the text and the id, where the guess would be wrong; rows with the same
    id become one query. Nothing is overwritten. Raises `InputError` if the file can't be read or has no text, and
    `RunError` if one of the files exists.
    """
    class_name, module = _names(name)
    source = str(query_inputs_path)
    plugin, prompt = Path(folder, "datasets", f"{module}.py"), Path(folder, "prompts", f"{module}.yaml")
    for path in (plugin, prompt):
        if path.exists():
            raise RunError(f"{path} exists already and is not overwritten; choose another name, or move it away")
    shape = look_at(source)
    guess = _guess(shape, source, text, id_column)
    thing = "video" if any(c is not None and _is_video(c) for c in (guess.image, guess.key)) else "image"
    plugin_text = plugin_source(class_name, _path_below(source, folder), shape, guess)
    for path in (plugin, prompt):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(prompt) as prompt_file, replace_file(plugin) as plugin_file:  # both, or none
        for file, content in ((prompt_file, prompt_source(guess, thing)), (plugin_file, plugin_text)):
            file.write(content.encode())
            file.flush()
    problem = shape.note or _first_problem(plugin, source)
    lines = [f"{source}: {shape.kind}, {_count(shape, guess)}", *_guess_lines(shape, guess)]
    lines += [f"Note: {problem}"] if problem else []
    return NewDataset(f"{class_name}.{module}", plugin, prompt, (*lines, f"Wrote {plugin} and {prompt}."))


def _names(name: str) -> tuple[str, str]:
    """Return the names of the class and of the module for a name as people write it."""
    text = unicodedata.normalize("NFKC", name.strip().removesuffix(".py"))
    first, dot, second = text.partition(".")
    given, module = (second, first) if dot and second[:1].isupper() and not first[:1].isupper() else (first, second)
    words = re.findall(r"[^\W_]+", given)
    class_name = "".join(word[:1].upper() + word[1:] for word in words)
    parts = re.findall(r"[^\W_]+", module or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", given))
    module = "_".join(parts).lower()
    if class_name[:1].isdigit():
        class_name = f"Dataset{class_name}"
    if keyword.iskeyword(class_name) or hasattr(builtins, class_name) or class_name in ("AbstractDataset", "Path"):
        class_name += "Dataset"
    if not class_name.isidentifier() or not re.fullmatch(r"\w+", module) or len(module) > 100:
        raise ConfigError(f"{name!r} can't be the name of a dataset; use letters and digits, as in Street")
    return class_name, module


def _path_below(source: str, folder: str | Path) -> str:
    """Return the path of the annotations as the plugin names it: relative if they are below the folder."""
    relative = os.path.relpath(source, folder)
    return as_url(source) or str(Path(source).absolute() if relative.startswith("..") else Path(relative).as_posix())


def _is_video(column: Column) -> bool:
    return bool(_VIDEO_NAMES.search(column.name)) or any(
        text.lower().endswith((".mp4", ".avi", ".webm", ".mkv", ".mov")) for text in column.texts[:1]
    )


def _count(shape: Shape, guess: ColumnGuess) -> str:
    if shape.rows == LOOKED_AT:
        return f"the first {shape.rows:,} rows"
    queries = pluralize(_key_count(guess.key), "query", "queries") if guess.grouped and guess.key else ""
    return pluralize(shape.rows, "row") + (f", {queries}" if queries else "")


def _guess(shape: Shape, source: str, text: str, id_column: str) -> ColumnGuess:
    if not shape.rows:
        if shape.problems:
            raise InputError(f"{source} holds no rows that can be read; the first problem: {shape.problems[0]}")
        raise InputError(f"{source} holds no rows")
    texts = [_named(text, shape, source, "--text")] if text else _text_columns(shape, source)
    others = [column for column in shape.columns if column not in texts]
    images = [column for column in others if column.is_key and (column.is_file or _IMAGE_NAMES.search(column.name))]
    image = max(images, key=lambda each: (each.is_file, bool(_IMAGE_NAMES.search(each.name))), default=None)
    guess = ColumnGuess(texts, image=image)
    if id_column:
        guess.key = _named(id_column, shape, source, "--id")
    elif shape.keys is None:
        guess.key = _key_column(others, image)
    guess.grouped = guess.key is not None and _key_count(guess.key) < len(guess.key.keys)
    if guess.grouped and image is not None and _key_count(image) > _key_count(guess.key or image):
        guess.image = None  # one image of several
    guess.used = {column.name for column in (*texts, guess.key, guess.image) if column is not None}
    return guess


def _named(name: str, shape: Shape, source: str, option: str) -> Column:
    found = next((column for column in shape.columns if column.name == name), None)
    if found is None:
        raise InputError(f"{option} {name}: {source} has {missing_key(name, [c.name for c in shape.columns])}")
    return found


def _text_columns(shape: Shape, source: str) -> list[Column]:
    """Return the column that is most like sentences, with those of the same name and another number."""

    def score(column: Column) -> float:
        last = next((str(key) for key in reversed(column.path) if key != LIST), "")
        named = 2.0 if _TEXT_NAMES.search(last.lower()) else 1.0
        return named * min(column.words, 12.0) * len(column.values) / max(1, len(column.values), shape.rows)

    best = max(shape.columns, key=score, default=None)
    if best is None or not score(best):
        has = listed(column.name for column in shape.columns if column.name)
        raise InputError(f"{source}: no column holds text{f'; it has {has}' if has else ''}")
    base = _without_number(best.path)
    alike = [
        column
        for column in shape.columns
        if _without_number(column.path) == base and (column.words >= 1 or not any(column.values))
    ]
    return alike if best in alike and best.is_single and not isinstance(best.path[-1:], int) and base else [best]


def _without_number(path: Path_) -> Path_:
    return tuple(re.sub(r"[_ .-]*\d+$", "", key) if isinstance(key, str) else key for key in path)


def _key_column(columns: list[Column], image: Column | None) -> Column | None:
    """Return the column that identifies the rows, or groups of them; None if there is none."""
    keys = [column for column in columns if column.is_key and column.words < 8]
    unique = [column for column in keys if column.distinct == _key_count(column) == len(column.keys)]
    named = [column for column in unique if _ID_NAMES.search(column.name) or column is image]
    groups = [c for c in keys if c is image or (_ID_NAMES.search(c.name) and _IMAGE_NAMES.search(c.name))]
    repeated = [column for column in groups if 1 < _key_count(column) <= len(column.keys) * 0.8]
    if repeated:
        return max(repeated, key=lambda column: (column is image, _key_count(column)))
    for column in (*(c for c in named if c.name.lower() == "id"), *(c for c in named if c is image), *named):
        return column
    if image is not None:  # some of the images have two rows
        return image
    return next((column for column in unique if column.texts), None)


def _key_count(column: Column) -> int:
    """Return the number of different keys: `1.jpg#0` and `1.jpg#1` are captions of one image."""
    return len({column.plain_key(str(value)) for value in column.keys})


def _guess_lines(shape: Shape, guess: ColumnGuess) -> list[str]:
    """Return what was guessed, a line each."""
    if guess.key is not None:
        key = guess.key.name + (", once for all rows with the same" if guess.grouped else "")
    else:
        key = "the keys of the object" if shape.keys else "the number of the row"
    lines = [
        f"  id      {key}",
        f"  text    {', '.join(column.name.removesuffix(LIST) or 'the row itself' for column in guess.texts)}",
    ]
    if guess.image is not None:
        files = f" (the files of the list {shape.files[0]})" if shape.files and guess.key is guess.image else ""
        lines.append(f"  images  {guess.image.name}{files}")
    unused = [column.name for column in shape.columns if column.name and column.name not in guess.used]
    if unused:
        lines.append(f"  unused  {listed(unused, 8)}")
    for column in guess.texts[:1]:
        empty = sum(not any(str(value or "").strip() for value in cell) for cell in column.cells)
        if empty:
            lines.append(f"Note: {pluralize(empty, 'row has', 'rows have')} no text in {column.name or 'it'}.")
    return lines


def _first_problem(plugin: Path, source: str) -> str:
    """Return why the new plugin can't read the first rows, or "" if it can."""
    try:
        module = load_file(plugin)
        dataset = plugins_in(module, plugin.stem)[0].create()
        seen: set[str] = set()
        for query in islice(queries(dataset, source), _CHECKED):
            if query.id in seen:
                return f'two rows have the id "{one_line(query.id, 60)}"; name another column with --id'
            seen.add(query.id)
    except UsageError as error:
        return f"{error}; --allow-bad-rows counts such rows as failed"
    return ""
