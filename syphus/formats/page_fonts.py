"""Embeds into a page the letters that its readers may have no font for, from the fonts of this machine.

Every system shows Latin, Greek and Cyrillic. A page with Chinese or Arabic shows empty boxes where no font has them,
and a whole font of Chinese has 15 MB. So a page carries only the letters that it uses, cut out of a font of this
machine, or of the extra `fonts`. This needs fonttools, of the extra `pages`.
"""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import os
import re
import sysconfig
import unicodedata
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

FAMILY = "Syphus Export"  #: the name of the font in a page, the first one in style.css

_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
_RESTRICTED = 0x0002  # of OS/2.fsType: must not be embedded (OpenType specification, table OS/2)
_REGULAR = 400
_MOST_FONTS = 3000  # that are looked into
#: Blocks that the standard fonts of Windows, macOS, Android and Linux desktops have: first and last code point.
_EVERYWHERE = ((0, 0x52F), (0x1E00, 0x1FFF), (0x2000, 0x214F), (0x2190, 0x22FF), (0x2500, 0x25FF), (0xFFFC, 0xFFFD))
_REGIONS = re.compile(r"(SC|TC|HK|JP|KR)(?![a-z])")  # in the file names of fonts of Chinese, Japanese and Korean
_CHINESE, _KANA, _HANGUL = (re.compile(each) for each in ('lang="zh', "[\u3041-\u30ff]", "[\uac00-\ud7a3]"))
#: Words in file names of faces that are not the plain one of a family.
_OTHER_STYLES = ("italic", "oblique", "bold", "black", "heavy", "light", "thin", "condensed", "mono", "serif", "extra")


class EmbeddedFonts(NamedTuple):
    """Fonts for a page: rules of CSS, and the letters that no font was found for."""

    css: str
    missing: str
    tool_missing: bool = False  #: fonttools is not installed, so nothing was looked for


def rare_letters(text: str) -> str:
    """Return the letters of a text that some systems have no font for, each once, sorted."""
    return "".join(sorted(letter for letter in set(text) if _is_rare(letter)))


def embedded_fonts(text: str, folders: Sequence[Path] = ()) -> EmbeddedFonts:
    """Return the fonts that a page with this text needs; none if every system has its letters.

    `folders` with fonts, or font files, come before the fonts of this machine.
    """
    letters = rare_letters(text)
    return _fonts(letters, _region(text), tuple(folders)) if letters else EmbeddedFonts("", "")


def _region(text: str) -> str:
    """Return whose way of writing the letters that China, Japan and Korea share: that of a text in Chinese, if any."""
    if _CHINESE.search(text):
        return "SC"
    return "JP" if _KANA.search(text) else "KR" if _HANGUL.search(text) else "SC"


@lru_cache(maxsize=4)
def _fonts(letters: str, region: str, folders: tuple[Path, ...]) -> EmbeddedFonts:
    try:
        import fontTools.ttLib  # noqa: F401 - is it there?
    except ImportError:
        return EmbeddedFonts("", letters, tool_missing=True)
    left = set(map(ord, letters))
    rules = []
    for path in _font_files(folders, region):
        if not left:
            break
        found = _cut_out(path, left, region)
        if found:
            rule, letters_of_it = found
            rules.append(rule)
            left -= letters_of_it
    return EmbeddedFonts("\n".join(rules), "".join(map(chr, sorted(left))))


def _is_rare(letter: str) -> bool:
    code = ord(letter)
    if any(first <= code <= last for first, last in _EVERYWHERE):
        return False
    return unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Mn"} or _is_mark(code)


def _is_mark(code: int) -> bool:
    """Return whether a code point is a mark of a script, such as a vowel of Arabic or Hindi."""
    return unicodedata.category(chr(code)) == "Mn" and not 0xFE00 <= code <= 0xFE0F  # they choose a variant


def _font_files(folders: Sequence[Path], region: str) -> Iterator[Path]:
    """Yield the user's own font files, then those of this machine; plain faces come before bold or narrow ones."""

    def order(path: Path) -> tuple[bool, int, str]:
        name = path.name.lower()
        elsewhere = _REGIONS.search(path.stem)
        styles = sum(word in name.replace("sansserif", "") for word in _OTHER_STYLES)
        return elsewhere is not None and elsewhere[1] != region, styles, name

    for group in (folders, _system_folders(), _packages()):
        files = {path for folder in group for path in ([folder] if folder.is_file() else _walk(folder))}
        yield from sorted(files, key=order)[:_MOST_FONTS]


