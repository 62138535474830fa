"""The roster: sound rows in, each faulty one told by its row and column and nothing else; again, and nothing is new."""

import csv
import io
from datetime import date

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from stdnum.cn import ric

from dingkao.database.model import db
from dingkao.doctors import roster
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster, name_key
from dingkao.errors import Invalid
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import TERMINAL, broken_entries
from dingkao.outside.sheets import Row
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.people.organisations import import_institutions
from dingkao.tenants.secrets import Place, vault
from tests import material

CODE = 22
IMPOSSIBLE = "22010519800230001" + ric.calc_check_digit("22010519800230001" + "0")


@pytest.fixture
def jilin(in_province):
    """吉林 with three institutions and no doctors, within a transaction that is undone."""
    with in_province("jilin") as province:
        assert import_institutions(material.institutions(CODE), by=TERMINAL).accepted == 3
        yield province


def row(serial, **changed):
    return material.roster_row(CODE, serial, **changed)


def take_in(*rows, **options):
    return import_roster(material.roster(list(rows)), by=TERMINAL, **options)


def take_in_columns(rows, *more):
    """The same with columns behind the usual ones."""
    return import_roster(material.roster(rows, (*material.HEADINGS, *more)), by=TERMINAL)


def outcome(report):
    return report.accepted, report.changed, report.unchanged, [(fault.row, fault.column) for fault in report.errors]


def warned(report):
    return [(fault.row, fault.column) for fault in report.warnings]


def doctor_of(serial):
    number = row(serial)["证件号码"]
    return db.session.scalars(select(Doctor).where(Doctor.number_index == vault().blind_index("number", number))).one()


def institution(serial):
    number = material.registration_number(CODE, serial)
    return db.session.scalars(select(Organisation).where(Organisation.registration_number == number)).one()


def count(model):
    return len(db.session.scalars(select(model.id)).all())


