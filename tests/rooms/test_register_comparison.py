"""The list compared with the register: two registers with a thousand known differences between them and the
list, and everybody is accounted for."""

from collections import Counter
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from dingkao.assessments import gap_lists, gap_messages, unclaimed_doctors
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.assessments.participation import UNCLAIMED_MESSAGE, dispose
from dingkao.assessments.record_counts import recount
from dingkao.database.base import db, new_id
from dingkao.database.listing.definitions import ListViewer
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import ListState
from dingkao.doctors import register_comparison, register_differences
from dingkao.doctors.models import Doctor
from dingkao.doctors.register_models import RegisterComparison, RegisterDifference
from dingkao.errors import InvalidInput, NotFound
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people.accounts import create_staff
from dingkao.people.models import Organisation
from dingkao.people.organisation_names import rename
from dingkao.people.scopes import WHOLE_PROVINCE, Grant
from tests import actors, sample_data

CODE = 22
EACH = 125
"""How many people of each kind of difference; four kinds in two registers make a thousand."""
ADMIN = Actor("staff", None, frozenset({"province_admin"}))


def person(serial):
    """The cells of a doctor that no other serial has."""
    birth = date(1970, 1, 1) + timedelta(days=serial)
    number = sample_data.resident_number(serial % 400, birth=birth)
    return sample_data.roster_row(CODE, serial, at=1 + serial % 2) | {"证件号码": number, "性别": "男"}


def register_row(line, cells, **changed):
    return ImportRow(
        line,
        {
            "name": cells["姓名"],
            "number": cells["证件号码"],
            "level": cells["级别"],
            "category": cells["执业类别"],
            "institution": cells["主要执业机构"],
        }
        | changed,
    )


def compare(rows, organisation_id=None):
    """Compare as the job does, in parts and over the list; returns the comparison and its report."""
    comparison = RegisterComparison(
        id=new_id(), organisation_id=organisation_id, job_id=new_id(), file_name="x", begun_by=None
    )
    comparison.register_count = comparison.same_count = comparison.refused_count = 0
    db.session.add(comparison)
    db.session.flush()
    report, seen = ImportReport(), set()
    for first in range(0, len(rows), 200):
        register_comparison.compare_batch(comparison, rows[first : first + 200], report, seen)
    last_id = UUID(int=0)
    while last_id is not None:
        last_id = register_comparison.find_gone(comparison, last_id)
    comparison.completed_at = comparison.begun_at
    db.session.flush()
    return comparison, report


def known_register(listed, first_stranger):
    """A register with EACH new, gone, moved and changed people; returns its rows and who is which."""
    gone, moved, changed, same = (listed[EACH * index : EACH * (index + 1)] for index in range(4))
    strangers = range(first_stranger, first_stranger + EACH)
    rows = [
        *(register_row(0, person(serial), institution="外省某医院") for serial in moved),
        *(register_row(0, person(serial), level="执业助理医师") for serial in changed),
        *(register_row(0, person(serial)) for serial in same),
        *(register_row(0, person(serial)) for serial in strangers),
    ]
    kinds = {"new": strangers, "gone": gone, "moved": moved, "changed": changed}
    expected = {person(serial)["证件号码"]: kind for kind, serials in kinds.items() for serial in serials}
    return rows, expected


def found(comparison):
    """Masked number and kind of each difference."""
    rows = db.session.execute(
        select(RegisterDifference.number_masked, RegisterDifference.kind).where(
            RegisterDifference.comparison_id == comparison.id
        )
    )
    return Counter(tuple(row) for row in rows)


def masked(expected):
    return Counter((f"{number[:6]}********{number[-4:]}", kind) for number, kind in expected.items())


def test_two_registers_with_a_thousand_known_differences_account_for_everybody(jilin, monkeypatch):
    monkeypatch.setattr(register_comparison, "GONE_BATCH_SIZE", 150)
    listed = list(range(4 * EACH))
    actors.put_on_roster(*map(person, listed))
    rows, expected = known_register(listed, 10_000)
    first, report = compare(rows)
    assert report.errors == []
    assert found(first) == masked(expected)
    assert first.register_count == len(rows)
    counts = register_differences.total_counts(register_differences.counts_by_division(first))
    assert counts == dict.fromkeys(("new", "gone", "moved", "changed"), (EACH, 0))
    # both sides add up: each person of the register, each doctor of the list
    assert first.register_count == first.same_count + 3 * EACH
    assert db.session.scalar(select(func.count(Doctor.id))) == first.same_count + 3 * EACH
    gone = db.session.scalars(
        select(RegisterDifference).where(
            RegisterDifference.comparison_id == first.id, RegisterDifference.kind == "gone"
        )
    ).all()
    register_differences.settle(
        first, [row.id for row in gone], "retired", "", cycle_id=None, by=TERMINAL_ACTOR
    )
    # another register of the same list, with other people in each part
    rows, expected = known_register(listed[EACH:] + listed[:EACH], 20_000)
    second, report = compare(rows)
    assert report.errors == []
    assert found(second) == masked(expected)
    assert sum(found(first).values()) + sum(found(second).values()) == 8 * EACH
    third, _ = compare([register_row(0, person(serial)) for serial in listed[EACH:]])
    totals = register_differences.total_counts(register_differences.counts_by_division(third))
    assert totals["gone"] == (EACH, 0), "the comparison before had them in its register"


