"""Chooses a subset of the pairs of a MIMIC-IT file: without repeats, without a benchmark's texts, and in balance.

The result is a train file: the chosen ids, each with its context as far as that is chosen, too. The instruction file
stays as it is. The same file, options and seed always choose the same pairs, whatever machine.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.errors import ConfigError, InputError
from syphus.formats.mimicit.discovery import file_language, file_prefix, instruction_files
from syphus.formats.mimicit.entries import entry_text, read_entries, text_list
from syphus.io.durable import replace_file
from syphus.io.records import read_jsonl
from syphus.pipeline.observer import Observer
from syphus.quality.near_duplicates import THRESHOLD, NearDuplicates, Overlaps, words_of

_ROUNDS = 50  # in which groups are brought below their shares
_LONG, _SHORT = 40, 8  # words of an answer


@dataclass(frozen=True, slots=True)
class BalanceOptions:
    """What to leave out. `most` are the largest shares that groups may have, by `kind:value` or a kind alone.

    Raises `ConfigError` for numbers out of range.
    """

    near_duplicates: float | None = THRESHOLD  #: overlap from which a pair repeats another one; None keeps repeats
    against: tuple[Path, ...] = ()  #: files with texts that no pair may share words with
    most: Mapping[str, float] = field(default_factory=dict)
    count: int | None = None  #: how many pairs to choose at most
    seed: int = 0

    def __post_init__(self) -> None:
        if self.near_duplicates is not None and not 0 < self.near_duplicates <= 1:
            raise ConfigError(f"--near-duplicates {self.near_duplicates:g}: must be above 0 and at most 1.")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"-n {self.count}: must be at least 1.")


class Balance(NamedTuple):
    """What was chosen: numbers of pairs, by what became of them, and the groups of the chosen ones."""

    read: int
    repeated: int
    contaminated: int
    in_excess: dict[str, int]  #: of a group that was above its share
    not_needed: int  #: above `count`
    chosen: int
    groups: dict[str, dict[str, int]]  #: pairs by kind and value, the most frequent first


def balance_file(
    path: Path, output: Path | None, options: BalanceOptions, observer: Observer | None = None
) -> tuple[Path, Balance]:
    """Choose pairs of a run's folder or an instruction file; return the train file and what was left out.

    Without an `output`, it is `XX_balanced_train.json` beside the instructions. Raises what `balance` does.
    """
    files = instruction_files(path)
    if len(files) > 1:  # those of a run, without its translations
        files = [file for file in files if not file_language(file)] or files
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:3])
        raise InputError(f"{path} holds several instruction files ({names} ...): name one of them.")
    target = output or files[0].parent / f"{file_prefix(files[0])}_balanced_train.json"
    return target, balance(files[0], target, options, observer.reading if observer else lambda _: None)


def parse_balance(text: str) -> BalanceOptions:
    """Return the options in a text such as `near-duplicates=0.7,answer:yes=0.1,against=FILE`. Raises `ConfigError`."""
    near, against, most = THRESHOLD, list[Path](), dict[str, float]()
    for item in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = item.rpartition("=")
        if name == "against":
            against.append(Path(value))
            continue
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not name or not 0 < number <= 1:
            raise ConfigError(
                f"--balance {item}: write near-duplicates=0.7, against=FILE, or a group such as answer:yes=0.1."
            )
        if name.replace("_", "-") == "near-duplicates":
            near = number
        else:
            most[name] = number
    options = BalanceOptions(near if near < 1 else None, tuple(against), most)
    dict(_shares(options.most))
    return options


class _Pairs:
    """The ids of pairs, and the groups that each is in, in a hundred bytes a pair."""

    KINDS = ("question", "opening", "answer", "length")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.names: list[str] = []  # of groups, as kind:value
        self._numbers: dict[str, int] = {}  # of groups
        self._codes = array("I")

    def add(self, name: str, groups: Iterable[str]) -> None:
        self.ids.append(name)
        for group in groups:
            if group not in self._numbers:
                self._numbers[group] = len(self.names)
                self.names.append(group)
            self._codes.append(self._numbers[group])

    def groups(self, number: int) -> array[int]:
        """Return the numbers of the groups of a pair."""
        width = len(self.KINDS)
        return self._codes[number * width : (number + 1) * width]


def balance(path: Path, output: Path, options: BalanceOptions, tick: Callable[[int], None] = lambda _: None) -> Balance:
    """Choose pairs of the instruction file `path` and write the train file `output`; return what was left out.

    `tick` gets the number of pairs read so far. Raises `InputError` for a file that can't be read, `ConfigError` for a
    share out of range, `StorageError` if the disk fails.
    """
    texts = (
        (name, entry_text(path, name, entry, "instruction"), entry_text(path, name, entry, "answer"))
        for name, entry in read_entries(path)
    )
    chosen, found = choose_pairs(texts, options, tick)
    if not found.read:
        raise InputError(f"{path} holds no pairs, so there is nothing to choose from.")
    _write(path, output, chosen)
    return found


def choose_pairs(
    texts: Iterable[tuple[str, str, str]], options: BalanceOptions, tick: Callable[[int], None] = lambda _: None
) -> tuple[set[str], Balance]:
    """Choose from pairs, each with its id, instruction and answer; return the ids, and what was left out.

    `tick` gets the number of pairs read so far. Raises what `balance` does.
    """
    most = dict(_shares(options.most))
    overlaps = Overlaps(text for file in options.against for text in _some_texts_of(file))
    duplicates = NearDuplicates(options.near_duplicates) if options.near_duplicates is not None else None
    pairs, contaminated = _Pairs(), set[int]()
    for number, (name, instruction, answer) in enumerate(texts):
        pairs.add(name, groups_of(instruction, answer))
        if options.against and overlaps.holds(instruction, answer):
            contaminated.add(number)
        if duplicates is not None:
            duplicates.add(f"{instruction}\n{answer}")
        if (number + 1) % 10_000 == 0:
            tick(number + 1)
    repeated = set(duplicates.repeats()) - contaminated if duplicates is not None else set[int]()
    left = [number for number in range(len(pairs.ids)) if number not in contaminated and number not in repeated]
    order = sorted(left, key=lambda number: _position(pairs.ids[number], options.seed))
    kept, excess = _below_shares(pairs, order, most)
    chosen = set(kept[: options.count]) if options.count is not None else set(kept)
    counts = Counter(group for number in chosen for group in pairs.groups(number))
    found: dict[str, dict[str, int]] = {kind: {} for kind in pairs.KINDS}
    for group, count in counts.most_common():
        kind, _, value = pairs.names[group].partition(":")
        found[kind][value] = count
    unneeded = len(kept) - len(chosen)
    ids = {pairs.ids[number] for number in chosen}
    return ids, Balance(len(pairs.ids), len(repeated), len(contaminated), excess, unneeded, len(chosen), found)


def groups_of(instruction: str, answer: str) -> Iterator[str]:
    """Yield the groups that a pair is in, as kind:value: question type, opening, kind and length of the answer."""
    question, said = words_of(instruction), words_of(answer)
    yield f"question:{_question_type(instruction, question)}"
    yield f"opening:{' '.join(question[:3])}"
    yield f"answer:{said[0] if said and said[0] in ('yes', 'no') else 'number' if _is_number(said) else 'text'}"
    length = "short" if len(said) <= _SHORT else "long" if len(said) > _LONG else "medium"
    yield f"length:{length}"


_ASKING = ("how many", "what", "which", "who", "whose", "where", "when", "why", "how")
_POLAR = frozenset(
    ("is are was were do does did has have had can could will would should may might am must shall").split()  # noqa: SIM905 - read as words
)


def _question_type(instruction: str, words: Sequence[str]) -> str:
    """Return the word that asks, "yes or no" for a question that begins with a verb, or "instruction"."""
    text = " ".join(words[:12])
    asking = [(match.start(), each) for each in _ASKING if (match := re.search(rf"\b{each}\b", text))]
    if words and words[0] in _POLAR:
        return "yes or no"
    if asking and (instruction.rstrip().endswith("?") or min(asking)[0] == 0):
        return min(asking, key=lambda each: (each[0], -len(each[1])))[1]
    return "yes or no" if instruction.rstrip().endswith("?") else "instruction"


def _is_number(words: Sequence[str]) -> bool:
    return len(words) == 1 and words[0].isdecimal()


def _shares(most: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    kinds = _Pairs.KINDS
    for group, share in most.items():
        if group.partition(":")[0] not in kinds:
            raise ConfigError(f"--most {group}={share:g}: the kinds are {', '.join(kinds)}, such as answer:yes=0.1.")
        if not 0 < share < 1:
            raise ConfigError(f"--most {group}={share:g}: the share must be above 0 and below 1.")
        yield group, share


def _below_shares(pairs: _Pairs, order: Sequence[int], most: Mapping[str, float]) -> tuple[list[int], dict[str, int]]:
    """Return which pairs are left once no group is above its share, and how many each group had in excess.

    `order` says which pairs are kept first. Leaving out pairs of one group raises the shares of the others, so this
    continues until all fit.
    """
    limits = {number: most.get(group, most.get(group.partition(":")[0])) for number, group in enumerate(pairs.names)}
    limited = {number: limit for number, limit in limits.items() if limit is not None}
    kept, excess = list(order), Counter[str]()
    for _ in range(_ROUNDS):
        counts = Counter(group for number in kept for group in pairs.groups(number) if group in limited)
        surplus, worst = max(
            ((_excess(count, len(kept), limited[group]), group) for group, count in counts.items()), default=(0, 0)
        )
        if surplus <= 0:
            break
        members = [number for number in kept if worst in pairs.groups(number)]
        dropped = set(members[-surplus:])
        kept = [number for number in kept if number not in dropped]
        excess[pairs.names[worst]] += surplus
    return kept, dict(excess.most_common())


def _excess(members: int, kept: int, limit: float) -> int:
    """Return how many members must go so that the others are at most `limit` of what is left then."""
    return members - int(limit * (kept - members) / (1 - limit))


def _position(name: str, seed: int) -> bytes:
    return blake2b(f"{seed}\0{name}".encode(errors="surrogatepass"), digest_size=8).digest()


def _write(path: Path, output: Path, chosen: set[str]) -> None:
    """Write the train file in the order of the instructions, an entry a line."""
    with replace_file(output) as file:
        separator = b"{\n"
        for name, entry in read_entries(path):
            if name in chosen:
                context = [each for each in text_list(entry, "rel_ins_ids") if each in chosen]
                file.write(separator + orjson.dumps(name) + b": " + orjson.dumps(context))
                separator = b",\n"
        file.write(b"\n}\n" if separator == b",\n" else b"{}\n")


def _some_texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a file. Raises `InputError` if it has none: all pairs would pass, as if they were clean."""
    count = 0
    for count, text in enumerate(_texts_of(path), 1):  # noqa: B007 - used after the loop
        yield text
    if not count:
        raise InputError(f"--against {path}: holds no texts, so nothing can be compared with it.")


def _texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a file: of a MIMIC-IT file its pairs, of JSON all texts, of anything else its lines."""
    if path.suffix == ".jsonl":
        for row in read_jsonl(path):
            yield from _strings(row)
        return
    if path.suffix == ".json":
        try:
            yield from _strings(orjson.loads(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise InputError(f"--against {path}: {getattr(error, 'strerror', None) or error}") from error
        return
    try:
        yield from filter(None, map(str.strip, path.read_text("utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--against {path}: {getattr(error, 'strerror', None) or error}") from error


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _strings(each)
