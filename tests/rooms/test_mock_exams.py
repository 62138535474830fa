"""Mock exams by themselves: what is drawn is of the practice share, in groups whole and as much as there is;
the newest answer is kept, and none that comes after the end."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams.drawing import load_layout
from dingkao.practice import mock_exams, mock_offers
from dingkao.practice.models import MockExam
from dingkao.question_banks.models import Question, QuestionBank, QuestionGroup, QuestionVersion
from dingkao.question_banks.question_types import TYPE_SHARES
from tests import actors
from tests.property_examples import property_examples

SLUG, CODE = "liaoning", 21
OPENED = datetime(2026, 3, 2, 1, tzinfo=UTC)
MINUTES = 60
END = OPENED + timedelta(minutes=MINUTES)
QUESTIONS = 5


@pytest.fixture(scope="module")
def record_id(application, in_province, provinces):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    actors.advance_to(in_province, doctor, "ready")
    return doctor.record_id


UNITS = st.lists(
    st.tuples(
        st.sampled_from(["A1", "A2", "A3", "B1", "X"]),
        st.integers(1, 5),
        st.sampled_from(["exam", "practice"]),
        st.booleans(),
        st.sampled_from(["common", "professional"]),
        st.sampled_from([None, "clinical", "dental"]),
    ),
    max_size=16,
)


def reachable(sizes, most):
    sums = {0}
    for size in sizes:
        sums |= {total + size for total in sums}
    return max(total for total in sums if total <= most)


@settings(
    max_examples=property_examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(UNITS, st.sampled_from(["common", "professional"]))
def test_what_is_drawn_is_of_the_practice_share_in_groups_whole_and_as_much_as_there_is(
    in_province, record_id, units, subject
):
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, record_id))
        bank = QuestionBank(id=new_id(), name="模拟")
        db.session.add(bank)
        db.session.flush()
        group_of, may = {}, {}
        for serial, (kind, size, purpose, retired, question_subject, category) in enumerate(units):
            group = QuestionGroup(id=new_id(), bank_id=bank.id, stem="", digest=bytes([serial]))
            db.session.add(group)
            db.session.flush()
            grouped = kind in ("A3", "B1")
            for place in range(size if grouped else 1):
                question = Question(
                    id=new_id(),
                    bank_id=bank.id,
                    group_id=group.id if grouped else None,
                    group_position=place,
                    subject=question_subject,
                    category=category,
                    kind=kind,
                    purpose=purpose,
                    digest=bytes([serial, place]),
                    current_version=new_id(),
                    retired_at=OPENED if retired else None,
                )
                db.session.add(question)
                db.session.flush()
                options = [["A", "甲"], ["B", "乙"], ["C", "丙"]]
                db.session.add(
                    QuestionVersion(
                        id=question.current_version,
                        question_id=question.id,
                        number=1,
                        kind=kind,
                        stem="",
                        options=options,
                        answer="A",
                    )
                )
                group_of[question.current_version] = group.id
                fits = category == "clinical" or (question_subject == "common" and category is None)
                if purpose == "practice" and not retired and question_subject == subject and fits:
                    may.setdefault(kind, {}).setdefault(group.id, []).append(question.current_version)
        db.session.flush()
        expected_counts = {
            kind: number
            for kind, share in TYPE_SHARES.items()
            if (
                number := reachable(
                    [len(group_versions) for group_versions in may.get(kind, {}).values()], share
                )
            )
        }
        [offer] = [
            available_offer
            for available_offer in mock_offers.available_offers(record)
            if available_offer.subject == subject
        ]
        assert dict(offer.counts) == expected_counts
        assert offer.question_count == sum(expected_counts.values())
        assert 0 < offer.minutes <= mock_offers.FULL_LENGTH_MINUTES
        try:
            mock = mock_exams.start_mock_exam(record, subject)
        except InvalidInput:
            assert not expected_counts
        else:
            versions = [drawn_question.version for drawn_question in load_layout(mock.layout)]
            assert len(versions) == len(set(versions)) == sum(expected_counts.values())
            allowed = {
                version: kind
                for kind, groups in may.items()
                for group in groups.values()
                for version in group
            }
            assert set(versions) <= set(allowed)
            assert {
                kind: sum(allowed[version] == kind for version in versions) for kind in expected_counts
            } == expected_counts
            for kind, groups in may.items():
                for versions_of_group in groups.values():
                    if set(versions_of_group) & set(versions):
                        position = versions.index(versions_of_group[0])
                        assert versions[position : position + len(versions_of_group)] == versions_of_group, (
                            kind
                        )
            assert all(
                sorted(drawn_question.option_order) == ["A", "B", "C"]
                for drawn_question in load_layout(mock.layout)
            )
            assert mock_exams.start_mock_exam(record, subject) is mock
        db.session.rollback()


SAVES = st.lists(
    st.tuples(
        st.integers(0, QUESTIONS - 1),
        st.sampled_from(["", "A", "BA", "C"]),
        st.integers(1, 30),
        st.none() | st.integers(-200, 200) | st.integers(-60 * MINUTES - 30, -60 * MINUTES + 30),
        st.integers(-300, 150),
    ),
    max_size=25,
)


@given(SAVES)
def test_the_newest_is_kept_and_nothing_after_the_end(saves):
    """`tapped` and `arrives` are seconds after the end; what was tapped by then has a minute to arrive,
    unless it was before the beginning."""
    mock = MockExam(
        layout=[f"{UUID(int=number)} ABC" for number in range(QUESTIONS)],
        answers={},
        opened_at=OPENED,
        closes_at=END,
    )
    newest: dict[int, tuple[str, int]] = {}
    for position, letters, sequence, tapped, arrives in saves:
        moment = None if tapped is None else int((END + timedelta(seconds=tapped)).timestamp() * 1000)
        in_time = arrives <= 0 or (
            tapped is not None and OPENED <= END + timedelta(seconds=tapped) <= END and arrives <= 60
        )
        answer = {"position": position, "letters": letters, "sequence": sequence, "tapped": moment}
        with patch.object(clock, "now", lambda arrives=arrives: END + timedelta(seconds=arrives)):
            try:
                word = mock_exams.save_answer(mock, answer)
            except InvalidState:
                assert not in_time
                continue
        assert in_time
        newer = sequence > newest.get(position, ("", 0))[1]
        assert word == ("saved" if newer else "older")
        if newer:
            newest[position] = ("".join(sorted(letters)), sequence)
    assert mock_exams.numbered_answers(mock) == newest


def test_what_is_handed_in_takes_no_more():
    mock = MockExam(
        layout=[f"{UUID(int=1)} ABC"], answers={}, opened_at=OPENED, closes_at=END, handed_in_at=OPENED
    )
    with pytest.raises(InvalidState):
        mock_exams.save_answer(mock, {"position": 0, "letters": "A", "sequence": 1, "tapped": None})
