"""Notices of an office to its own doctors: to whom, with what words, once, not by night, and counted."""

import re
from datetime import datetime, timedelta

import pytest
from freezegun import freeze_time
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import notice_recipients, office_notice_sending, office_notices
from dingkao.assessments.doctor_notices import mark_read
from dingkao.assessments.models import Assessment, OfficeNotice
from dingkao.cycles.cycles import current_cycle, phases_of
from dingkao.database.base import db
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice
from dingkao.tenants import settings
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "jilin", 22
NEW = f"/{SLUG}/office/notices/new"
WORDS = {"title": "请{姓名}尽快提交", "body": "{机构}的{姓名}：请在{截止日期}前提交。"}
DAY, NIGHT = "02:00:00", "15:00:00"
"""Ten in the morning and eleven at night, in Beijing."""


SECOND_PLACE = {
    "主要执业机构": sample_data.institution_name(CODE, 2),
    "机构登记号": sample_data.registration_number(CODE, 2),
}


@pytest.fixture(scope="module")
def doctors(application, in_province):
    """Two doctors of the first institution, one of the second; the first has begun to file."""
    signed_in = [
        actors.signed_in_doctor(application, in_province, SLUG, serial, **cells)
        for serial, cells in (
            (1, {}),
            (2, {}),
            (3, SECOND_PLACE),
        )
    ]
    actors.advance_to(in_province, signed_in[0], "draft")
    return signed_in


@pytest.fixture
def clerk(application, in_province, doctors):
    with in_province(SLUG):
        db.session.query(Notice).delete()
        db.session.query(OfficeNotice).delete()
        db.session.commit()
    number = sample_data.registration_number(CODE, 1)
    return signed_in_client(application, in_province, SLUG, "institution_clerk", number)


def at(hour):
    """The last time that it was this hour, of UTC: whoever has just signed in is still signed in then."""
    moment = datetime.fromisoformat(f"{clock.now():%Y-%m-%d}T{hour}+00:00")
    return freeze_time(moment if moment <= clock.now() else moment - timedelta(days=1))


def hidden_fields(page):
    return dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)">', page))


def sender_of(client):
    return re.search(r'<option[^>]* value="([^"]+:[^"]+)"', client.get(NEW).get_data(as_text=True))[1]


def send(client, **fields):
    """Fill in, look at the preview, send; gives the address of the notice."""
    form = {"sender": sender_of(client), "record_state": "", **WORDS} | fields
    page = post_form(client, NEW, **form).get_data(as_text=True)
    return post_form(client, NEW, send="1", **hidden_fields(page)).location, page


def deliver(application, in_province):
    with in_province(SLUG):
        started = office_notice_sending.start_due_notices()
        db.session.commit()
    actors.run_pending_jobs(application, in_province, SLUG)
    return started


def notices_of(in_province, someone):
    with in_province(SLUG):
        query = select(Notice).where(
            Notice.account_id == actors.account_of(someone.record_id), Notice.office_notice_id.is_not(None)
        )
        return [(notice.title, notice.body, notice.delivery_state) for notice in db.session.scalars(query)]


def test_own_doctors_get_it_once_with_their_own_words(application, in_province, doctors, clerk):
    with at(DAY):
        address, preview = send(clerk)
        assert "2位医师将收到这条通知" in preview
        assert deliver(application, in_province) == 1
        assert deliver(application, in_province) == 0
    (first,), (second,), other = (notices_of(in_province, doctor) for doctor in doctors)
    assert other == []
    with in_province(SLUG):
        last_day = phases_of(current_cycle())["filing"].last_day
        name = db.session.scalar(select(OfficeNotice.title))
    assert name == WORDS["title"]
    assert first[0] != second[0]
    assert f"请在{last_day:%Y年%m月%d日}前提交" in first[1]
    assert "{" not in first[0] + first[1]
    assert first[2] == "none", "the province has switched on no channel"
    assert "已发送" in clerk.get(address).get_data(as_text=True)


