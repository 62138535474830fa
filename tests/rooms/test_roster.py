"""The roster: what becomes of the doctors when sheets come in; again, and nothing is new."""

import csv
import io
import re
from datetime import date
from pathlib import Path

import pytest
import xlsxwriter
from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.doctors import corrections, number_indices, roster
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import name_sort_key
from dingkao.doctors.number_reindexing import reindex_numbers
from dingkao.doctors.roster import import_roster
from dingkao.errors import InvalidInput
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people.accounts import doctor_login_index
from dingkao.people.institution_imports import import_institutions
from dingkao.people.models import Account, Organisation
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import sample_data
from tests.workbook_builder import WorkbookBuilder, error_cell, text_cell

CODE = 22


def row(serial, **changed):
    return sample_data.roster_row(CODE, serial, **changed)


def take_in(*rows, **options):
    return import_roster(sample_data.roster_xlsx(list(rows)), by=TERMINAL_ACTOR, **options)


def take_in_columns(rows, *more):
    """The same with columns behind the usual ones."""
    return import_roster(sample_data.roster_xlsx(rows, (*sample_data.HEADINGS, *more)), by=TERMINAL_ACTOR)


def outcome(report):
    return (
        report.accepted,
        report.changed,
        report.unchanged,
        [(fault.row, fault.column) for fault in report.errors],
    )


def warned(report):
    return [(fault.row, fault.column) for fault in report.warnings]


def doctor_of(serial):
    number = row(serial)["证件号码"]
    return db.session.scalars(
        select(Doctor).where(Doctor.number_index == current_vault().blind_index("number", number))
    ).one()


def institution(serial):
    number = sample_data.registration_number(CODE, serial)
    return db.session.scalars(select(Organisation).where(Organisation.registration_number == number)).one()


def count(model):
    return len(db.session.scalars(select(model.id)).all())


ID = row(1)["证件号码"]


def test_a_doctor_has_an_account_and_sealed_numbers_that_open(jilin):
    take_in(row(1))
    doctor, number = doctor_of(1), row(1)["证件号码"]
    account = db.session.scalars(select(Account)).one()
    assert (account.id, account.kind, account.state, account.login_index) == (
        doctor.account_id,
        "doctor",
        "initial",
        doctor_login_index(number),
    )
    assert account.password_hash is None
    assert (
        current_vault().decrypt(SecretLocation("doctor", "number", doctor.id), doctor.number_sealed) == number
    )
    assert (
        current_vault().decrypt(SecretLocation("doctor", "mobile", doctor.id), doctor.mobile_sealed)
        == "13800000001"
    )
    assert doctor.number_masked == number[:6] + "********" + number[-4:]
    assert doctor.tail_index == current_vault().blind_index("number-tail", number[-4:])
    assert doctor.organisation_id == institution(1).id
    stored = [
        getattr(record, column.name) for record in (doctor, account) for column in record.__table__.columns
    ]
    assert not [cell for cell in stored if number in str(cell) or "13800000001" in str(cell)]


def test_the_same_sheet_again_is_no_news(jilin):
    sheet_rows = [row(serial, at=serial % 3 + 1) for serial in range(30)]
    assert outcome(take_in(*sheet_rows)) == (30, 0, 0, [])
    stored_before = db.session.execute(
        select(Doctor.id, Doctor.number_sealed, Doctor.roster_digest).order_by(Doctor.id)
    ).all()
    assert outcome(take_in(*sheet_rows)) == (0, 0, 30, [])
    assert outcome(take_in(*reversed(sheet_rows))) == (0, 0, 30, [])
    assert (
        db.session.execute(
            select(Doctor.id, Doctor.number_sealed, Doctor.roster_digest).order_by(Doctor.id)
        ).all()
        == stored_before
    )


def test_a_changed_row_changes_its_doctor_alone(jilin):
    take_in(row(1), row(2))
    first, roster_digest = doctor_of(1).id, doctor_of(2).roster_digest
    assert outcome(take_in(row(1, 姓名="新名", 科室="外科", 手机号码=""), row(2))) == (0, 1, 1, [])
    db.session.expire_all()
    doctor = doctor_of(1)
    assert (doctor.id, doctor.name, doctor.name_key, doctor.department, doctor.mobile_sealed) == (
        first,
        "新名",
        name_sort_key("新名"),
        "外科",
        None,
    )
    assert db.session.get(Account, (CODE, doctor.account_id)).name == "新名"
    assert doctor_of(2).roster_digest == roster_digest
    assert outcome(take_in(row(1, 姓名="新名", 科室="外科", 手机号码=""), row(2))) == (0, 0, 2, [])