FAULTS = {
    "no name": ({"姓名": " "}, "姓名"),
    "unknown document": ({"证件类型": "借书证"}, "证件类型"),
    "no number": ({"证件号码": ""}, "证件号码"),
    "one digit wrong": ({"证件号码": material.wrong_check_digit(material.resident_number(1, area="220105"))}, "证件号码"),
    "too short": ({"证件号码": "22010519800102001"}, "证件号码"),
    "too long": ({"证件号码": "2201051980010200110"}, "证件号码"),
    "no such day": ({"证件号码": IMPOSSIBLE}, "证件号码"),
    "made a number by Excel": ({"证件号码": 2.2010519800102e17}, "证件号码"),
    "sex of another": ({"性别": "女"}, "性别"),
    "unknown sex": ({"性别": "未知"}, "性别"),
    "no institution": ({"机构登记号": ""}, "机构登记号"),
    "unknown institution": ({"机构登记号": "PDY999"}, "机构登记号"),
    "another province's institution": ({"机构登记号": material.registration_number(14, 1)}, "机构登记号"),
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
    "institution in small letters": {"机构登记号": material.registration_number(CODE, 1).lower()},
    "date as a number": {"首次注册日期": 40360},
    "blanks in the name": {"姓名": "医 师 乙"},
    "what nobody sees": {"姓名": "医\u200b师乙\x08", "证件号码": "\u202a" + row(1)["证件号码"] + "\u202c", "执业类别": "临\u200b床", "性别": "男\u200b"},
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
    "a permit of another form": ({"证件类型": "台胞证", "证件号码": "1234567", "性别": ""}, "证件号码"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_faulty_row_is_told_and_its_neighbours_go_in(jilin, fault):
    changed, column = FAULTS[fault]
    report = take_in(row(2), row(1, **changed), row(3))
    assert outcome(report) == (2, 0, 0, [(3, column)])
    assert report.errors[0].reason
    assert report.errors[0].remedy
    assert count(Doctor) == count(Account) == 2


def test_all_faults_in_one_sheet_are_told_row_by_row(jilin):
    rows, expected = [], []
    for serial, (changed, column) in enumerate(FAULTS.values()):
        rows += [row(2 * serial + 101), row(2 * serial + 1, **changed)]
        expected.append((len(rows) + 1, column))
    report = take_in(*rows)
    assert outcome(report) == (len(FAULTS), 0, 0, expected)
    assert warned(report) == []


@pytest.mark.parametrize("kind", TOLERATED)
def test_what_people_write_otherwise_is_mended(jilin, kind):
    report = take_in(row(1, **TOLERATED[kind]))
    assert outcome(report) == (1, 0, 0, [])
    assert warned(report) == []
    doctor = doctor_of(1)
    assert (doctor.name, doctor.sex, doctor.document_type, doctor.level, doctor.category, doctor.scope) == (
        "医师乙", "male", "resident", "physician", "clinical", "11",
    )  # fmt: skip
    assert (doctor.birth_date, doctor.first_registered) == (date(1980, 1, 2), date(2010, 7, 1))


@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_told_and_goes_in(jilin, kind):
    changed, column = ODD[kind]
    report = take_in(row(1, **changed))
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


CATEGORIES = {"02": "dental", "30": "public_health", 40: "chinese", "120": "dental", "口腔医学": "dental", "公共卫生医师": "public_health", "藏医": "chinese", "中医医师": "chinese"}


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
    report = take_in_columns([row(1) | {"医师资格证书编码": 2.0001411022010519e26, "医师执业证书编码": "/"}], "医师资格证书编码", "医师执业证书编码")
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [(2, "医师资格证书编码")])
    assert (doctor_of(1).qualification_sealed, doctor_of(1).practice_sealed) == (None, None)


ID = row(1)["证件号码"]
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
    report = take_in_columns([row(1) | {"医师资格证书编码": "200022110" + ID[:6] + ID[8:17]}], "医师资格证书编码")
    assert warned(report) == []


def test_certificates_that_are_odd_are_told_and_go_in(jilin):
    sound = row(1) | {"医师资格证书编码": "200022110" + row(1)["证件号码"], "医师执业证书编码": "110220000000001"}
    odd = row(2) | {"医师资格证书编码": "200022110" + row(3)["证件号码"], "医师执业证书编码": "11022"}
    report = import_roster(material.roster([sound, odd], (*material.HEADINGS, "医师资格证书编码", "医师执业证书编码")), by=TERMINAL)
    assert outcome(report) == (2, 0, 0, [])
    assert warned(report) == [(3, "医师资格证书编码"), (3, "医师执业证书编码")]


def test_a_doctor_has_an_account_and_sealed_numbers_that_open(jilin):
    take_in(row(1))
    doctor, number = doctor_of(1), row(1)["证件号码"]
    account = db.session.scalars(select(Account)).one()
    assert (account.id, account.kind, account.state, account.login_index) == (doctor.account_id, "doctor", "initial", doctor_login_index(number))
    assert account.password_hash is None
    assert vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed) == number
    assert vault().unseal(Place("doctor", "mobile", doctor.id), doctor.mobile_sealed) == "13800000001"
    assert doctor.number_masked == number[:6] + "********" + number[-4:]
    assert doctor.tail_index == vault().blind_index("number-tail", number[-4:])
    assert doctor.organisation_id == institution(1).id
    stored = [getattr(row_, column.name) for row_ in (doctor, account) for column in row_.__table__.columns]
    assert not [cell for cell in stored if number in str(cell) or "13800000001" in str(cell)]


def test_the_same_sheet_again_is_no_news(jilin):
    rows = [row(serial, at=serial % 3 + 1) for serial in range(30)]
    assert outcome(take_in(*rows)) == (30, 0, 0, [])
    before = db.session.execute(select(Doctor.id, Doctor.number_sealed, Doctor.roster_digest).order_by(Doctor.id)).all()
    assert outcome(take_in(*rows)) == (0, 0, 30, [])
    assert outcome(take_in(*reversed(rows))) == (0, 0, 30, [])
    assert db.session.execute(select(Doctor.id, Doctor.number_sealed, Doctor.roster_digest).order_by(Doctor.id)).all() == before


def test_a_changed_row_changes_its_doctor_alone(jilin):
    take_in(row(1), row(2))
    first, other = doctor_of(1).id, doctor_of(2).roster_digest
    assert outcome(take_in(row(1, 姓名="新名", 科室="外科", 手机号码=""), row(2))) == (0, 1, 1, [])
    db.session.expire_all()
    doctor = doctor_of(1)
    assert (doctor.id, doctor.name, doctor.name_key, doctor.department, doctor.mobile_sealed) == (first, "新名", name_key("新名"), "外科", None)
    assert db.session.get(Account, (CODE, doctor.account_id)).name == "新名"
    assert doctor_of(2).roster_digest == other
    assert outcome(take_in(row(1, 姓名="新名", 科室="外科", 手机号码=""), row(2))) == (0, 0, 2, [])


