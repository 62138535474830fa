"""Appeals: until when a result may be appealed against, who decides, what comes of it."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.people.models import Account, Notice
from dingkao.people.notice_catalogue import RESULT_PUBLISHED
from dingkao.results import publishing
from tests import sample_data
from tests.actors import make_actor, record_state
from tests.blueprints import request_steps
from tests.blueprints.request_steps import appeal, begun, decide, doctor_in
from tests.blueprints.signed_in_client import signed_in_client

SLUG, CODE = "qinghai", 63


@pytest.fixture(scope="module")
def staff(application, in_province):
    """Clients of those who decide, by name."""
    return request_steps.deciders(application, in_province, SLUG)


@pytest.fixture
def ready(application, in_province):
    """A doctor with a complete filing, in 待测评 or another state."""
    return lambda state="ready", **cells: doctor_in(application, in_province, SLUG, state, **cells)


def test_an_appeal_says_why_in_ten_characters_at_least(ready):
    someone = ready("failed")
    page = f"/requests/{begun(someone, 'appeal')}"
    answer = someone.post(f"{page}/save", page=page, note="不服", submit="1")
    assert "不少于10字" in answer.get_data(as_text=True)


def test_an_appeal_overturns_the_result_and_issues_a_certificate(ready, staff, in_province):
    someone = ready("failed")
    request_id = appeal(someone)
    assert (
        decide(staff["organisation"], request_id, "organisation", "agree", opinion="评分有误").status_code
        == 422
    )
    verdicts = {"competence": "pass", "ethics": "fail"}
    worse = decide(staff["organisation"], request_id, "organisation", "agree", opinion="评分有误", **verdicts)
    assert worse.status_code == 422, "nobody is worse off for having asked"
    assert (
        decide(
            staff["organisation"], request_id, "organisation", "agree", competence="pass", opinion="评分有误"
        ).status_code
        == 303
    )
    assert record_state(in_province, SLUG, someone.record_id) == "failed"
    assert decide(staff["province"], request_id, "province", "agree").status_code == 303
    assert record_state(in_province, SLUG, someone.record_id) == "passed"
    assert "评分有误" in someone.get(f"/requests/{request_id}")
    assert "考核结果：合格" in someone.get("/result")


def test_an_appeal_answered_with_the_result_as_it_was(ready, staff, in_province):
    someone = ready("failed")
    request_id = appeal(someone)
    assert (
        decide(
            staff["organisation"], request_id, "organisation", "refuse", opinion="经核对,评分无误"
        ).status_code
        == 303
    )
    page = someone.get(f"/requests/{request_id}")
    assert "维持原结果" in page
    assert "经核对,评分无误" in page
    assert "已有答复" in someone.get("/requests/new/appeal")
    assert record_state(in_province, SLUG, someone.record_id) == "failed"


@pytest.fixture
def published(ready, in_province):
    """A doctor whose result, 不合格, was published forty days ago, its message unread; with the id of the
    message."""

    def make():
        someone, long_ago = ready("confirming"), clock.now() - timedelta(days=40)
        with in_province(SLUG):
            record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
            record.competence = "fail"
            account_id = db.session.scalars(
                select(Doctor.account_id).where(Doctor.id == someone.doctor_id)
            ).one()
            publishing._settle_record(SimpleNamespace(approved_by=new_id()), record, account_id, "failed")
            db.session.flush()
            record.changed_at = long_ago
            message = db.session.scalars(
                select(Notice).where(Notice.account_id == account_id).order_by(Notice.id.desc()).limit(1)
            ).one()
            message.written_at = long_ago + timedelta(seconds=1)
            message.title = "这是考核结果"  # what a message is called decides nothing
            notice_id = message.id
            db.session.commit()
        return someone, notice_id

    return make


@pytest.mark.parametrize("address", [None, "/notices/{}/read", "/notices/read"])
def test_the_term_of_an_appeal_hangs_on_no_title_of_a_message(published, address):
    someone, notice_id = published()
    if address:
        assert someone.post(address.format(notice_id), page="/notices").status_code == 303
    assert "开始填写" in someone.get("/requests/new/appeal"), "received today, or not yet"


def test_an_appeal_has_its_thirty_days_from_receipt(published, in_province):
    someone, notice_id = published()
    someone.post(f"/notices/{notice_id}/read", page="/notices")
    for days, sentence in ((30, "开始填写"), (31, "期限为收到结果之日起30日")):
        with in_province(SLUG):
            received = clock.now() - timedelta(days=days)
            of_record = update(Assessment).where(Assessment.id == someone.record_id)
            db.session.execute(of_record.values(result_received_at=received))
            notify(db.session.get_one(Assessment, (CODE, someone.record_id)), RESULT_PUBLISHED)
            db.session.commit()
        assert someone.post("/notices/read", page="/notices").status_code == 303
        assert sentence in someone.get("/requests/new/appeal"), days
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, someone.record_id))
        assert record.result_received_at == received, "it is received once, whatever is read later"
        assessment_transitions.amend_verdict(
            record, by=make_actor("province_admin"), verdicts={"performance": "fail"}
        )
        db.session.commit()
    assert "开始填写" in someone.get("/requests/new/appeal"), "of an amended result the days begin anew"


def test_who_graded_does_not_decide_the_appeal(ready, application, in_province):
    someone = ready("failed")
    number = sample_data.registration_number(63, 1)
    client = signed_in_client(application, in_province, SLUG, "organisation_reviewer", number)
    with in_province(SLUG):
        me = db.session.scalars(select(Account).order_by(Account.id.desc()).limit(1)).one()
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        record.accepted_by = me.id
        db.session.commit()
    request_id = appeal(someone)
    assert decide(client, request_id, "organisation", "refuse", opinion="维持").status_code == 403
