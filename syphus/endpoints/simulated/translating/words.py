"""Words by language, of which made-up translations are put together, and how a sentence ends.

To let the simulated endpoint translate into another language, add an entry.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """`filling` are words that can stand in a sentence; `ends` the full stop, the question and the exclamation mark."""

    filling: tuple[str, ...]
    ends: tuple[str, str, str] = (".", "?", "!")
    blank: str = " "


def _of(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


_SOLID = ("\u3002", "\uff1f", "\uff01")

WORDS: dict[str, Words] = {
    "zh": Words(
        _of(
            "图片里 可以看到 旁边的 人们 正在 慢慢地 走过 安静的 街道 那里 还有 许多 树木 和 房子 蓝色的 显得",
            "非常 明亮 孩子们 开心地 玩耍 这个 场景 看起来 很 自然 远处 的 山 被 云 遮住 了 桌子上 放着 水果 阳光",
            "照在 草地上",
        ),
        _SOLID,
        "",
    ),
    "ja": Words(
        _of(
            "写真の 中では 人々が ゆっくりと 歩いて いて その 隣に 大きな 木が 見えて 空は とても 明るく",
            "子供たちは 楽しそうに 遊んで いる 静かな 通りの 向こうには 山が あり 机の 上には 果物が 置かれて",
            "ように 見え この 場面は 自然な 感じが して",
        ),
        _SOLID,
        "",
    ),
    "es": Words(
        _of(
            "en la imagen se puede ver cómo las personas caminan despacio por calle tranquila mientras el cielo",
            "parece muy claro y los niños juegan alegres junto árboles que están cerca de casas donde también hay",
            "muchas flores sobre mesa madera",
        )
    ),
    "de": Words(
        _of(
            "auf dem Bild sieht man wie die Menschen langsam durch ruhige Straße gehen während der Himmel sehr",
            "hell wirkt und Kinder fröhlich neben den Bäumen spielen nahe bei Häusern stehen wo auch viele Blumen",
            "liegen",
        )
    ),
    "fr": Words(
        _of(
            "sur cette image on voit comment les gens marchent lentement dans la rue tranquille pendant que le",
            "ciel semble très clair et enfants jouent gaiement près des arbres qui se trouvent à côté maisons où",
            "aussi beaucoup fleurs",
        )
    ),
    "ko": Words(
        _of(
            "사진 속에서 사람들이 느긋하게 고요한 거리를 걷고 있으며 옆에는 큰 나무가 보이고 하늘은 매우 맑아",
            "보이며 아이들은 즐겁게 놀고 있는 모습이 자연스럽게 느껴지고 멀리 산이 보이는 가운데 탁자 위에 과일이",
            "놓여",
        )
    ),
    "ar": Words(
        _of(
            "في هذه الصورة يمكن رؤية الناس وهم يمشون ببطء عبر الشارع الهادئ بينما تبدو السماء صافية جدا ويلعب",
            "الأطفال بفرح بجانب الأشجار القريبة من البيوت حيث توجد أيضا زهور كثيرة فوق طاولة الخشب",
        ),
        (".", "\u061f", "!"),
    ),
}
