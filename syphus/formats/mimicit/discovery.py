"""Finds the files to load together, from the folders, files and data yamls that the user names.

The images of a dataset are found by evidence. A store belongs to it if the ids in it have the prefix of the image ids
that its pairs name (`LA_IMG_`), or if it holds these images; what it is called only says where to look first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from syphus.errors import ConfigError, InputError
from syphus.formats.mimicit.data_yaml import ENDINGS, Finding, MixtureGroup, MixturePart, read_groups
from syphus.formats.mimicit.entries import (
    INSTRUCTIONS,
    holds_images,
    is_parquet,
    is_table,
    read_entries,
    table_parts,
    text_list,
)
from syphus.formats.mimicit.images import loader_problem, read_image_ids
from syphus.images.store import part_paths
from syphus.io.records import read_json_items
from syphus.io.text_files import missing
from syphus.ledger.store import FILE as LEDGER

# The codes of ISO 639-1, https://www.loc.gov/standards/iso639-2/php/code_list.php, looked up 2026-11-30.
_LANGUAGES = frozenset(
    re.findall(
        "..",
        "aaabaeafakamanarasavayazbabebgbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffifjfofrfygagdglgngu"
        "gvhahehihohrhthuhyhziaidieigiiikioisitiujajvkakgkikjkkklkmknkokrkskukvkwkylalblglilnloltlulvmgmhmimkmlmnmr"
        "msmtmynanbndnengnlnnnonrnvnyocojomorospapiplpsptqurmrnrorurwsascsdsesgsiskslsmsnsosqsrssstsusvswtatetgthti"
        "tktltntotrtstttwtyugukuruzvevivowawoxhyiyozazhzu",
    )
)
_CODE = re.compile(r"_([a-z]{2})(?:[-_](?:[A-Z][a-z]{3}|[A-Za-z]{2}))?")  # zh, pt-BR, zh_Hant

_SAMPLED_PAIRS, _SAMPLED_IMAGES = 200, 3  # that are looked for in stores; images of each pair
_HEAD_IDS = 50  # of a store, whose prefixes are compared
_HEAD_ITEMS = 5  # of a JSON file, one of which is an image if it is a store
_LONGEST_ID = 512  # characters
_LEVELS = 5  # folders above the pairs where stores with a fitting name are looked for


def find_groups(
    paths: Iterable[Path], images: Sequence[Path] = (), with_stores: bool = True
) -> tuple[list[MixtureGroup], list[Finding]]:
    """Return the groups of files that the paths name, and the faults of the data yamls among them.

    A folder means its instruction files. Each instruction file is a group of its own, with `XX_train.json` and the
    image stores that `find_stores` finds, unless they are not needed or `images` names stores, which belong to every
    dataset. Raises `InputError` if a path holds no pairs, `ConfigError` if a yaml can't be read.
    """
    groups: list[MixtureGroup] = []
    findings: list[Finding] = []
    for path in paths:
        if path.suffix in ENDINGS:
            yaml_groups, yaml_findings = read_groups(path)
            groups += yaml_groups
            findings += yaml_findings
        else:
            groups += [_single_group(file, with_stores and not images) for file in instruction_files(path)]
    return [_add_images(group, images) for group in groups], findings


def file_language(path: Path) -> str:
    """Return `zh` for `SD_instructions_zh.json`; "" if the name ends in no language."""
    found = _CODE.fullmatch(path.name.partition(".")[0].partition(INSTRUCTIONS)[2])
    return found[0][1:] if found and found[1] in _LANGUAGES else ""


def file_prefix(path: Path) -> str:
    """Return `SD` for `SD_instructions_zh.json`; for a table with another kind of name, the prefix of its ids."""
    if INSTRUCTIONS in path.name or path.suffix == ".json":
        return path.name.partition(".")[0].partition(INSTRUCTIONS)[0]
    with suppress(InputError):
        for name, _ in islice(read_entries(path), 1):
            if "_INS_" in name:
                return name.partition("_INS_")[0]
    return path.stem


def dataset_name(path: Path) -> str:
    """Return a name that differs between the instruction files of a folder: `SD_zh`, `LIMA_max_1K_tokens`."""
    rest = path.name.partition(".")[0].partition(INSTRUCTIONS)[2]
    return f"{file_prefix(path)}{rest}"


def untranslated_files(folder: Path) -> list[Path]:
    """Return the instruction files of a folder that are not translations."""
    return [path for path in sorted(folder.glob(f"*{INSTRUCTIONS}*.json")) if not file_language(path)]


def instruction_files(path: Path) -> list[Path]:
    """Return the instruction files of a folder, JSON or else Parquet tables; a file means itself.

    Raises `InputError` if there are none.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(missing(path))
    found = sorted(path.glob(f"*{INSTRUCTIONS}*.json")) or _tables(path)
    if not found and (path / LEDGER).is_file():
        raise InputError(
            f"{path} is a run that has no XX{INSTRUCTIONS}.json yet; export --format mimicit writes the pairs so far"
        )
    if not found:
        below = [f"{file.parent}" for file in islice(path.glob(f"*/*{INSTRUCTIONS}*.json"), 3)]
        more = f"; name the folders that do, such as {below[0]}" if below else ""
        if not below and any(path.glob("*.json*")):
            more = ". An export for a trainer is checked by its source: verify the run that it was made from"
        raise InputError(f"{path} holds no XX{INSTRUCTIONS}.json and no Parquet table of pairs{more}")
    return found


