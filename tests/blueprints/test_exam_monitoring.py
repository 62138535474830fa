"""Watching an exam: signs of life, events, time given back, the live page narrowed to a hall or a slot."""

import re
from datetime import timedelta

import redis
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams import integrity_events, monitoring, monitoring_locations, sitting_completion
from dingkao.exams.models.monitoring_models import AddedTime, IntegrityEvent
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.tickets import find_ticket
from dingkao.journal.models import JournalEntry
from tests import actors
from tests.blueprints.examinee import CODE, SERIALS, SLUG, a_slot, text, token_of
from tests.blueprints.signed_in_client import post_form


def shows(client, view, ticketed):
    return str(ticketed.sitting) in text(client.get(f"/{SLUG}/office/watching?view={view}"))


def test_a_page_that_gives_signs_of_life_is_shown_as_answering_and_one_that_does_not_as_lost(
    new_examinee, staff, monkeypatch
):
    examinee, clerk, stranger, admin = (
        new_examinee(),
        staff("organisation_clerk"),
        staff("organisation_clerk", at=2),
        staff("province_admin"),
    )
    for client in (clerk, admin):
        assert shows(client, "lost", examinee)
        assert not shows(client, "answering", examinee)
    assert examinee.pulse().get_json() == {"look": False}
    for client in (clerk, admin):
        assert shows(client, "answering", examinee)
        assert not shows(client, "lost", examinee)
    assert not shows(stranger, "answering", examinee)
    assert stranger.get(f"/{SLUG}/office/watching/{examinee.sitting}").status_code == 404
    examinee.send(0, "A", 1)
    examinee.send(1, "", 2)
    assert "1/10" in text(clerk.get(f"/{SLUG}/office/watching/{examinee.sitting}"))
    other_examinee = new_examinee()
    assert examinee.pulse(other_examinee.data["token"]).status_code == 400
    assert examinee.pulse("made-up").status_code == 400
    monkeypatch.setattr(integrity_events, "HEARTBEAT_VALID_SECONDS", 0)
    for client in (admin, clerk):
        assert shows(client, "lost", examinee)
        assert not shows(client, "answering", examinee)


def test_more_who_answer_than_are_told_apart_are_said(new_examinee, staff, monkeypatch):
    new_examinee().pulse()
    examinee, admin = new_examinee(), staff("province_admin")
    examinee.pulse()
    page = f"/{SLUG}/office/watching"
    assert "正在作答的太多" not in admin.get(page).get_data(as_text=True)
    monkeypatch.setattr(monitoring, "MAX_OPEN_SITTINGS", 1)
    assert "正在作答的太多" in admin.get(page).get_data(as_text=True)
    assert not shows(admin, "answering", examinee)


def test_without_the_cache_every_open_sitting_counts_as_answering(new_examinee, staff, monkeypatch):
    examinee, admin = new_examinee(), staff("province_admin")

    def fail(*_arguments, **_options):
        raise redis.ConnectionError

    monkeypatch.setattr(redis.client.Pipeline, "execute", fail)
    monkeypatch.setattr(integrity_events, "last_heartbeats", fail)
    assert shows(admin, "answering", examinee)
    assert not shows(admin, "lost", examinee)


def test_the_page_opens_where_somebody_is(new_examinee, staff, in_province):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    slot, _ = a_slot(in_province, [examinee.doctor.record_id], subject="common")
    examinee.pulse()

    def opened_filter():
        page = text(clerk.get(f"/{SLUG}/office/watching?place=slot-{slot}"))
        assert str(examinee.sitting) in page
        return re.search(r'aria-current="true">(\w+) ', page)[1]

    assert opened_filter() == "作答中"
    examinee.doctor.post(f"/sitting/{examinee.sitting}/hand-in", page=f"/sitting/{examinee.sitting}")
    assert opened_filter() == "已交卷"
    page = text(clerk.get(f"/{SLUG}/office/watching?place=slot-{slot}&view=all"))
    assert "共1场" in page
    assert f"list=sittings&amp;view=place%3Dslot-{slot}" in page
    found = post_form(clerk, f"/{SLUG}/office/watching/search", f"/{SLUG}/office/watching", q="没有这人")
    assert "没有" in text(clerk.get(found.location))
    assert str(examinee.sitting) not in text(clerk.get(found.location))


def test_who_has_not_begun_is_listed_with_the_ticket(application, staff, in_province):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    actors.advance_to(in_province, doctor, "ready")
    page = text(staff("organisation_clerk").get(f"/{SLUG}/office/watching?view=waiting"))
    with in_province(SLUG):
        ticket = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id)))
    assert f">{ticket.number}<" in page


