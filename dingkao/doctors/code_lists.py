"""Code lists of doctors: for each value our own stable code, the official Chinese word, and the other words
rosters use for it (domain.md §2.2)."""

import re

from dingkao.tenants.encryption import normalise_text

DOCUMENT_TYPES = {
    "resident": "居民身份证",
    "residence_permit": "港澳台居民居住证",
    "hk_macao_permit": "港澳居民来往内地通行证",
    "taiwan_permit": "台湾居民来往大陆通行证",
    "foreign_permanent": "外国人永久居留身份证",
    "passport": "护照",
    "officer": "军官证",
    "hong_kong": "香港身份证",
    "macao": "澳门身份证",
    "taiwan": "台湾身份证",
}
LEVELS = {"physician": "执业医师", "assistant": "执业助理医师"}
CATEGORIES = {
    "clinical": "临床",
    "dental": "口腔",
    "public_health": "公共卫生",
    "chinese": "中医",
}
SEXES = {"male": "男", "female": "女"}
SCOPES: dict[str, tuple[str, str]] = {
    "11": ("clinical", "内科"), "12": ("clinical", "外科"), "13": ("clinical", "妇产科"), "14": ("clinical", "儿科"),
    "15": ("clinical", "眼耳鼻咽喉科"), "16": ("clinical", "皮肤病与性病"), "17": ("clinical", "精神卫生"), "18": ("clinical", "职业病"),
    "19": ("clinical", "医学影像和放射治疗"), "20": ("clinical", "医学检验、病理"), "21": ("clinical", "全科医学"),
    "22": ("clinical", "急救医学"), "23": ("clinical", "康复医学"), "24": ("clinical", "预防保健"), "25": ("clinical", "特种医学与军事医学"),
    "26": ("clinical", "计划生育技术服务"), "31": ("dental", "口腔"), "41": ("public_health", "公共卫生"), "51": ("chinese", "中医"),
    "52": ("chinese", "中西医结合"), "53": ("chinese", "蒙医"), "54": ("chinese", "藏医"), "55": ("chinese", "维医"), "56": ("chinese", "傣医"),
    "99": ("any", "省级规定的其他"),
}  # fmt: skip

_ETHNICITY_NAMES = (
    "汉 蒙古 回 藏 维吾尔 苗 彝 壮 布依 朝鲜 满 侗 瑶 白 土家 哈尼 哈萨克 傣 黎 傈僳 佤 畲 高山 拉祜 "
    "水 东乡 纳西 景颇 柯尔克孜 土 达斡尔 仫佬 羌 布朗 撒拉 毛南 仡佬 "
    "锡伯 阿昌 普米 塔吉克 怒 乌孜别克 俄罗斯 鄂温克 德昂 保安 裕固 京 塔塔尔 独龙 鄂伦春 赫哲 门巴 珞巴 基诺"
)
ETHNIC_GROUPS = tuple(_ETHNICITY_NAMES.split())
"""The 56 ethnic groups of GB/T 3304, without 族, as rosters often write them."""

_ALIASES = {
    "document": {
        "身份证": "resident", "二代身份证": "resident", "第二代身份证": "resident", "中华人民共和国居民身份证": "resident",
        "港澳居民居住证": "residence_permit", "台湾居民居住证": "residence_permit",
        "港澳通行证": "hk_macao_permit", "回乡证": "hk_macao_permit", "台胞证": "taiwan_permit",
        "外国人永久居留证": "foreign_permanent", "普通护照": "passport", "外国护照": "passport",
        "香港居民身份证": "hong_kong", "澳门居民身份证": "macao",
    },
    "level": {
        "医师": "physician", "执业": "physician", "执业医师级": "physician", "1": "physician", "助理医师": "assistant", "助理": "assistant",
        "执业助理": "assistant", "执业助理医师级": "assistant", "乡村全科执业助理医师": "assistant", "2": "assistant",
    },
    "category": {
        **{code: category for digit, category in zip("1234", CATEGORIES, strict=True) for code in (digit, f"0{digit}", f"{digit}0", f"1{digit}0")},
        "临床医学": "clinical", "临床医师": "clinical", "口腔医学": "dental", "口腔医师": "dental",
        "公卫": "public_health", "公共卫生医师": "public_health", "中医医师": "chinese", "民族医": "chinese", "中西医结合": "chinese",
        "蒙医": "chinese", "藏医": "chinese", "维医": "chinese", "傣医": "chinese", "中医(民族医、中西医结合)": "chinese",
    },
    "sex": {"男性": "male", "女性": "female", "1": "male", "2": "female", "m": "male", "f": "female"},
    "scope": {
        **{code: code for code in SCOPES},
        "麻醉科": "12", "麻醉": "12", "妇科": "13", "眼科": "15", "耳鼻咽喉科": "15", "眼耳鼻喉科": "15", "医学影像": "19", "检验、病理": "20",
        "全科": "21", "急诊": "22", "急诊医学": "22", "口腔麻醉": "31", "省级卫生行政部门规定的其他专业": "99",
    },
}  # fmt: skip
_SUFFIX_PATTERN = re.compile(r"(类别专业|类别|专业|类)$")
_NOTE_PATTERN = re.compile(r"(?<=.)\([^()]*\)$")
_LISTS_WITH_NOTES = ("document", "category")
"""Lists whose words may be followed by a note in brackets, such as 「居民身份证(18位)」; in the other lists
brackets may change the meaning."""


def normalise_word(text: str) -> str:
    """A word in the form in which code lists are compared: half-width, without blanks and invisible
    characters, lower case."""
    return normalise_text(text).lower()


def ethnicity_name(text: str) -> str:
    """An ethnicity (民族) with its full official name: 「汉」 becomes 「汉族」; a text that is no name of
    ETHNIC_GROUPS is returned unchanged."""
    return f"{text}族" if text in ETHNIC_GROUPS else text


def _build_lookup(words: dict[str, str], aliases: dict[str, str]) -> dict[str, str]:
    """Normalised word → our code. `words`: code → official word; `aliases`: other word → code."""
    return {normalise_word(word): code for code, word in words.items()} | {
        normalise_word(word): code for word, code in aliases.items()
    }


_LOOKUPS = {
    "document": _build_lookup(DOCUMENT_TYPES, _ALIASES["document"]),
    "level": _build_lookup(LEVELS, _ALIASES["level"]),
    "category": _build_lookup(CATEGORIES, _ALIASES["category"]),
    "sex": _build_lookup(SEXES, _ALIASES["sex"]),
    "scope": _build_lookup(
        {code: word for code, (_, word) in SCOPES.items()},
        _ALIASES["scope"],
    ),
}


def code_for(kind: str, text: str) -> str | None:
    """Our code for the word `text` of the list `kind` (document, level, category, sex, scope); None if the
    list doesn't have it. Endings such as 类别 and 专业 are ignored, 「临床类别」 is read as 「临床」, and in
    the lists document and category a note in brackets at the end. Raises KeyError for another list."""
    lookup, word = _LOOKUPS[kind], normalise_word(text)
    if word not in lookup and kind in _LISTS_WITH_NOTES:
        word = _NOTE_PATTERN.sub("", word)
    return lookup.get(word) or lookup.get(_SUFFIX_PATTERN.sub("", word))