@pytest.fixture
def cycle(jilin):
    actors.put_on_roster(*map(person, range(1, 7)))
    cycle = actors.get_or_open_cycle()
    enrol(cycle)
    return cycle


def record_of(serial):
    name_and_number = person(serial)["证件号码"]
    tail = select(Doctor.id).where(
        Doctor.number_masked == f"{name_and_number[:6]}********{name_and_number[-4:]}"
    )
    return db.session.scalars(select(Assessment).where(Assessment.doctor_id == tail.scalar_subquery())).one()


def test_a_disposition_is_kept_for_the_next_comparison_and_counted(cycle):
    rows = [register_row(0, person(serial)) for serial in range(1, 5)]
    first, _ = compare(rows)
    ids = db.session.scalars(select(RegisterDifference.id)).all()
    assert len(ids) == 2
    with pytest.raises(InvalidInput):
        register_differences.settle(first, ids, "other", " ", cycle_id=cycle.id, by=ADMIN)
    for code in ("to_contact", "retired"):
        register_differences.settle(first, ids[:1], code, "电话不通", cycle_id=cycle.id, by=ADMIN)
    register_differences.settle(first, ids[1:], "to_contact", "电话不通", cycle_id=cycle.id, by=ADMIN)
    counts = register_differences.total_counts(register_differences.counts_by_division(first))
    assert counts["gone"] == (2, 2), "a disposition that is changed counts once"
    second, _ = compare(rows)
    counts = register_differences.total_counts(register_differences.counts_by_division(second))
    assert counts["gone"] == (2, 1), "whom one still has to contact is asked for again"
    assert gap_lists.gap_counts(cycle, WHOLE_PROVINCE)["not_included"].number == 5, (
        "the retired is accounted for"
    )


def test_a_row_that_cant_be_read_makes_nobody_gone_and_no_row_counts_twice(cycle):
    rows = [register_row(line, person(line)) for line in range(1, 6)]
    rows.append(register_row(6, person(6), name=""))
    rows.append(register_row(7, person(1)))
    rows.append(register_row(8, person(77), number="12345678901234567X"))
    comparison, report = compare(rows)
    assert found(comparison) == Counter()
    assert [(problem.row, problem.column) for problem in report.errors] == [
        (6, "姓名"),
        (7, "证件号码"),
        (8, "证件号码"),
    ]
    assert (comparison.same_count, comparison.refused_count) == (5, 3)


def test_an_institution_is_known_by_former_names_and_however_its_name_is_typed(cycle):
    own = db.session.scalars(select(Organisation).order_by(Organisation.registration_number).limit(1)).one()
    former_name = own.name
    rename(own, "新名 ABC 医院（东院）", reason="批复", by=ADMIN)
    serials = [serial for serial in range(1, 7) if serial % 2 == 0]
    names = (former_name, "新名ABC医院(东院)", "新名 ａｂｃ 医院（东院）")
    rows = [
        register_row(line, person(serial), institution=name)
        for line, (serial, name) in enumerate(zip(serials, names, strict=True))
    ]
    comparison, report = compare(rows, own.id)
    assert (report.errors, found(comparison), comparison.same_count) == ([], Counter(), 3)


def test_an_institution_compares_its_own_list_and_learns_nothing_of_others(cycle):
    own, other = db.session.scalars(
        select(Organisation).order_by(Organisation.registration_number).limit(2)
    ).all()
    mine = [serial for serial in range(1, 7) if serial % 2 == 0]
    elsewhere = next(serial for serial in range(1, 7) if serial % 2)
    rows = [
        *(register_row(serial, person(serial)) for serial in mine[:-1]),
        register_row(8, person(elsewhere), institution=own.name),
        register_row(9, person(99), institution=other.name),
        register_row(10, person(98), institution=own.name),
    ]
    comparison, report = compare(rows, own.id)
    kinds = Counter(kind for (_, kind) in found(comparison).elements())
    assert kinds == {"gone": 1, "moved": 1, "new": 1}
    assert [(problem.row, problem.column) for problem in report.errors] == [(9, "主要执业机构")]
    moved = db.session.scalars(select(RegisterDifference).where(RegisterDifference.kind == "moved")).one()
    assert (moved.doctor_id, moved.organisation_id) == (None, None)
    assert other.name not in str(moved.details)
    with pytest.raises(NotFound):
        register_differences.get_comparison(comparison.id, Grant(institution_ids=(other.id,)))


