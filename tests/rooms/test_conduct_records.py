"""Annual appraisals, gradings of ethics, good and bad records and penalties: whose they are, what they propose
at the review, and where they speak against the doctor."""

from datetime import date

import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.conduct_grades import (
    conduct_of,
    contradictions,
    proposed_grades,
    single_review_reason,
)
from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors import conduct_records
from dingkao.doctors.conduct_imports import get_kind, import_batch, read_rows
from dingkao.doctors.conduct_models import ConductRecord
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidInput, NotFound
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.people.models import Organisation
from dingkao.people.scopes import WHOLE_PROVINCE, Grant
from dingkao.tenants import settings
from tests import actors, sample_data

CODE = 22
CLEAN = {"good_record": "no", "bad_record": "no", "quantity": "pass", "quality": "pass", "direct_fail": "no"}


@pytest.fixture
def cycle(jilin):
    """A cycle, and five doctors: three of the first institution, two of the second."""
    actors.put_on_roster(
        *(sample_data.roster_row(CODE, serial, at=1 + serial // 4) for serial in range(1, 6))
    )
    cycle = actors.get_or_open_cycle()
    enrol(cycle)
    return cycle


def row_of(_kind, serial, line=2, **cells):
    person = sample_data.roster_row(CODE, serial)
    return ImportRow(line, {"number": person["证件号码"], "name": person["姓名"]} | cells)


def bring(kind, *rows, grant=WHOLE_PROVINCE, seen=None):
    report = ImportReport()
    import_batch(
        get_kind(kind), rows, report, set() if seen is None else seen, grant=grant, by=TERMINAL_ACTOR
    )
    return report


def outcome(report):
    problems = [(problem.row, problem.column) for problem in report.errors]
    return report.accepted, report.changed, report.unchanged, problems


def record_of(serial):
    name = sample_data.roster_row(CODE, serial)["姓名"]
    doctor_id = db.session.scalars(select(Doctor.id).where(Doctor.name == name)).one()
    return db.session.scalars(select(Assessment).where(Assessment.doctor_id == doctor_id)).one()


def years(cycle):
    return range(cycle.starts_on.year, clock.today().year)


def test_a_sheet_is_read_by_its_headings_and_again_changes_nothing(cycle):
    person = sample_data.roster_row(CODE, 1)
    kind = get_kind("annual_appraisal")
    content = xlsx_writer.write_xlsx(
        ["考核年度", "姓名", "身份证号", "等次"], [["2024年度", person["姓名"], person["证件号码"], "称职"]]
    )
    report = ImportReport()
    rows = list(read_rows(kind, content, report))
    assert outcome(bring("annual_appraisal", *rows)) == (1, 0, 0, [])
    assert outcome(bring("annual_appraisal", *rows)) == (0, 0, 1, [])
    stored = db.session.scalars(select(ConductRecord)).one()
    assert (stored.year, stored.grade, stored.doctor_id) == (2024, "competent", record_of(1).doctor_id)


def test_another_grade_for_the_same_year_replaces_the_one_before_and_is_journalled(cycle):
    bring("ethics_grading", row_of("ethics_grading", 1, year="2024", grade="良好"))
    report = bring("ethics_grading", row_of("ethics_grading", 1, year=2024, grade="较差"))
    assert outcome(report) == (0, 1, 0, [])
    stored = db.session.scalars(select(ConductRecord)).one()
    assert stored.grade == "poor"
    assert invalid_entries(stored.id) == []


@pytest.mark.parametrize(
    ("kind", "cells", "column"),
    [
        ("annual_appraisal", {"year": "2024", "grade": "尚可"}, "年度考核结果"),
        ("annual_appraisal", {"year": "24", "grade": "合格"}, "年度"),
        ("annual_appraisal", {"year": str(clock.today().year + 1), "grade": "合格"}, "年度"),
        ("annual_appraisal", {"year": "", "grade": "合格"}, "年度"),
        ("annual_appraisal", {"year": "2024", "grade": "合格", "name": "别人"}, "姓名"),
        ("annual_appraisal", {"year": "2024", "grade": "合格", "number": "140105198001029999"}, "证件号码"),
        ("penalty", {"date": "去年", "matter": "超范围执业"}, "处罚日期"),
        ("penalty", {"date": "2999-01-01", "matter": "超范围执业"}, "处罚日期"),
        ("penalty", {"date": "2024-05-06", "matter": ""}, "处罚事由"),
        ("good_record", {"date": "2024-05-06", "matter": "奖" * 501}, "事由"),
    ],
)
def test_a_row_that_is_not_sound_is_refused_at_its_column(cycle, kind, cells, column):
    assert outcome(bring(kind, row_of(kind, 1, 7, **cells))) == (0, 0, 0, [(7, column)])


def test_a_row_twice_in_a_file_is_refused_even_in_another_part_of_it(cycle):
    seen = set()
    first = row_of("annual_appraisal", 1, year="2024", grade="合格")
    again = row_of("annual_appraisal", 1, 9, year="2024年", grade="不合格")
    assert outcome(bring("annual_appraisal", first, seen=seen)) == (1, 0, 0, [])
    assert outcome(bring("annual_appraisal", again, seen=seen)) == (0, 0, 0, [(9, "证件号码")])


def test_each_office_brings_the_records_of_its_own_doctors_alone(cycle):
    """The second institution's clerk, and the assessment organisation of both."""
    institutions = list(
        db.session.scalars(select(Organisation.id).order_by(Organisation.registration_number))
    )
    clerk = Grant(is_province=False, institution_ids=(institutions[1],))
    rows = [row_of("annual_appraisal", serial, serial, year="2024", grade="合格") for serial in (1, 4)]
    assert outcome(bring("annual_appraisal", *rows, grant=clerk)) == (1, 0, 0, [(1, "证件号码")])
    reviewer = Grant(is_province=False, assessor_ids=(institutions[0],))
    assert outcome(bring("annual_appraisal", *rows, grant=reviewer)) == (1, 0, 1, [])
    stored = db.session.scalars(
        select(ConductRecord).where(ConductRecord.doctor_id == record_of(1).doctor_id)
    ).one()
    with pytest.raises(Forbidden):
        conduct_records.remove(
            stored.doctor_id, stored.id, lambda _action: clerk, reason="录错", by=TERMINAL_ACTOR
        )


def test_one_failed_year_proposes_a_fail_and_all_good_years_a_pass(cycle):
    kinds = ("annual_appraisal", "合格", "不合格"), ("ethics_grading", "良好", "较差")
    for kind, good, bad in kinds:
        for year in years(cycle):
            bring(kind, row_of(kind, 1, year=year, grade=good), row_of(kind, 2, year=year, grade=good))
        bring(kind, row_of(kind, 2, year=years(cycle)[-1], grade=bad))
        bring(kind, row_of(kind, 3, year=years(cycle)[0], grade=good))
        bring(kind, row_of(kind, 4, year=years(cycle)[0] - 1, grade=bad))
    verdicts = {
        serial: {
            part: grade.verdict for part, grade in proposed_grades(conduct_of(record_of(serial))).items()
        }
        for serial in range(1, 6)
    }
    assert verdicts == {
        1: {"performance": "pass", "ethics": "pass"},
        2: {"performance": "fail", "ethics": "fail"},
        3: {"performance": None, "ethics": None},
        4: {"performance": None, "ethics": None},
        5: {"performance": None, "ethics": None},
    }, "a failed year before the cycle counts for nothing"
    last_year = years(cycle)[-1]
    assert proposed_grades(conduct_of(record_of(2)))["ethics"].reason == f"{last_year}年度医德考评为较差。"


def test_what_speaks_against_the_doctors_own_words_is_named_at_the_field(cycle):
    day = date(years(cycle)[-1], 5, 6)
    bring("penalty", row_of("penalty", 1, date=str(day), matter="超范围执业", authority="市卫健委"))
    bring("bad_record", row_of("bad_record", 2, date=str(day), matter="违反诊疗规范"))
    bring("penalty", row_of("penalty", 3, date="1999-01-01", matter="周期之前的处罚"))
    bring("annual_appraisal", row_of("annual_appraisal", 4, year=day.year, grade="不称职"))
    named = {serial: set(contradictions(conduct_of(record_of(serial)), CLEAN)) for serial in range(1, 6)}
    assert named == {
        1: {"bad_record", "direct_fail"},
        2: {"bad_record"},
        3: set(),
        4: {"quantity", "quality"},
        5: set(),
    }
    owned = CLEAN | {"bad_record": "yes", "direct_fail": "yes"}
    assert contradictions(conduct_of(record_of(1)), owned) == {}
    alone = {serial for serial in range(1, 6) if single_review_reason(conduct_of(record_of(serial)), CLEAN)}
    assert alone == {1, 2, 4}, "never approved together with others"


def test_a_province_may_require_the_grades_before_records_are_decided_together(cycle):
    facts = conduct_of(record_of(5))
    assert single_review_reason(facts, CLEAN) is None
    settings.change("requires_annual_appraisal", True, by=None, reason="试验")
    assert "年度考核结果，须逐人审核" in single_review_reason(facts, CLEAN)


def test_a_wrong_record_is_removed_with_a_reason_and_can_come_again(cycle):
    row = row_of("penalty", 1, date=f"{years(cycle)[-1]}-05-06", matter="张冠李戴")
    bring("penalty", row)
    stored = db.session.scalars(select(ConductRecord)).one()
    with pytest.raises(InvalidInput):
        conduct_records.remove(
            stored.doctor_id, stored.id, lambda _action: WHOLE_PROVINCE, reason=" ", by=TERMINAL_ACTOR
        )
    conduct_records.remove(
        stored.doctor_id, stored.id, lambda _action: WHOLE_PROVINCE, reason="录错", by=TERMINAL_ACTOR
    )
    assert conduct_records.list_of_doctor(stored.doctor_id) == []
    assert contradictions(conduct_of(record_of(1)), CLEAN) == {}
    with pytest.raises(NotFound):
        conduct_records.remove(
            stored.doctor_id, stored.id, lambda _action: WHOLE_PROVINCE, reason="录错", by=TERMINAL_ACTOR
        )
    assert outcome(bring("penalty", row)) == (0, 1, 0, [])
    assert len(conduct_records.list_of_doctor(stored.doctor_id)) == 1
