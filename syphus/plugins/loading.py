"""Loads plugin classes from source files and entry points, and constructs datasets from them."""

from __future__ import annotations

import inspect
import linecache
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import EntryPoint
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType, ModuleType
from typing import ParamSpec, TypeGuard, TypeVar

from syphus.errors import PluginError, UsageError
from syphus.io.text_files import open_file
from syphus.plugins.contract import AbstractDataset
from syphus.plugins.hook_results import find_bad_attribute
from syphus.plugins.legacy import LegacyDataset, legacy_modules, tell_apart
from syphus.plugins.prompts import SUFFIXES
from syphus.plugins.sandbox import PluginCode, exception_as_line, time_limit

P = ParamSpec("P")
T = TypeVar("T")

IMPORT_SECONDS = 60.0  #: time limit for a plugin's file with everything it imports

_PREFIX = "_syphus_plugin_"  # of the modules of plugin files
_FOLDER = "datasets"  # the package in which the original's plugins found each other
_IMPORTS_OF = re.compile(
    rf"^[ \t]*(?:from[ \t]+(?:{_FOLDER})?\.(\w+)[ \t]+import\b|import[ \t]+{_FOLDER}\.(\w+))", re.M
)
_IMPORTS_FROM = re.compile(rf"^[ \t]*from[ \t]+(?:\.|{_FOLDER})[ \t]+import[ \t]+\(?([\w, \t]+)", re.M)
_loading = threading.RLock()  # a module is in sys.modules before it is fully loaded
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """The class of a plugin, its name for `--name`, and its source file."""

    name: str
    cls: type[AbstractDataset]
    path: Path

    def create(self, prompt_path: str | Path = "", query_inputs_path: str | Path = "") -> AbstractDataset:
        """Construct the dataset. Paths are relative to the current folder; "" means the plugin's default.

        Raises `PluginError` if the constructor fails, with the plugin's line, or if an attribute breaks the contract.
        """
        paths = _of_user(str(prompt_path), (*SUFFIXES, ".py")), _of_user(str(query_inputs_path), ("",))
        dataset = PluginCode(self.name, {str(self.path)}).run(self._construct, *paths)
        if problem := find_bad_attribute(dataset):
            raise PluginError(f"{self.name}: {problem}")
        return dataset

    def problem(self) -> str:
        """Return why it can't be constructed, or ""."""
        return f"{self.name} does not implement _load_query_inputs" if inspect.isabstract(self.cls) else ""

    def digest(self) -> str:
        """Return 16 hex digits that change with the source file, and with the plugin files of its base classes."""
        modules = [sys.modules.get(each.__module__) for each in self.cls.__mro__ if each.__module__.startswith(_PREFIX)]
        others = sorted({str(module.__file__) for module in modules if module is not None} - {str(self.path)})
        content = b"\0".join([self.path.read_bytes(), *(Path(each).read_bytes() for each in others)])
        return blake2b(content, digest_size=8).hexdigest()

    def _construct(self, prompt_path: str, query_inputs_path: str) -> AbstractDataset:
        """Pass the constructor what it takes: by name, or for legacy plugins by order, because their names vary."""
        given = {"name": self.cls.__name__, "prompt_path": prompt_path, "query_inputs_path": query_inputs_path}
        takes = [each for each in inspect.signature(self.cls).parameters.values() if each.kind not in _VARIADIC]
        legacy = issubclass(self.cls, LegacyDataset)
        keys = list(given) if legacy else [each.name for each in takes]
        passed = {
            key: each.name
            for key, each in zip(keys, takes, strict=False)
            if key in given and (each.default is each.empty or (given[key] and key != "name"))
        }
        with legacy_modules(self.path.parent.parent) if legacy else nullcontext():
            dataset = self.cls(**{name: given[key] for key, name in passed.items()})
        if prompt_path and "prompt_path" not in passed:
            dataset.prompt_path = prompt_path
        if query_inputs_path and "query_inputs_path" not in passed:
            dataset.query_inputs_path = query_inputs_path
        return dataset


def load_file(path: Path, seconds: float = IMPORT_SECONDS) -> ModuleType:
    """Return the module of a plugin's source file, which runs once per process, and again if it was edited.

    Raises `PluginError` with a short message (`your_dataset.py:7 KeyError: 'caption'`), also if it takes longer than
    `seconds`.
    """
    with _loading, time_limit(seconds):
        return _module(path.resolve())


def _module(path: Path) -> ModuleType:
    source = path.read_bytes() if path.is_file() else b""
    digest = blake2b(str(path).encode(errors="surrogateescape") + b"\0" + source, digest_size=6).hexdigest()
    name = f"{_PREFIX}{digest}.{path.stem}"
    if name not in sys.modules:
        _load(PluginCode(path.name, {str(path)}), _execute, name, path)
    return sys.modules[name]


