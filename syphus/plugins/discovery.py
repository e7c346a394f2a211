"""Finding dataset plugins by name, and listing them.

A plugin is a class in a file of a folder that the user gives, of `./datasets` or of the shipped ones, or an entry point
of the group `syphus.datasets` in an installed package. The environment variable SYPHUS_PLUGINS narrows the entry
points: `none`, or their names with commas between; unset, all of them count.

A file is loaded by its path under a private module name. `datasets` is the name of a well-known package as well, and
that one stays what `import datasets` finds.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from syphus.errors import PluginError
from syphus.plugins.contract import AbstractDataset, shipped_folder
from syphus.plugins.loading import IMPORT_SECONDS, LoadedPlugin, load_class, load_entry_point, load_file, plugins_in
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
    """A line of a listing. `error` is empty, or why the plugin can't be used: `change.py:7 KeyError: 'caption'`."""

    name: str
    short_name: str
    description: str
    path: str
    error: str = ""


def find_plugin(name: str, folders: Iterable[str | Path] = (), installed: str | None = None) -> LoadedPlugin:
    """The plugin called `name`, `Class.module` or `module.Class`.

    `folders` are looked through besides `./datasets` and the shipped plugins; `installed` narrows the entry points like
    SYPHUS_PLUGINS, and goes before it. Raises PluginError: unknown (with the names that are near), broken, there twice.
    """
    parts = _NAME.fullmatch(name)
    if name in _given:
        return _given[name]
    found = _candidates(parts[1], parts[2], _folders(folders), _installed(installed)) if parts else []
    if not found:
        raise PluginError(
            f'there is no dataset "{name}"; {_suggestion(name, _folders(folders), _installed(installed))}'
        )
    if len(found) > 1:
        places = " and ".join(f"{plugin.name} in {plugin.path}" for plugin in found)
        raise PluginError(f'"{name}" is there more than once: {places}. Rename one of them')
    if problem := found[0].problem():
        raise PluginError(f"{found[0].path}: {problem}")
    return found[0]


def dataset_name(dataset: str | type[AbstractDataset]) -> str:
    """Return the name of a dataset; a class is found under it from now on, in this process.

    It is that of the class and of its file, as `--name` takes it, or "Class.notebook" if the class is in no file.
    Raises `PluginError` if it is no class of a dataset.
    """
    if isinstance(dataset, str):
        return dataset
    plugin = load_class(dataset)
    _given[plugin.name] = plugin
    return plugin.name


def list_plugins(
    folders: Iterable[str | Path] = (), installed: str | None = None, seconds: float = IMPORT_SECONDS
) -> list[PluginInfo]:
    """All plugins that can be found, and with an error those that can't be used. `find_plugin` has the arguments.

    Files that speak of Syphus or its base class are run, without the network, for `seconds` each at the most. A shipped
    plugin is left out where one of the user's has its name. Raises PluginError for a folder that is not there, and for
    nothing else.
    """
    with no_network():
        infos = [info for file in _files(_folders(folders)) for info in _listed(file, seconds)]
        infos += [info for point in _installed(installed) for info in _listed(point, seconds)]
    own = {info.name for info in infos if not _is_shipped(Path(info.path))}
    infos = [info for info in infos if info.name not in own or not _is_shipped(Path(info.path))]
    places: dict[str, set[str]] = {}
    for info in infos:
        places.setdefault(info.name, set()).add(info.path)
    return [_with_clash(info, places[info.name] - {info.path}) for info in infos]


def _candidates(one: str, other: str, folders: Sequence[Path], points: Sequence[EntryPoint]) -> list[LoadedPlugin]:
    """Every plugin that either order of the two parts can mean, each once; one of the user's before a shipped one."""
    names = {f"{one}.{other}": other, f"{other}.{one}": one}
    every = (*_in_files(names, folders), *_in_packages(names, points))
    found = {(plugin.name, plugin.path.resolve()): plugin for plugin in reversed(every)}
    own = [plugin for plugin in found.values() if not _is_shipped(plugin.path)]
    return (own or list(found.values()))[::-1]


def _is_shipped(path: Path) -> bool:
    """Shipped plugins give way to those of the user's with the same name."""
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
    place = str(source) if isinstance(source, Path) else source.value
    try:
        if isinstance(source, Path):
            plugins = plugins_in(load_file(source, seconds), source.stem)
        else:
            plugins = load_entry_point(source, seconds)
    except PluginError as error:
        names = _class_names(source) if isinstance(source, Path) else []
        return [PluginInfo(name, "", "", place, str(error)) for name in names or [place]]
    return [PluginInfo(each.name, each.cls.short_name, each.cls.description, place, each.problem()) for each in plugins]


def _with_clash(info: PluginInfo, others: set[str]) -> PluginInfo:
    return replace(info, error=info.error or f"also in {', '.join(sorted(others))}; rename one") if others else info


def _folders(folders: Iterable[str | Path]) -> list[Path]:
    """The user's folders, ./datasets and the shipped one, each once."""
    own = [Path(folder) for folder in folders]
    for folder in own:
        if not folder.is_dir():
            raise PluginError(f"there is no folder {folder} to look for datasets in")
    every = [folder for folder in (*own, Path("datasets"), shipped_folder("datasets")) if folder.is_dir()]
    return list({folder.resolve(): folder for folder in reversed(every)}.values())[::-1]


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    """The source files that could hold a plugin. A `./datasets` of other scripts is not run for a listing."""
    for folder in folders:
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith("_") and _speaks_of_syphus(file):
                yield file


def _speaks_of_syphus(file: Path) -> bool:
    try:
        source = file.read_bytes()
    except OSError:
        return True  # it is listed with this error
    return any(mark in source for mark in _MARKS)


def _installed(installed: str | None) -> list[EntryPoint]:
    wanted = os.environ.get(PLUGINS_VARIABLE) if installed is None else installed
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    return [point for point in points if wanted is None or point.name in wanted.split(",")]


def _suggestion(name: str, folders: Sequence[Path], points: Sequence[EntryPoint]) -> str:
    """What else the user could have meant, without running anything."""
    known = [known for file in _files(folders) for known in _class_names(file)]
    known += [f"{point.attr}.{point.module.rpartition('.')[2]}" for point in points if point.attr]
    spellings = {spelling.lower(): name for name in known for spelling in (name, ".".join(name.split(".")[::-1]))}
    near = dict.fromkeys(spellings[key] for key in difflib.get_close_matches(name.lower(), spellings, cutoff=0.5))
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(sorted(known)[:20]) or 'none'} (in {', '.join(map(str, folders))})"


def _class_names(file: Path) -> list[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return [f"{node.name}.{file.stem}" for node in classes if _may_be_a_dataset(node)]


def _may_be_a_dataset(node: ast.ClassDef) -> bool:
    """Whether a class inherits from more than what makes tuples and the like."""
    return any(ast.unparse(base).rpartition(".")[2] not in _NO_DATASETS for base in node.bases)
