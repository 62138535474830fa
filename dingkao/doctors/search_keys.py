"""The keys by which a doctor is found: the first character, the pairs and the triples of characters of the
name, its readings in pinyin whole and by their initials, and the department. A key is a letter, which says of
which kind it is, and a text."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, product

from dingkao.people.name_grams import TRIPLE_LENGTH, fold_for_search, pair_keys, triple_keys

FIRST_CHARACTER, PINYIN, INITIALS, DEPARTMENT = "s", "p", "i", "d"
MAX_READINGS = 24
"""Readings of one name that are kept, if several of its characters have more than one."""
NAME_READINGS = {
    "不": "fou bu", "乐": "yue le", "乜": "nie mie", "乾": "qian gan", "仇": "qiu chou", "传": "chuan zhuan", "佴": "nai er",
    "俞": "yu shu", "单": "shan dan", "卜": "bu bo", "区": "ou qu", "参": "shen can", "句": "gou ju", "召": "shao zhao",
    "员": "yun yuan", "大": "da dai", "奇": "qi ji", "娜": "na nuo", "宓": "mi fu", "尉": "wei yu", "强": "qiang jiang",
    "折": "she zhe", "提": "ti di", "晟": "sheng cheng", "曾": "zeng ceng", "朝": "chao zhao", "朴": "piao pu", "柏": "bai bo",
    "查": "zha cha", "沈": "shen chen", "泊": "bo po", "洗": "xian xi", "澄": "cheng deng", "澹": "tan dan", "牟": "mu mou",
    "畸": "ji qi", "盖": "ge gai", "盛": "sheng cheng", "祭": "zhai ji", "种": "chong zhong", "秘": "bi mi", "繁": "po fan",
    "缪": "miao mou miu", "翟": "zhai di", "能": "nai neng", "茜": "qian xi", "莘": "shen xin", "薄": "bo bao", "藏": "zang cang",
    "行": "xing hang", "褚": "chu zhu", "覃": "qin tan", "角": "jue jiao", "解": "xie jie", "谌": "chen shen", "车": "che ju",
    "那": "na nuo", "郇": "xun huan", "郄": "qie xi", "郗": "xi chi", "都": "du dou", "重": "chong zhong", "长": "zhang chang",
    "阿": "a e", "降": "jiang xiang", "隗": "wei kui", "隽": "juan jun", "颉": "jie xie", "黑": "he hei",
}  # fmt: skip
"""Characters of names that are read in more than one way (多音字), with the readings that people bear, in
pinyin without tones; of all others the usual reading, and the one in the name as a whole (万俟 moqi). Keys
are stored with the doctors: after a change here, `dingkao roster index SLUG` writes them anew."""


def search_keys(name: str, department: str | None) -> set[str]:
    """Returns all keys of a doctor of that name (in its normal form) and department. A name of just three
    characters, as most are, has no triple: it is found as a whole, by `Doctor.name_key`."""
    folded = fold_for_search(name)
    keys = {FIRST_CHARACTER + folded[:1], *pair_keys(folded)}
    if len(folded) > TRIPLE_LENGTH or folded != name:
        keys.update(triple_keys(folded))
    for reading in _iter_readings(folded):
        keys |= {PINYIN + "".join(reading), INITIALS + "".join(syllable[0] for syllable in reading)}
    if department:
        keys.add(DEPARTMENT + fold_for_search(department))
    return keys


def fold_pinyin(text: str) -> list[str]:
    """Returns typed pinyin as keys may have it: lower-case letters without tones, ü as v; nothing for a text
    that has other characters than letters, blanks, apostrophes and hyphens. Passports write ü as yu: «nyu» in
    a row may be nü, or end one syllable and begin the next (chen yu)."""
    spread = unicodedata.normalize("NFKD", text.lower()).replace("u\u0308", "v")
    plain = "".join(character for character in spread if not unicodedata.combining(character))
    letters = re.sub(r"[\s'’\-]", "", plain)
    if not re.fullmatch("[a-z]+", letters):
        return []
    plain_letters = letters.replace("lyu", "lv")
    return list(dict.fromkeys((plain_letters, plain_letters.replace("nyu", "nv"))))


def _iter_readings(folded: str) -> Iterator[list[str]]:
    """Yields the readings of a folded name, each a list of syllables, at most MAX_READINGS. Characters that
    have no reading are left out; letters are syllables of their own."""
    from pypinyin import lazy_pinyin  # its dictionaries take half a second to load

    in_name = lazy_pinyin(folded, errors=list)  # type: ignore[arg-type]  # which it takes, too
    choices = [
        dict.fromkeys(
            (*NAME_READINGS.get(character, "").split(), syllable.lower(), _usual_reading(character))
        )
        for character, syllable in zip(folded, in_name, strict=True)
    ]
    for syllables in islice(product(*choices), MAX_READINGS):
        reading = [syllable for syllable in syllables if re.fullmatch("[a-z]+", syllable)]
        if reading:
            yield reading


@lru_cache(maxsize=8192)
def _usual_reading(character: str) -> str:
    """Returns how a character is read by itself; itself in lower case if it has no reading."""
    from pypinyin import lazy_pinyin  # its dictionaries take half a second to load

    return "".join(lazy_pinyin(character)).lower()