def plugins_in(module: ModuleType, stem: str) -> list[LoadedPlugin]:
    """Return the plugins that a module defines itself, in their order; base classes within the module don't count."""
    defined = [each for each in vars(module).values() if _is_dataset(each) and each.__module__ == module.__name__]
    bases = {each for each in defined if inspect.isabstract(each) and _has_subclass(each, defined)}
    plugins = [each for each in dict.fromkeys(defined) if each not in bases]
    tell_apart([each for each in plugins if issubclass(each, LegacyDataset)])
    return [LoadedPlugin(f"{each.__name__}.{stem}", each, Path(module.__file__ or stem)) for each in plugins]


def load_entry_point(point: EntryPoint, seconds: float = IMPORT_SECONDS) -> list[LoadedPlugin]:
    """Return the plugins of an entry point, which is a class or a module. Raises `PluginError` like `load_file`."""
    with time_limit(seconds):
        offered: object = _load(PluginCode(point.value, ()), point.load)
    stem = point.module.rpartition(".")[2]
    if isinstance(offered, ModuleType):
        return plugins_in(offered, stem)
    if not _is_dataset(offered):
        raise PluginError(f"{point.value} is not an AbstractDataset")
    return [LoadedPlugin(f"{offered.__name__}.{stem}", offered, Path(inspect.getfile(offered)))]


def load_class(cls: type) -> LoadedPlugin:
    """Return the plugin that a class is, wherever it was defined. Raises PluginError if it is not a usable dataset."""
    if not _is_dataset(cls):
        raise PluginError(f"{cls!r} is not a subclass of AbstractDataset")
    try:
        path = Path(inspect.getfile(cls))
    except (OSError, TypeError):  # it was defined in a notebook, or typed
        path = _source_file(cls)
    plugin = LoadedPlugin(f"{cls.__name__}.{path.stem}", cls, path)
    if problem := plugin.problem():
        raise PluginError(problem)
    return plugin


def _source_file(cls: type) -> Path:
    """Write the source of a class that is in no file to one that lasts as long as the process.

    Its content says whether the class has changed. It is the cell of the notebook, or else the bytecode of the methods.
    """
    codes = [each.__code__ for each in vars(cls).values() if isinstance(each, FunctionType)]
    lines = linecache.getlines(codes[0].co_filename) if codes else []
    path = Path(_typed_sources().name) / "notebook.py"
    path.write_text("".join(lines) or repr([(code.co_name, code.co_code) for code in codes]), "utf-8")
    return path


@cache
def _typed_sources() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="syphus-")


class _Loader(SourceFileLoader):
    """Always compiles: writes no `__pycache__` into the user's folder, and reads no stale one."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _execute(name: str, path: Path) -> None:
    loader = _Loader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None  # a file loader always has one
    module = module_from_spec(spec)
    with open_file(path) as file:
        source = file.read()
    sys.modules[name] = module
    try:
        siblings = {stem: _module(path.with_name(f"{stem}.py")) for stem in imported_siblings(source, path)}
        if siblings:
            module.__package__ = _FOLDER  # so that `from .one import One` finds them, too
            module.__spec__ = ModuleSpec(f"{_FOLDER}.{path.stem}", loader)
        legacy = b"abstract_dataset" in source
        with legacy_modules(path.parent.parent) if legacy else nullcontext(), _as_datasets(siblings):
            loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def imported_siblings(source: bytes, path: Path) -> list[str]:
    """Return the plugin files in the same folder that a source imports, as `from datasets.one import One` does.

    A plugin that imports from the library `datasets` gets that.
    """
    text = source.decode("utf-8", "replace")
    found = [one or other for one, other in _IMPORTS_OF.findall(text)]
    found += [name.split()[0] for names in _IMPORTS_FROM.findall(text) for name in names.split(",") if name.split()]
    return [stem for stem in dict.fromkeys(found) if stem != path.stem and path.with_name(f"{stem}.py").is_file()]


@contextmanager
def _as_datasets(siblings: Mapping[str, ModuleType]) -> Iterator[None]:
    """Within the block, these modules are found in a package `datasets`, where the original Syphus had its plugins."""
    if not siblings:
        yield
        return
    names = [name for name in sys.modules if name.partition(".")[0] == _FOLDER]
    others = {name: sys.modules.pop(name) for name in names}
    package = ModuleType(_FOLDER)
    package.__path__ = []
    vars(package).update(siblings)
    sys.modules.update({_FOLDER: package, **{f"{_FOLDER}.{stem}": module for stem, module in siblings.items()}})
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _FOLDER]:
            del sys.modules[name]
        sys.modules.update(others)


def _load(code: PluginCode, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return code.run(function, *args, **kwargs)
    except UsageError as error:
        cause = error.__cause__ or error
        raise PluginError(f"{code.raising_line(cause)} {exception_as_line(cause)}") from cause


def _is_dataset(value: object) -> TypeGuard[type[AbstractDataset]]:
    return isinstance(value, type) and issubclass(value, AbstractDataset)


def _has_subclass(base: type, classes: Iterable[type]) -> bool:
    return any(issubclass(each, base) and each is not base for each in classes)


def _of_user(path: str, endings: tuple[str, ...]) -> str:
    """Return the path, made absolute if it does not exist, so that it is never looked for beside the plugin."""
    return str(Path(path).absolute()) if path and path.endswith(endings) and not Path(path).exists() else path
