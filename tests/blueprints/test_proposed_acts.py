"""Seal, revoked certificates and the accounts by which codes go out take two administrators (domain.md §12
◔): nothing holds before the second has approved, and the second is another person in truth."""

import io
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.certificates import official_seals
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidState
from dingkao.integrations.images import images
from dingkao.journal.entries import TERMINAL_ACTOR, Actor, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import channel_accounts, proposed_acts
from dingkao.people.models import Appointment, ProposedAct
from dingkao.people.provinces import open_province
from dingkao.people.second_person import record_appointment
from dingkao.tenants import settings
from tests import actors
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG = "gansu"
LIST, SETTINGS = f"/{SLUG}/office/proposals", f"/{SLUG}/office/settings"


@pytest.fixture(scope="module")
def admins(application, in_province):
    """Two administrators of long standing, and one whom the first has put into office just now."""
    with in_province(SLUG) as province:
        open_province(province, by=TERMINAL_ACTOR)
        db.session.commit()
    clients = [signed_in_client(application, in_province, SLUG, "province_admin") for _ in range(3)]
    with in_province(SLUG):
        record_appointment(clients[2].account_id, "role", by=Actor("staff", clients[0].account_id))
        db.session.commit()
    return clients


@pytest.fixture(autouse=True)
def nothing_waits(in_province, admins):
    yield
    with in_province(SLUG):
        db.session.query(ProposedAct).delete()
        for name in ("seal", *channel_accounts.CHANNEL_FIELDS):
            settings.change(name, "", by=None, reason="测试后恢复")
        db.session.commit()


def text(answer):
    return answer.get_data(as_text=True)


def picture(colour="#c8161d"):
    return actors.portrait_image(400, 400, colour, "PNG")


def propose_seal(client, reason="换发新章", content=None):
    file = (io.BytesIO(content or picture()), "seal.png")
    return post_form(client, f"{SETTINGS}/seal", page=SETTINGS, seal=file, reason=reason)


def decide(client, place, what="approve"):
    return post_form(client, f"{place}/{what}", page=SETTINGS)


def test_a_seal_holds_once_a_second_administrator_has_looked_at_it(application, in_province, admins):
    first, second, puppet = admins
    assert propose_seal(first, reason=" ").status_code == 422
    answer = propose_seal(first)
    place = answer.location
    assert answer.status_code == 303
    with in_province(SLUG):
        assert official_seals.current_seal().is_sample, "it holds for nobody yet"
    page_text = text(first.get(place))
    assert "由您提出，须由另一位省级管理员确认" in page_text
    assert f"{place}/approve" not in page_text
    assert decide(first, place).status_code == 403
    related = text(puppet.get(place))
    assert "任命关系" in related
    assert f"{place}/approve" not in related
    assert decide(puppet, place).status_code == 403
    assert f"{place}/approve" in text(second.get(place))
    assert "换发新章" in text(second.get(place))
    image_response = second.get(f"{place}/seal.png")
    assert (image_response.mimetype, image_response.data) == ("image/png", images.process_seal(picture()))
    with in_province(SLUG):
        assert official_seals.current_seal().is_sample
    assert decide(second, place).status_code == 303
    assert decide(second, place).status_code == 303, "twice is once"
    with in_province(SLUG):
        assert official_seals.current_seal().content == image_response.data
        proposed_act = db.session.scalars(select(ProposedAct)).one()
        assert (proposed_act.proposed_by, proposed_act.approved_by) == (first.account_id, second.account_id)
        query = (
            select(JournalEntry.verb)
            .where(JournalEntry.subject_id == proposed_act.id)
            .order_by(JournalEntry.id)
        )
        assert db.session.scalars(query).all() == ["proposed", "approved"]
        assert invalid_entries(proposed_act.id) == []
        seal_change = [change for change in settings.history() if change.name == "seal"][0]
        assert (seal_change.set_by, seal_change.reason) == (first.account_id, "换发新章")
    over = decide(first, place, "withdraw")
    assert (over.status_code, "不能撤回" in text(over)) == (409, True)


def test_what_waits_is_told_to_whoever_may_decide_and_the_rest_why_not(admins):
    first, second, puppet = admins
    place = propose_seal(first).location
    label = "公章、证书、账号事项等待您确认"
    assert label in text(second.get(f"/{SLUG}/office"))
    for admin in (first, puppet):
        page = text(admin.get(f"/{SLUG}/office"))
        assert label not in page, "nothing waits for those who may not"
        assert "公章、证书、账号事项等待确认 1" in page
    assert "去确认" in text(second.get(LIST))
    assert "任命关系" in text(puppet.get(LIST))
    assert "由您提出，等待另一位确认" in text(first.get(LIST))
    assert "已有一项更改等待另一位省级管理员确认" in text(second.get(SETTINGS))
    decide(second, place, "withdraw")
    assert label not in text(second.get(f"/{SLUG}/office"))


def test_who_was_put_into_office_decides_once_the_days_are_over(in_province, admins):
    first, _, puppet = admins
    place = propose_seal(first).location
    appointment_update = update(Appointment).where(Appointment.account_id == puppet.account_id)
    with in_province(SLUG):
        db.session.execute(appointment_update.values(at=clock.now() - timedelta(days=7, minutes=1)))
        db.session.commit()
    try:
        assert decide(puppet, place).status_code == 303
    finally:
        with in_province(SLUG):
            db.session.execute(appointment_update.values(at=clock.now()))
            db.session.commit()


def test_what_waits_is_exchanged_for_nothing_else(admins, in_province):
    first, second, _ = admins
    place = propose_seal(first).location
    refused = propose_seal(second, reason="另一枚", content=picture("#123456"))
    assert refused.status_code == 409
    assert "已有一项“更换公章”等待确认" in text(refused)
    assert "另一枚" in text(refused), "what was typed stays"
    assert decide(first, place, "withdraw").status_code == 303
    over = decide(second, place)
    assert (over.status_code, proposed_acts.WITHDRAWN_MESSAGE in text(over)) == (409, True)
    with in_province(SLUG):
        assert official_seals.current_seal().is_sample
    assert propose_seal(second).status_code == 303


def test_of_two_who_propose_at_once_one_does(in_province, admins):
    barrier, outcomes = threading.Barrier(2), []

    def ask():
        with in_province(SLUG):
            barrier.wait()
            try:
                proposed_acts.propose(
                    "seal", proposed_acts.province_subject(), by=Actor("staff", new_id()), reason="试"
                )
                db.session.commit()
                outcomes.append("proposed")
            except InvalidState:
                outcomes.append("refused")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["proposed", "refused"]


def test_auditors_read_and_others_see_nothing(application, in_province, admins):
    place = propose_seal(admins[0]).location
    auditor = signed_in_client(application, in_province, SLUG, "auditor")
    assert auditor.get(f"{place}/seal.png").status_code == 200
    assert "/approve" not in text(auditor.get(place))
    editor = signed_in_client(application, in_province, SLUG, "question_editor")
    for client in (auditor, editor):
        assert post_form(client, f"{place}/approve", page=f"/{SLUG}/office").status_code == 403
    for address in (LIST, place, f"{place}/seal.png"):
        assert editor.get(address).status_code == 403
    assert admins[0].get(f"{LIST}/{new_id()}").status_code == 404