def test_no_page_of_watching_shows_a_whole_number(new_examinee, staff, in_province):
    examinee, clerk, pages = (
        new_examinee(),
        staff("organisation_clerk"),
        [f"watching?view={view}" for view in monitoring.SITTING_FILTERS],
    )
    with in_province(SLUG):
        doctor = db.session.get_one(Doctor, (CODE, examinee.doctor.doctor_id))
        tail, masked = examinee.doctor.number[6:], doctor.number_masked
    assert masked in text(clerk.get(f"/{SLUG}/office/watching/{examinee.sitting}"))
    opened = post_form(
        clerk,
        f"/{SLUG}/office/watching/{examinee.sitting}/case",
        page=f"/{SLUG}/office/watching/{examinee.sitting}",
        reason="多次离开页面",
    )
    assert opened.status_code == 303
    for client in (clerk, staff("organisation_reviewer"), staff("province_admin"), staff("auditor")):
        for place in (
            *(f"/{SLUG}/office/{page}" for page in ("cases", *pages)),
            f"/{SLUG}/office/watching/{examinee.sitting}",
            opened.location,
        ):
            answer = client.get(place)
            assert answer.status_code == 200, place
            assert tail not in text(answer), place


def test_what_the_page_notices_is_kept_once_and_within_the_time_of_the_sitting(
    new_examinee, staff, in_province
):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    now = int(clock.now().timestamp() * 1000)
    with in_province(SLUG):
        db.session.execute(
            update(Sitting)
            .where(Sitting.id == examinee.sitting)
            .values(opened_at=clock.now() - timedelta(minutes=20))
        )
        db.session.commit()
    left_event = {"kind": "left", "at": now - 600_000, "seconds": 120}
    for _ in range(2):
        assert examinee.note(left_event, {"kind": "offline", "at": 5, "seconds": 10**9}).status_code == 200
    headers = {"X-CSRFToken": examinee.token, "Content-Type": "application/json"}
    nested = examinee.doctor.client.post(examinee.data["events"], data="[" * 10_000, headers=headers)
    assert nested.status_code == 422
    with in_province(SLUG):
        events = db.session.scalars(
            select(IntegrityEvent).where(
                IntegrityEvent.sitting_id == examinee.sitting, IntegrityEvent.kind != "device"
            )
        ).all()
        opened = db.session.get_one(Sitting, (CODE, examinee.sitting)).opened_at
        assert sorted(
            (integrity_event.kind, integrity_event.seconds)
            for integrity_event in events
            if integrity_event.kind == "left"
        ) == [("left", 120)]
        assert all(
            opened <= integrity_event.began_at <= clock.now()
            and integrity_event.began_at + timedelta(seconds=integrity_event.seconds) <= clock.now()
            for integrity_event in events
        )
        assert sum(integrity_event.kind == "offline" for integrity_event in events) == 1
    page_text = text(clerk.get(f"/{SLUG}/office/watching/{examinee.sitting}"))
    assert "离开作答页面" in page_text
    assert "更换设备继续作答" in page_text
    assert "2分" in page_text
    assert shows(clerk, "noticed", examinee)
    for wrong in (
        {"kind": "device", "at": now},
        {"kind": "left", "at": "x"},
        {"kind": "left", "at": now, "seconds": 1.5},
        7,
    ):
        assert examinee.note(wrong).status_code == 422
    assert (
        examinee.doctor.client.post(
            examinee.data["events"], json={"kind": "left"}, headers={"X-CSRFToken": examinee.token}
        ).status_code
        == 422
    )
    assert examinee.state() == "testing"


def test_no_more_events_are_kept_of_a_sitting_than_anybody_would_read(new_examinee, in_province):
    examinee = new_examinee()
    start = int(clock.now().timestamp() * 1000) - 10
    with in_province(SLUG):
        db.session.execute(
            update(Sitting)
            .where(Sitting.id == examinee.sitting)
            .values(opened_at=clock.now() - timedelta(days=1))
        )
        db.session.commit()
    for batch in range(12):
        assert (
            examinee.note(
                *({"kind": "left", "at": start - 1000 * (50 * batch + n)} for n in range(50))
            ).status_code
            == 200
        )
    with in_province(SLUG):
        assert (
            db.session.scalar(
                select(func.count()).where(
                    IntegrityEvent.sitting_id == examinee.sitting, IntegrityEvent.kind == "left"
                )
            )
            == 500 - 1
        )  # the change of device is one too


