"""Finds dataset plugins by name, and lists them.

A plugin is a class in a file of a folder that the user names, of `./datasets` or of the shipped datasets, or an entry
point of the group `syphus.datasets` in an installed package. The environment variable SYPHUS_PLUGINS limits the entry
points: `none`, or names separated by commas; if it is unset, all are used.

A file is loaded by its path under a private module name, because `import datasets` must still find the well-known
package of that name.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from syphus.errors import InputError, PluginError
from syphus.io.text_files import open_file
from syphus.plugins.contract import AbstractDataset, shipped_folder
from syphus.plugins.loading import (
    IMPORT_SECONDS,
    LoadedPlugin,
    imported_siblings,
    load_class,
    load_entry_point,
    load_file,
    plugins_in,
)
from syphus.plugins.sandbox import no_network

__all__ = ["LoadedPlugin", "PluginInfo", "find_plugin", "list_plugins", "shipped_folder"]

GROUP = "syphus.datasets"
PLUGINS_VARIABLE = "SYPHUS_PLUGINS"

_NAME = re.compile(r"([\w-]+)\.([\w-]+)")
_NO_DATASETS = frozenset(("NamedTuple", "TypedDict", "Protocol", "Enum", "StrEnum", "IntEnum", "Exception", "ABC"))
_MARKS = (b"AbstractDataset", b"syphus")

_given: dict[str, LoadedPlugin] = {}  # classes that were given instead of a name


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One line of a listing. `error` is empty or says why it can't be used: `change.py:7 KeyError: 'caption'`."""

    name: str
    short_name: str
    description: str
    path: str
    error: str = ""


def find_plugin(name: str, folders: Iterable[str | Path] = (), installed: str | None = None) -> LoadedPlugin:
    """Return the plugin called `name`: `Class.module` or `module.Class`.

    `folders` are searched besides `./datasets` and the shipped plugins; `installed` limits the entry points like
    SYPHUS_PLUGINS, and has precedence. Raises `PluginError` if the plugin is unknown (with similar names), broken, or
    found twice.
    """
    if name in _given:
        return _given[name]
    if not name.strip():
        raise PluginError("no dataset is named; name one with --name (the command datasets lists them)")
    parts = _NAME.fullmatch(name)
    if parts is None or parts[2] == "py":
        parts = _NAME.fullmatch(_only_one(name, _folders(folders), _installed(installed)))
    found = _candidates(parts[1], parts[2], _folders(folders), _installed(installed)) if parts else []
    if not found:
        raise PluginError(
            f'there is no dataset "{name}"; {_suggestion(name, _folders(folders), _installed(installed))}'
        )
    if len(found) > 1:
        paths = " and ".join(f"{plugin.name} in {plugin.path}" for plugin in found)
        raise PluginError(f'"{name}" is found more than once: {paths}. Rename one of them')
    if problem := found[0].problem():
        raise PluginError(f"{found[0].path}: {problem}")
    return found[0]


def dataset_name(dataset: str | type[AbstractDataset]) -> str:
    """Return the name of a dataset; a class is found under it from now on, in this process.

    It is that of the class and of its file, as `--name` takes it, or "Class.notebook" if the class is in no file.
    Raises `PluginError` if it is not a class of a dataset.
    """
    if isinstance(dataset, str):
        return dataset
    plugin = load_class(dataset)
    _given[plugin.name] = plugin
    return plugin.name


def list_plugins(
    folders: Iterable[str | Path] = (), installed: str | None = None, seconds: float = IMPORT_SECONDS
) -> list[PluginInfo]:
    """Return all plugins, and with an error those that can't be used. For the arguments see `find_plugin`.

    Files that mention Syphus or its base class are run, without network access, for at most `seconds` each. A shipped
    plugin is left out if one of the user's has the same name. Raises `PluginError` only if a folder does not exist.
    """
    with no_network():
        infos = [info for file in _files(_folders(folders)) for info in _listed(file, seconds)]
        infos += [info for point in _installed(installed) for info in _listed(point, seconds)]
    user_names = {info.name for info in infos if not is_shipped(Path(info.path))}
    infos = [info for info in infos if info.name not in user_names or not is_shipped(Path(info.path))]
    paths: dict[str, set[str]] = {}
    for info in infos:
        paths.setdefault(info.name, set()).add(info.path)
    return [_with_clash(info, paths[info.name] - {info.path}) for info in infos]


def _candidates(one: str, other: str, folders: Sequence[Path], points: Sequence[EntryPoint]) -> list[LoadedPlugin]:
    """Return the plugins that the two parts can mean in either order; plugins of the user hide shipped ones."""
    names = {f"{one}.{other}": other, f"{other}.{one}": one}
    candidates = (*_in_files(names, folders), *_in_packages(names, points))
    found = {(plugin.name, plugin.path.resolve()): plugin for plugin in reversed(candidates)}
    of_user = [plugin for plugin in found.values() if not is_shipped(plugin.path)]
    return (of_user or list(found.values()))[::-1]


def is_shipped(path: Path) -> bool:
    """Return whether a plugin comes with Syphus; a plugin of the user with the same name hides it."""
    return path.resolve().parent == shipped_folder("datasets").resolve()


def _in_files(names: dict[str, str], folders: Sequence[Path]) -> Iterator[LoadedPlugin]:
    for name, stem in names.items():
        for file in (folder / f"{stem}.py" for folder in folders):
            if file.is_file():
                yield from _in_file(file, name)