def test_whom_one_knows_to_be_out_is_not_included_until_that_is_taken_back(cycle):
    retired, disowned, contacted, other = (record_of(serial) for serial in (2, 4, 6, 1))
    dispose(cycle, [retired.id], "retired", "", grant=WHOLE_PROVINCE, by=ADMIN)
    dispose(cycle, [contacted.id], "to_contact", "下周再打", grant=WHOLE_PROVINCE, by=ADMIN)
    clerk = Grant(institution_ids=(disowned.institution_id,))
    for _ in range(2):
        unclaimed_doctors.disown(cycle, [disowned.id], "从未在本院工作", grant=clerk, by=ADMIN)
    records = [retired.id, disowned.id, contacted.id, other.id]
    result = include(cycle, records, by=ADMIN, grant=WHOLE_PROVINCE)
    assert result.included_count == 2
    reasons = {reason for _, reason in result.skipped}
    assert UNCLAIMED_MESSAGE in reasons
    assert any("退休" in reason for reason in reasons)
    assert dispose(cycle, [other.id], "left", "", grant=WHOLE_PROVINCE, by=ADMIN).stored_count == 0
    dispose(cycle, [retired.id], "", "", grant=WHOLE_PROVINCE, by=ADMIN)
    waiting = unclaimed_doctors.unclaimed_page(WHOLE_PROVINCE, None).rows
    assert len(waiting) == 1, "reported twice, waits once"
    elsewhere = db.session.scalars(select(Organisation).where(Organisation.id == other.institution_id)).one()
    with pytest.raises(NotFound):
        unclaimed_doctors.take_back(waiting[0].id, grant=Grant(institution_ids=(elsewhere.id,)), by=ADMIN)
    unclaimed_doctors.assign(waiting[0].id, elsewhere, cycle, grant=WHOLE_PROVINCE, by=ADMIN)
    assert disowned.institution_id == elsewhere.id
    result = include(cycle, records, by=ADMIN, grant=WHOLE_PROVINCE)
    assert (result.included_count, result.skipped) == (2, [])


def test_every_gap_list_has_its_people_and_nobody_is_told_twice_a_day(cycle, quiet):
    include(cycle, [record_of(serial).id for serial in (1, 2, 3)], by=ADMIN, grant=WHOLE_PROVINCE)
    record_of(2).state = "draft"
    record_of(3).state = "institution_returned"
    record_of(4).state = "absent"
    db.session.flush()
    recount()
    counts = gap_lists.gap_counts(cycle, WHOLE_PROVINCE)
    assert {code: count.number for code, count in counts.items()} == {
        "not_included": 2,
        "not_signed_in": 1,
        "not_submitted": 2,
        "returned": 1,
        "not_sat": 1,
    }
    by = staff()
    for code, count in (("not_included", 2), ("not_submitted", 2), ("not_submitted", 0), ("not_sat", 1)):
        job = gap_messages.enqueue_message(gap_lists.get_gap_list(code), cycle, by=by)
        chunk = gap_messages.notify_gap_batch(job, {})
        assert (code, chunk.counts["told"]) == (code, count)


def test_gap_lists_are_counted_without_doctors_and_alike(cycle):
    include(cycle, [record_of(serial).id for serial in (1, 2)], by=ADMIN, grant=WHOLE_PROVINCE)
    db.session.flush()
    name = db.session.scalars(select(Doctor.name).where(Doctor.id == record_of(3).doctor_id)).one()
    viewer = ListViewer(WHOLE_PROVINCE, None)
    for gap_list in gap_lists.GAP_LISTS.values():
        definition = gap_list.definition
        filters = {"institution": str(record_of(3).institution_id)}
        views = (ListState(definition), ListState(definition, filters), ListState(definition, search=name))
        for view in (*views, ListState(definition, {"level": "physician"})):
            shown, counted = (list_query(view, viewer, is_counted=flag) for flag in (False, True))
            assert len(db.session.execute(shown).all()) == len(db.session.execute(counted).all())
            has_doctors = gap_list.needs_doctors or bool(view.search) or "level" in view.filters
            assert ("JOIN doctor " in str(counted)) == has_doctors, (gap_list.code, view)


def staff():
    """An administrator, as a job knows one again."""
    account = create_staff(f"a-{new_id().hex[:10]}", "管理员", [("province_admin", None)], by=TERMINAL_ACTOR)
    db.session.flush()
    return Actor("staff", account.id, frozenset({"province_admin"}))
