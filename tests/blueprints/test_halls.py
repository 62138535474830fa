"""Halls by HTTP: what extra time and the start code do to 「进入考试」, who may do what."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao import clock
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import DeadlinePassed, InvalidInput
from dingkao.exams import start_codes
from dingkao.exams.admission import Admission
from dingkao.exams.extra_time import extra_minutes, grant_extra_time
from dingkao.exams.models.hall_models import ExtraTime, Slot
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.start_codes import WrongStartCode
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Organisation
from tests import actors
from tests.blueprints.exam_hall import CODE, FIRST, SECOND, SLUG, sitting_of
from tests.blueprints.signed_in_client import post_form, signed_in_client

# --- the rule by itself


@given(
    minutes=st.integers(1, 600),
    extra=st.integers(0, 300),
    paper=st.tuples(st.integers(0, 500), st.integers(1, 5000)),
    slot=st.none() | st.tuples(st.integers(-500, 2000), st.integers(1, 5000)),
    begun=st.integers(-100, 6000),
)
def test_nobody_begins_outside_paper_and_slot_and_nothing_ends_after_them_but_by_the_extra_time(
    minutes, extra, paper, slot, begun
):
    zero = clock.now()
    moment_at = lambda number: zero + timedelta(minutes=number)  # noqa: E731
    window_paper = Paper(minutes=minutes, opens_at=moment_at(paper[0]), closes_at=moment_at(sum(paper)))
    own_slot = Slot(opens_at=moment_at(slot[0]), closes_at=moment_at(sum(slot))) if slot else None
    admission = Admission(window_paper, own_slot, None, None, extra)
    windows = [window_paper, own_slot] if own_slot else [window_paper]
    inside = all(window.opens_at <= moment_at(begun) < window.closes_at for window in windows)
    if not inside:
        with pytest.raises(DeadlinePassed):
            admission.require_open(moment_at(begun))
        return
    admission.require_open(moment_at(begun))
    end = admission.sitting_end(moment_at(begun))
    assert moment_at(begun) < end <= moment_at(begun) + timedelta(minutes=minutes + extra)
    assert end <= min(window.closes_at for window in windows) + timedelta(minutes=extra)
    assert end == moment_at(begun) + timedelta(minutes=minutes + extra) or end == min(
        window.closes_at for window in windows
    ) + timedelta(minutes=extra)


def test_extra_time_is_minutes_or_a_share_of_each_paper():
    assert extra_minutes(None, 60) == 0
    assert extra_minutes(ExtraTime(minutes=20), 60) == 20
    assert extra_minutes(ExtraTime(percent=25), 50) == 13


def test_a_start_code_is_the_slots_own_changes_and_is_good_for_the_one_before(in_province, slot):
    first_id, second_id = slot(invigilated="y"), slot(invigilated="y")
    with in_province(SLUG):
        first_slot, second_slot = (
            db.session.get_one(Slot, (CODE, slot_id)) for slot_id in (first_id, second_id)
        )
        moment = clock.now()
        code, valid_until = start_codes.start_code(first_slot, moment)
        assert re.fullmatch("[0-9]{6}", code)
        assert timedelta(0) < valid_until - moment <= timedelta(seconds=start_codes.CODE_SECONDS)
        assert (
            len(
                {
                    code,
                    start_codes.start_code(second_slot, moment)[0],
                    start_codes.start_code(first_slot, valid_until)[0],
                }
            )
            == 3
        )
        previous_code = start_codes.start_code(
            first_slot, moment - timedelta(seconds=start_codes.CODE_SECONDS)
        )[0]
        for typed_code in (code, f" {code[:3]} {code[3:]} ", previous_code):
            start_codes.check_start_code(first_slot, typed_code)
        for typed_code in (
            "000000",
            code[:5],
            start_codes.start_code(first_slot, moment - timedelta(seconds=3 * start_codes.CODE_SECONDS))[0],
        ):
            with pytest.raises(WrongStartCode):
                start_codes.check_start_code(first_slot, typed_code)
        with pytest.raises(InvalidInput, match="请输入监考人员公布"):
            start_codes.check_start_code(first_slot, " ")


# --- extra time


def _change_meanwhile(extra_time, percent):
    """Another request changes the extra time that this session has read."""
    db.session.execute(
        update(ExtraTime).where(ExtraTime.id == extra_time.id).values(percent=percent),
        execution_options={"synchronize_session": False},
    )


def test_extra_time_follows_the_doctor_over_every_paper_and_past_the_window(
    clerk, candidate, begin, slot, in_province
):
    doctor = candidate()
    slot_id = slot(closes=timedelta(minutes=30))
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=str(doctor.record_id),
    )
    text = clerk.get(f"/{SLUG}/office/extra-time?name={doctor.name}").get_data(as_text=True)
    page = f"/{SLUG}/office/extra-time/{doctor.doctor_id}"
    assert page in text
    refused = post_form(clerk, page, minutes="10", percent="10", reason="肢体残疾")
    assert refused.status_code == 422
    assert "两者只填一项" in refused.get_data(as_text=True)
    assert post_form(clerk, page, percent="50", reason="").status_code == 422
    assert post_form(clerk, page, percent="50", reason="肢体残疾").status_code == 303
    assert "肢体残疾" in clerk.get(f"/{SLUG}/office/extra-time").get_data(as_text=True)
    assert "含延长30分钟" in doctor.get("/sitting")
    begin(doctor)
    sitting = sitting_of(in_province, doctor)
    with in_province(SLUG):
        slot_row = db.session.get_one(Slot, (CODE, slot_id))
        assert sitting.closes_at == slot_row.closes_at + timedelta(minutes=30)
        extra_time = db.session.scalars(
            select(ExtraTime).where(ExtraTime.doctor_id == doctor.doctor_id)
        ).one()
        assert "肢体".encode() not in extra_time.reason_sealed
        entries = db.session.scalars(
            select(JournalEntry).where(
                JournalEntry.subject_id == doctor.doctor_id, JournalEntry.verb == "extra_time_granted"
            )
        )
        assert [entry.details for entry in entries] == [{"minutes": None, "percent": 50}]
        _change_meanwhile(extra_time, percent=20)
        grant_extra_time(
            db.session.get_one(Doctor, (CODE, doctor.doctor_id)),
            db.session.get_one(Cycle, (CODE, extra_time.cycle_id)),
            minutes=None,
            percent=50,
            reason="肢体残疾",
            by=Actor("staff", uuid4()),
        )
        db.session.refresh(extra_time)
        assert extra_time.percent == 50
    assert post_form(clerk, f"{page}/withdraw", page=f"/{SLUG}/office/extra-time").status_code == 303
    assert sitting_of(in_province, doctor).closes_at == sitting.closes_at


# --- start codes


def test_a_start_code_is_asked_for_and_can_not_be_guessed(clerk, candidate, slot, begin, in_province):
    doctor, second_doctor, slot_id = candidate(), candidate(), slot(invigilated="y")
    records = [str(signed_in_doctor.record_id) for signed_in_doctor in (doctor, second_doctor)]
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=records,
    )
    response = clerk.get(f"/{SLUG}/office/slots/{slot_id}/code")
    code = "".join(re.search(r'start-code"[^>]*>(\d{3}) (\d{3})<', response.get_data(as_text=True)).groups())
    assert int(response.headers["Refresh"]) <= start_codes.CODE_SECONDS + 1
    for _ in range(12):
        refused = begin(doctor)
        assert refused.status_code == 422
        assert "请输入监考人员公布的6位开考码" in refused.get_data(as_text=True)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    answers = [begin(doctor, code=wrong) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {422}
    assert begin(doctor, code=code).status_code == 429
    assert sitting_of(in_province, doctor) is None
    assert actors.failed_attempts_of(in_province, SLUG, doctor) == ["start_code_failed"] * 3
    assert actors.failed_attempts_of(in_province, SLUG, second_doctor) == []
    assert begin(second_doctor, code=f"{code[:3]} {code[3:]}").location.split("/")[-2] == "sitting"
    assert sitting_of(in_province, second_doctor) is not None


def test_a_refused_start_keeps_the_code_and_the_ticks(clerk, candidate, slot, begin, in_province):
    doctor, slot_id = candidate(), slot(invigilated="y")
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=str(doctor.record_id),
    )
    for ticked, refusal in (({"promise": ""}, "请勾选"), ({}, "开考码不正确")):
        refused = begin(doctor, code="12 345", **ticked)
        text = refused.get_data(as_text=True)
        assert (refused.status_code, 'name="code" value="12 345"' in text) == (422, True)
        assert re.search(rf'<p class="confirmation refused"\s+role="alert">[^<]*{refusal}', text)
        assert ('name="promise" value="yes" checked' in text) == (not ticked)
    assert sitting_of(in_province, doctor) is None


# --- who may


def test_another_organisations_clerk_and_outsiders_see_nothing_of_a_slot(
    application, in_province, exam_ground, slot, candidate
):
    slot_id, doctor = slot(invigilated="y"), candidate()
    with in_province(SLUG):
        second = db.session.scalars(
            select(Organisation).where(Organisation.registration_number == SECOND)
        ).one()
        second.assesses = True
        db.session.commit()
    stranger = signed_in_client(application, in_province, SLUG, "organisation_clerk", SECOND)
    institution = signed_in_client(application, in_province, SLUG, "institution_clerk", FIRST)
    for address in (
        f"slots/{slot_id}",
        f"slots/{slot_id}/code",
        f"slots/{slot_id}/list.xlsx",
        f"slots/{slot_id}/change",
        f"extra-time/{doctor.doctor_id}",
    ):
        assert stranger.get(f"/{SLUG}/office/{address}").status_code == 404, address
        assert institution.get(f"/{SLUG}/office/{address}").status_code == 403, address
        assert doctor.client.get(f"/{SLUG}/office/{address}").status_code == 403, address
    answer = post_form(
        stranger, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/halls", all="1"
    )
    assert answer.status_code == 404
    assert (
        signed_in_client(application, in_province, SLUG, "province_admin")
        .get(f"/{SLUG}/office/slots/{slot_id}")
        .status_code
        == 200
    )
