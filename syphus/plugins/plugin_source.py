"""The text of a new plugin and of its prompt, for the columns that were guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from syphus.plugins.annotation_shape import LIST, Column, Shape
from syphus.text import one_line

_PROMPT = """\
# The instruction comes first, then examples. Change both as you like; `syphus cold-start` finds examples in your data.
system_message: |-
  You are given {what} of one {thing}. It is all that you know about the {thing}.
  Write two to four pairs of a question about the {thing} and its answer, as if you saw the {thing} yourself.
  Ask only what can be answered from it, and never mention that you were given a text. Use this form, and nothing else:

  Question: ...
  Answer: ...
in_context:
  - role: user
    content: |-
{example}
  - role: assistant
    content:
      - question: What is the man holding?
        answer: He is holding a red umbrella.
      - question: What sits beside him?
        answer: A small brown dog sits beside him on a wet pavement.
"""
_EXAMPLE_LINES = (
    "A man with a red umbrella waits at a bus stop.",
    "A small brown dog sits next to a man on wet pavement.",
)


@dataclass
class ColumnGuess:
    """Which columns are used, and for what."""

    texts: list[Column]
    key: Column | None = None  #: identifies a row, or a group of rows; None: the items' own key, or the row's number
    grouped: bool = False
    image: Column | None = None
    used: set[str] = field(default_factory=set)


def prompt_source(guess: ColumnGuess, thing: str) -> str:
    """Return the text of the prompt file; `thing` is "image" or "video"."""
    several = guess.grouped or len(guess.texts) > 1 or not guess.texts[0].is_single
    lines = _EXAMPLE_LINES if several else (" ".join(_EXAMPLE_LINES),)
    example = "\n".join(f"      {line}" for line in lines)
    return _PROMPT.format(what="descriptions" if several else "a description", thing=thing, example=example)


def plugin_source(class_name: str, source: str, shape: Shape, guess: ColumnGuess) -> str:
    """Return the text of the plugin."""
    body = list(_body(shape, guess))
    code = "\n".join(body)
    readers = ("read_csv", "read_json_items", "read_json_lists", "read_jsonl", "read_json", "read_parquet", "grouped")
    names = ["AbstractDataset", *sorted(each for each in readers if f"{each}(" in code)]
    head = ["from pathlib import Path", ""] if "Path(" in code else []
    shown = one_line(Path(source).name, 60).replace('"', "'").replace("\\", "/")
    return "\n".join([
        *head,
        f"from syphus import {', '.join(names)}",
        "",
        "",
        f"class {class_name}(AbstractDataset):",
        f'    """{"Groups of rows" if guess.grouped else "Rows"} of {shown}."""',
        "",
        f"    query_inputs_path = {_quoted(source)}",
        "",
        "    def _load_query_inputs(self, path):",
        *(f"        {line}" for line in body),
        "",
    ])  # fmt: skip


def _body(shape: Shape, guess: ColumnGuess) -> Iterator[str]:
    """Yield the lines of `_load_query_inputs`."""
    code = shape.code.replace("{columns}", _parquet_columns(guess)) if "{columns}" in shape.code else shape.code
    rows, row = (f"(row for _, row in {code})", "_, row") if shape.keyed else (code, "row")
    if shape.files and guess.key is not None and guess.key.name == shape.files[2]:
        other, file, _ = shape.files
        rest = f'for _, each in read_json_lists(path, "{other}")'
        yield f'files = {{each["id"]: each["{file}"] {rest}}}'
    if guess.grouped and guess.key is not None:
        simple = len(guess.key.path) == 1 and isinstance(guess.key.path[0], str) and not guess.key.has_numbers
        by = _quoted(str(guess.key.path[0])) if simple else f"lambda row: {_key_code(guess.key)}"
        yield f"for key, rows in grouped({rows}, {by}):"
        identity = _grouped_id(shape, guess.key)
    elif guess.key is not None:
        yield f"for {row} in {code}:"
        identity = _name_code(_key_code(guess.key), guess.key)
    elif shape.keys is not None:
        yield f"for key, row in {code}:"
        identity = _name_code("key", shape.keys)
    else:
        yield f"for number, row in enumerate({rows}, 1):"
        identity = "number"
    image = _image_code(shape, guess)
    if image == identity and not image.isidentifier():
        yield f"    name = {identity}"
        image = identity = "name"
    elif image and not image.isidentifier():
        yield f"    image = {image}"
        image = "image"
    yield "    yield {"
    yield f'        "id": {identity},'
    yield f'        "sentences": {_texts_code(guess, "rows" if guess.grouped else "")},'
    if image:
        yield f'        "image_ids": [f"{{self.short_name}}_IMG_{{{image}}}"],'
    yield "    }"


def _parquet_columns(guess: ColumnGuess) -> str:
    used = [column.path[0] for column in (*guess.texts, guess.key, guess.image) if column is not None]
    return "[" + ", ".join(_quoted(str(name)) for name in dict.fromkeys(used)) + "]"


def _grouped_id(shape: Shape, key: Column) -> str:
    if shape.files and key.name == shape.files[2]:
        return "Path(files[key]).stem"
    return _name_code("key", key)


def _image_code(shape: Shape, guess: ColumnGuess) -> str:
    """Return the expression for the name of the image, or ""."""
    if guess.image is None:
        return _name_code("key", shape.keys) if shape.keys is not None and shape.keys.is_file else ""
    if guess.grouped and guess.image is guess.key:
        return _grouped_id(shape, guess.image)
    root = _code(guess.image, "rows[0]" if guess.grouped else "row")
    return _name_code(root, guess.image)


def _name_code(code: str, column: Column | None) -> str:
    """Return the expression for a name that can be part of ids: without folders and the ending of a file."""
    if column is None or not column.is_file:
        return code
    plain = {column.plain_key(text) for text in column.texts}
    if len({Path(text).stem for text in plain}) == len(plain):
        return f"Path({code}).stem"
    return f'"_".join(Path({code}).with_suffix("").parts)'


def _key_code(column: Column) -> str:
    code = _code(column, "row")
    return f'{code}.partition("#")[0]' if column.has_numbers else code


def _code(column: Column, root: str) -> str:
    return root + "".join(f"[{_quoted(key) if isinstance(key, str) else key}]" for key in column.path)


def _texts_code(guess: ColumnGuess, rows: str) -> str:
    """Return the expression for the text of a query; `rows` is the variable of its rows if it has several."""
    if len(guess.texts) > 1:
        every = f"({', '.join(_code(column, 'row') for column in guess.texts)})"
        return (
            f"[text for row in {rows} for text in {every} if text]" if rows else f"[text for text in {every} if text]"
        )
    column = guess.texts[0]
    loops, value, names = [f"for row in {rows}"] if rows else [], "row", iter(("each", "part", "piece", "bit"))
    for key in column.path:
        if key == LIST:
            variable = next(names)
            loops.append(f"for {variable} in {value}")
            value = variable
        else:
            value += f"[{_quoted(key) if isinstance(key, str) else key}]"
    if len(loops) == 1 and column.path[-1:] == (LIST,):
        return loops[0].partition(" in ")[2]
    return f"[{value} {' '.join(loops)}]" if loops else value


def _quoted(text: str) -> str:
    """Return text as a Python literal in double quotes where that is possible."""
    return f'"{text}"' if text.isprintable() and not set(text) & set('"\\') else repr(text)
