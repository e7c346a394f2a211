"""Datasets about rooms in three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from syphus import (
    AbstractDataset,
    Check,
    Pair,
    Parsed,
    Query,
    Still,
    Train,
    field,
    image_files,
    read_json,
    read_json_items,
)
from syphus.cleaning import Context
from syphus.errors import InputError
from syphus.io.media import Frames, frame_name, listing_path
from syphus.io.records import check_name, name_field, read_beginning, record_error
from syphus.io.text_files import read_text
from syphus.parsing import Conversation, conversations_form, parse_conversations
from syphus.plugins.rows import choose_stably

_ROLE = " - Human role: "
_CONVERSATIONS, _ROUNDS = 3, 3  # numbers that the prompt asks for

#: Templates of an extra round before the first: what one could do here, and the activity with the model's reason. An
#: activity has a capital letter ("A yoga class", "Hold a party"), so it begins a sentence or stands alone.
ROUND_0_TEMPLATES = (
    ("What could one do in this room?", "{activity} is what I would think of first. {reason}"),
    ("Which activity would you suggest for this place?", "My suggestion: {activity}. {reason}"),
    ("Is there something that this room is especially good for?", "Yes: {activity}. {reason}"),
    ("If you had this room for an afternoon, what would you plan?", "{activity}. {reason}"),
    ("Do you have an idea of what to do here?", "{activity} would go well with this room. {reason}"),
    ("What does this place invite people to do?", "It invites them to this: {activity}. {reason}"),
    ("We are looking for something to do in this room. What fits?", "{activity} would fit. {reason}"),
    ("What would be a good use of this room?", "{activity} would be a good use of it. {reason}"),
)


def _find_only_lists(pairs: Sequence[Pair], _: Context) -> Iterator[str]:
    answers = [pair.answer for pair in pairs if not pair.id.endswith("_round0")]
    if answers and all("\n1." in f"\n{answer}" or "\n- " in f"\n{answer}" for answer in answers):
        yield ""


class SceneNavigation(AbstractDataset):
    """Scene navigation: conversations about what to do in a room, from ScanRefer's descriptions of ScanNet scenes.

    The input is `scan_info.json` or ScanRefer's own file. Its folder may also contain `candidates.txt`, the activities
    to choose from instead of the shipped ones, and `frames.txt`, the list of the scenes' frames.
    """

    short_name = "SN"
    prompt = "scene_navigation"
    json_form = conversations_form(_CONVERSATIONS, _ROUNDS)
    query_inputs_path = "annotations/scene_navigation/scan_info.json"
    example = "scene_navigation/scan_info.json"
    rules = (Check("answers are nothing but lists", _find_only_lists),)
    train = Train("last rounds")
    homepage = "https://daveredrum.github.io/ScanRefer"
    licence = "cc-by-nc-sa-3.0"  # according to the README of ScanRefer
    citation = """