def test_of_two_rows_with_one_number_the_earlier_goes_in(jilin):
    again = row(1, 姓名="后来", 证件号码=" " + row(1)["证件号码"].lower())
    report = take_in(row(1), row(2), again, again)
    assert outcome(report) == (2, 0, 0, [(4, "证件号码"), (5, "证件号码")])
    assert doctor_of(1).name == "医师乙"


def test_a_refused_row_does_not_bar_a_later_sound_one_of_the_same_number(jilin):
    assert outcome(take_in(row(1, 执业类别="护理"), row(1))) == (1, 0, 0, [(2, "执业类别")])


def test_a_row_of_another_institution_does_not_bar_a_later_one_of_the_own(jilin):
    take_in(row(1))
    assert outcome(take_in(row(1, at=2), row(1), row(1))) == (0, 0, 1, [(2, "证件号码"), (4, "证件号码")])


FEW = ("姓名", "证件号码", "执业类别", "机构登记号")


def test_a_sheet_with_fewer_columns_leaves_what_it_does_not_have(jilin):
    before = row(1) | {"级别": "执业助理医师", "民族": "汉族", "学历": "本科", "技术职称": "医士", "医师资格证书编码": "200022210" + ID}
    take_in_columns([before], "民族", "学历", "技术职称", "医师资格证书编码")
    stored = _everything(doctor_of(1))
    for _ in range(2):
        assert outcome(import_roster(material.roster([row(1)], FEW), by=TERMINAL)) == (0, 0, 1, [])
        db.session.expire_all()
        assert _everything(doctor_of(1)) == stored
    changed = import_roster(material.roster([row(1, 姓名="新名")], FEW), by=TERMINAL)
    assert outcome(changed) == (0, 1, 0, [])
    db.session.expire_all()
    assert _everything(doctor_of(1)) == stored | {"name": "新名", "name_key": name_key("新名")}
    assert outcome(import_roster(material.roster([row(1, 姓名="新名")], FEW), by=TERMINAL)) == (0, 0, 1, [])


def _everything(doctor):
    return {column.name: getattr(doctor, column.name) for column in doctor.__table__.columns if column.name != "roster_digest"}


def test_a_new_doctor_of_few_columns_has_the_usual_level_and_document(jilin):
    assert outcome(import_roster(material.roster([row(1)], FEW), by=TERMINAL)) == (1, 0, 0, [])
    doctor = doctor_of(1)
    assert (doctor.level, doctor.document_type, doctor.sex, doctor.birth_date) == ("physician", "resident", "male", date(1980, 1, 2))


def test_empty_cells_clear_all_but_level_sex_and_document(jilin):
    passport = {"证件类型": "护照", "证件号码": "E12345678", "性别": "女", "级别": "执业助理医师"}
    take_in(row(1, **passport))
    emptied = {"证件类型": "", "证件号码": "E12345678", "性别": "", "级别": "", "执业范围": "", "科室": "", "手机号码": "", "首次注册日期": ""}
    assert outcome(take_in(row(1, **emptied))) == (0, 1, 0, [])
    db.session.expire_all()
    doctor = db.session.scalars(select(Doctor)).one()
    assert (doctor.document_type, doctor.sex, doctor.level) == ("passport", "female", "assistant")
    assert (doctor.scope, doctor.department, doctor.mobile_sealed, doctor.first_registered) == (None, None, None, None)
    assert outcome(take_in(row(1, **emptied))) == (0, 0, 1, [])


def test_a_doctor_with_a_passport_is_known_in_a_sheet_without_documents(jilin):
    number = {"证件号码": "E12345678"}
    take_in(row(1, 证件类型="护照", 性别="女", **number))
    assert outcome(import_roster(material.roster([row(1, **number)], FEW), by=TERMINAL)) == (0, 0, 1, [])