def test_it_is_counted_who_has_read_it(application, in_province, doctors, clerk):
    with at(DAY):
        address, _ = send(clerk)
        deliver(application, in_province)
    with in_province(SLUG):
        account = actors.account_of(doctors[0].record_id)
        mark_read(account, by=Actor("doctor", account))
        db.session.commit()
        assert office_notice_sending.count_deliveries() == 1
        assert office_notice_sending.count_deliveries() == 0, "once a minute"
    page = re.sub(r"\s", "", clerk.get(address).get_data(as_text=True))
    assert '已写入站内消息</dt><ddclass="tabular-numbers">2人' in page
    assert '已读</dt><ddclass="tabular-numbers">1人' in page


def test_a_filter_chooses(application, in_province, doctors, clerk):
    with at(DAY):
        _, preview = send(clerk, record_state="draft")
        assert "1位医师将收到这条通知" in preview
        deliver(application, in_province)
    assert [len(notices_of(in_province, doctor)) for doctor in doctors] == [1, 0, 0]
    nobody = {"sender": sender_of(clerk), "record_state": "", "department": "没有这个科室", **WORDS}
    preview = post_form(clerk, NEW, **nobody).get_data(as_text=True)
    assert "0位医师将收到这条通知" in preview
    assert 'name="send"' not in preview


RECORDS = f"/{SLUG}/office/inclusion"


def choose(client, **fields):
    """Choose in the list of records, in the way of its button."""
    return post_form(client, f"{NEW}/records", page=f"/{SLUG}/password", back="/office/inclusion", **fields)


def send_to_chosen(client, form_page):
    """Write to those who were chosen, look at the preview, send; gives the preview."""
    records = re.search(r'name="records"[^>]*value="([^"]*)"', form_page)[1]
    return send(client, records=records)[1]


def test_those_who_are_chosen_in_a_list_get_it_and_nobody_else(application, in_province, doctors, clerk):
    first, second, other = doctors
    assert f'formaction="{NEW}/records"' in clerk.get(f"{RECORDS}?state=all").get_data(as_text=True)
    form_page = choose(clerk, record=[second.record_id, other.record_id]).get_data(as_text=True)
    assert "在名单中选择的2人" in form_page
    with at(DAY):
        preview = send_to_chosen(clerk, form_page)
        assert "1位医师将收到这条通知" in preview, "one is of another institution"
        deliver(application, in_province)
    assert [len(notices_of(in_province, doctor)) for doctor in doctors] == [0, 1, 0]
    assert "在名单中选择的2人" in clerk.get(f"/{SLUG}/office/notices").get_data(as_text=True)
    whole = choose(clerk, selection="all", view="state=draft").get_data(as_text=True)
    assert str(first.record_id) in whole
    assert str(second.record_id) not in whole


def test_nobody_or_too_many_chosen_leads_back_to_the_list(doctors, clerk, monkeypatch):
    answer = choose(clerk)
    assert answer.location == RECORDS
    assert "请先勾选要通知的医师" in clerk.get(RECORDS).get_data(as_text=True)
    monkeypatch.setattr(notice_recipients, "MAX_CHOSEN", 1)
    answer = choose(clerk, record=[doctor.record_id for doctor in doctors])
    assert answer.location == RECORDS
    assert "一次最多选1人" in clerk.get(RECORDS).get_data(as_text=True)
    assert post_form(clerk, f"{NEW}/doctors", page=f"/{SLUG}/password").status_code == 404


def test_an_organisation_writes_to_those_it_assesses(application, in_province, doctors, clerk):
    number = sample_data.registration_number(CODE, 1)
    reviewer = signed_in_client(application, in_province, SLUG, "organisation_reviewer", number)
    with at(DAY):
        _, preview = send(reviewer, institution=sample_data.registration_number(CODE, 2))
        assert "1位医师将收到这条通知" in preview
        deliver(application, in_province)
    assert [len(notices_of(in_province, doctor)) for doctor in doctors] == [0, 0, 1]
    stranger_number = sample_data.registration_number(CODE, 3)
    stranger = signed_in_client(application, in_province, SLUG, "institution_reviewer", stranger_number)
    with in_province(SLUG):
        notice_id = db.session.scalars(select(OfficeNotice.id)).one()
    assert stranger.get(f"/{SLUG}/office/notices/{notice_id}").status_code == 404


def test_one_writes_in_nobody_elses_name(application, in_province, clerk):
    foreign = sender_of(
        signed_in_client(
            application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 2)
        )
    )
    refused = post_form(clerk, NEW, sender=foreign, record_state="", **WORDS)
    assert refused.status_code == 422
    refused = post_form(clerk, NEW, sender="province", record_state="", **WORDS)
    assert refused.status_code == 422