@inproceedings{chen2020scanrefer,
  title     = {ScanRefer: {3D} Object Localization in {RGB-D} Scans using Natural Language},
  author    = {Chen, Dave Zhenyu and Chang, Angel X. and Nie{\\ss}ner, Matthias},
  booktitle = {European Conference on Computer Vision},
  year      = {2020}
}
"""
    seed = 0  #: of the choice of descriptions and candidates
    descriptions = 50  #: maximum number of descriptions of a scene
    candidates = 9  #: number of activities to choose from
    candidates_path = ""  #: file of the activities, one line each: `<Activity> - Human role: <Role>`

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield one query per scene. Its random choices depend only on the seed and the scene."""
        activities = _read_activities(self._candidates_file(path), self.candidates)
        frames = Frames(path)
        for scene, descriptions in _read_scenes(path):
            key = f"{self.seed}/{scene}"
            yield {
                "id": scene,
                "sentences": choose_stably(descriptions, self.descriptions, key),
                "image_ids": [f"SN_IMG_{frame}" for frame in frames.names(scene)],
                "meta": {"candidates": choose_stably(activities, self.candidates, key)},
            }

    def _also_reads(self, path: str) -> Iterator[Path]:
        yield Path(path).parent / "candidates.txt"
        yield self._candidates_file(path)
        yield listing_path(path)

    def _load_images(self, path: str) -> Iterator[Still]:
        """Yield ScanNet's frames, `<scene>/color/000100.jpg`: all with annotations, else the first scan of a scene."""
        for file in image_files(path):
            frame = file.relative_to(path)
            wanted = self.query_inputs_path or frame.parts[0].endswith("_00")
            if wanted and frame.parts[1:2] == ("color",):
                yield Still(f"SN_IMG_{frame_name(frame)}", file)

    def render_query(self, query: Query) -> str:
        """Return the descriptions, then the activities to choose from."""
        return f"Sentences:\n{query.text}\n\nCandidate activities:\n" + "\n".join(_candidates(query))

    def parse_response(self, text: str, query: Query) -> Parsed:
        """Return the rounds of all conversations, each with a round 0 made from the activity and the reason."""
        read = parse_conversations(text)
        problems = [*read.problems] or _check_conversations(read.conversations, _candidates(query))
        templates = choose_stably(ROUND_0_TEMPLATES, len(read.conversations), query.id)
        pairs = [
            Pair(question, answer, f"SN_INS_{query.id.removesuffix('_00')}_activity{activity}_round{number}")
            for activity, (conversation, template) in enumerate(zip(read.conversations, templates, strict=False))
            for number, (question, answer) in enumerate(_all_rounds(conversation, template))
        ]
        return Parsed(tuple(pairs), tuple(problems), read.notes)

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """Return the earlier rounds of the same activity."""
        activity = _activity_id(pairs[number - 1])
        return [other for other in range(1, number) if _activity_id(pairs[other - 1]) == activity]

    def _candidates_file(self, path: str) -> Path:
        own = Path(self.candidates_path) if self.candidates_path else Path(path).parent / "candidates.txt"
        return own if self.candidates_path or own.is_file() else Path(__file__).with_name("scene_activities.txt")


def _read_activities(file: Path, least: int) -> list[str]:
    """Read the candidates file (UTF-8); blank lines are skipped. Raises `InputError` for too few or other lines."""
    activities = []
    for number, line in enumerate(read_text(file, 1 << 24).split("\n"), 1):
        activity, separator, role = line.strip().partition(_ROLE)
        if line.strip() and not (activity and separator and role):
            raise InputError(f"{file}: line {number}: <Activity>{_ROLE}<Role> is expected")
        activities += [line.strip()] if line.strip() else []
    if len(activities) < least:
        raise InputError(f"{file}: {len(activities)} activities; at least {least} are needed")
    return activities


def _read_scenes(path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the scenes with their descriptions, from either of the two formats."""
    if read_beginning(path).startswith("{"):
        for scene, record in read_json_items(path):
            yield (
                check_name(scene, "the id of a scene"),
                [_description(item) for item in field(record, "description", list)],
            )
        return
    scenes: dict[str, list[str]] = {}
    for record in read_json(path):
        scene = name_field(record, "scene_id")
        scenes.setdefault(scene, []).append(field(record, "description", str))
    yield from scenes.items()


def _description(item: Any) -> str:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], str):
        raise record_error('"description" must be a list of [object id, text]')
    return item[1]


def _candidates(query: Query) -> list[str]:
    """Return the activities of a query; empty for an in-context example."""
    given = query.meta.get("candidates")
    return [str(line) for line in given] if isinstance(given, list) else []


def _check_conversations(conversations: Sequence[Conversation], candidates: Sequence[str]) -> list[str]:
    """Return the problems of conversations that are not as the prompt asks."""
    known = {line.casefold() for line in candidates}
    chosen = [f"{each.activity}{_ROLE}{each.role}".casefold() for each in conversations]
    found = {
        f"not {_CONVERSATIONS} conversations": len(conversations) != _CONVERSATIONS,
        f"not {_ROUNDS} rounds in a conversation": any(len(each.rounds) != _ROUNDS for each in conversations),
        "the same activity twice": len(set(chosen)) < len(chosen),
        "activity and role are no candidate": bool(known) and not known.issuperset(chosen),
    }
    return [problem for problem, is_there in found.items() if is_there]


def _all_rounds(conversation: Conversation, template: tuple[str, str]) -> Iterator[tuple[str, str]]:
    question, answer = template
    yield question, answer.format(activity=conversation.activity, reason=conversation.reason)
    yield from conversation.rounds


def _activity_id(pair: Pair) -> str:
    return pair.id.rpartition("_round")[0]