def test_a_number_of_fifteen_digits_that_is_no_residents_is_known_again(jilin):
    officer = row(1, 证件类型="军官证", 证件号码="220105800102001", 性别="女")
    assert outcome(take_in(officer)) == (1, 0, 0, [])
    assert outcome(take_in(officer)) == (0, 0, 1, [])


def test_a_corrected_document_type_is_stored_and_told_once(jilin):
    number = {"证件号码": "E12345678", "性别": "女"}
    take_in(row(1, 证件类型="护照", **number))
    assert outcome(take_in(row(1, 证件类型="军官证", **number))) == (0, 1, 0, [])
    db.session.expire_all()
    doctor = db.session.scalars(select(Doctor)).one()
    assert doctor.document_type == "officer"
    assert vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed) == "E12345678"
    assert outcome(take_in(row(1, 证件类型="军官证", **number))) == (0, 0, 1, [])


def test_other_words_for_the_same_are_no_news(jilin):
    take_in_columns([row(1) | {"民族": "汉族"}], "民族")
    again = row(1, 姓名="医 师 乙", 级别="1", 执业类别="临床类别", 执业范围="内科", 首次注册日期="2010年7月1日", 证件类型="身份证", 性别="1", 手机号码=13800000001)
    assert outcome(take_in_columns([again | {"民族": "汉"}], "民族")) == (0, 0, 1, [])
    assert doctor_of(1).ethnicity == "汉族"


def test_what_stands_below_the_table_is_no_row(jilin):
    blank = dict.fromkeys(material.HEADINGS, "")
    prefilled = {"证件类型": "居民身份证", "级别": "执业医师", "主要执业机构": "医院", "机构登记号": "PDY1"}
    rows = [
        row(1), blank | prefilled, dict(zip(material.HEADINGS, material.HEADINGS, strict=True)), row(2), blank | {"姓名": "合计", "性别": "2人"},
        blank | {"姓名": "填表人\uff1a李四"}, blank | {"姓名": "以下空白"}, blank | {"姓名": "王五"},
    ]  # fmt: skip
    assert outcome(take_in(*rows)) == (2, 0, 0, [(9, "证件号码")])


def test_rows_of_a_later_sheet_are_told_with_its_name(jilin):
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for name, cells in (("一院", row(1)), ("二院", row(2, 姓名="")), ("三院", row(1))):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, material.HEADINGS)
            sheet.write_row(1, 0, cells.values())
    assert outcome(import_roster(buffer.getvalue(), by=TERMINAL)) == (1, 0, 0, [(2, "姓名 (二院)"), (2, "证件号码 (三院)")])


def test_headings_of_other_forms_are_known_and_unknown_ones_told(jilin):
    headings = {
        "姓名(与身份证一致)": "姓名", "公民身份号码": "证件号码", "类别": "执业类别", "执业机构登记号": "机构登记号", "级别(执业医师/执业助理医师)": "级别",
        "联系方式": "手机号码", "首次注册日期(yyyy-mm-dd)": "首次注册日期", "星座": "科室", "序号": "性别",
    }  # fmt: skip
    cells = row(1, 级别="执业助理医师")
    report = import_roster(material.roster([{heading: cells[own] for heading, own in headings.items()}], tuple(headings)), by=TERMINAL)
    assert (outcome(report), warned(report)) == ((1, 0, 0, []), [(1, "星座")])
    doctor = doctor_of(1)
    assert (doctor.level, doctor.first_registered, doctor.mobile_sealed is not None) == ("assistant", date(2010, 7, 1), True)


@given(st.dictionaries(st.sampled_from(list(roster.COLUMNS)), st.text(max_size=20) | st.floats() | st.integers() | st.booleans() | st.dates() | st.none()))
def test_any_row_is_judged_or_refused_with_reason_and_remedy(cells):
    told = []
    try:
        judged = roster.judge(Row(2, {"name": "甲", "number": ID, "category": "临床", "registration_number": "PDY1"} | cells), {"PDY1": "医院"}, lambda *warning: told.append(warning))
        assert None not in (judged.name, judged.number, judged.level, judged.category)
        assert "\x00" not in "".join(str(value) for value in judged.said().values())
    except roster.Unsound as refused:
        told.append((refused.column, refused.reason, refused.remedy))
    assert all(column in roster.COLUMNS and reason and remedy for column, reason, remedy in told)