def add_time(client, *examinees, minutes="10", reason="本考点断网十分钟"):
    form = {
        "minutes": minutes,
        "reason": reason,
        "sitting": [str(examinee.sitting) for examinee in examinees],
    }
    return post_form(
        client, f"/{SLUG}/office/watching/time?view=lost", page=f"/{SLUG}/office/watching?view=lost", **form
    )


def told(client, answer):
    return text(client.get(answer.location) if answer.status_code == 303 else answer)


def test_time_is_given_back_to_an_open_sitting_with_trail_and_the_page_is_asked_to_look(
    new_examinee, staff, in_province
):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    closes_at = examinee.row().closes_at
    assert "已为1场作答补时10分钟" in told(clerk, add_time(clerk, examinee))
    assert examinee.row().closes_at == closes_at + timedelta(minutes=10)
    assert examinee.pulse().get_json() == {"look": True}
    payload = examinee.doctor.client.get(examinee.data["standing"]).get_json()
    assert payload["closes"] == int((closes_at + timedelta(minutes=10)).timestamp() * 1000)
    assert "作答时间已延长" in examinee.doctor.get("/notices")
    page_text = text(clerk.get(f"/{SLUG}/office/watching/{examinee.sitting}"))
    assert "10分钟" in page_text
    assert "本考点断网十分钟" in page_text
    for minutes, reason, sentence in (
        ("21", "又断网了一次", "最多补时30分钟，已补10分钟"),
        ("0", "又断网了一次", "最多补时30分钟"),
        ("x", "又断网了一次", "请填写整数"),
        ("5", "无", "请填写补时原因"),
    ):
        refused = told(clerk, add_time(clerk, examinee, minutes=minutes, reason=reason))
        assert (sentence in refused, f'value="{minutes}"' in refused, f'value="{reason}"' in refused) == (
            True,
            True,
            True,
        )
        told_as_refusal = re.search(r'<div class="alert alert-danger"\s+role="alert">([^<]+)<', refused)
        assert (sentence in told_as_refusal[1], "已为0场" in refused) == (True, False)
    with in_province(SLUG):
        assert db.session.scalars(
            select(AddedTime.minutes).where(AddedTime.sitting_id == examinee.sitting)
        ).all() == [10]
        assert (
            db.session.scalar(
                select(func.count()).where(
                    JournalEntry.subject_id == examinee.sitting, JournalEntry.verb == "time_added"
                )
            )
            == 1
        )


def test_a_page_that_believes_its_time_to_be_over_does_not_hand_in_what_was_extended(new_examinee, staff):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    add_time(clerk, examinee)
    answer = examinee.doctor.post(
        f"/sitting/{examinee.sitting}/hand-in", page=f"/sitting/{examinee.sitting}", automatic="1"
    )
    assert answer.status_code == 409
    assert "作答时间已延长" in text(answer)
    assert examinee.row().handed_in_at is None
    examinee.doctor.post(f"/sitting/{examinee.sitting}/hand-in", page=f"/sitting/{examinee.sitting}")
    assert examinee.row().handed_in_at is not None
    assert "医师已自行交卷，不能补时" in told(clerk, add_time(clerk, examinee))


def test_a_sitting_closed_at_its_end_is_opened_again_and_goes_on_where_it_stopped(
    application, new_examinee, staff, in_province
):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    examinee.send(0, "A", 1)
    examinee.ends(clock.now() - timedelta(minutes=5))
    with in_province(SLUG):
        sitting_completion.close_overdue()
    assert examinee.row().handed_in_by == "system"
    assert examinee.send(1, "B", 2).status_code == 409
    assert "已为1场作答补时10分钟" in told(clerk, add_time(clerk, examinee))
    sitting = examinee.row()
    assert (sitting.handed_in_at, sitting.score_tenths, sitting.voided_at) == (None, None, None)
    assert timedelta(minutes=9) < sitting.closes_at - clock.now() <= timedelta(minutes=10)
    assert examinee.send(1, "B", 3).status_code == 409
    examinee.take()
    assert examinee.data["answers"] == {"0": "A"}
    assert examinee.send(1, "B", 4).get_json()["kept"] == "saved"
    assert examinee.state() == "testing"
    with in_province(SLUG):
        db.session.execute(
            update(Sitting)
            .where(Sitting.id == examinee.sitting)
            .values(handed_in_at=clock.now() - timedelta(days=2), handed_in_by="system", score_tenths=0)
        )
        db.session.commit()
    assert "已超过24小时" in told(clerk, add_time(clerk, examinee))


