"""The shape of the package: what may import what, how large things may get, and what is loaded when."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "syphus"

#: From top to bottom: a room, which is a package or a module of `syphus`, imports from those below it and from itself.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("workflow",),
    ("api",),
    ("api_exports",),
    ("api_types",),
    ("progress",),
    ("main_job", "viewer"),
    ("cold_start", "quality", "relations", "translation"),
    ("runs",),
    ("batch", "cluster"),
    ("pipeline",),
    ("formats",),
    ("images",),
    ("simulator",),
    ("endpoints",),
    ("config", "ledger", "plugins"),
    ("cleaning", "parsing", "selection"),  # what plugins import, under names that do not change
    ("answers", "io"),
    ("storage",),
    ("text",),
    ("declarations", "errors", "exchange", "former_paths", "model_names", "types", "version"),
)
HEAVY = (
    "PIL",
    "aiofiles",
    "aiohttp",
    "av",
    "fsspec",
    "httpx2",
    "openai",
    "orjson",
    "pyarrow",
    "pydantic",
    "ray",
    "rich",
    "tenacity",
)
LONGEST_MODULE, LONGEST_FUNCTION = 400, 40  # lines
MOST_ROOMS, MOST_MODULES = 21, 443
SHARED_FILE_NAMES = {"__init__", "stage", "types", "page"}  #: names that more than two files may have


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text("utf-8"))


def imported(name: str) -> Iterator[str]:
    """The modules of Syphus that a module imports anywhere in it."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "syphus":
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_every_room_has_its_layer() -> None:
    assert {room(name) for name in modules()} - {""} == {each for layer in LAYERS for each in layer}


def test_the_package_has_few_rooms_and_few_modules() -> None:
    assert len([path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]) <= MOST_ROOMS
    assert len(modules()) <= MOST_MODULES


def test_no_file_name_is_used_more_than_twice() -> None:
    names = Counter(path.stem for path in modules().values())
    assert {name: count for name, count in names.items() if count > 2 and name not in SHARED_FILE_NAMES} == {}


def test_no_two_public_classes_have_one_name() -> None:
    classes = [node.name for name in modules() for node in tree(name).body if isinstance(node, ast.ClassDef)]
    assert {name for name, count in Counter(classes).items() if count > 1 and not name.startswith("_")} == set()


@pytest.mark.parametrize(
    "package", [name for name, path in modules().items() if path.stem == "__init__" and "." in name]
)
def test_the_map_of_a_room_names_each_of_its_files(package: str) -> None:
    folder = modules()[package].parent
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    rooms = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    docstring = ast.get_docstring(tree(package)) or ""
    assert re.findall(r"^(\w+(?:\.py|/)) ", docstring, re.MULTILINE) == sorted(files | rooms)


def test_the_diagram_in_the_design_note_shows_the_layers() -> None:
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    diagram = page.partition("Imports point down")[2].partition("\n\n")[2].partition("\n\n")[0]
    shown = [tuple(each.strip() for each in layer.split(",")) for layer in diagram.split(">")]
    assert shown == [tuple(sorted(layer)) for layer in LAYERS]


def test_the_rooms_for_contributors_are_in_the_order_of_the_layers() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    shown = re.findall(r"`(\w+)`", page.partition("one room for each job.")[2].partition("Imports only")[0])
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert shown == [each for layer in LAYERS for each in layer if each in rooms]


def test_imports_point_down() -> None:
    rank = {each: number for number, layer in enumerate(LAYERS) for each in layer}
    upward = [
        f"{name} imports {other}"
        for name in modules()
        if room(name)
        for other in imported(name)
        if room(other) != room(name) and not (room(other) and rank[room(other)] > rank[room(name)])
    ]
    assert upward == []


def test_no_imports_go_in_a_circle() -> None:
    graph = {name: set(imported(name)) - {name} for name in modules()}
    order = list(TopologicalSorter(graph).static_order())  # raises a CycleError with the circle
    assert set(order) == set(modules())


