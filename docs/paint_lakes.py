"""Paint pictures of lakes, and say what is on each: the annotated images of the example run that is photographed."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 960, 640
_SCALE = 2  # painted larger, then made smaller, for smooth edges
_W, _H = WIDTH * _SCALE, HEIGHT * _SCALE

Colour = tuple[int, int, int]
_SKIES: dict[str, tuple[Colour, Colour, Colour]] = {  # above, at the horizon, and of the sun or moon
    "in the morning": ((158, 196, 222), (250, 224, 200), (255, 236, 190)),
    "at noon": ((96, 160, 214), (206, 228, 240), (255, 250, 225)),
    "in the evening": ((74, 84, 138), (246, 160, 112), (255, 206, 140)),
    "at night": ((14, 20, 46), (52, 64, 104), (236, 236, 220)),
}
_HILLS: tuple[Colour, ...] = ((58, 92, 88), (74, 104, 72), (88, 82, 110), (64, 96, 122))
_BOATS: dict[str, Colour] = {
    "red": (196, 62, 48),
    "white": (240, 238, 230),
    "yellow": (232, 184, 62),
    "blue": (54, 98, 168),
}
_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five")


def paint_lakes(folder: Path, count: int) -> Path:
    """Paint `count` pictures into `folder`/photos, and write what is on them into `folder`/lakes.csv; return that."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    table = folder / "lakes.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for number in range(count):
            name = f"lake_{number:03}.jpg"
            rows.writerows([name, sentence] for sentence in _paint(number, folder / "photos" / name))
    return table


def _paint(seed: int, path: Path) -> list[str]:
    """Paint one picture; return sentences about it."""
    chance = random.Random(seed)
    image = Image.new("RGB", (_W, _H))
    draw = ImageDraw.Draw(image)
    when = chance.choice(list(_SKIES))
    shore = int(_H * chance.uniform(0.5, 0.6))
    hill = chance.choice(_HILLS)
    _sky_and_hills(draw, chance, when, shore, hill)
    _water(draw, chance, when, shore)
    said = _house(draw, chance, shore)
    said = _boats(draw, chance, when, shore) + _trees(draw, chance, hill) + said
    said += ["The moon is in the sky."] if when == "at night" else _birds(draw, chance, shore)
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path, quality=82)
    return said


def _mix(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _sky_and_hills(draw: ImageDraw.ImageDraw, chance: random.Random, when: str, shore: int, hill: Colour) -> None:
    above, low, sun = _SKIES[when]
    for y in range(_H):
        draw.line([(0, y), (_W, y)], fill=_mix(above, low, min(1, y / shore)))
    x, y, r = chance.randint(400, _W - 400), int(shore * chance.uniform(0.25, 0.6)), chance.randint(52, 80)
    draw.ellipse([x - r, y - r, x + r, y + r], fill=sun)
    ranges = chance.randint(2, 3)
    for number in range(ranges):
        waves = [(chance.uniform(0.001, 0.003), chance.uniform(0, 6.3), chance.uniform(28, 88)) for _ in range(3)]
        top = shore - (ranges - number) * 52
        line = [(x, top - 0.6 * sum(a * math.sin(w * x + p) for w, p, a in waves)) for x in range(0, _W + 8, 8)]
        draw.polygon([(0, _H), *line, (_W, _H)], fill=_mix(low, hill, 0.35 + 0.5 * number / ranges))


def _water(draw: ImageDraw.ImageDraw, chance: random.Random, when: str, shore: int) -> None:
    above, low, _ = _SKIES[when]
    far, near = _mix(above, low, 0.55), _mix(above, (10, 30, 50), 0.35)
    for y in range(shore, _H):
        draw.line([(0, y), (_W, y)], fill=_mix(far, near, (y - shore) / (_H - shore)))
    for _ in range(70):
        x, y = chance.randint(0, _W), chance.randint(shore + 6, _H - 1)
        length = 8 + chance.randint(40, 220) * (y - shore) / (_H - shore)
        draw.line([(x, y), (x + length, y)], fill=_mix(far, (255, 255, 255), 0.25), width=_SCALE)


def _house(draw: ImageDraw.ImageDraw, chance: random.Random, shore: int) -> list[str]:
    if chance.random() < 0.5:
        return []
    x, y = chance.randint(760, 1120), shore - 4
    draw.rectangle([x, y - 68, x + 104, y], fill=(236, 224, 204))
    draw.polygon([(x - 16, y - 68), (x + 120, y - 68), (x + 52, y - 124)], fill=(150, 62, 48))
    draw.rectangle([x + 40, y - 36, x + 64, y], fill=(92, 64, 48))
    return ["A small house with a red roof stands on the far shore."]


def _boats(draw: ImageDraw.ImageDraw, chance: random.Random, when: str, shore: int) -> list[str]:
    colour, count = chance.choice(list(_BOATS)), chance.choice([1, 1, 2, 3])
    for number in range(count):
        x, y = int((0.2 + 0.3 * number + chance.uniform(0, 0.12)) * _W), shore + chance.randint(60, 220)
        size = chance.uniform(1.6, 3)
        hull = [(-44, 0), (44, 0), (30, 16), (-30, 16)]
        draw.polygon([(x + size * a, y + size * b) for a, b in hull], fill=_BOATS[colour])
        draw.line([(x, y), (x, y - 78 * size)], fill=(60, 48, 40), width=int(3 * size))
        sail = [(4, -76), (4, -8), (40, -8)]
        draw.polygon([(x + size * a, y + size * b) for a, b in sail], fill=(248, 244, 232))
    verb = "sailing boat is" if count == 1 else "sailing boats are"
    return [f"{_NUMBERS[count]} {colour} {verb} on the lake {when}."]


def _trees(draw: ImageDraw.ImageDraw, chance: random.Random, hill: Colour) -> list[str]:
    count, side = chance.randint(0, 4), chance.choice(["left", "right"])
    for number in range(count):
        x, y = 120 + 108 * number + chance.randint(0, 32), _H - chance.randint(20, 80)
        x, tall = x if side == "left" else _W - x, chance.randint(300, 460)
        draw.rectangle([x - 10, y - 60, x + 10, y], fill=(64, 48, 38))
        for layer in range(4):
            half, low = (64 - 11 * layer) * 1.25, y - 48 - layer * tall / 5
            green = _mix((24, 58, 48), hill, 0.06 * layer)
            draw.polygon([(x - half, low), (x + half, low), (x, low - tall / 3)], fill=green)
    verb = "pine tree stands" if count == 1 else "pine trees stand"
    return [f"{_NUMBERS[count]} {verb} on the {side}."] if count else []


def _birds(draw: ImageDraw.ImageDraw, chance: random.Random, shore: int) -> list[str]:
    count = chance.randint(2, 5)
    for _ in range(count):
        x, y = chance.randint(200, _W - 200), int(shore * chance.uniform(0.15, 0.5))
        wing = chance.uniform(14, 24)
        for left in (x - 2 * wing, x):
            draw.arc([left, y - wing, left + 2 * wing, y + wing], 200, 340, fill=(50, 50, 60), width=2 * _SCALE)
    return [f"{_NUMBERS[count]} birds fly in the sky."]