def _in_file(file: Path, name: str) -> list[LoadedPlugin]:
    try:
        module = load_file(file)
    except PluginError as error:
        raise PluginError(f"{file} can't be loaded: {error}") from error.__cause__
    found = [plugin for plugin in plugins_in(module, file.stem) if plugin.name == name]
    cls = vars(module).get(name.partition(".")[0])
    if not found and isinstance(cls, type) and cls.__module__ == module.__name__:
        raise PluginError(f"{file}: {cls.__name__} does not inherit from AbstractDataset")
    return found


def _in_packages(names: dict[str, str], points: Sequence[EntryPoint]) -> Iterator[LoadedPlugin]:
    for point in points:
        if point.module.rpartition(".")[2] in names.values():
            yield from (plugin for plugin in load_entry_point(point) if plugin.name in names)


def _listed(source: Path | EntryPoint, seconds: float) -> list[PluginInfo]:
    path = str(source) if isinstance(source, Path) else source.value
    try:
        if isinstance(source, Path):
            plugins = plugins_in(load_file(source, seconds), source.stem)
        else:
            plugins = load_entry_point(source, seconds)
    except PluginError as error:
        names = _class_names(source) if isinstance(source, Path) else []
        return [PluginInfo(name, "", "", path, str(error)) for name in names or [path]]
    return [PluginInfo(each.name, each.cls.short_name, each.cls.description, path, each.problem()) for each in plugins]


def _with_clash(info: PluginInfo, others: set[str]) -> PluginInfo:
    return replace(info, error=info.error or f"also in {', '.join(sorted(others))}; rename one") if others else info


def _folders(folders: Iterable[str | Path]) -> list[Path]:
    """Return the user's folders, ./datasets and the shipped folder, without duplicates."""
    of_user = [Path(folder) for folder in folders]
    for folder in of_user:
        if not folder.is_dir():
            raise PluginError(f"there is no folder {folder} to look for datasets in")
    every = [folder for folder in (*of_user, Path("datasets"), shipped_folder("datasets")) if folder.is_dir()]
    return list({folder.resolve(): folder for folder in reversed(every)}.values())[::-1]


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the source files that may hold a plugin. Other scripts in `./datasets` are not run for a listing."""
    for folder in folders:
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith("_") and _mentions_syphus(file):
                yield file


def _mentions_syphus(file: Path, importers: frozenset[Path] = frozenset()) -> bool:
    """Return whether a file mentions Syphus, or imports another plugin file that does."""
    try:
        with open_file(file) as opened:
            source = opened.read()
    except (OSError, InputError):
        return True  # listed with this error
    if any(mark in source for mark in _MARKS):
        return True
    siblings = [file.with_name(f"{stem}.py") for stem in imported_siblings(source, file)]
    return any(_mentions_syphus(each, importers | {file}) for each in siblings if each not in importers)


def _installed(installed: str | None) -> list[EntryPoint]:
    wanted = os.environ.get(PLUGINS_VARIABLE) if installed is None else installed
    folders = [Path(path).absolute() for path in sys.path if Path(path).is_dir()]
    points = _entry_points(tuple((folder, folder.stat().st_mtime_ns) for folder in folders))
    return [point for point in points if wanted is None or point.name in wanted.split(",")]


@lru_cache(maxsize=1)
def _entry_points(_: tuple[tuple[Path, int], ...]) -> list[EntryPoint]:
    """Read a file of each installed package, which takes a while; again only if a folder of packages has changed."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def _suggestion(name: str, folders: Sequence[Path], points: Sequence[EntryPoint]) -> str:
    """What else the user could have meant, without running anything."""
    known = [known for file in _files(folders) for known in _class_names(file)]
    known += [f"{point.attr}.{point.module.rpartition('.')[2]}" for point in points if point.attr]
    spellings = {spelling.lower(): name for name in known for spelling in (name, ".".join(name.split(".")[::-1]))}
    near = dict.fromkeys(spellings[key] for key in difflib.get_close_matches(name.lower(), spellings, cutoff=0.5))
    searched = ", ".join(map(str, folders))
    if near:
        return f"did you mean {' or '.join(near)}? (looked in {searched}; --datasets-dir adds folders)"
    return f"known datasets: {', '.join(sorted(known)[:20]) or 'none'} (in {', '.join(map(str, folders))})"


def _only_one(name: str, folders: Sequence[Path], points: Sequence[EntryPoint]) -> str:
    """Return the full name of the only dataset whose class or module is called so, whatever the case; or ""."""
    wanted = name.strip().removesuffix(".py").lower()
    files = {file.stem: file for folder in reversed(folders) for file in _files([folder])}
    known = [each for file in files.values() for each in _class_names(file)]
    known += [f"{point.attr}.{point.module.rpartition('.')[2]}" for point in points if point.attr]
    found = {each for each in known if wanted in each.lower().split(".")} if wanted else set()
    return found.pop() if len(found) == 1 else ""


def _class_names(file: Path) -> list[str]:
    try:
        with open_file(file) as opened:
            tree = ast.parse(opened.read())
    except (SyntaxError, ValueError, OSError, InputError):
        return []
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return [f"{node.name}.{file.stem}" for node in classes if _may_be_a_dataset(node)]


def _may_be_a_dataset(node: ast.ClassDef) -> bool:
    """Return whether a class has a base class other than those of tuples, enums and the like."""
    return any(ast.unparse(base).rpartition(".")[2] not in _NO_DATASETS for base in node.bases)
