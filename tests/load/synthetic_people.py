"""Made-up doctors as they are: name, sex, birth and number that fit together, level, category, scope, title
and department by realistic shares. The same seed gives the same people; each chunk of CHUNK_SIZE is made by
itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from uuid import UUID

from dingkao.doctors.code_lists import ETHNIC_GROUPS
from tests.load.synthetic_divisions import NumberSpace, number_space
from tests.load.synthetic_names import Weighted, draw_foreign_name, draw_name

CHUNK_SIZE = 1_000
DOCTORS_PER_INSTITUTION = 10
SIZE_EXPONENT = 2.5
"""How uneven institutions are: of 446,000 doctors the largest has some six thousand, most have a few."""
FIRST_MILLISECOND = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
CATEGORIES = Weighted((("clinical", 76), ("chinese", 15), ("dental", 7), ("public_health", 2)))
LEVELS = Weighted((("physician", 82), ("assistant", 18)))
LAST_LICENSED_YEAR = 2024
FEMALE_SHARE = 0.48
OTHER_DOCUMENT_SHARE = 0.002
OTHER_DOCUMENTS = ("hk_macao_permit", "taiwan_permit", "passport", "officer")
SCOPES_AND_DEPARTMENTS = {
    "clinical": Weighted((
        (("11", "内科"), 14), (("11", "心血管内科"), 6), (("11", "呼吸与危重症医学科"), 5), (("11", "消化内科"), 5), (("11", "神经内科"), 5),
        (("11", "肾内科"), 2), (("11", "内分泌科"), 3), (("12", "外科"), 8), (("12", "普通外科"), 5), (("12", "骨科"), 6), (("12", "神经外科"), 2),
        (("12", "泌尿外科"), 2), (("12", "麻醉科"), 5), (("13", "妇产科"), 7), (("14", "儿科"), 5), (("15", "眼科"), 2), (("15", "耳鼻咽喉科"), 2),
        (("16", "皮肤科"), 1), (("17", "精神科"), 2), (("19", "医学影像科"), 6), (("20", "检验科"), 1), (("20", "病理科"), 1), (("21", "全科医学科"), 9),
        (("22", "急诊科"), 3), (("22", "重症医学科"), 2), (("23", "康复医学科"), 1), (("24", "预防保健科"), 1), (("18", "职业病科"), 0.2),
    )),
    "chinese": Weighted(((("51", "中医科"), 70), (("52", "中西医结合科"), 20), (("51", "针灸推拿科"), 9), (("53", "蒙医科"), 1))),
    "dental": Weighted(((("31", "口腔科"), 80), (("31", "口腔颌面外科"), 8), (("31", "口腔正畸科"), 12))),
    "public_health": Weighted(((("41", "疾病预防控制科"), 60), (("41", "公共卫生科"), 40))),
}  # fmt: skip
"""Category → scope of practice and department."""
TITLES = {
    "physician": Weighted((("住院医师", 38), ("主治医师", 37), ("副主任医师", 18), ("主任医师", 7))),
    "assistant": Weighted((("医师", 45), ("医士", 55))),
}
EDUCATIONS = {
    "physician": Weighted((("本科", 58), ("硕士研究生", 18), ("博士研究生", 3), ("大专", 21))),
    "assistant": Weighted((("大专", 55), ("中专及以下", 40), ("本科", 5))),
}
_COMMON_MINORITIES = (("回族", 9), ("满族", 9), ("蒙古族", 5), ("土家族", 6), ("苗族", 6), ("壮族", 10))
_ETHNICITY_SHARES = {
    15: (("汉族", 78), ("蒙古族", 18), ("满族", 2), ("回族", 2)),
    45: (("汉族", 66), ("壮族", 28), ("瑶族", 4), ("苗族", 2)),
    54: (("藏族", 85), ("汉族", 14), ("门巴族", 1)),
    64: (("汉族", 63), ("回族", 37)),
    65: (("维吾尔族", 45), ("汉族", 42), ("哈萨克族", 7), ("回族", 5), ("柯尔克孜族", 1)),
}
_OTHERS = tuple((f"{group}族", 0.1) for group in ETHNIC_GROUPS if group != "汉")
MOBILE_PREFIXES = ("138", "139", "136", "150", "151", "158", "186", "189", "177", "199")


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up doctor. `institution`: position among the institutions, the largest first. `birth_date` is
    None where the document doesn't say it."""

    serial: int
    doctor_id: UUID
    account_id: UUID
    record_id: UUID
    name: str
    sex: str
    birth_date: date | None
    document_type: str
    number: str
    ethnicity: str
    education: str
    title: str
    level: str
    category: str
    scope: str
    department: str
    mobile: str
    qualification: str
    practice: str
    first_registered: date
    institution: int


