"""How large images go out, and how many tokens they take: the examples of the providers' pages."""

from __future__ import annotations

import pytest

from syphus.endpoints.image_tokens import ImageRules


@pytest.mark.parametrize(
    ("model", "size", "detail", "goes_out", "tokens"),
    [
        ("gpt-4o", (1024, 1024), "high", (768, 768), 765),
        ("gpt-4o", (2048, 4096), "high", (768, 1536), 1105),
        ("gpt-4o", (4096, 8192), "low", (256, 512), 85),
        ("gpt-4o", (224, 224), None, (224, 224), 255),
        ("gpt-4o-mini-2024-07-18", (128, 64), "low", (128, 64), 2833),
        ("gpt-4o-mini", (128, 64), "high", (128, 64), 8500),
        ("openai/gpt-4.1-mini", (1024, 1024), None, (1024, 1024), 1659),  # 1,024 patches x 1.62
        ("gpt-4.1-mini", (1800, 2400), "low", (1056, 1408), 2353),  # 1,452 patches, whatever the detail
        ("gpt-5", (512, 512), None, (512, 512), 210),
        ("gpt-5.4-mini", (64, 64), None, (64, 64), 5),
        ("o3", (512, 512), None, (512, 512), 225),
        ("Qwen/Qwen2.5-VL-7B-Instruct", (4000, 3000), None, (1024, 768), 765),
    ],
)
def test_an_image_goes_out_as_the_model_sees_it(
    model: str, size: tuple[int, int], detail: str | None, goes_out: tuple[int, int], tokens: int
) -> None:
    rules = ImageRules(model, detail=detail)
    assert rules.size(*size) == goes_out
    assert rules.tokens(*goes_out) == tokens == rules.tokens(*size)


@pytest.mark.parametrize(
    ("model", "detail", "size", "tokens"),
    [  # measured: huggingface.co/datasets/JOHNISKING/image-token-cost (2026-11-30)
        ("gpt-6-astra", None, (256, 256), 77),
        ("gpt-6-luna", "auto", (768, 768), 692),
        ("openai/gpt-6-luna", None, (1024, 1024), 1229),
        ("gpt-6.1-terra", None, (1920, 1080), 2448),
        ("gpt-6-luna-2026-08-01", None, (4032, 3024), 14364),
        ("gpt-6-luna", "original", (4032, 3024), 14364),
        ("gpt-6-luna", "high", (2560, 1440), 2931),
        ("gpt-6-luna", "high", (4032, 3024), 2942),
        ("gpt-5.5", None, (3840, 2160), 9792),
        ("gpt-5.5", None, (4032, 3024), 11868),
        ("gpt-6.9-unheard-of", None, (1920, 1080), 2448),
    ],
)
def test_todays_models_see_large_images(model: str, detail: str | None, size: tuple[int, int], tokens: int) -> None:
    rules = ImageRules(model, detail=detail)
    assert rules.tokens(*size) == tokens == rules.tokens(*rules.size(*size))


def test_what_the_user_says_goes_before_what_the_model_sees() -> None:
    assert ImageRules("gpt-4o", max_side=100).size(400, 200) == (100, 50)
    assert ImageRules("gpt-4o", max_side=1000).size(400, 200) == (400, 200)
    assert ImageRules("gpt-4o", max_side=0).size(9000, 10) == (9000, 10)
    assert ImageRules("llava", tokens_per_image=576).tokens(9000, 10) == 576


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-nano"])
def test_no_size_is_too_odd(model: str) -> None:
    rules = ImageRules(model)
    for size in ((1, 1), (1, 100_000), (100_000, 1), (33, 31), (49_152, 32), (7_000, 7_000)):
        width, height = rules.size(*size)
        assert 1 <= width <= size[0]
        assert 1 <= height <= size[1]
        assert 0 < rules.tokens(*size) <= 4_000