def test_pressed_twice_it_goes_once_and_at_night_it_waits(application, in_province, doctors, clerk):
    with at(NIGHT):
        form = {"sender": sender_of(clerk), "record_state": "", **WORDS}
        fields = hidden_fields(post_form(clerk, NEW, **form).get_data(as_text=True))
        addresses = {post_form(clerk, NEW, send="1", **fields).location for _ in range(2)}
        assert len(addresses) == 1
        assert deliver(application, in_province) == 0
    assert notices_of(in_province, doctors[0]) == []
    with freeze_time(f"{clock.today() + timedelta(days=1)} {DAY}"):
        assert deliver(application, in_province) == 1
    assert len(notices_of(in_province, doctors[0])) == 1


def test_who_has_got_it_keeps_it_when_it_is_cancelled(application, in_province, doctors, clerk, monkeypatch):
    monkeypatch.setattr(office_notice_sending, "BATCH_SIZE", 1)
    with at(DAY):
        address, _ = send(clerk)
        refused = post_form(clerk, f"{address}/cancel", page=address, reason="")
        assert refused.status_code == 422
        with in_province(SLUG):
            office_notice_sending.start_due_notices()
            job_notice = db.session.scalars(select(OfficeNotice)).one()
            office_notice_sending._write_copies(
                job_notice, office_notice_sending._next_recipients(job_notice)
            )
            db.session.commit()
        assert post_form(clerk, f"{address}/cancel", page=address, reason="日期写错").status_code == 303
        actors.run_pending_jobs(application, in_province, SLUG)
    assert sorted(len(notices_of(in_province, doctor)) for doctor in doctors) == [0, 0, 1]
    with in_province(SLUG):
        entry = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "cancel")).one()
        assert (entry.state_before, entry.state_after, entry.reason) == ("sending", "cancelled", "日期写错")


def test_channels_are_those_that_are_chosen_and_switched_on(application, in_province, doctors, clerk):
    with at(DAY):
        with in_province(SLUG):
            settings.change("notify_by_sms", True, by=None, reason="试")
            db.session.commit()
        send(clerk, by_sms="y", by_wechat="y")
        deliver(application, in_province)
    with in_province(SLUG):
        assert set(db.session.scalars(select(Notice.kind))) == {"office_notice_sms"}
        assert set(db.session.scalars(select(Notice.delivery_state))) == {"waiting"}
        settings.change("notify_by_sms", False, by=None, reason="试")
        db.session.commit()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"body": "{身份证}"}, "正文里的{身份证}不是可用的字段。可用的字段：{姓名}"),
        ({"title": ""}, "请填写标题。"),
        ({"title": "长" * 61}, "标题请不要超过60字，现有61字。"),
        ({"send_at": "2090-01-01T09:00"}, "发送时间请在180天以内。"),
        ({"institution": "没有这家"}, "没有找到机构“没有这家”"),
    ],
)
def test_what_cannot_be_sent_is_told_at_its_field(clerk, fields, sentence):
    page = post_form(clerk, NEW, **{"sender": sender_of(clerk), "record_state": "", **WORDS, **fields})
    assert page.status_code == 422
    assert sentence in page.get_data(as_text=True)


def test_a_day_has_ten_notices(in_province, doctors, clerk):
    with in_province(SLUG):
        organisation = db.session.scalars(
            select(Assessment.institution_id).where(Assessment.id == doctors[0].record_id)
        ).one()
        account = actors.account_of(doctors[0].record_id)
        for _ in range(office_notices.MAX_PER_DAY):
            db.session.add(
                OfficeNotice(
                    cycle_id=current_cycle().id,
                    organisation_id=organisation,
                    side="institution",
                    record_state="",
                    kind="office_notice",
                    send_at=clock.now(),
                    created_by=account,
                    **WORDS,
                )
            )
        db.session.commit()
    form = {"sender": sender_of(clerk), "record_state": "", **WORDS}
    fields = hidden_fields(post_form(clerk, NEW, **form).get_data(as_text=True))
    refused = post_form(clerk, NEW, send="1", **fields)
    assert refused.status_code == 422
    assert "一天最多发送10条通知" in refused.get_data(as_text=True)