def test_duplicates_are_found_over_the_border_of_batches(jilin, monkeypatch):
    monkeypatch.setattr("dingkao.doctors.roster.BATCH", 2)
    done = []
    report = take_in(row(1), row(2), row(3), row(1), row(4), progress=done.append)
    assert outcome(report) == (4, 0, 0, [(5, "证件号码")])
    assert done == [2, 4, 5]


def test_another_institutions_doctor_is_not_taken_over(jilin):
    take_in(row(1), row(2))
    assert outcome(take_in(row(1, at=2), row(3, at=2), row(2))) == (1, 0, 1, [(2, "证件号码")])
    assert doctor_of(1).organisation_id == institution(1).id


def test_a_clerk_brings_the_doctors_of_the_own_institution_alone(jilin):
    report = take_in(row(1), row(2, at=2), row(3), only=institution(1))
    assert outcome(report) == (2, 0, 0, [(3, "机构登记号")])
    entry = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "roster_imported")).one()
    assert (entry.subject_kind, entry.subject_id) == ("organisation", institution(1).id)
    assert (entry.details["accepted"], entry.details["refused"]) == (2, 1)


def test_a_dry_run_tells_the_same_and_writes_nothing(jilin):
    take_in(row(1), row(2))
    before = count(Doctor), count(Account), count(JournalEntry), doctor_of(1).roster_digest
    rows = [row(1, 科室="外科"), row(2), row(3), row(4, 姓名="")]
    tried = take_in(*rows, dry_run=True)
    db.session.expire_all()
    assert (count(Doctor), count(Account), count(JournalEntry), doctor_of(1).roster_digest) == before
    assert outcome(tried) == (1, 1, 1, [(5, "姓名")])
    assert take_in(*rows).as_dict() == tried.as_dict()


def test_each_import_is_in_the_journal_without_names_or_numbers(jilin):
    take_in(row(1), row(2, 姓名=""))
    entry = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "roster_imported")).one()
    assert entry.details == {"accepted": 1, "changed": 0, "unchanged": 0, "refused": 1}
    assert broken_entries(entry.subject_id) == []


def test_a_sheet_without_a_needed_column_is_refused_whole(jilin):
    with pytest.raises(Invalid, match="机构登记号"):
        import_roster(material.roster([row(1)], ("姓名", "证件号码", "执业类别")), by=TERMINAL)
    assert count(Doctor) == 0


def test_a_csv_does_as_well_as_a_workbook(jilin):
    lines = [",".join(material.HEADINGS), *(",".join(str(row(serial)[heading]) for heading in material.HEADINGS) for serial in (1, 2))]
    assert outcome(import_roster("\r\n".join(lines).encode("gb18030"), by=TERMINAL)) == (2, 0, 0, [])
    assert outcome(take_in(row(1), row(2))) == (0, 0, 2, [])


@pytest.fixture
def with_samples(in_province, samples):
    """山西 with the samples' institutions, within a transaction that is undone."""
    with in_province("shanxi"):
        assert import_institutions((samples / "institutions-14.csv").read_bytes(), by=TERMINAL).accepted == 21
        yield samples


def test_the_clean_sample_goes_in_whole_and_again_is_no_news(with_samples):
    content = (with_samples / "roster-14-clean.xlsx").read_bytes()
    before = db.session.scalar(select(func.count(Doctor.id)))
    report = import_roster(content, by=TERMINAL)
    assert (outcome(report), report.warnings) == ((2000, 0, 0, []), [])
    assert outcome(import_roster(content, by=TERMINAL)) == (0, 0, 2000, [])
    assert db.session.scalar(select(func.count(Doctor.id))) == before + 2000


def test_of_the_dirty_sample_exactly_the_faulty_rows_are_refused(with_samples):
    with (with_samples / "roster-14-dirty.expected.csv").open(encoding="utf-8-sig") as file:
        expected = [(int(line["行"]), line["列"]) for line in csv.DictReader(file)]
    content = (with_samples / "roster-14-dirty.xlsx").read_bytes()
    assert outcome(import_roster(content, by=TERMINAL)) == (300 - len(expected), 0, 0, expected)
    again = import_roster(content, by=TERMINAL)
    assert (again.accepted, again.changed, again.unchanged, len(again.errors)) == (0, 0, 300 - len(expected), len(expected))