def test_no_module_is_too_long_to_read() -> None:
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (each for each in ast.walk(tree(name)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_function_is_too_long_to_read() -> None:
    long = {
        f"{name}.{each.name}": (each.end_lineno or 0) - each.lineno + 1
        for name in modules()
        for each in functions(name)
        if (each.end_lineno or 0) - each.lineno >= LONGEST_FUNCTION
    }
    assert long == {}


def public(nodes: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public classes and functions, and the public methods of public classes."""
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def test_everything_public_says_what_it_is() -> None:
    silent = [name for name in modules() if name != "syphus.__main__" and not ast.get_docstring(tree(name))]
    silent += [f"{name}.{each.name}" for name in modules() for each in public(tree(name).body) if not _documented(each)]
    assert silent == []


def _documented(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    overloads = any(isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list)
    inherited = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _overrides(node.name)
    return bool(ast.get_docstring(node)) or overloads or inherited


def _overrides(method: str) -> bool:
    """Methods whose names a library gave, and documents."""
    return method in {"send", "get_code"}


@pytest.mark.parametrize("name", [name for name in modules() if "__all__" in modules()[name].read_text("utf-8")])
def test_what_a_module_offers_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


def test_the_names_for_plugins_are_the_public_ones() -> None:
    module = importlib.import_module("syphus")
    assert sorted(module.__all__) == sorted(
        alias.asname or alias.name
        for node in ast.walk(tree("syphus"))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("syphus.")
        and node.module != "syphus.former_paths"
        for alias in node.names
    )


FORMER = (  #: module paths of 0.1.0, and where each is today
    ("syphus.translation.check", "syphus.answers.translation.check"),
    ("syphus.translation.languages", "syphus.answers.translation.languages"),
    ("syphus.translation.reasons", "syphus.answers.translation.types"),
    ("syphus.translation.types", "syphus.answers.translation.types"),
    ("syphus.cleaning.library", "syphus.answers.cleaning.dataset_rules"),
    ("syphus.corpus.verify", "syphus.formats.mimicit.verify"),
    ("syphus.endpoints.simulated.faults.table", "syphus.simulator.faults.table"),
    ("syphus.options", "syphus.config.options"),
    ("syphus.parsing.pairs", "syphus.answers.parsing.pairs"),
    ("syphus.reading.frames", "syphus.io.media"),
    ("syphus.reading.records", "syphus.io.records"),
    ("syphus.selection.words", "syphus.answers.scoring.words"),
)


@pytest.mark.parametrize(("former", "present"), FORMER)
def test_a_former_path_gives_the_module_itself_and_no_copy(former: str, present: str) -> None:
    assert importlib.import_module(former) is importlib.import_module(present)


def test_a_former_package_offers_what_its_successor_does() -> None:
    assert importlib.import_module("syphus.reading").records.read_json is importlib.import_module("syphus").read_json
    former = importlib.import_module("syphus.translation")
    assert former.LANGUAGES is importlib.import_module("syphus.answers.translation").LANGUAGES


@pytest.mark.parametrize("name", ["syphus.nothing", "syphus.translation.nothing", "syphus.reading.nothing"])
def test_a_path_that_never_was_is_still_an_error(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'syphus\."):
        importlib.import_module(name)
    assert not hasattr(importlib.import_module("syphus.translation"), "nothing")


def test_every_text_file_is_opened_with_its_encoding() -> None:
    forgotten = [f"{name}:{call.lineno}" for name in modules() for call in calls(name) if opens_as_text(call)]
    assert forgotten == []


def calls(name: str) -> Iterator[ast.Call]:
    yield from (each for each in ast.walk(tree(name)) if isinstance(each, ast.Call))


def opens_as_text(call: ast.Call) -> bool:
    """A call of open, Path.open, read_text or write_text that leaves the encoding to the machine."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    on = getattr(call.func, "value", None)
    if isinstance(on, ast.Name) and on.id in {
        "os",
        "Image",
        "av",
        "tarfile",
    }:  # these give bytes, images, videos, members
        return False
    places = {"open": 3 if isinstance(call.func, ast.Name) else 2, "read_text": 0, "write_text": 1}
    if called not in places or any(word.arg == "encoding" for word in call.keywords):
        return False
    if len(call.args) > places[called]:
        return False
    texts = [each.value for each in (*call.args, *(k.value for k in call.keywords)) if isinstance(each, ast.Constant)]
    return not any(isinstance(each, str) and "b" in each and len(each) <= 3 for each in texts)


LOADED = """
import contextlib, runpy, sys
sys.argv = ["main.py", *sys.argv[1:]]
with contextlib.suppress(SystemExit):
    runpy.run_path("main.py", run_name="__main__")
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """The packages that a process has loaded when its command is done."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_help_loads_nothing_heavy() -> None:
    assert loaded("--help") & set(HEAVY) == set()


def test_a_listing_loads_no_client_and_no_server() -> None:
    assert loaded("datasets") & {"openai", "aiohttp", "httpx2", "rich"} == set()


def test_a_plugin_that_imports_syphus_loads_nothing_heavy() -> None:
    script = "import sys, syphus; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & set(HEAVY) == set()
