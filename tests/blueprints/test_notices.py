"""Messages: newest first, a hundred a page, read by opening them, never by looking; from each to where one acts."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.assessments.notices import tell
from dingkao.database.model import db
from dingkao.people.models import LEADS, Notice
from tests import people

SLUG = "jiangsu"


@pytest.fixture(scope="module")
def someone(application, in_province):
    doctor = people.doctor(application, in_province, SLUG, 410)
    doctor.post("/filing/notice")
    return doctor


@pytest.fixture(scope="module")
def another(application, in_province):
    doctor = people.doctor(application, in_province, SLUG, 411)
    doctor.post("/filing/notice")
    return doctor


@pytest.fixture
def told(in_province, someone):
    """Put so many messages into the empty box of someone; gives their ids, the oldest first."""

    def put(count, **more):
        with in_province(SLUG):
            account = people.account_of(someone.record_id)
            db.session.execute(delete(Notice).where(Notice.account_id == account))
            rows = []
            for serial in range(count):
                rows.append(Notice(account_id=account, title=f"第{serial}条", body="正文", written_at=clock.now() + timedelta(seconds=serial), **more))
                db.session.add(rows[-1])
                db.session.flush()
            db.session.commit()
            return [row.id for row in rows]

    return put


def unread(in_province, someone):
    with in_province(SLUG):
        theirs = Notice.account_id == people.account_of(someone.record_id), Notice.read_at.is_(None)
        return db.session.scalar(select(func.count()).select_from(Notice).where(*theirs))


def test_an_empty_box_says_what_will_come(someone, told):
    told(0)
    assert "还没有消息" in someone.get("/notices")
    assert "没有未读的消息" in someone.get("/notices?unread=1")


def test_a_hundred_a_page_and_the_older_after_them(someone, told):
    told(230)
    page, seen = someone.get("/notices"), []
    for _ in range(3):
        seen += [int(serial) for serial in re.findall(r"<strong>第(\d+)条", page)]
        onward = re.search(r'href="/jiangsu(/notices\?before=[^"]+)"', page)
        page = someone.get(onward[1].replace("&amp;", "&")) if onward else ""
    assert seen == list(reversed(range(230)))


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


@pytest.mark.parametrize("leads", [*LEADS, None])
def test_from_a_message_one_gets_to_where_one_acts(application, someone, told, leads):
    (only,) = told(1, leads=leads)
    page = someone.get(f"/notices/{only}")
    found = re.search(r'<a class="weui-btn weui-btn_primary" href="([^"]+)">', page)
    wanted = {"filing": "/filing", "practice": "/practice", "sitting": "/sitting", "result": "/result", "cases": "/sitting/cases"}.get(leads)
    if leads == "requests" and "requests.index" in application.view_functions:
        wanted = "/requests"
    assert (found[1] if found else None) == (f"/{SLUG}{wanted}" if wanted else None)


@pytest.mark.parametrize(("state", "leads"), [("institution_returned", "filing"), ("ready", "practice"), ("passed", "result"), ("absent", None)])
def test_a_move_that_tells_leads_to_what_its_state_asks_for(someone, told, in_province, state, leads):
    told(0)
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        record.state, record.performance, record.ethics = state, "pass", "pass"
        tell(record, "标题", "正文")
        with db.session.no_autoflush:
            assert next(row for row in db.session.new if isinstance(row, Notice)).leads == leads
        db.session.rollback()
