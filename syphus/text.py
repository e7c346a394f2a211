"""Text for people: untrusted text, money, durations, counts and paths."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from syphus.errors import ConfigError

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?) ?d)? ?(?:(\d+(?:\.\d+)?) ?h)? ?(?:(\d+(?:\.\d+)?) ?m(?:in)?)?", re.IGNORECASE)
_LEEWAY = timedelta(minutes=1)  # of a deadline that was checked a moment ago
_CENT = 0.01  # dollars
_TWO_DAYS, _SIX_DAYS = 2 * 86400, 6 * 86400  # seconds

SIMULATED_NOTICE = "Answered by the simulated endpoint: made-up text, not a model."

_CODED = re.compile(rb"(?:data:image\\?/[\w.+-]+;base64,)?(?<![A-Za-z0-9+/_\\-])[A-Za-z0-9+/_\\-]{200,}+={0,2}")

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|(?:[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|['\u2019-])+"
)
_ENDS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f")  # of sentences


def strip_images(data: bytes) -> bytes:
    """Replace base64 images in a server's reply: some servers repeat the whole request in their errors."""
    return _CODED.sub(b"<image>", data)


def one_line(message: str, limit: int = 200) -> str:
    """Return untrusted text as one line of at most `limit` characters."""
    if message.isascii() and message.isprintable() and len(message) <= limit:  # most are, and it takes a tenth
        return " ".join(message.split())
    line = " ".join(printable(message[: 20 * limit]).split())  # some servers repeat the whole request
    return line if len(line) <= limit else line[: limit - 1] + "…"


def sentence(*parts: str) -> str:
    """Return the parts that are not empty, joined by colons, as one sentence: with one mark at its end."""
    said = ": ".join(filter(None, (part.strip() for part in parts)))
    return said if said.endswith(_ENDS) else f"{said}."


def normal_forms(text: str) -> tuple[str, ...]:
    """Return a name as it is, and its other Unicode forms: macOS writes "ü" as two characters, others as one."""
    if text.isascii():
        return (text,)
    return tuple(dict.fromkeys((text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))))


def printable(text: str) -> str:
    r"""Return untrusted text without control characters, which could move a terminal's cursor or set its title.

    A part of a file's name that is not UTF-8 becomes text such as `\udce9`.
    """
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if text.replace("\n", "").replace("\t", "").isprintable():  # nearly always, and it takes a hundredth
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def split_words(text: str) -> list[str]:
    """Return the words of a text; a letter of a script without spaces counts as a word."""
    return _WORD.findall(text)


def format_dollars(amount: float) -> str:
    """Return an amount such as `$1,234.50`; a small amount is never shown as zero."""
    return f"${amount:,.2f}" if amount >= 0.005 or not amount else "under $0.01"


def format_budget(amount: float) -> str:
    """Return an amount that people chose; one of less than a cent with all its digits."""
    return format_dollars(amount) if amount >= _CENT or not amount else f"${amount:.12f}".rstrip("0")


def format_dollar_range(low: float, high: float) -> str:
    """Return amounts such as `$3.90 to $4.60`, `up to $0.01`, or a single one if both look the same."""
    least, most = format_dollars(low), format_dollars(high)
    if least == most or high < _CENT / 2:
        return most
    return f"up to {most}" if low < _CENT / 2 else f"{least} to {most}"


def format_spent(amount: float, simulated: bool = False) -> str:
    """Return what was spent; made-up answers that cost nothing say why: `$0.00 (simulated)`."""
    return f"{format_dollars(amount)} (simulated)" if simulated and not amount else format_dollars(amount)


def format_end(now: datetime, seconds: float) -> str:
    """Return when something ends that takes `seconds` more: `14:32 (2 min)`, `Thu 14:32 (25.0 h)`."""
    end = now + timedelta(seconds=seconds)
    day = "" if end.date() == now.date() else f"{end:%a} " if seconds < _SIX_DAYS else f"{end:%b} {end.day} "
    return f"{day}{end:%H:%M} ({format_duration(seconds)})"


def display_width(text: str) -> int:
    """Return the columns that a text takes on a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return a text that takes at most `width` columns, with an ellipsis where it was cut."""
    if display_width(text) <= width:
        return text
    while text and display_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…" if width > 0 else ""


def format_tokens(count: float, short: bool = False) -> str:
    """Return a number of tokens as text: `1.2k`, `3.4M`, `12.3M`; the last one is `12M` if it is to be `short`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.{0 if short and count >= 10 * size else 1}f}{unit}"
    return f"{count:.0f}"


def pluralize(count: int, singular: str, plural: str = "") -> str:
    """Return a count such as `1 query` or `1,204 queries`; the default plural adds an s."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def format_duration(seconds: float) -> str:
    """Return a duration such as `45 s`, `12 min`, `2.5 h` or `3.1 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < _TWO_DAYS:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def alternatives(names: Iterable[str]) -> str:
    """Return `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "captions"?` if a name is nearly one that is known, or else ""."""
    near = nearest_name(name, known)
    return f'; did you mean "{near}"?' if near else ""


def nearest_name(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return the known name that is most like this one, or "". Case, dashes, spaces and underscores do not count.

    `likeness` is the least that counts, from 0 to 1, by `difflib`.
    """
    plain = {_plain_name(each): each for each in known}
    near = difflib.get_close_matches(_plain_name(name), plain, 1, likeness)
    return plain[near[0]] if near else ""


def _plain_name(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return `a, b, c`, and how many more there are."""
    every = list(names)
    shown = [one_line(name, 40) for name in every[:limit]]
    return ", ".join([*shown, *([f"and {len(every) - limit:,} more"] if len(every) > limit else [])])


def missing_key(name: str, known: Iterable[object], within: str = "") -> str:
    """Return what is wrong with a key that is not there: `no "caption"; did you mean "captions"? It has id, captions`.

    `within` is what the key was looked for in, if that is not the record.
    """
    names = [str(each) for each in known]
    near = did_you_mean(name, names)
    where = f" in {within}" if within else ""
    return f'no "{one_line(name, 60)}"{where}{f"{near} It" if near else "; it"} has {listed(names) or "no keys"}'


def install_hint(extra: str) -> str:
    """How to install what an extra of the package brings, with and without a checkout."""
    return f"pip install 'syphus[{extra}]' (in a checkout: pip install -e '.[{extra}]'; [all] has every extra)"


def short_path(path: Path) -> str:
    """Return a path relative to the current folder if it is below it, otherwise in full."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def align_columns(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Align rows of equal length in columns: the first `left` columns to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def read_deadline(text: str, now: datetime) -> datetime:
    """Return a deadline that is given as a span, `8h` or `1h 30m`, or as a time: `08:00`, or `2026-12-31 08:00`.

    A time of day is the next one. Raises `ConfigError` for anything else, and for a time in the past.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is not None and any(found.groups()):
        days, hours, minutes = (float(each or 0) for each in found.groups())
        return now + timedelta(days=days, hours=hours, minutes=minutes)
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text.strip()):
            at = now.replace(hour=int(text.split(":")[0]), minute=int(text.split(":")[1]), second=0, microsecond=0)
            return at if at > now else at + timedelta(days=1)
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"--deadline {text}: must be a span such as 8h, or a time such as 2026-12-31 08:00."
        ) from None
    read = read if read.tzinfo is not None else read.replace(tzinfo=now.tzinfo)
    if read + _LEEWAY <= now:
        raise ConfigError(f"--deadline {text}: is in the past.")
    return read