def _packages() -> list[Path]:
    """Return the folders of installed packages that are named after their fonts."""
    return [
        found for each in {*sysconfig.get_paths().values()} for found in Path(each).glob("*font[_s]*") if found.is_dir()
    ]


def _system_folders() -> list[Path]:
    home = Path.home()
    data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [
        *(Path(each) / "fonts" for each in data.split(":") if each),
        *(home / ".local/share/fonts", home / ".fonts", home / "Library/Fonts"),
        *map(Path, ("/System/Library/Fonts", "/Library/Fonts", "/mnt/c/Windows/Fonts")),  # the last one: WSL
    ]


def _walk(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if Path(name).suffix.lower() in _SUFFIXES)


def _cut_out(path: Path, wanted: set[int], region: str) -> tuple[str, set[int]] | None:
    """Return a rule with the letters out of `wanted` that a font file has, and these; None if it has none of them."""
    from fontTools.ttLib import TTLibError
    from fontTools.ttLib.tables.O_S_2f_2 import intersectUnicodeRanges

    blocks = intersectUnicodeRanges(wanted)
    damages = (OSError, TTLibError, AssertionError, KeyError, ValueError, IndexError, AttributeError)
    with contextlib.suppress(*damages), contextlib.closing(_faces(path, region)) as faces:
        for font in faces:
            if blocks and "OS/2" in font and not blocks & font["OS/2"].getUnicodeRanges():
                continue  # what a font says of itself is read a hundred times faster than its table of letters
            has = wanted & set(font.getBestCmap() or ())
            if has and _may_embed(font):
                return _rule(_subset(font, has), has), has
    return None  # also where a font is damaged: another one may do


def _faces(path: Path, region: str) -> Generator[TTFont, None, None]:
    """Yield the fonts of a file. A collection's faces differ in the letters that China, Japan and Korea write apart."""
    from fontTools.ttLib import TTCollection, TTFont

    if path.suffix.lower() not in {".ttc", ".otc"}:
        with TTFont(path, lazy=True) as font:
            yield font
        return
    with contextlib.closing(TTCollection(path, lazy=True)) as collection:
        names = [(str(font["name"].getDebugName(1) or ""), font) for font in collection.fonts]
        yield from (
            font for _, font in sorted(names, key=lambda each: (not each[0].endswith(f" {region}"), "Mono" in each[0]))
        )


def _may_embed(font: TTFont) -> bool:
    return "OS/2" not in font or (font["OS/2"].fsType & 0x000F) != _RESTRICTED


def _subset(font: TTFont, letters: set[int]) -> bytes:
    from fontTools.subset import Options, Subsetter
    from fontTools.varLib.instancer import instantiateVariableFont

    if "fvar" in font:
        axes = {axis.axisTag: _REGULAR if axis.axisTag == "wght" else axis.defaultValue for axis in font["fvar"].axes}
    logging.getLogger("fontTools.subset").setLevel(logging.ERROR)  # it warns of each table that it leaves out
    options = Options(hinting=False, notdef_outline=True, ignore_missing_unicodes=True)
    options.drop_tables += ["meta", "DSIG", "STAT"]
    cutter = Subsetter(options)
    cutter.populate(unicodes=letters | {0x20, 0x200C, 0x200D, 0x25CC})  # joiners, and the circle below lone marks
    cutter.subset(font)
    if "fvar" in font:
        font = instantiateVariableFont(font, axes)
    font.flavor = "woff"  # its compression is in Python's own library
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def _rule(data: bytes, letters: Iterable[int]) -> str:
    source = f"data:font/woff;base64,{base64.b64encode(data).decode()}"
    return (
        f'@font-face {{ font-family: "{FAMILY}"; src: url({source}) format("woff"); '
        f"unicode-range: {', '.join(_ranges(letters))}; }}"
    )


def _ranges(letters: Iterable[int]) -> list[str]:
    """Return code points as CSS writes them: ["U+4E00-4E02", "U+4E10"]."""
    runs: list[list[int]] = []
    for code in sorted(letters):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return [f"U+{first:X}" if first == last else f"U+{first:X}-{last:X}" for first, last in runs]
