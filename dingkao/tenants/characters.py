"""Characters that look the same but have different codes: radicals, middle dots, old private-use codes,
variation selectors. They are replaced by one form, so that a name is found and compared however it was typed.
"""

import unicodedata

MIDDLE_DOT = "·"
"""The middle dot of names (GB/T 15834: 间隔号)."""
_DOTS = "\u0387\u119e\u16eb\u2022\u2024\u2027\u2219\u22c5\u25cf\u2981\u2e31\u2e33\u30fb\u318d\ua78f\uff65"
_VARIANTS = (
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
)
_RADICALS = (
    "⺀厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑彐忄心扌攵⺚旡日月歺母民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹"
    "纟罓罒㓁冗𦉫羊𦍌𦍋耂"
    "肀聿肉𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄"
    "黾斉齐歯齿竜龙龜亀龟"
)
"""The ideographs of the radicals U+2E80 to U+2EF3 (Unicode: Equivalent_Unified_Ideograph); NFKC converts the
other radicals."""
_NFKC_CODES = (
    *range(0x2F00, 0x2FD6),
    *range(0xF900, 0xFAFF),
    *range(0x2F800, 0x2FA1E),
)
LEGACY_PRIVATE_CODES = dict(
    zip(
        range(0xE815, 0xE865),
        (
            "厂𠂇𠂉𠃌乙㑳㑇刀㔾龴㖞㘚㘎小心㥮㤘龵㧏㧟㩳㧐龶龷㭎㱮㳠牛𡗗龸𤴔䁖䅟𥫗䌷㓁羊𦍌𢦏䎱"
            "䎬聿䏝䓖䙡䙌龹䜣䜩䝼䞍𧾷䥇䥺䥽䦂䦃䦅䦆䦟䦛䦷䦶龺𤇾䲣䲟䲠䲡䱷䲢䴓䴔䴕䴖䴗䴘䴙䶮龻"
        ),
        strict=True,
    )
)
"""The private-use codes of GBK for characters that Unicode didn't have yet → these characters in GB
18030-2022."""

_FOLDED = dict.fromkeys(map(ord, _DOTS), MIDDLE_DOT) | dict.fromkeys(_VARIANTS) | LEGACY_PRIVATE_CODES
_FOLDED |= {code: unicodedata.normalize("NFKC", chr(code)) for code in _NFKC_CODES} | dict(
    zip(range(0x2E80, 0x2EF4), _RADICALS, strict=True)
)
"""Code of a character → its usual form, None for what is left out. A pair added here holds for what is
written from then on; names that are stored already need a migration as 0030, and the job `index_names`."""
_FOLDED_CHARACTERS = frozenset(map(chr, _FOLDED))


def fold_lookalikes(text: str) -> str:
    """Returns `text` with each lookalike character replaced by its usual form, and without variation
    selectors."""
    return text if _FOLDED_CHARACTERS.isdisjoint(text) else text.translate(_FOLDED)
