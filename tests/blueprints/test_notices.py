"""Messages: newest first, a hundred a page, read by opening them, never by looking; from each to where one
acts."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.people.models import NOTICE_TARGETS, Notice
from dingkao.people.notice_catalogue import SCORE_CORRECTED
from tests import actors

SLUG = "jiangsu"


@pytest.fixture(scope="module")
def someone(application, in_province):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, 410)
    doctor.post("/filing/notice")
    return doctor


@pytest.fixture(scope="module")
def another(application, in_province):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, 411)
    doctor.post("/filing/notice")
    return doctor


@pytest.fixture
def told(in_province, someone):
    """Put so many messages into the empty box of someone; gives their ids, the oldest first."""

    def put(count, **more):
        with in_province(SLUG):
            account = actors.account_of(someone.record_id)
            db.session.execute(delete(Notice).where(Notice.account_id == account))
            notices = []
            for serial in range(count):
                fields = {"kind": "legacy", "title": f"第{serial}条", "body": "正文", **more}
                notices.append(
                    Notice(account_id=account, written_at=clock.now() + timedelta(seconds=serial), **fields)
                )
                db.session.add(notices[-1])
                db.session.flush()
            db.session.commit()
            return [notice.id for notice in notices]

    return put


def unread(in_province, someone):
    with in_province(SLUG):
        unread_conditions = (
            Notice.account_id == actors.account_of(someone.record_id),
            Notice.read_at.is_(None),
        )
        return db.session.scalar(select(func.count()).select_from(Notice).where(*unread_conditions))


def test_an_empty_box_says_what_will_come(someone, told):
    told(0)
    assert "还没有消息" in someone.get("/notices")
    assert "没有未读的消息" in someone.get("/notices?unread=1")


def test_a_hundred_a_page_and_the_older_after_them(someone, told):
    told(230)
    page, serials = someone.get("/notices"), []
    for _ in range(3):
        serials += [int(serial) for serial in re.findall(r"<strong>第(\d+)条", page)]
        match = re.search(r'href="/jiangsu(/notices\?before=[^"]+)"', page)
        page = someone.get(match[1].replace("&amp;", "&")) if match else ""
    assert serials == list(reversed(range(230)))


@pytest.mark.parametrize("mark", ["nonsense", "0", "%00"])
def test_a_mark_that_was_tampered_with_begins_at_the_beginning(someone, told, mark):
    told(2)
    assert "第1条" in someone.get(f"/notices?before={mark}")


def test_looking_marks_nothing_and_opening_marks_one(someone, told, in_province):
    ids = told(3)
    someone.get("/notices")
    someone.get(f"/notices/{ids[0]}")
    assert unread(in_province, someone) == 3
    opened = someone.post(f"/notices/{ids[0]}/read", page="/notices")
    assert opened.status_code == 303
    assert opened.location.endswith(f"/notices/{ids[0]}")
    assert "已读" in someone.get(f"/notices/{ids[0]}")
    assert unread(in_province, someone) == 2
    assert 'aria-label="2条未读"' in someone.get("/home")
    assert "第0条" not in someone.get("/notices?unread=1")
    someone.post("/notices/read", page="/notices")
    assert unread(in_province, someone) == 0


def test_another_doctors_message_is_none(someone, another, told, in_province):
    ids = told(1)
    assert another.client.get(f"/{SLUG}/notices/{ids[0]}").status_code == 404
    another.post(f"/notices/{ids[0]}/read")
    assert unread(in_province, someone) == 1


@pytest.mark.parametrize("leads", [*NOTICE_TARGETS, None])
def test_from_a_message_one_gets_to_where_one_acts(someone, told, leads):
    (only,) = told(1, target=leads)
    page = someone.get(f"/notices/{only}")
    match = re.search(r'<a class="button button--primary" href="([^"]+)">', page)
    target_path = {
        "filing": "/filing",
        "practice": "/practice",
        "sitting": "/sitting",
        "result": "/result",
        "requests": "/requests",
        "cases": "/sitting/cases",
    }.get(leads)
    assert (match[1] if match else None) == (f"/{SLUG}{target_path}" if target_path else None)


@pytest.mark.parametrize(
    ("state", "leads"),
    [("institution_returned", "filing"), ("ready", "practice"), ("passed", "result"), ("absent", None)],
)
def test_a_move_that_tells_leads_to_what_its_state_asks_for(someone, told, in_province, state, leads):
    told(0)
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        record.state, record.performance, record.ethics = state, "pass", "pass"
        notify(record, SCORE_CORRECTED)
        with db.session.no_autoflush:
            assert next(new_row for new_row in db.session.new if isinstance(new_row, Notice)).target == leads
        db.session.rollback()
