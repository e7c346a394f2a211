"""Drawing by lot: always the same, by the key alone."""

from __future__ import annotations

from collections import Counter

from syphus.plugins.rows import choose_stably

LETTERS = list("abcdefghij")


def test_a_draw_follows_from_its_key() -> None:
    assert (
        choose_stably(LETTERS, 3, "scene 1")
        == choose_stably(LETTERS, 3, "scene 1")
        == choose_stably(LETTERS, 10, "scene 1")[:3]
    )
    assert choose_stably(LETTERS, 10, "scene 1") != choose_stably(LETTERS, 10, "scene 2")
    assert sorted(choose_stably(LETTERS, 99, "scene 1")) == LETTERS
    assert choose_stably(LETTERS, 4, "pinned for ever") == ["g", "i", "e", "a"]


def test_an_option_more_or_less_leaves_the_others_in_their_order() -> None:
    order = choose_stably(LETTERS, 10, "key")
    assert [each for each in choose_stably([*LETTERS, "k"], 11, "key") if each != "k"] == order
    assert choose_stably(LETTERS[::-1], 10, "key") == order


def test_options_that_are_alike_are_drawn_as_often_as_they_are_there() -> None:
    assert Counter(choose_stably(["a", "b", "a"], 3, "key")) == {"a": 2, "b": 1}


def test_all_options_have_the_same_chance() -> None:
    first = Counter(choose_stably(LETTERS, 1, str(key))[0] for key in range(5000))
    assert set(first) == set(LETTERS)
    assert all(400 < count < 600 for count in first.values())
