"""Mock exams by themselves: what is drawn is of the practice share, in groups whole and as much as there is; the newest answer is kept, and
none that comes after the end."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed
from dingkao.exams import mocks
from dingkao.exams.models import MockExam, Question, QuestionBank, QuestionGroup, QuestionVersion
from dingkao.exams.papers import SHARES, read
from tests import people

SLUG, CODE = "liaoning", 21
OPENED = datetime(2026, 3, 2, 1, tzinfo=UTC)
MINUTES = 60
END = OPENED + timedelta(minutes=MINUTES)
QUESTIONS = 5


@pytest.fixture(scope="module")
def record_id(application, in_province, provinces):
    doctor = people.doctor(application, in_province, SLUG, next(people.serials(SLUG)))
    people.bring_to(in_province, doctor, "ready")
    return doctor.record_id


UNITS = st.lists(
    st.tuples(
        st.sampled_from(["A1", "A2", "A3", "B1", "X"]), st.integers(1, 5), st.sampled_from(["exam", "practice"]), st.booleans(),
        st.sampled_from(["common", "professional"]), st.sampled_from([None, "clinical", "dental"]),
    ),
    max_size=16,
)  # fmt: skip


def reachable(sizes, most):
    sums = {0}
    for size in sizes:
        sums |= {one + size for one in sums}
    return max(one for one in sums if one <= most)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(UNITS, st.sampled_from(["common", "professional"]))
def test_what_is_drawn_is_of_the_practice_share_in_groups_whole_and_as_much_as_there_is(in_province, record_id, units, subject):
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, record_id))
        bank = QuestionBank(id=new_id(), name="模拟")
        db.session.add(bank)
        db.session.flush()
        group_of, may = {}, {}
        for serial, (kind, size, purpose, retired, own, category) in enumerate(units):
            group = QuestionGroup(id=new_id(), bank_id=bank.id, stem="", digest=bytes([serial]))
            db.session.add(group)
            db.session.flush()
            grouped = kind in ("A3", "B1")
            for place in range(size if grouped else 1):
                row = Question(
                    id=new_id(), bank_id=bank.id, group_id=group.id if grouped else None, group_position=place, subject=own, category=category, kind=kind,
                    purpose=purpose, digest=bytes([serial, place]), current_version=new_id(), retired_at=OPENED if retired else None,
                )  # fmt: skip
                db.session.add(row)
                db.session.flush()
                options = [["A", "甲"], ["B", "乙"], ["C", "丙"]]
                db.session.add(QuestionVersion(id=row.current_version, question_id=row.id, number=1, kind=kind, stem="", options=options, answer="A"))
                group_of[row.current_version] = group.id
                fits = category == "clinical" or (own == "common" and category is None)
                if purpose == "practice" and not retired and own == subject and fits:
                    may.setdefault(kind, {}).setdefault(group.id, []).append(row.current_version)
        db.session.flush()
        wanted = {kind: number for kind, share in SHARES.items() if (number := reachable([len(one) for one in may.get(kind, {}).values()], share))}
        [offer] = [one for one in mocks.offered(record) if one.subject == subject]
        assert dict(offer.counts) == wanted
        assert offer.questions == sum(wanted.values())
        assert 0 < offer.minutes <= mocks.MINUTES
        try:
            mock = mocks.begin(record, subject)
        except Invalid:
            assert not wanted
        else:
            drawn = [one.version for one in read(mock.layout)]
            assert len(drawn) == len(set(drawn)) == sum(wanted.values())
            allowed = {version: kind for kind, groups in may.items() for rows in groups.values() for version in rows}
            assert set(drawn) <= set(allowed)
            assert {kind: sum(allowed[one] == kind for one in drawn) for kind in wanted} == wanted
            for kind, groups in may.items():
                for rows in groups.values():
                    if set(rows) & set(drawn):
                        at = drawn.index(rows[0])
                        assert drawn[at : at + len(rows)] == rows, kind
            assert all(sorted(one.order) == ["A", "B", "C"] for one in read(mock.layout))
            assert mocks.begin(record, subject) is mock
        db.session.rollback()


SAVES = st.lists(
    st.tuples(
        st.integers(0, QUESTIONS - 1), st.sampled_from(["", "A", "BA", "C"]), st.integers(1, 30), st.none() | st.integers(-200, 200), st.integers(-300, 150),
    ),
    max_size=25,
)  # fmt: skip


@given(SAVES)
def test_the_newest_is_kept_and_nothing_after_the_end(saves):
    """`tapped` and `arrives` are seconds after the end; what was tapped by then has a minute to arrive."""
    mock = MockExam(layout=[f"{UUID(int=number)} ABC" for number in range(QUESTIONS)], answers={}, opened_at=OPENED, closes_at=END)
    kept: dict[int, tuple[str, int]] = {}
    for position, letters, sequence, tapped, arrives in saves:
        moment = None if tapped is None else int((END + timedelta(seconds=tapped)).timestamp() * 1000)
        in_time = arrives <= 0 or (tapped is not None and tapped <= 0 and arrives <= 60)
        told = {"position": position, "letters": letters, "sequence": sequence, "tapped": moment}
        with patch.object(clock, "now", lambda arrives=arrives: END + timedelta(seconds=arrives)):
            try:
                word = mocks.save(mock, told)
            except NotAllowed:
                assert not in_time
                continue
        assert in_time
        newer = sequence > kept.get(position, ("", 0))[1]
        assert word == ("saved" if newer else "older")
        if newer:
            kept[position] = ("".join(sorted(letters)), sequence)
    assert mocks.numbered_answers_of(mock) == kept


def test_what_is_handed_in_takes_no_more():
    mock = MockExam(layout=[f"{UUID(int=1)} ABC"], answers={}, opened_at=OPENED, closes_at=END, handed_in_at=OPENED)
    with pytest.raises(NotAllowed):
        mocks.save(mock, {"position": 0, "letters": "A", "sequence": 1, "tapped": None})