def test_of_two_rows_with_one_number_the_earlier_goes_in(jilin):
    repeated = row(1, 姓名="后来", 证件号码=" " + row(1)["证件号码"].lower())
    report = take_in(row(1), row(2), repeated, repeated)
    assert outcome(report) == (2, 0, 0, [(4, "证件号码"), (5, "证件号码")])
    assert doctor_of(1).name == "医师乙"


def test_a_refused_row_does_not_bar_a_later_sound_one_of_the_same_number(jilin):
    assert outcome(take_in(row(1, 执业类别="护理"), row(1))) == (1, 0, 0, [(2, "执业类别")])


def test_a_row_of_another_institution_does_not_bar_a_later_one_of_the_own(jilin):
    take_in(row(1))
    assert outcome(take_in(row(1, at=2), row(1), row(1))) == (0, 0, 1, [(2, "证件号码"), (4, "证件号码")])


FEW_HEADINGS = ("姓名", "证件号码", "执业类别", "机构登记号")


def test_a_sheet_with_fewer_columns_leaves_what_it_does_not_have(jilin):
    first_row = row(1) | {
        "级别": "执业助理医师",
        "民族": "汉族",
        "学历": "本科",
        "技术职称": "医士",
        "医师资格证书编码": "200022210" + ID,
    }
    take_in_columns([first_row], "民族", "学历", "技术职称", "医师资格证书编码")
    stored = _everything(doctor_of(1))
    for _ in range(2):
        assert outcome(import_roster(sample_data.roster_xlsx([row(1)], FEW_HEADINGS), by=TERMINAL_ACTOR)) == (
            0,
            0,
            1,
            [],
        )
        db.session.expire_all()
        assert _everything(doctor_of(1)) == stored
    roster = import_roster(sample_data.roster_xlsx([row(1, 姓名="新名")], FEW_HEADINGS), by=TERMINAL_ACTOR)
    assert outcome(roster) == (0, 1, 0, [])
    db.session.expire_all()
    assert _everything(doctor_of(1)) == stored | {"name": "新名", "name_key": name_sort_key("新名")}
    assert outcome(
        import_roster(sample_data.roster_xlsx([row(1, 姓名="新名")], FEW_HEADINGS), by=TERMINAL_ACTOR)
    ) == (
        0,
        0,
        1,
        [],
    )


def _everything(doctor):
    return {
        column.name: getattr(doctor, column.name)
        for column in doctor.__table__.columns
        if column.name != "roster_digest"
    }


def test_a_new_doctor_of_few_columns_has_the_usual_level_and_document(jilin):
    assert outcome(import_roster(sample_data.roster_xlsx([row(1)], FEW_HEADINGS), by=TERMINAL_ACTOR)) == (
        1,
        0,
        0,
        [],
    )
    doctor = doctor_of(1)
    assert (doctor.level, doctor.document_type, doctor.sex, doctor.birth_date) == (
        "physician",
        "resident",
        "male",
        date(1980, 1, 2),
    )


def test_empty_cells_clear_all_but_level_sex_and_document(jilin):
    passport = {"证件类型": "护照", "证件号码": "E12345678", "性别": "女", "级别": "执业助理医师"}
    take_in(row(1, **passport))
    emptied = {
        "证件类型": "",
        "证件号码": "E12345678",
        "性别": "",
        "级别": "",
        "执业范围": "",
        "科室": "",
        "手机号码": "",
        "首次注册日期": "",
    }
    assert outcome(take_in(row(1, **emptied))) == (0, 1, 0, [])
    db.session.expire_all()
    doctor = db.session.scalars(select(Doctor)).one()
    assert (doctor.document_type, doctor.sex, doctor.level) == ("passport", "female", "assistant")
    assert (doctor.scope, doctor.department, doctor.mobile_sealed, doctor.first_registered) == (
        None,
        None,
        None,
        None,
    )
    assert outcome(take_in(row(1, **emptied))) == (0, 0, 1, [])


