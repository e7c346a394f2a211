"""What people decided about the pairs of a run: `reviews.jsonl`, beside the ledger.

The file only grows. One line is one decision, appended under a lock and synced before the caller hears of it, so that a
kill loses nothing that was acknowledged. The run never reads or writes the file, and who writes it never opens the
ledger for writing: so neither waits for the other. A decision has an id that its author made up: the same decision
given twice is there once. A decision names the text that it is about by a hash. If the pair gets another text, the
decision stays in the file, and no longer counts.

A line that a power cut has torn was never acknowledged: the next append cuts it off.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple
from uuid import UUID

import orjson

from syphus.errors import InputError, StorageError
from syphus.io.durable import sync_folder

FILE = "reviews.jsonl"
MOST_CHARACTERS = 100_000  #: of a text, a reason or a comment
_MOST_NAME = 80  # characters of a reviewer's name
_HASH_BYTES = 8
_BLOCK = 1 << 20  # bytes read at once
_TEXTS = ("reason", "comment", "instruction", "answer", "draw")


class Verdict(StrEnum):
    """What a decision says."""

    ACCEPT = "accept"
    REJECT = "reject"
    EDIT = "edit"  #: the pair is good with the texts of the decision
    COMMENT = "comment"  #: says nothing about good or bad
    UNDO = "undo"  #: takes an earlier decision of the same person back


#: The verdicts that say whether a text is good as it is.
JUDGEMENTS = (Verdict.ACCEPT, Verdict.REJECT, Verdict.EDIT)


class ReviewState(StrEnum):
    """What all reviewers of a text say together."""

    UNSEEN = "unseen"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EDITED = "edited"  #: nobody rejects it, and somebody has changed its text
    DISPUTED = "disputed"  #: some reject it and others don't, or two people have changed it in different ways


class NewDecision(NamedTuple):
    """A decision to append. `pair` is the id of a pair, or `answer:N` for the answer with that number in the ledger."""

    id: str  #: a UUID that its author made up
    pair: str
    text_hash: str  #: of the text that it is about, see `text_hash`
    reviewer: str
    verdict: Verdict
    language: str = ""  #: the code of a translation; "" for the pair itself
    query: str = ""  #: the id of the query of the pair
    reason: str = ""
    comment: str = ""
    instruction: str = ""  #: the new texts of an edit
    answer: str = ""
    undoes: str = ""  #: the id of the decision that is taken back; "": the newest one about the pair
    draw: str = ""  #: how the pair was drawn for review, if at random; see docs/reviewing.md


class ReviewDecision(NamedTuple):
    """A decision as the file has it: `number` counts from 1, `at` is in seconds since the epoch."""

    number: int
    at: float
    of: NewDecision


@dataclass(frozen=True, slots=True)
class PairReview:
    """What people say about one text."""

    state: ReviewState = ReviewState.UNSEEN
    verdicts: Mapping[str, ReviewDecision] = field(default_factory=dict)  #: the judgement of each reviewer that counts
    comments: tuple[ReviewDecision, ...] = ()
    outdated: int = 0  #: judgements of an earlier text

    @property
    def edit(self) -> ReviewDecision | None:
        """The newest edit, or None."""
        edits = [each for each in self.verdicts.values() if each.of.verdict is Verdict.EDIT]
        return max(edits, default=None)

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "state": self.state.value,
            "verdicts": {name: decision_as_json(each) for name, each in self.verdicts.items()},
            "comments": [decision_as_json(each) for each in self.comments],
            "outdated": self.outdated,
        }


class ReviewConflictError(InputError):
    """A decision that does not fit what is in the file."""


def text_hash(instruction: str, answer: str) -> str:
    """Return 16 hex digits that change with the texts of a pair. A raw answer has the instruction ""."""
    texts = f"{len(instruction)} {instruction}{answer}".encode("utf-8", "surrogatepass")
    return blake2b(texts, digest_size=_HASH_BYTES).hexdigest()


def decision_as_json(decision: ReviewDecision) -> dict[str, object]:
    """Return a decision as JSON values, as a line of the file has them, with its number."""
    return {"number": decision.number, **_record(decision)}


def review_of(decisions: Sequence[ReviewDecision], hash_now: str) -> PairReview:
    """Return what decisions about one pair, in their order, say about the text that it has now."""
    undone = {each.of.undoes for each in decisions if each.of.verdict is Verdict.UNDO}
    verdicts: dict[str, ReviewDecision] = {}
    outdated: dict[str, None] = {}
    comments = []
    for each in decisions:
        if each.of.id in undone or each.of.verdict is Verdict.UNDO:
            continue
        if each.of.verdict is Verdict.COMMENT:
            comments.append(each)
        elif each.of.text_hash == hash_now:
            verdicts[each.of.reviewer] = each
        else:
            outdated[each.of.reviewer] = None
    changed = len(outdated.keys() - verdicts.keys())
    return PairReview(_state(list(verdicts.values())), verdicts, tuple(comments), changed)


def _state(verdicts: Sequence[ReviewDecision]) -> ReviewState:
    said = {each.of.verdict for each in verdicts}
    if not said:
        return ReviewState.UNSEEN
    if Verdict.REJECT in said:
        return ReviewState.REJECTED if len(said) == 1 else ReviewState.DISPUTED
    edits = {(each.of.instruction, each.of.answer) for each in verdicts if each.of.verdict is Verdict.EDIT}
    if len(edits) > 1:
        return ReviewState.DISPUTED
    return ReviewState.EDITED if edits else ReviewState.ACCEPTED


class ReviewLog:
    """The decisions about one run. `refresh` reads what has been appended since, by whatever process.

    Several threads may use it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._mutex = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._end = 0  # up to here the file has been read
        self._lines = 0
        self._inode = (0, 0)
        self._torn = 0  # bytes after the last whole line
        self._decisions: list[ReviewDecision] = []
        self._numbers: dict[str, int] = {}  # by the id of the decision
        self._of_pair: dict[tuple[str, str], list[int]] = {}
        self.problems: list[str] = []  #: lines that can't be read, one line each

    def __len__(self) -> int:
        return len(self._decisions)

    def refresh(self) -> int:
        """Read what is new; return the number of decisions. Raises `StorageError` if the file can't be read."""
        with self._mutex:
            try:
                with self.path.open("rb") as file:
                    self._read(file)
            except FileNotFoundError:
                self._forget()
            except OSError as error:
                raise StorageError(f"{self.path} can't be read: {error.strerror}.") from error
            return len(self._decisions)

    @property
    def notes(self) -> list[str]:
        """What people should know about the file: lines that were left out."""
        torn = [f"{self.path}: the last line is not complete, and was left out."] if self._torn else []
        return [*self.problems, *torn]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs that there are decisions about, as (id, language), in the order of their first one."""
        with self._mutex:
            return list(self._of_pair)

    def decisions(self, pair: str, language: str = "") -> list[ReviewDecision]:
        """Return the decisions about a pair in a language, in their order."""
        with self._mutex:
            return [self._decisions[number - 1] for number in self._of_pair.get((pair, language), ())]

    def all_decisions(self, after: int = 0) -> list[ReviewDecision]:
        """Return the decisions after a number, in their order."""
        with self._mutex:
            return self._decisions[after:]

    def review(self, pair: str, hash_now: str, language: str = "") -> PairReview:
        """Return what people say about the text that a pair has now."""
        return review_of(self.decisions(pair, language), hash_now)

    def append(self, new: NewDecision, now: float) -> ReviewDecision:
        """Append a decision, and return it once it is on the disk; `now` is in seconds since the epoch.

        A decision whose id is there already is not appended again. Raises `InputError` for a field that is not valid,
        `ReviewConflictError` if the id is that of another decision or if there is nothing to undo, `StorageError` if
        the disk fails: then the decision is not in the file.
        """
        new = _checked(new)
        with self._mutex, self._locked() as file:
            self._read(file)
            if (number := self._numbers.get(new.id)) is not None:
                return self._repeated(self._decisions[number - 1], new)
            decision = ReviewDecision(len(self._decisions) + 1, now, self._with_target(new))
            if self._torn:
                os.ftruncate(file.fileno(), self._end)
                self.problems.append(f"{self.path}: an incomplete last line was cut off.")
            self._write(file, orjson.dumps(_record(decision), option=orjson.OPT_APPEND_NEWLINE))
            self._read(file)
            return decision

    def _repeated(self, known: ReviewDecision, new: NewDecision) -> ReviewDecision:
        same = (known.of.pair, known.of.language, known.of.reviewer, known.of.verdict)
        if same != (new.pair, new.language, new.reviewer, new.verdict):
            raise ReviewConflictError(f"{new.id} is the id of another decision; each needs an id of its own.")
        return known

    def _with_target(self, new: NewDecision) -> NewDecision:
        """Return an undo with the id of what it takes back."""
        if new.verdict is not Verdict.UNDO:
            return new
        about = self.decisions(new.pair, new.language)
        undone = {each.of.undoes for each in about if each.of.verdict is Verdict.UNDO}
        own = [
            each.of.id
            for each in about
            if each.of.reviewer == new.reviewer and each.of.verdict is not Verdict.UNDO and each.of.id not in undone
        ]
        if not own or (new.undoes and new.undoes not in own):
            raise ReviewConflictError(f"{new.reviewer} has no such decision about {new.pair} to take back.")
        return new._replace(undoes=new.undoes or own[-1])

    def _write(self, file: IO[bytes], line: bytes) -> None:
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(file.fileno(), left) :]
            os.fsync(file.fileno())
            if self._end == 0:
                sync_folder(self.path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):  # after a failed sync, the line may be in memory only
                os.ftruncate(file.fileno(), self._end)
            raise StorageError(f"{self.path} can't be written: {error.strerror}.") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        """Open the file, locked against all others who append."""
        while True:
            try:
                file = self.path.open("a+b", buffering=0)
            except OSError as error:
                raise StorageError(f"{self.path} can't be written: {error.strerror}.") from error
            with file:
                _lock(file, self.path)
                if _inode_of(file) == _inode_of(self.path):  # else it was replaced while we waited
                    yield file
                    return

    def _read(self, file: IO[bytes]) -> None:
        """Read the whole lines after those that are known."""
        inode, size = _inode_of(file), os.fstat(file.fileno()).st_size
        if inode != self._inode or size < self._end:
            self._forget()
            self._inode = inode
        rest = b""
        file.seek(self._end)
        while block := file.read(_BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._end += len(line) + 1
                self._take(line)
        self._torn = len(rest)

    def _take(self, line: bytes) -> None:
        self._lines += 1
        if not line.strip():
            return
        number = len(self._decisions) + 1
        try:
            decision = _parse(line, number)
        except (ValueError, KeyError, TypeError, InputError) as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            self.problems.append(f"{self.path}, line {self._lines}: left out, it is not a decision ({why}).")
            return
        if decision.of.id in self._numbers:  # the file was put together from two
            return
        self._decisions.append(decision)
        self._numbers[decision.of.id] = number
        self._of_pair.setdefault((decision.of.pair, decision.of.language), []).append(number)


def _record(decision: ReviewDecision) -> dict[str, object]:
    of = decision.of
    at = datetime.fromtimestamp(decision.at, UTC).isoformat(timespec="milliseconds")
    first = {"id": of.id, "at": at, "reviewer": of.reviewer, "verdict": of.verdict.value, "pair": of.pair}
    rest = {name: value for name in ("query", "language", *_TEXTS, "undoes") if (value := getattr(of, name))}
    return {**first, "text_hash": of.text_hash, **rest}


def _parse(line: bytes, number: int) -> ReviewDecision:
    values = orjson.loads(line)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    at = datetime.fromisoformat(str(values.pop("at"))).timestamp()
    known = {name: str(values[name]) for name in NewDecision._fields if name in values and name != "verdict"}
    names = ("reviewer", "language", "pair", "query", "text_hash")
    known |= {name: sys.intern(known[name]) for name in names if name in known}
    return ReviewDecision(number, at, _checked(NewDecision(verdict=Verdict(values["verdict"]), **known)))


def _checked(new: NewDecision) -> NewDecision:
    """Return a decision whose ids have one spelling. Raises `InputError`."""
    try:
        canonical = str(UUID(new.id))
        undoes = str(UUID(new.undoes)) if new.undoes else ""
    except ValueError:
        raise InputError("id: must be a UUID, as 123e4567-e89b-42d3-a456-426614174000") from None
    reviewer = " ".join(new.reviewer.split())
    if not reviewer or len(reviewer) > _MOST_NAME or not reviewer.isprintable():
        raise InputError(f"reviewer: must be a name of 1 to {_MOST_NAME} characters")
    if not new.pair:
        raise InputError("pair: must be the id of a pair")
    for name in _TEXTS:
        if len(getattr(new, name)) > MOST_CHARACTERS:
            raise InputError(f"{name}: longer than {MOST_CHARACTERS:,} characters")
    if not all(map(_is_unicode, new)):
        raise InputError("a decision has half of a UTF-16 character in it")
    if new.verdict is Verdict.EDIT and not (new.instruction.strip() and new.answer.strip()):
        raise InputError("an edit needs an instruction and an answer")
    if new.verdict is Verdict.COMMENT and not new.comment.strip():
        raise InputError("comment: must not be empty")
    return new._replace(id=canonical, undoes=undoes, reviewer=reviewer)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _inode_of(file: IO[bytes] | Path) -> tuple[int, int]:
    try:
        status = file.stat() if isinstance(file, Path) else os.fstat(file.fileno())
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock an open file until it is closed, against other processes and other threads; wait for them."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 40)  # a byte that nobody reads: on Windows a locked byte can't be read by others
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise StorageError(f"{path} can't be locked: {error.strerror}.") from error
