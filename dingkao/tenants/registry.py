"""The 32 provinces that can be opened (省级行政区), the same in every installation.

A code is the province's first two digits of GB/T 2260 and never changes; 兵团 has none there, and registries
use 66. Slugs are the first segment of the address and part of the names of cookies.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

RESERVED_SEGMENTS = frozenset({"platform", "static", "healthz", "readyz", "metrics", "verify"})
FIRST_SANDBOX_CODE = 900


@dataclass(frozen=True)
class Province:
    """One province (省份): `code` is the tenant's number, `name` as on the sign-in page, `commission` the
    issuing authority."""

    code: int
    slug: str
    name: str
    short_name: str
    commission: str


def _province(
    code: int,
    slug: str,
    name: str,
    short_name: str,
    commission: str | None = None,
) -> Province:
    """Returns a province; `commission` is by default the name with 卫生健康委员会."""
    return Province(
        code,
        slug,
        name,
        short_name,
        commission or f"{name}卫生健康委员会",
    )


PROVINCES = (
    _province(11, "beijing", "北京市", "北京"),
    _province(12, "tianjin", "天津市", "天津"),
    _province(13, "hebei", "河北省", "河北"),
    _province(14, "shanxi", "山西省", "山西"),
    _province(15, "neimenggu", "内蒙古自治区", "内蒙古"),
    _province(21, "liaoning", "辽宁省", "辽宁"),
    _province(22, "jilin", "吉林省", "吉林"),
    _province(23, "heilongjiang", "黑龙江省", "黑龙江"),
    _province(31, "shanghai", "上海市", "上海"),
    _province(32, "jiangsu", "江苏省", "江苏"),
    _province(33, "zhejiang", "浙江省", "浙江"),
    _province(34, "anhui", "安徽省", "安徽"),
    _province(35, "fujian", "福建省", "福建"),
    _province(36, "jiangxi", "江西省", "江西"),
    _province(37, "shandong", "山东省", "山东"),
    _province(41, "henan", "河南省", "河南"),
    _province(42, "hubei", "湖北省", "湖北"),
    _province(43, "hunan", "湖南省", "湖南"),
    _province(44, "guangdong", "广东省", "广东"),
    _province(45, "guangxi", "广西壮族自治区", "广西"),
    _province(46, "hainan", "海南省", "海南"),
    _province(50, "chongqing", "重庆市", "重庆"),
    _province(51, "sichuan", "四川省", "四川"),
    _province(52, "guizhou", "贵州省", "贵州"),
    _province(53, "yunnan", "云南省", "云南"),
    _province(54, "xizang", "西藏自治区", "西藏"),
    _province(61, "shaanxi", "陕西省", "陕西"),
    _province(62, "gansu", "甘肃省", "甘肃"),
    _province(63, "qinghai", "青海省", "青海"),
    _province(64, "ningxia", "宁夏回族自治区", "宁夏"),
    _province(65, "xinjiang", "新疆维吾尔自治区", "新疆"),
    _province(
        66,
        "bingtuan",
        "新疆生产建设兵团",
        "兵团",
        "新疆生产建设兵团卫生健康委员会",
    ),
)

_SYLLABLES = {
    "beijing": "bei jing", "tianjin": "tian jin", "hebei": "he bei", "shanxi": "shan xi", "neimenggu": "nei meng gu", "liaoning": "liao ning",
    "jilin": "ji lin", "heilongjiang": "hei long jiang", "shanghai": "shang hai", "jiangsu": "jiang su", "zhejiang": "zhe jiang",
    "anhui": "an hui", "fujian": "fu jian", "jiangxi": "jiang xi", "shandong": "shan dong", "henan": "he nan", "hubei": "hu bei",
    "hunan": "hu nan", "guangdong": "guang dong", "guangxi": "guang xi", "hainan": "hai nan", "chongqing": "chong qing", "sichuan": "si chuan",
    "guizhou": "gui zhou", "yunnan": "yun nan", "xizang": "xi zang", "shaanxi": "shan xi", "gansu": "gan su", "qinghai": "qing hai",
    "ningxia": "ning xia", "xinjiang": "xin jiang", "bingtuan": "bing tuan",
}  # fmt: skip
"""Slug → pinyin of the short name. 山西 and 陕西 differ only in tone, so «shanxi» finds both; only their
slugs differ."""

_BY_SLUG = {province.slug: province for province in PROVINCES}
_BY_CODE = {province.code: province for province in PROVINCES}


def by_slug(slug: str) -> Province | None:
    """Returns the province with this slug, in upper or lower case, or None."""
    return _BY_SLUG.get(slug.lower())


def by_code(code: int) -> Province | None:
    """Returns the province with this code, or None."""
    return _BY_CODE.get(code)


def search_terms(province: Province) -> tuple[str, ...]:
    """Returns what people type to find `province`: names, pinyin, initials, slug."""
    syllables = _SYLLABLES[province.slug].split()
    return (
        province.name,
        province.short_name,
        "".join(syllables),
        "".join(syllable[0] for syllable in syllables),
        province.slug,
    )


def search(typed: str, among: Iterable[Province]) -> list[Province]:
    """Returns the provinces among `among` that `typed` may mean: a part of the Chinese name, or the beginning
    of pinyin, initials or slug; all for an empty text. Blanks, case and full-width letters are ignored."""
    folded = unicodedata.normalize("NFKC", typed).lower()
    search_text = "".join(filter(str.isalnum, folded))
    if not search_text:
        return list(among)
    return [province for province in among if _may_mean(province, search_text)]


def _may_mean(province: Province, search_text: str) -> bool:
    return any(_matches_term(term, search_text) for term in search_terms(province))


def _matches_term(term: str, typed: str) -> bool:
    """Whether the typed text may mean a term. A term of letters must begin with it; a Chinese name must
    contain it, or be its beginning (山西 of 山西卫健委)."""
    if term.isascii():
        return term.startswith(typed)
    return typed in term or (len(term) > 1 and typed.startswith(term))