def test_a_doctor_with_a_passport_is_known_in_a_sheet_without_documents(jilin):
    number = {"证件号码": "E12345678"}
    take_in(row(1, 证件类型="护照", 性别="女", **number))
    assert outcome(
        import_roster(sample_data.roster_xlsx([row(1, **number)], FEW_HEADINGS), by=TERMINAL_ACTOR)
    ) == (
        0,
        0,
        1,
        [],
    )


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
    assert (
        current_vault().decrypt(SecretLocation("doctor", "number", doctor.id), doctor.number_sealed)
        == "E12345678"
    )
    assert outcome(take_in(row(1, 证件类型="军官证", **number))) == (0, 0, 1, [])


def test_other_words_for_the_same_are_no_news(jilin):
    take_in_columns([row(1) | {"民族": "汉族"}], "民族")
    same_person = row(
        1,
        姓名="医 师 乙",
        级别="1",
        执业类别="临床类别",
        执业范围="内科",
        首次注册日期="2010年7月1日",
        证件类型="身份证",
        性别="1",
        手机号码=13800000001,
    )
    assert outcome(take_in_columns([same_person | {"民族": "汉"}], "民族")) == (0, 0, 1, [])
    assert doctor_of(1).ethnicity == "汉族"


def test_what_stands_below_the_table_is_no_row(jilin):
    blank = dict.fromkeys(sample_data.HEADINGS, "")
    prefilled = {"证件类型": "居民身份证", "级别": "执业医师", "主要执业机构": "医院", "机构登记号": "PDY1"}
    sheet_rows = [
        row(1),
        blank | prefilled,
        dict(zip(sample_data.HEADINGS, sample_data.HEADINGS, strict=True)),
        row(2),
        blank | {"姓名": "合计", "性别": "2人"},
        blank | {"姓名": "填表人\uff1a李四"},
        blank | {"姓名": "以下空白"},
        blank | {"姓名": "王五"},
    ]
    assert outcome(take_in(*sheet_rows)) == (2, 0, 0, [(9, "证件号码")])


def test_rows_of_a_later_sheet_are_told_with_its_name(jilin):
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for name, cells in (("一院", row(1)), ("二院", row(2, 姓名="")), ("三院", row(1))):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, sample_data.HEADINGS)
            sheet.write_row(1, 0, cells.values())
    assert outcome(import_roster(buffer.getvalue(), by=TERMINAL_ACTOR)) == (
        1,
        0,
        0,
        [(2, "姓名（二院）"), (2, "证件号码（三院）")],
    )


def test_duplicates_are_found_over_the_border_of_batches(jilin, monkeypatch):
    monkeypatch.setattr("dingkao.doctors.roster.INLINE_BATCH_SIZE", 2)
    progress_counts = []
    report = take_in(row(1), row(2), row(3), row(1), row(4), progress=progress_counts.append)
    assert outcome(report) == (4, 0, 0, [(5, "证件号码")])
    assert progress_counts == [2, 4, 5]


def test_another_institutions_doctor_is_not_taken_over(jilin):
    take_in(row(1), row(2))
    assert outcome(take_in(row(1, at=2), row(3, at=2), row(2))) == (1, 0, 1, [(2, "证件号码")])
    assert doctor_of(1).organisation_id == institution(1).id


def test_a_clerk_brings_the_doctors_of_the_own_institution_alone(jilin):
    report = take_in(row(1), row(2, at=2), row(3), restrict_to=[institution(1)])
    assert outcome(report) == (2, 0, 0, [(3, "机构登记号")])
    entry = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "roster_imported")).one()
    assert (entry.subject_kind, entry.subject_id) == ("organisation", institution(1).id)
    assert (entry.details["accepted"], entry.details["refused"]) == (2, 1)


def test_a_dry_run_tells_the_same_and_writes_nothing(jilin):
    take_in(row(1), row(2))
    counts_before = count(Doctor), count(Account), count(JournalEntry), doctor_of(1).roster_digest
    sheet_rows = [row(1, 科室="外科"), row(2), row(3), row(4, 姓名="")]
    tried = take_in(*sheet_rows, dry_run=True)
    db.session.expire_all()
    assert (count(Doctor), count(Account), count(JournalEntry), doctor_of(1).roster_digest) == counts_before
    assert outcome(tried) == (1, 1, 1, [(5, "姓名")])
    assert take_in(*sheet_rows).as_dict() == tried.as_dict()


