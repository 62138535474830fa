"""The roster: sound rows in, each faulty one told by its row and column and nothing else; again, and nothing is new."""

import csv
from datetime import date

import pytest
from sqlalchemy import func, select
from stdnum.cn import ric

from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster, name_key
from dingkao.errors import Invalid
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import TERMINAL, broken_entries
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
}
ODD = {
    "unknown scope": ({"执业范围": "炼丹"}, "执业范围"),
    "scope of another category": ({"执业范围": "口腔"}, "执业范围"),
    "unknown date": ({"首次注册日期": "去年"}, "首次注册日期"),
    "a date to come": ({"首次注册日期": "2099-01-01"}, "首次注册日期"),
    "institution of another name": ({"主要执业机构": "人民医院"}, "主要执业机构"),
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
    assert outcome(import_roster(content, by=TERMINAL)) == (2000, 0, 0, [])
    assert outcome(import_roster(content, by=TERMINAL)) == (0, 0, 2000, [])
    assert db.session.scalar(select(func.count(Doctor.id))) == before + 2000


def test_of_the_dirty_sample_exactly_the_faulty_rows_are_refused(with_samples):
    with (with_samples / "roster-14-dirty.expected.csv").open(encoding="utf-8-sig") as file:
        expected = [(int(line["行"]), line["列"]) for line in csv.DictReader(file)]
    content = (with_samples / "roster-14-dirty.xlsx").read_bytes()
    assert outcome(import_roster(content, by=TERMINAL)) == (300 - len(expected), 0, 0, expected)
    again = import_roster(content, by=TERMINAL)
    assert (again.accepted, again.changed, again.unchanged, len(again.errors)) == (0, 0, 300 - len(expected), len(expected))