def test_others_cannot_give_time(new_examinee, staff):
    examinee = new_examinee()
    for role in ("province_admin", "auditor", "question_editor"):
        client = staff(role)
        token = token_of(client, f"/{SLUG}/office")
        form = {"csrf_token": token, "minutes": "5", "reason": "断网五分钟", "sitting": str(examinee.sitting)}
        assert client.post(f"/{SLUG}/office/watching/time", data=form).status_code == 403
    stranger = staff("organisation_clerk", at=2)
    assert "没有补时" in told(stranger, add_time(stranger, examinee))
    assert examinee.row().closes_at - clock.now() <= timedelta(minutes=60)


def counts(client, **asked):
    page_text = text(client.get(f"/{SLUG}/office/watching", query_string=asked))
    chips = re.search(r'aria-label="按情况筛选".*?</nav>', page_text, re.DOTALL)[0]
    return page_text, {word: int(number) for word, number in re.findall(r">(\w+) (\d+)</a>", chips)}


def test_the_live_page_is_narrowed_to_a_hall_or_a_slot_and_counts_there(
    application, new_examinee, staff, in_province, monkeypatch
):
    first_examinee, second_examinee, elsewhere = new_examinee(), new_examinee(), new_examinee()
    waiting_doctor = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    actors.advance_to(in_province, waiting_doctor, "ready")
    clerk, stranger = staff("organisation_clerk"), staff("organisation_clerk", at=2)
    first, hall = a_slot(
        in_province, [first_examinee.doctor.record_id, waiting_doctor.record_id], subject="common"
    )
    second, _ = a_slot(in_province, [second_examinee.doctor.record_id], subject="professional", hall=hall)
    first_examinee.pulse()
    page_text, chip_counts = counts(clerk, place=f"slot-{first}")
    assert chip_counts == {
        "作答中": 1,
        "断线": 0,
        "未开始": 1,
        "已交卷": 0,
        "有情况记录": 1,
        "已作废": 0,
    }  # of the device taken over
    assert str(first_examinee.sitting) in page_text
    assert f'value="slot-{first}" selected' in page_text
    assert f"place=slot-{first}" in re.search(r'aria-label="按情况筛选".*?</nav>', page_text, re.DOTALL)[0]
    assert str(second_examinee.sitting) not in text(
        clerk.get(f"/{SLUG}/office/watching?view=lost&place=slot-{first}")
    )
    # who has sat 公共知识 is still to begin 业务水平, which the second slot is for
    page_text, chip_counts = counts(clerk, view="waiting", place=f"slot-{second}")
    assert (chip_counts["作答中"] + chip_counts["断线"], chip_counts["未开始"]) == (0, 1)
    assert counts(clerk, place=f"hall-{hall}")[1]["未开始"] == 2
    everywhere = counts(clerk)[1]
    assert everywhere["作答中"] + everywhere["断线"] >= 3
    assert str(elsewhere.sitting) not in text(
        clerk.get(f"/{SLUG}/office/watching?view=lost&place=hall-{hall}")
    )
    assert f"slot-{first}" not in text(stranger.get(f"/{SLUG}/office/watching?place=slot-{first}"))
    assert counts(stranger, view="waiting")[1]["未开始"] == 0, (
        "who has not begun is watched by the own office alone"
    )
    back = post_form(
        clerk,
        f"/{SLUG}/office/watching/time?view=answering&place=slot-{first}",
        page=f"/{SLUG}/office/watching?place=slot-{first}",
        minutes="5",
        reason="本考点断网五分钟",
        sitting=[str(first_examinee.sitting)],
    )
    assert back.location.endswith(f"view=answering&place=slot-{first}")
    assert clerk.get(f"/{SLUG}/office/watching?place=nonsense").status_code == 200
    # of very many slots some are listed, and that one which is asked for
    assert f'href="/{SLUG}/office/watching?place=slot-{second}"' in text(
        clerk.get(f"/{SLUG}/office/slots/{second}")
    )
    monkeypatch.setattr(monitoring_locations, "MAX_LOCATIONS", 1)
    for slot in (first, second):
        page_text = counts(clerk, place=f"slot-{slot}")[0]
        assert f'value="slot-{slot}" selected' in page_text
        assert "场次较多" in page_text
        assert page_text.count('<option value="slot-') == 1
