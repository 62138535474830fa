"""Rows of the roster: sound ones in, each faulty one told by its row and column and nothing else."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from stdnum.cn import ric

from dingkao.database.base import db
from dingkao.doctors import roster_columns, roster_rows
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.models import Account
from tests import sample_data
from tests.rooms.test_roster import CODE, ID, count, doctor_of, outcome, row, take_in, take_in_columns, warned

IMPOSSIBLE = "22010519800230001" + ric.calc_check_digit("22010519800230001" + "0")


FAULTS = {
    "no name": ({"姓名": " "}, "姓名"),
    "unknown document": ({"证件类型": "借书证"}, "证件类型"),
    "no number": ({"证件号码": ""}, "证件号码"),
    "one digit wrong": (
        {"证件号码": sample_data.wrong_check_digit(sample_data.resident_number(1, area="220105"))},
        "证件号码",
    ),
    "too short": ({"证件号码": "22010519800102001"}, "证件号码"),
    "too long": ({"证件号码": "2201051980010200110"}, "证件号码"),
    "no such day": ({"证件号码": IMPOSSIBLE}, "证件号码"),
    "made a number by Excel": ({"证件号码": 2.2010519800102e17}, "证件号码"),
    "sex of another": ({"性别": "女"}, "性别"),
    "unknown sex": ({"性别": "未知"}, "性别"),
    "no institution": ({"机构登记号": ""}, "机构登记号"),
    "unknown institution": ({"机构登记号": "PDY999"}, "机构登记号"),
    "another province's institution": ({"机构登记号": sample_data.registration_number(14, 1)}, "机构登记号"),
    "no category": ({"执业类别": ""}, "执业类别"),
    "unknown category": ({"执业类别": "护理"}, "执业类别"),
    "unknown level": ({"级别": "主任"}, "级别"),
    "no mobile": ({"手机号码": "1381234567"}, "手机号码"),
    "a negative mobile": ({"手机号码": -13800000001}, "手机号码"),
    "no name but a sign": ({"姓名": "/"}, "姓名"),
    "no name but a word": ({"姓名": "无"}, "姓名"),
    "no name but a program's word": ({"姓名": "nan"}, "姓名"),
    "a number for a name": ({"姓名": 123}, "姓名"),
    "a name too long": ({"姓名": "张" * 51}, "姓名"),
    "a name nobody sees": ({"姓名": "\u200b\x08"}, "姓名"),
    "a level that may be either": ({"级别": "执业(助理)医师"}, "级别"),
    "institution made a number by Excel": ({"机构登记号": 1.40000777144432e17}, "机构登记号"),
    "one of three documents": ({"证件类型": "香港/澳门/台湾身份证", "证件号码": "E12345678"}, "证件类型"),
}
TOLERATED = {
    "full-width number": {"证件号码": "".join(chr(ord(c) + 0xFEE0) for c in row(1)["证件号码"])},
    "blanks in the number": {"证件号码": " " + row(1)["证件号码"][:6] + " " + row(1)["证件号码"][6:]},
    "no sex": {"性别": ""},
    "sex by code": {"性别": "1"},
    "no document": {"证件类型": ""},
    "common word for the document": {"证件类型": "身份证"},
    "longer word for the category": {"执业类别": "临床类别"},
    "no level": {"级别": ""},
    "no mobile": {"手机号码": ""},
    "mobile as a number": {"手机号码": 13800000001},
    "mobile with a prefix": {"手机号码": "+86 138-0000-0001"},
    "institution in small letters": {"机构登记号": sample_data.registration_number(CODE, 1).lower()},
    "date as a number": {"首次注册日期": 40360},
    "blanks in the name": {"姓名": "医 师 乙"},
    "what nobody sees": {
        "姓名": "医\u200b师乙\x08",
        "证件号码": "\u202a" + row(1)["证件号码"] + "\u202c",
        "执业类别": "临\u200b床",
        "性别": "男\u200b",
    },
    "scope by our code": {"执业范围": 11},
    "scope twice": {"执业范围": "内科\uff0c内科专业"},
    "category by another list's code": {"执业类别": "110"},
    "category by two digits": {"执业类别": "01"},
    "category of doctors": {"执业类别": "临床医师"},
    "level with a tail": {"级别": "执业医师级"},
    "document with a note": {"证件类型": "居民身份证\uff0818位\uff09"},
    "mobile with a prefix in brackets": {"手机号码": "(+86)13800000001"},
    "mobile with a point": {"手机号码": "13800000001.0"},
    "date as a text of a number": {"首次注册日期": "40360"},
    "date with full-width commas": {"首次注册日期": "2010\uff0c7\uff0c1"},
    "month as a number": {"首次注册日期": 2010.07},
}
ODD = {
    "unknown scope": ({"执业范围": "炼丹"}, "执业范围"),
    "scope of another category": ({"执业范围": "口腔"}, "执业范围"),
    "unknown date": ({"首次注册日期": "去年"}, "首次注册日期"),
    "a date to come": ({"首次注册日期": "2099-01-01"}, "首次注册日期"),
    "institution of another name": ({"主要执业机构": "人民医院"}, "主要执业机构"),
    "a year alone": ({"首次注册日期": 2010}, "首次注册日期"),
    "a year as a date": ({"首次注册日期": 3653}, "首次注册日期"),
    "a year of five digits": ({"首次注册日期": "20105-05-01"}, "首次注册日期"),
    "more than three scopes": ({"执业范围": "内科、外科、儿科、妇产科"}, "执业范围"),
    "two mobiles": ({"手机号码": "13800000001/13900000001"}, "手机号码"),
    "a landline and a mobile": ({"手机号码": "0351-4567890 13800000001"}, "手机号码"),
    "a department's name too long": ({"科室": "科" * 51}, "科室"),
    "a permit of another form": ({"证件类型": "台胞证", "证件号码": "1234567", "性别": ""}, "证件号码"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_faulty_row_is_told_and_its_neighbours_go_in(jilin, fault):
    changes, column = FAULTS[fault]
    report = take_in(row(2), row(1, **changes), row(3))
    assert outcome(report) == (2, 0, 0, [(3, column)])
    assert report.errors[0].reason
    assert report.errors[0].remedy
    assert count(Doctor) == count(Account) == 2


def test_all_faults_in_one_sheet_are_told_row_by_row(jilin):
    sheet_rows, expected = [], []
    for serial, (changes, column) in enumerate(FAULTS.values()):
        sheet_rows += [row(2 * serial + 101), row(2 * serial + 1, **changes)]
        expected.append((len(sheet_rows) + 1, column))
    report = take_in(*sheet_rows)
    assert outcome(report) == (len(FAULTS), 0, 0, expected)
    assert warned(report) == []


@pytest.mark.parametrize("kind", TOLERATED)
def test_what_people_write_otherwise_is_mended(jilin, kind):
    report = take_in(row(1, **TOLERATED[kind]))
    assert outcome(report) == (1, 0, 0, [])
    assert warned(report) == []
    doctor = doctor_of(1)
    assert (doctor.name, doctor.sex, doctor.document_type, doctor.level, doctor.category, doctor.scope) == (
        "医师乙",
        "male",
        "resident",
        "physician",
        "clinical",
        "11",
    )
    assert (doctor.birth_date, doctor.first_registered) == (date(1980, 1, 2), date(2010, 7, 1))


@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_told_and_goes_in(jilin, kind):
    changes, column = ODD[kind]
    report = take_in(row(1, **changes))
    assert outcome(report) == (1, 0, 0, [])
    assert warned(report) == [(2, column)]


SCOPES = {
    "外科\uff0c内科专业": "12,11", "外科\uff1b内科": "12,11", "外科,内科": "12,11", "外科;内科": "12,11", "医学检验、病理": "20", "医学检验、病理专业": "20",
    "医学检验、病理;内科": "20,11", "外科、内科": "12,11", "外科/内科": "12,11", "外科\n内科": "12,11", "11;12": "11,12", "12,12": "12", "外科;麻醉科专业": "12",
    "医学影像": "19", "眼耳鼻喉科": "15", "急诊医学": "22", "急诊": "22", "省级卫生行政部门规定的其他专业": "99", "内科专业;": "11", "": None,
}  # fmt: skip


@pytest.mark.parametrize("text", SCOPES)
def test_scopes_are_divided_as_people_write_them(jilin, text):
    report = take_in(row(1, 执业范围=text))
    assert warned(report) == []
    assert doctor_of(1).scope == SCOPES[text]


@pytest.mark.parametrize("text", ["无", "/", "-", "\u2014", "0", "nan", 0])
def test_a_sign_that_there_is_no_mobile_is_none(jilin, text):
    report = take_in(row(1, 手机号码=text))
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [])
    assert doctor_of(1).mobile_sealed is None


NAMES = {
    "李 \u3007 明": "李\u3007明", "王 \u4dae": "王\u4dae", "\U0002c35b 㛃": "\U0002c35b㛃", "张\u3000三": "张三", "John  Smith": "John Smith", "张\n三": "张三",
    "阿依古丽·买买提": "阿依古丽·买买提",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept_without_blanks_between_chinese_characters(jilin, name):
    assert outcome(take_in(row(1, 姓名=name))) == (1, 0, 0, [])
    assert doctor_of(1).name == NAMES[name]


CATEGORIES = {
    "02": "dental",
    "30": "public_health",
    40: "chinese",
    "120": "dental",
    "口腔医学": "dental",
    "公共卫生医师": "public_health",
    "藏医": "chinese",
    "中医医师": "chinese",
}


@pytest.mark.parametrize("word", CATEGORIES)
def test_categories_are_known_by_other_lists_codes_and_words(jilin, word):
    take_in(row(1, 执业类别=word, 执业范围=""))
    assert doctor_of(1).category == CATEGORIES[word]


def test_an_empty_category_is_told_as_such(jilin):
    assert take_in(row(1, 执业类别="")).errors[0].reason == "执业类别未填写"


DOCUMENTS = {
    "第二代身份证": (row(1)["证件号码"], "resident"), "港澳居民居住证": (row(1)["证件号码"], "residence_permit"), "台湾居民居住证": (row(1)["证件号码"], "residence_permit"),
    "回乡证": ("H01234567", "hk_macao_permit"), "普通护照": ("E12345678", "passport"), "外国护照": ("P<1234567", "passport"),
    "香港/澳门/台湾身份证": ("A123456(7)", "hong_kong"), "台胞证": ("0123456789", "taiwan_permit"), "军官证": ("南字第1234号", "officer"),
}  # fmt: skip


@pytest.mark.parametrize("word", DOCUMENTS)
def test_documents_are_known_by_the_words_people_use(jilin, word):
    number, kind = DOCUMENTS[word]
    report = take_in(row(1, 证件类型=word, 证件号码=number))
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [])
    assert db.session.scalars(select(Doctor.document_type)).one() == kind


def test_the_foreigners_card_tells_birth_and_is_no_reason_to_refuse_a_sex(jilin):
    number = "91112419810803002"
    number += ric.calc_check_digit(number + "0")
    report = take_in(row(1, 证件类型="外国人永久居留身份证", 证件号码=number, 性别="男"))
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [(2, "性别")])
    doctor = db.session.scalars(select(Doctor)).one()
    assert (doctor.sex, doctor.birth_date) == ("male", date(1981, 8, 3))


def test_what_excel_has_lost_of_a_certificate_is_left_empty(jilin):
    report = take_in_columns(
        [row(1) | {"医师资格证书编码": 2.0001411022010519e26, "医师执业证书编码": "/"}],
        "医师资格证书编码",
        "医师执业证书编码",
    )
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [(2, "医师资格证书编码")])
    assert (doctor_of(1).qualification_sealed, doctor_of(1).practice_sealed) == (None, None)


CERTIFICATES = {
    "a year to come": {"医师资格证书编码": "209922110" + ID}, "no province": {"医师资格证书编码": "200099110" + ID},
    "another level": {"医师资格证书编码": "200022210" + ID}, "another category": {"医师资格证书编码": "200022120" + ID},
    "another's fifteen digits": {"医师资格证书编码": "200022110" + "220105800102009"}, "too short": {"医师资格证书编码": "20002211022"},
    "practice of another level": {"医师执业证书编码": "210220000000001"}, "practice of another category": {"医师执业证书编码": "120220000000001"},
    "practice with a sign": {"医师执业证书编码": "11022000000000!"},
}  # fmt: skip


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_what_a_certificate_number_contradicts_is_told(jilin, kind):
    report = take_in_columns([row(1) | CERTIFICATES[kind]], *CERTIFICATES[kind])
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [(2, *CERTIFICATES[kind])])


def test_a_certificate_with_the_old_fifteen_digits_is_sound(jilin):
    report = take_in_columns(
        [row(1) | {"医师资格证书编码": "200022110" + ID[:6] + ID[8:17]}], "医师资格证书编码"
    )
    assert warned(report) == []


def test_certificates_that_are_odd_are_told_and_go_in(jilin):
    sound = row(1) | {
        "医师资格证书编码": "200022110" + row(1)["证件号码"],
        "医师执业证书编码": "110220000000001",
    }
    odd = row(2) | {"医师资格证书编码": "200022110" + row(3)["证件号码"], "医师执业证书编码": "11022"}
    report = import_roster(
        sample_data.roster_xlsx(
            [sound, odd], (*sample_data.HEADINGS, "医师资格证书编码", "医师执业证书编码")
        ),
        by=TERMINAL_ACTOR,
    )
    assert outcome(report) == (2, 0, 0, [])
    assert warned(report) == [(3, "医师资格证书编码"), (3, "医师执业证书编码")]


def test_headings_of_other_forms_are_known_and_unknown_ones_told(jilin):
    headings = {
        "姓名(与身份证一致)": "姓名",
        "公民身份号码": "证件号码",
        "类别": "执业类别",
        "执业机构登记号": "机构登记号",
        "级别(执业医师/执业助理医师)": "级别",
        "联系方式": "手机号码",
        "首次注册日期(yyyy-mm-dd)": "首次注册日期",
        "星座": "科室",
        "序号": "性别",
    }
    cells = row(1, 级别="执业助理医师")
    report = import_roster(
        sample_data.roster_xlsx(
            [{heading: cells[own_heading] for heading, own_heading in headings.items()}], tuple(headings)
        ),
        by=TERMINAL_ACTOR,
    )
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [(1, "星座")])
    doctor = doctor_of(1)
    assert (doctor.level, doctor.first_registered, doctor.mobile_sealed is not None) == (
        "assistant",
        date(2010, 7, 1),
        True,
    )


@given(
    st.dictionaries(
        st.sampled_from(list(roster_columns.COLUMN_HEADINGS)),
        st.text(max_size=20) | st.floats() | st.integers() | st.booleans() | st.dates() | st.none(),
    )
)
def test_any_row_is_judged_or_refused_with_reason_and_remedy(cells):
    warnings = []
    try:
        judged = roster_rows.validate_row(
            ImportRow(
                2, {"name": "甲", "number": ID, "category": "临床", "registration_number": "PDY1"} | cells
            ),
            {"PDY1": "医院"},
            lambda *warning: warnings.append(warning),
        )
        assert None not in (judged.number, *(judged.values[name] for name in ("name", "level", "category")))
        assert "\x00" not in "".join(str(value) for value in judged.doctor_values().values())
    except roster_rows.InvalidRosterRow as refused:
        warnings.append((refused.column, refused.reason, refused.remedy))
    assert all(
        column in roster_columns.COLUMN_HEADINGS and reason and remedy for column, reason, remedy in warnings
    )