def find_stores(instructions: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the image stores with the images that the pairs of a file name, and notes about others that have them too.

    A store that Otter's loader opens goes before one that it doesn't. A second store is returned only if it has images
    that the first does not have.
    """
    found, notes = _find_stores(instructions)
    if is_parquet(instructions) and not (found and not loader_problem(found[0])) and holds_images(instructions):
        return (instructions,), ()
    return found, notes


def _find_stores(instructions: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    prefix = file_prefix(instructions)
    wanted = _sampled_images(instructions)
    if wanted and (stores := _matching(_candidates(instructions, prefix, wanted[0]), wanted)):
        return _chosen(stores, instructions, wanted)
    for candidates in _candidates_above(instructions, prefix, wanted[0]) if wanted else ():
        stores = [store for store in candidates if 2 * len(_held(store, set(wanted))) >= len(wanted)]
        if stores:
            return _chosen(stores, instructions, wanted)
    named = [path for path in _named_stores(instructions, prefix) if path.suffix and path.exists()]
    return tuple(path for path in named if path != instructions and not _is_pairs(path))[:1], ()


def _chosen(stores: list[Path], instructions: Path, wanted: list[str]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return as many of the stores as are needed for all images, and a note about each of the others."""
    if len(stores) == 1:
        return tuple(stores), ()
    missing, chosen, notes = set(wanted), list[Path](), list[str]()
    found = {store: _held(store, missing) for store in stores}
    for store in sorted(stores, key=lambda store: (-len(found[store]), bool(loader_problem(store)))):
        if found[store] & missing or not chosen:
            chosen.append(store)
            missing -= found[store]
        elif found[store]:
            notes.append(f"{store}: not read: {chosen[0]} has the images that {instructions.name} names")
    return tuple(chosen), tuple(notes)


def _matching(candidates: Sequence[Path], wanted: Sequence[str]) -> list[Path]:
    """Return the stores with ids of the same prefix, or else those that hold one of the images."""
    heads = {path: head for path in candidates if (head := _head(path)) is not None}
    prefixes = {_prefix(name) for name in wanted} - {""}
    alike = [path for path, head in heads.items() if prefixes & {_prefix(name) for name in head}]
    return alike or [path for path in heads if _held(path, set(wanted), any_of=True)]


def _candidates(instructions: Path, prefix: str, image: str) -> list[Path]:
    """Return what may be a store in the folder of the pairs, or beside that folder with a fitting name."""
    folder = instructions.parent
    first = [path for path in _named_stores(instructions, prefix) if path.exists()]
    others = [path for path in sorted(folder.glob("*")) if not path.name.startswith(".")]
    beside = [path for name in _names(image, prefix) for path in sorted(folder.absolute().parent.glob(f"{name}*"))]
    beside = [path for path in beside if path != folder.absolute()]
    found = dict.fromkeys(store for path in (*first, *others, *beside) for store in _stores_at(path))
    return [store for store in found if store not in (instructions, instructions.absolute())]


def _candidates_above(instructions: Path, prefix: str, image: str) -> Iterator[list[Path]]:
    """Yield what may be a store, with a fitting name, in the folders above the pairs or in a folder of stores there.

    As in `json/LA/LADD_instructions.json` and `Parquets/LA.parquet`. Folders of other pairs or runs are not searched,
    nor any above the current folder.
    """
    for above in list(instructions.absolute().parents)[1:_LEVELS]:
        if not above.is_relative_to(Path.cwd()):
            return
        named = [path for name in _names(image, prefix) for path in sorted(above.glob(f"{name}*"))]
        below = [path for name in _names(image, prefix) for path in sorted(above.glob(f"*/{name}*"))]
        found = [path for path in (*named, *below) if not _holds_pairs(path) and not _holds_pairs(path.parent)]
        yield list(dict.fromkeys(store for path in found for store in _stores_at(path) if _head(store) is not None))


def _names(image: str, prefix: str) -> list[str]:
    return list(dict.fromkeys(name for name in (_prefix(image), prefix) if name))


def _holds_pairs(folder: Path) -> bool:
    return (folder / LEDGER).is_file() or any(folder.glob(f"*{INSTRUCTIONS}*"))


def _named_stores(instructions: Path, prefix: str) -> list[Path]:
    """Return the paths where a store has the name of the dataset."""
    endings = (".parquet", ".json", "_images.parquet", "_frames.parquet", "")
    return [instructions.with_name(f"{prefix}{ending}") for ending in endings if prefix]


def _stores_at(path: Path) -> Iterator[Path]:
    """Yield what may be a store: a file; a folder whose Parquet files are parts of one, else the files in it."""
    if path.is_file():
        if path.suffix in (".parquet", ".json") and INSTRUCTIONS not in path.name:
            yield path
    elif path.is_dir():
        with suppress(InputError, OSError):
            parts = part_paths(path)
            if len({re.sub(r"\d+", "0", part.name) for part in parts}) == 1:
                yield path
            else:
                yield from parts
        with suppress(OSError):
            yield from sorted(path.glob("*.json"))


def _head(path: Path) -> list[str] | None:
    """Return the first ids of a store; None for what is not one."""
    try:
        if path.suffix == ".json" and path.is_file():
            return _json_head(path)
        return None if _is_pairs(path) else list(islice(read_image_ids(path), _HEAD_IDS))
    except InputError:
        return None


def _json_head(path: Path) -> list[str] | None:
    for name, value in islice(read_json_items(path), _HEAD_ITEMS):
        text = value[0] if isinstance(value, list) and len(value) == 1 else value  # a train file has lists of ids
        if isinstance(text, str) and (text is value or len(text) > _LONGEST_ID):
            return [name]
    return None


def _is_pairs(path: Path) -> bool:
    return path.suffix != ".json" and bool(table_parts(path))


def _held(store: Path, wanted: set[str], any_of: bool = False) -> set[str]:
    """Return which of the images a store has; with `any_of`, only the first that is found."""
    found: set[str] = set()
    with suppress(InputError):
        for name in read_image_ids(store):
            if name in wanted:
                found.add(name)
                if any_of or len(found) == len(wanted):
                    break
    return found


def _sampled_images(instructions: Path) -> list[str]:
    """Return images that the first pairs with images name; [] also for a file that can't be read."""
    found: dict[str, None] = {}
    with suppress(InputError):
        pairs = (ids for _, entry in read_entries(instructions) if (ids := text_list(entry, "image_ids")))
        for ids in islice(pairs, _SAMPLED_PAIRS):
            found.update(dict.fromkeys(ids[:_SAMPLED_IMAGES]))
    return list(found)


def _prefix(image_id: str) -> str:
    """Return `LA` for `LA_IMG_000000033471`; "" for an id of another kind."""
    return image_id.partition("_IMG_")[0] if "_IMG_" in image_id else ""


def _tables(folder: Path) -> list[Path]:
    """Return the Parquet tables of pairs in a folder: the folder itself if they are parts of one."""
    files = [file for file in folder.glob("*.parquet") if not file.name.startswith((".", "_"))]
    if not files:
        return []
    try:
        tables = [file for file in sorted(files) if is_table(file)]
    except ConfigError:  # without pyarrow: the caller says what the folder lacks
        return []
    return [folder] if len(tables) > 1 and len({re.sub(r"\d+", "0", file.name) for file in tables}) == 1 else tables


def _single_group(path: Path, with_stores: bool) -> MixtureGroup:
    """Return the group of one instruction file and the files beside it. A translation prefers its own train file."""
    name, code = file_prefix(path), file_language(path)
    translated_train = path.with_name(f"{name}_train_{code}.json")
    train = translated_train if code and translated_train.is_file() else path.with_name(f"{name}_train.json")
    images, notes = find_stores(path) if with_stores else ((), ())
    shared = tuple(image for image in images if not image.name.startswith(name) or image == path)
    part = MixturePart(name, path, train if train.is_file() else None, images, notes=notes, shared=shared)
    return MixtureGroup(str(path), "", (part,))


def _add_images(group: MixtureGroup, images: Sequence[Path]) -> MixtureGroup:
    def added(part: MixturePart) -> MixturePart:
        known = {image.resolve() for image in images}
        found, shared = (
            [each for each in those if each.resolve() not in known] for those in (part.images, part.shared)
        )
        return part._replace(images=(*images, *found), shared=tuple(shared))

    return group._replace(parts=tuple(map(added, group.parts)))