def test_each_import_is_in_the_journal_without_names_or_numbers(jilin):
    take_in(row(1), row(2, 姓名=""))
    entry = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "roster_imported")).one()
    assert entry.details == {"accepted": 1, "changed": 0, "unchanged": 0, "refused": 1}
    assert invalid_entries(entry.subject_id) == []


def test_a_sheet_without_a_needed_column_is_refused_whole(jilin):
    with pytest.raises(InvalidInput, match="机构登记号"):
        import_roster(sample_data.roster_xlsx([row(1)], ("姓名", "证件号码", "执业类别")), by=TERMINAL_ACTOR)
    assert count(Doctor) == 0


def test_a_csv_does_as_well_as_a_workbook(jilin):
    lines = [
        ",".join(sample_data.HEADINGS),
        *(",".join(str(row(serial)[heading]) for heading in sample_data.HEADINGS) for serial in (1, 2)),
    ]
    assert outcome(import_roster("\r\n".join(lines).encode("gb18030"), by=TERMINAL_ACTOR)) == (2, 0, 0, [])
    assert outcome(take_in(row(1), row(2))) == (0, 0, 2, [])


@pytest.fixture
def with_samples(in_province, samples):
    """山西 with the samples' institutions, within a transaction that is undone."""
    with in_province("shanxi"):
        assert (
            import_institutions((samples / "institutions-14.csv").read_bytes(), by=TERMINAL_ACTOR).accepted
            == 21
        )
        yield samples


def test_the_clean_sample_goes_in_whole_and_again_is_no_news(with_samples):
    content = (with_samples / "roster-14-clean.xlsx").read_bytes()
    count_before = db.session.scalar(select(func.count(Doctor.id)))
    report = import_roster(content, by=TERMINAL_ACTOR)
    assert (outcome(report), report.warnings) == ((2000, 0, 0, []), [])
    assert outcome(import_roster(content, by=TERMINAL_ACTOR)) == (0, 0, 2000, [])
    assert db.session.scalar(select(func.count(Doctor.id))) == count_before + 2000


def test_of_the_dirty_sample_exactly_the_faulty_rows_are_refused(with_samples):
    with (with_samples / "roster-14-dirty.expected.csv").open(encoding="utf-8-sig") as file:
        expected = [(int(line["行"]), line["列"]) for line in csv.DictReader(file)]
    content = (with_samples / "roster-14-dirty.xlsx").read_bytes()
    assert outcome(import_roster(content, by=TERMINAL_ACTOR)) == (300 - len(expected), 0, 0, expected)
    roster = import_roster(content, by=TERMINAL_ACTOR)
    assert (roster.accepted, roster.changed, roster.unchanged, len(roster.errors)) == (
        0,
        0,
        300 - len(expected),
        len(expected),
    )


def institutions_named(*numbers):
    text = "机构名称,机构登记号,行政区划代码\n" + "".join(
        f"某医院{number},{number},140105\n" for number in numbers
    )
    return import_institutions(text.encode(), by=TERMINAL_ACTOR)


def test_merged_cells_errors_and_formulas_without_results_wipe_nothing(with_samples):
    """The sample of a later roster, after one that gave everything."""
    institutions_named("YS14000001")
    usual = {
        "级别": "执业医师",
        "执业类别": "临床",
        "机构登记号": "YS14000001",
        "科室": "心内科",
        "技术职称": "主治医师",
    }
    numbers = ("140105198806205019", "140105198806205035", "140105198806205051")
    first = [
        {"姓名": name, "证件号码": number, "手机号码": f"1390000000{place}"} | usual
        for place, (name, number) in enumerate(zip(("吴甲一", "吴乙一", "吴丙一"), numbers, strict=True))
    ]
    headings = ("姓名", "证件号码", "级别", "执业类别", "机构登记号", "科室", "技术职称", "手机号码")
    assert outcome(import_roster(sample_data.roster_xlsx(first, headings), by=TERMINAL_ACTOR)) == (
        3,
        0,
        0,
        [],
    )
    report = import_roster(
        (with_samples / "faults" / "roster-merged-and-error-cells-update.xlsx").read_bytes(),
        by=TERMINAL_ACTOR,
    )
    assert (outcome(report), warned(report)) == ((0, 3, 0, []), [(3, "手机号码"), (4, "技术职称")])
    doctors = [
        db.session.scalars(
            select(Doctor).where(Doctor.number_index == current_vault().blind_index("number", number))
        ).one()
        for number in numbers
    ]
    mobiles = [
        current_vault().decrypt(SecretLocation("doctor", "mobile", doctor.id), doctor.mobile_sealed)
        for doctor in doctors
    ]
    assert [(doctor.department, doctor.title) for doctor in doctors] == [("心血管内科", "主治医师")] * 3
    assert mobiles == ["13800138000", "13900000001", "13800138002"]


