"""What those on duty tell whoever sits: it comes with the next sign of life and with the sitting's state, to
the hall it is for and nobody else, and can be taken back."""

import re

import redis
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.exams.models.monitoring_models import ExamAnnouncement
from dingkao.journal.models import JournalEntry
from tests.blueprints.examinee import CODE, SLUG, a_slot, text
from tests.blueprints.signed_in_client import post_form

PAGE = f"/{SLUG}/office/watching"


def told(examinee):
    """What the page gets with its next sign of life."""
    rows = examinee.pulse().get_json().get("announcements", [])
    newest = {row["id"]: row for row in rows}
    return [row["text"] for row in newest.values() if not row["withdrawn"]]


def standing(examinee):
    """What the page gets when it asks how the sitting stands."""
    reply = examinee.doctor.client.get(examinee.data["standing"]).get_json()
    return [announcement["text"] for announcement in reply["announcements"]]


def test_all_who_sit_are_told_at_once_and_those_who_come_later_too(new_examinee, staff):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    assert examinee.pulse().get_json() == {"look": False}
    answer = post_form(clerk, f"{PAGE}/announce", page=PAGE, text="因故障，考试延长10分钟，请继续作答。")
    assert answer.status_code == 303
    assert re.search(r"已通知正在作答的\d+人", text(clerk.get(answer.location)))
    assert told(examinee) == ["因故障，考试延长10分钟，请继续作答。"]
    assert standing(examinee)[-1] == "因故障，考试延长10分钟，请继续作答。"
    assert standing(new_examinee())[-1] == "因故障，考试延长10分钟，请继续作答。"


def test_a_word_to_one_reaches_one(new_examinee, staff):
    examinee, other_examinee, clerk = new_examinee(), new_examinee(), staff("organisation_reviewer")
    page = f"{PAGE}/{examinee.sitting}"
    assert post_form(clerk, f"{page}/announce", page=page, text="请到监考台核对证件。").status_code == 303
    assert told(examinee) == ["请到监考台核对证件。"]
    assert "请到监考台核对证件。" in standing(examinee)
    assert "请到监考台核对证件。" not in told(other_examinee) + standing(other_examinee)
    assert "请到监考台核对证件。" in text(clerk.get(page))


def test_a_slot_is_told_apart(new_examinee, staff, in_province):
    seated, elsewhere, clerk = new_examinee(), new_examinee(), staff("organisation_clerk")
    slot, _ = a_slot(in_province, [seated.doctor.record_id], subject="common")
    address = f"{PAGE}/announce?place=slot-{slot}"
    page = f"{PAGE}?place=slot-{slot}"
    assert post_form(clerk, address, page=page, text="第三考场请保持安静。").status_code == 303
    assert "第三考场请保持安静。" in told(seated)
    assert "第三考场请保持安静。" in standing(seated)
    assert "第三考场请保持安静。" not in told(elsewhere) + standing(elsewhere)
    nowhere = post_form(clerk, f"{PAGE}/announce?place=slot-{elsewhere.sitting}", page=PAGE, text="某")
    assert nowhere.status_code == 404


def test_what_is_taken_back_is_put_away(new_examinee, staff, in_province):
    examinee, clerk, stranger = new_examinee(), staff("organisation_clerk"), staff("organisation_clerk", at=2)
    page = f"{PAGE}/{examinee.sitting}"
    post_form(clerk, f"{page}/announce", page=page, text="写错了")
    with in_province(SLUG):
        query = select(ExamAnnouncement.id).where(ExamAnnouncement.sitting_id == examinee.sitting)
        announcement_id = db.session.scalars(query).one()
    address = f"{PAGE}/announcements/{announcement_id}/withdraw"
    assert post_form(stranger, address, page=PAGE).status_code == 404
    for _ in range(2):
        assert post_form(clerk, address, page=page).status_code == 303
    assert told(examinee) == []
    assert [row["withdrawn"] for row in examinee.pulse().get_json()["announcements"]] == [False, True]
    assert "写错了" not in standing(examinee)
    with in_province(SLUG):
        verbs = select(JournalEntry.verb).where(JournalEntry.subject_id == announcement_id)
        assert db.session.scalars(verbs.order_by(JournalEntry.id)).all() == ["announced", "withdrawn"]


def test_what_cannot_be_told_is_refused_in_words(new_examinee, staff):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    page = f"{PAGE}/{examinee.sitting}"
    for address, shown_on in ((f"{PAGE}/announce", PAGE), (f"{page}/announce", page)):
        empty = post_form(clerk, address, page=shown_on, text=" ")
        assert (empty.status_code, "请填写要告诉医师的内容。" in text(empty)) == (422, True)
        long = post_form(clerk, address, page=shown_on, text="长" * 201)
        assert (long.status_code, "请不要超过200字，现有201字" in text(long)) == (422, True)
    with examinee.in_province(SLUG):
        examinee_row = db.session.get(type(examinee.row()), (CODE, examinee.sitting))
        examinee_row.handed_in_at, examinee_row.handed_in_by, examinee_row.score_tenths = (
            clock.now(),
            "doctor",
            0,
        )
        db.session.commit()
    refused = post_form(clerk, f"{page}/announce", page=PAGE, text="晚了")
    assert "已经交卷" in text(refused)


def test_without_its_cache_pages_learn_of_it_when_they_ask(application, new_examinee, staff, monkeypatch):
    examinee, clerk = new_examinee(), staff("organisation_clerk")
    page = f"{PAGE}/{examinee.sitting}"
    cache = application.extensions["redis"]

    def away(*_given, **_more):
        raise redis.ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(cache, "pipeline", away)
        assert post_form(clerk, f"{page}/announce", page=PAGE, text="缓存不在").status_code == 303
    assert told(examinee) == []
    assert "缓存不在" in standing(examinee)
