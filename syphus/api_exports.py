"""The part of the Python API that works on finished files: verify them, choose from them, export and push them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from syphus.api_types import StrPath, as_paths
from syphus.errors import ConfigError, machine_faults
from syphus.text import alternatives

if TYPE_CHECKING:
    from syphus.config.option_types import ExportArguments
    from syphus.formats.mimicit.data_yaml import Finding
    from syphus.formats.mimicit.verify import Verification
    from syphus.formats.source import Translations
    from syphus.ledger.store import Store
    from syphus.pipeline.observer import Observer
    from syphus.quality.balance import Balance
    from syphus.runs.push import PushResult


@machine_faults()
def verify(
    paths: StrPath | Sequence[StrPath],
    images: StrPath | Sequence[StrPath] = (),
    *,
    decode: str = "quick",
    allow_unused: bool = False,
    on_finding: Callable[[Finding], None] | None = None,
) -> Verification:
    """Check MIMIC-IT files: folders, instruction files or data yamls, and image stores.

    `decode` is quick, full or none. Each finding goes to `on_finding`, if given, instead of into the result. Raises
    `UsageError` if there is nothing to check.
    """
    from syphus.formats.mimicit.discovery import find_groups
    from syphus.formats.mimicit.images import DecodeLevel
    from syphus.formats.mimicit.verify import Verification
    from syphus.formats.mimicit.verify import verify as verify_groups

    if decode not in list(DecodeLevel):
        raise ConfigError(f"decode {decode}: must be {alternatives(DecodeLevel)}.")
    groups, problems = find_groups(as_paths(paths), as_paths(images))
    findings: list[Finding] = []
    summary = verify_groups(groups, problems, on_finding or findings.append, DecodeLevel(decode), allow_unused)
    return Verification(dict(summary.problems.most_common()), findings, summary)


@machine_faults()
def export(
    folder: StrPath,
    formats: str | Sequence[str],
    output: StrPath | None = None,
    datasets_dir: StrPath | Sequence[StrPath] = (),
    **options: Unpack[ExportArguments],
) -> tuple[Path, ...]:
    """Write the pairs of a run in formats that `syphus export --help` lists; return the files. Raises `UsageError`."""
    from syphus.runs.export import export_run
    from syphus.runs.export_options import make_export_options

    chosen, target = make_export_options(options, _translations(options)), None if output is None else Path(output)
    names = formats.split(",") if isinstance(formats, str) else formats
    return tuple(map(Path, export_run(Path(folder), names, target, as_paths(datasets_dir), chosen)))


@machine_faults()
def publish(
    folder: StrPath,
    formats: str | Sequence[str],
    url: StrPath,
    datasets_dir: StrPath | Sequence[StrPath] = (),
    **options: Unpack[ExportArguments],
) -> tuple[str, ...]:
    """Export the pairs of a run as `export` does, and write the files below a URL; return the URLs, the manifest first.

    Files are never changed there, and the manifest is written last. Raises `RunError` if another run's export is there,
    and `StorageError` if the store fails.
    """
    from tempfile import TemporaryDirectory

    from syphus.runs.outputs import run_owner
    from syphus.storage.folders import open_folder
    from syphus.storage.publish import check_place
    from syphus.storage.publish import publish as send

    run, target = Path(folder).absolute(), open_folder(url)
    owner = run_owner(run)
    check_place(target, owner)  # before the work
    with TemporaryDirectory(prefix=f".{run.name}.publishing.", dir=run.parent) as scratch:
        export(folder, formats, scratch, datasets_dir, **options)
        return tuple(f"{target.name.rstrip('/')}/{name}" for name in send(target, Path(scratch), owner))


def _translations(options: ExportArguments) -> Callable[[Store], Translations] | None:
    """Return what opens the translations that an export wants, or None if it wants none."""
    languages = options.get("languages", "")
    languages = languages if isinstance(languages, str) else ",".join(languages)
    if not languages:
        return None
    from syphus.translation.results import open_translations

    return partial(open_translations, languages=languages)


@machine_faults()
def push(
    folder: StrPath,
    repo: str,
    format: str = "",
    *,
    private: bool = False,
    revision: str | None = None,
    allow_simulated: bool = False,
    datasets_dir: StrPath | Sequence[StrPath] = (),
    progress: bool = False,
    **options: Unpack[ExportArguments],
) -> PushResult:
    """Send the pairs of a run, or a folder that `export` wrote, to the repository `repo` (USER/NAME) of the Hub.

    A run is exported first: in `format` and with the options of `export`. `revision` is an existing branch. Needs the
    extra `hub` and a token. Raises `UsageError`, and `ProviderError` if the Hub refuses or can't be reached.
    """
    from syphus.runs.push import PushChoice, PushTarget
    from syphus.runs.push import push as send

    choice = PushChoice(format, tuple(as_paths(datasets_dir)), options, _translations(options))
    return send(Path(folder), choice, PushTarget(repo, private, revision), allow_simulated, progress)


@machine_faults()
def balance(
    path: StrPath,
    output: StrPath | None = None,
    *,
    near_duplicates: float | None = 0.7,
    against: StrPath | Sequence[StrPath] = (),
    most: Mapping[str, float] | None = None,
    count: int | None = None,
    seed: int = 0,
    observer: Observer | None = None,
) -> tuple[Path, Balance]:
    """Choose pairs of a run or a MIMIC-IT file, and write a train file; return it and what was left out.

    `near_duplicates` is the overlap from which a pair repeats another one, `against` are files whose texts no pair may
    share, `most` the largest shares of groups such as `{"answer:yes": 0.1}`. Raises `UsageError`.
    """
    from syphus.quality.balance import BalanceOptions, balance_file

    options = BalanceOptions(near_duplicates, tuple(as_paths(against)), most or {}, count, seed)
    return balance_file(Path(path), None if output is None else Path(output), options, observer)