def test_a_date_a_scope_or_a_code_that_is_not_understood_leaves_what_was_known(jilin):
    take_in_columns([row(1) | {"医师执业证书编码": "110220105000001"}], "医师执业证书编码")
    doctor_before = doctor_of(1)
    known_values = (doctor_before.first_registered, doctor_before.scope, doctor_before.practice_sealed)
    assert all(known_values)
    report = take_in_columns(
        [row(1, 首次注册日期="去年", 执业范围="不详") | {"医师执业证书编码": 1.1022010500000123e16}],
        "医师执业证书编码",
    )
    assert (outcome(report), sorted(warned(report))) == (
        (0, 0, 1, []),
        [(2, "医师执业证书编码"), (2, "执业范围"), (2, "首次注册日期")],
    )
    doctor_after = doctor_of(1)
    assert (doctor_after.first_registered, doctor_after.scope, doctor_after.practice_sealed) == known_values


def test_rows_of_formulas_that_find_nothing_are_no_rows_and_those_with_names_are_refused(jilin):
    head = [text_cell(heading) for heading in ("姓名", "证件号码", "执业类别", "机构登记号", "科室")]
    dragged = [None, None, None, None, error_cell("#N/A")]
    report = import_roster(
        WorkbookBuilder(
            [head, dragged, [error_cell("#N/A"), *dragged[1:]], [text_cell("合计"), error_cell("#REF!")]]
        ).content(),
        by=TERMINAL_ACTOR,
    )
    assert outcome(report) == (0, 0, 0, [(3, "姓名")])


def test_a_number_that_was_corrected_is_found_however_it_is_written(jilin):
    card = {"证件类型": "香港身份证", "证件号码": "A123456(7)", "性别": "男"}
    take_in(row(1), row(2))
    doctor, other_doctor = doctor_of(1), doctor_of(2)
    corrections.apply_correction(
        doctor, {"document_type": "hong_kong", "number": "A123456(7)"}, by=TERMINAL_ACTOR
    )
    db.session.flush()
    assert outcome(take_in(row(1) | card | {"证件号码": "a1234567"}))[:3] != (1, 0, 0), "no second doctor"
    assert count(Doctor) == 2
    assert corrections.validate_changes(doctor, {"number": "Ａ１２３４５６７"}) == {}, "the same card"
    with pytest.raises(InvalidInput, match="已登记在另一位医师名下"):
        corrections.validate_changes(other_doctor, {"document_type": "hong_kong", "number": "A1234567"})
    assert doctor.tail_index == number_indices.number_tail_index("A1234567")


def test_a_number_that_was_indexed_as_typed_is_indexed_anew(jilin):
    take_in(row(1) | {"证件类型": "香港身份证", "证件号码": "A123456(7)", "性别": "男"}, row(2))
    doctor = db.session.scalars(select(Doctor).where(Doctor.document_type == "hong_kong")).one()
    right = doctor.number_index, doctor.tail_index
    doctor.number_index, doctor.tail_index = (
        current_vault().blind_index("number", "A123456(7)"),
        current_vault().blind_index("number-tail", "6(7)"),
    )
    db.session.flush()
    assert reindex_numbers(db.session.flush) == (1, 1)
    assert (doctor.number_index, doctor.tail_index) == right
    assert reindex_numbers(db.session.flush) == (1, 0)


def test_document_numbers_are_indexed_in_one_place():
    package = Path(roster.__file__).parents[1]
    indexed = re.compile(r"""blind_index\(\s*["'](number|number-tail)["']""")
    places = {
        str(path.relative_to(package)) for path in package.rglob("*.py") if indexed.search(path.read_text())
    }
    assert places == {"doctors/number_indices.py"}