def ethnicity_shares(province: int) -> Weighted[str]:
    """How often each ethnicity is met among the doctors of a province."""
    shares = _ETHNICITY_SHARES.get(province, (("汉族", 910.0), *_COMMON_MINORITIES))
    return Weighted((*shares, *_OTHERS))


def institution_count(doctors: int) -> int:
    """How many institutions so many doctors have."""
    return max(doctors // DOCTORS_PER_INSTITUTION, 1)


def sample_id(chance: Random, serial: int) -> UUID:
    """A UUIDv7 (RFC 9562) that depends on `chance` alone; those of later serials are greater."""
    milliseconds = FIRST_MILLISECOND + serial
    bits = chance.getrandbits(74)
    return UUID(int=milliseconds << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (2**62 - 1))


def iter_people(province: int, count: int, *, seed: int = 0, first: int = 0) -> Iterator[Person]:
    """People `first` to `count` - 1 of a province of `count` doctors, in bounded memory; `first` is a
    multiple of CHUNK_SIZE."""
    space, ethnicities, institutions = (
        number_space(province),
        ethnicity_shares(province),
        institution_count(count),
    )
    for start in range(first, count, CHUNK_SIZE):
        chance = Random(f"{province}/{seed}/{start}")  # noqa: S311 - makes people up
        for serial in range(start, min(start + CHUNK_SIZE, count)):
            yield _draw_person(chance, serial, space, ethnicities, institutions)


def _draw_person(
    chance: Random, serial: int, space: NumberSpace, ethnicities: Weighted[str], institutions: int
) -> Person:
    sex = "female" if chance.random() < FEMALE_SHARE else "male"
    number, birth_date = space.number_of(serial, sex)
    ethnicity = ethnicities.draw(chance)
    level, category = LEVELS.draw(chance), CATEGORIES.draw(chance)
    scope, department = SCOPES_AND_DEPARTMENTS[category].draw(chance)
    name, document_type, stated_birth = draw_name(chance, sex, ethnicity), "resident", birth_date
    if chance.random() < OTHER_DOCUMENT_SHARE:
        document_type, number, stated_birth = chance.choice(OTHER_DOCUMENTS), f"H{serial:08d}", None
        name = draw_foreign_name(chance) if document_type == "passport" else name
    licensed_year = min(birth_date.year + chance.randint(24, 29), LAST_LICENSED_YEAR)
    codes = f"{_LEVEL_DIGITS[level]}{_CATEGORY_DIGITS[category]}0"
    return Person(
        serial=serial,
        doctor_id=sample_id(chance, serial),
        account_id=sample_id(chance, serial),
        record_id=sample_id(chance, serial),
        name=name,
        sex=sex,
        birth_date=stated_birth,
        document_type=document_type,
        number=number,
        ethnicity=ethnicity,
        education=EDUCATIONS[level].draw(chance),
        title=TITLES[level].draw(chance),
        level=level,
        category=category,
        scope=scope,
        department=department,
        mobile=f"{MOBILE_PREFIXES[serial % 10]}{serial * 7_919 % 100_000_000:08d}",
        qualification=f"{licensed_year}{space.province:02d}{codes}{number:0>18}",
        practice=f"{codes}{space.present[0].code}{serial:06d}",
        first_registered=date(licensed_year + 1, 1 + serial % 12, 1 + serial % 28),
        institution=int(institutions * chance.random() ** SIZE_EXPONENT),
    )


_LEVEL_DIGITS = {"physician": "1", "assistant": "2"}
_CATEGORY_DIGITS = {"clinical": "1", "dental": "2", "public_health": "3", "chinese": "4"}
