"""Module paths of earlier versions, which scripts and plugins may still import: `syphus.translation.check` and others.

The modules moved; their contents are what they are today. The hook costs nothing until a name is imported that no file
of the package has, because Python asks it last.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

#: Where the modules of earlier packages are today; what stands below a package moved with it.
_MOVED = {
    "syphus.cleaning": "syphus.answers.cleaning",
    "syphus.cleaning.general": "syphus.answers.cleaning.general_rules",
    "syphus.cleaning.library": "syphus.answers.cleaning.dataset_rules",
    "syphus.answers.cleaning.remarks": "syphus.answers.cleaning.meta_commentary",
    "syphus.cleaning.remarks": "syphus.answers.cleaning.meta_commentary",
    "syphus.corpus": "syphus.formats.mimicit",
    "syphus.endpoints.embeddings_reply": "syphus.endpoints.routes",
    "syphus.endpoints.simulated": "syphus.simulator",
    "syphus.images.download_log": "syphus.images.convert_state",
    "syphus.images.prompt.encode": "syphus.images.pixels",
    "syphus.ledger.reasons": "syphus.types",
    "syphus.options": "syphus.config.options",
    "syphus.parsing": "syphus.answers.parsing",
    "syphus.plugins.image_sources": "syphus.plugins.hook_results",
    "syphus.plugins.stable_choice": "syphus.plugins.rows",
    "syphus.runs.quote_model": "syphus.runs.token_forecast",
    "syphus.reading": "syphus.io",
    "syphus.reading.frames": "syphus.io.media",
    "syphus.runs.job": "syphus.main_job",
    "syphus.selection": "syphus.answers.scoring",
    "syphus.translation": "syphus.answers.translation",
    "syphus.translation.reasons": "syphus.answers.translation.types",
    "syphus.translation.scripts": "syphus.answers.translation.identify",
    "syphus.vision": "syphus.images.prompt",
}


class FormerPaths(MetaPathFinder, Loader):
    """Finds modules by the paths that they had, and gives the module itself, never a second copy of it."""

    def find_spec(self, fullname: str, *_: Sequence[str] | ModuleType | None) -> ModuleSpec | None:
        """Return a spec for a module that moved, None for all others."""
        found = _find(fullname)
        is_package = found is not None and found.submodule_search_locations is not None
        return ModuleSpec(fullname, self, is_package=is_package) if found else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module that `exec_module` replaces or fills."""

    def exec_module(self, module: ModuleType) -> None:
        """Import the module from where it is. A package stays a module of its own, so that its files load only once."""
        found = _find(module.__name__)
        assert found is not None  # `find_spec` found it
        moved = import_module(found.name)
        if found.submodule_search_locations is None:
            sys.modules[module.__name__] = moved
        else:
            module.__dict__["__getattr__"] = lambda name: getattr(moved, name)


def _find(name: str) -> ModuleSpec | None:
    """Return the spec of the module that `name` of an earlier version is today; None if there is none."""
    head, tail = name, ""
    while head and head not in _MOVED:
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return find_spec(_MOVED[head] + tail) if head else None


def install() -> None:
    """Let Python find the former paths, after all other ways of finding a module."""
    if not any(isinstance(each, FormerPaths) for each in sys.meta_path):
        sys.meta_path.append(FormerPaths())
