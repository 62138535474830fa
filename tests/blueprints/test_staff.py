"""Accounts of staff over their life: closed and opened again, roles given and taken away, a lost second
factor renewed; by whoever may invite, and never to oneself."""

import re
import threading
import uuid
from functools import partial

import pyotp
import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from dingkao import clock, timetable
from dingkao.cli import operators as cli_operators
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidState
from dingkao.jobs import worker
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.operators import operator_accounts as operators
from dingkao.operators.models import Operator
from dingkao.people import sign_in_sessions, staff_accounts
from dingkao.people.accounts import issue_code
from dingkao.people.models import Account, OneTimeCode, Organisation, SetupLink
from dingkao.people.organisations import appoint_assessor
from dingkao.tenants import settings
from tests import actors
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.blueprints.staff_member import HOSPITAL, PASSWORD, SLUG, StaffMember, ago, text


@pytest.fixture(scope="module")
def ground(in_province, province):
    """The first hospital assesses."""
    with in_province(SLUG):
        hospital = select(Organisation).where(Organisation.registration_number == HOSPITAL)
        appoint_assessor(db.session.scalars(hospital).one(), by=TERMINAL_ACTOR)
        db.session.commit()


@pytest.fixture
def admin(application, in_province, ground):
    """A client of an administrator, both factors shown."""
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.fixture
def someone(application, in_province, province):
    return partial(StaffMember, application, in_province)


def test_a_closed_account_is_out_at_once_and_comes_back_by_a_code_alone(admin, someone, in_province):
    person = someone()
    assert person.signed_in()
    code = re.search(r'class="one-time-code">([2-9A-Z-]{11})<', text(person.act(admin, "code")))[1]
    refused = person.act(admin, "close", reason=" ")
    assert (refused.status_code, "请填写停用原因" in text(refused)) == (422, True)
    assert person.act(admin, "close", reason="长" * 201).status_code == 422
    assert person.act(admin, "close", reason="已调离").status_code == 303
    assert not person.signed_in()
    with in_province(SLUG):
        query = select(OneTimeCode.id).where(
            OneTimeCode.account_id == person.id, OneTimeCode.used_at.is_(None)
        )
        assert db.session.scalars(query).all() == []
        assert sign_in_sessions.live_sessions(person.id) == []
        late = issue_code(person.row(), by=TERMINAL_ACTOR)
        db.session.commit()
    for password in (PASSWORD, late):
        assert person.sign_in(password)[1].status_code == 422
    assert "已停用" in text(admin.get(f"/{SLUG}/office/staff?q={person.user_name}"))
    for what in ("code", "roles", "second-factor"):
        assert "请先恢复账号" in text(person.act(admin, what, role="question_editor")), what
    opened = text(person.act(admin, "reopen"))
    new_code = re.search(r'class="one-time-code">([2-9A-Z-]{11})<', opened)[1]
    for password in (PASSWORD, code):
        assert person.sign_in(password)[1].status_code == 422
    client, answer = person.sign_in(new_code)
    assert answer.location == f"/{SLUG}/password/first"
    assert (
        post_form(
            client, f"/{SLUG}/password/first", old_password=new_code, new_password=PASSWORD, again=PASSWORD
        ).location
        == f"/{SLUG}/start"
    )
    assert [verb for verb in person.verbs() if verb in ("close", "reopen", "opened")] == [
        "close",
        "reopen",
        "opened",
    ]


def test_roles_are_given_and_taken_away_and_sessions_end_at_once(admin, someone):
    person = someone()
    response = person.act(admin, "roles", role="organisation_clerk", organisation=HOSPITAL)
    assert response.status_code == 303
    assert not person.signed_in()
    client, _ = person.sign_in()
    assert "考核机构经办人" in text(client.get(f"/{SLUG}/office"))
    roles = person.roles()
    assert set(roles) == {"auditor", "organisation_clerk"}
    assert person.act(admin, f"roles/{roles['auditor']}/remove").status_code == 303
    assert "/login" in client.get(f"/{SLUG}/office").location
    assert person.act(admin, f"roles/{roles['auditor']}/remove").status_code == 404
    assert person.act(admin, f"roles/{person.roles()['organisation_clerk']}/remove").status_code == 409, (
        "the last role goes with the account"
    )
    assert "没有这个机构登记号" in text(
        person.act(admin, "roles", role="institution_clerk", organisation="NONE")
    )
    assert "请从列表中选择一项" in text(person.act(admin, "roles", role="province_admin"))
    assert person.verbs()[-2:] == ["signed_in", "role_removed"]
    second = someone("province_admin")
    second.act(admin, "roles", role="auditor")
    assert second.act(admin, f"roles/{second.roles()['province_admin']}/remove").status_code == 409


def test_a_lost_second_factor_is_renewed_by_another_and_the_old_one_is_dead(admin, someone, in_province):
    person = someone("question_editor", second_factor=True)
    with in_province(SLUG):
        settings.change("staff_second_factor", True, by=None, reason="试")
        db.session.commit()
    try:
        assert "请发放一次性代码" in text(person.act(admin, "link"))
        assert person.signed_in(), "a link is no way to take the second factor of other staff"
        assert "请发送设置链接" in text(someone("province_admin").act(admin, "second-factor"))
        assert person.act(admin, "second-factor").status_code == 303
        assert not person.signed_in()
        client, _ = person.sign_in()
        page = text(client.get(f"/{SLUG}/second-factor"))
        new_secret = re.search(r'id="secret">([A-Z2-7]+)<', page)[1]
        assert new_secret != person.secret
        assert (
            post_form(client, f"/{SLUG}/second-factor", code=pyotp.TOTP(person.secret).now()).status_code
            == 422
        )
        offer = re.search(r'name="offer"[^>]*value="([^"]+)"', page)[1]
        assert (
            post_form(
                client, f"/{SLUG}/second-factor", code=pyotp.TOTP(new_secret).now(), offer=offer
            ).status_code
            == 303
        )
        assert "second_factor_renewed" in person.verbs()
        assert someone().act(admin, "second-factor").status_code == 409, (
            "where none is bound there is none to renew"
        )
    finally:
        with in_province(SLUG):
            settings.change("staff_second_factor", False, by=None, reason="试")
            db.session.commit()


def test_nobody_does_it_to_themselves(someone, in_province):
    person = someone("province_admin")
    with in_province(SLUG):
        session = sign_in_sessions.live_sessions(person.id)[0]
        session.second_factor_at = clock.now()
        db.session.commit()
    for what in ("code", "link", "close", "reopen", "roles", "second-factor", f"roles/{uuid.uuid4()}/remove"):
        assert person.act(person.client, what, reason="试", role="auditor").status_code == 409, what
    assert "这是您自己的账号" in text(person.client.get(f"/{SLUG}/office/staff/{person.id}"))


@pytest.mark.parametrize("role", ["auditor", "question_editor", "institution_reviewer"])
def test_who_may_not_invite_may_do_none_of_it(application, in_province, someone, role):
    person, client = (
        someone(),
        signed_in_client(application, in_province, SLUG, role, HOSPITAL if role.startswith("inst") else None),
    )
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text(client.get(f"/{SLUG}/office")))[1]
    for what in ("code", "link", "close", "reopen", "roles", "second-factor", f"roles/{uuid.uuid4()}/remove"):
        assert (
            client.post(
                f"/{SLUG}/office/staff/{person.id}/{what}", data={"csrf_token": token, "reason": "试"}
            ).status_code
            == 403
        ), what
    assert client.get(f"/{SLUG}/office/staff/{person.id}").status_code == 403
    actor = Actor("staff", uuid.uuid4(), frozenset({role}))
    with in_province(SLUG):
        with pytest.raises(Forbidden):
            staff_accounts.close_account(person.row(), by=actor, reason="试")
        with pytest.raises(Forbidden):
            staff_accounts.reset_second_factor(person.row(), by=actor)


def test_two_administrators_who_close_each_other_leave_one(someone, in_province, province):
    pair, barrier, outcomes = [someone("province_admin") for _ in range(2)], threading.Barrier(2), []

    def close(mine, other):
        with in_province(SLUG):
            actor = Actor("staff", mine.id, frozenset({"province_admin"}))
            barrier.wait()
            try:
                staff_accounts.close_account(
                    staff_accounts.get_staff_for_update(other.id, by=actor), by=actor, reason="试"
                )
                db.session.commit()
                outcomes.append("closed")
            except Forbidden:
                outcomes.append("forbidden")

    threads = [threading.Thread(target=close, args=closing_pair) for closing_pair in (pair, reversed(pair))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["closed", "forbidden"]


def test_doctors_are_none_of_the_staff(admin, in_province):
    with in_province(SLUG):
        account = Account(
            kind="doctor", login_index=uuid.uuid4().bytes, name="医师", initial_until=clock.now()
        )
        db.session.add(account)
        db.session.flush()
        doctor = account.id
        db.session.commit()
    assert admin.get(f"/{SLUG}/office/staff/{doctor}").status_code == 404
    assert (
        post_form(
            admin, f"/{SLUG}/office/staff/{doctor}/close", page=f"/{SLUG}/office/staff", reason="试"
        ).status_code
        == 404
    )


# --- operators


def test_an_operator_renews_closes_and_opens_what_a_sole_administrator_cannot(
    application, someone, in_province
):
    person, name, mobile = (
        someone("province_admin", second_factor=True),
        f"op-{uuid.uuid4().hex[:8]}",
        f"137{uuid.uuid4().int % 10**8:08d}",
    )
    secret = pyotp.random_base32()
    with application.app_context():
        operators.create_operator(name, "测试运营")
        operators.set_demonstration_credentials(name, PASSWORD, secret)
    client = application.test_client()
    post_form(client, "/platform/sign-in", user_name=name, password=PASSWORD)
    assert post_form(client, "/platform/second-factor", code=pyotp.TOTP(secret).now()).status_code == 303
    place = f"/platform/provinces/{SLUG}/administrators"

    def act(account, what, given=""):
        return post_form(client, f"{place}/{account}/{what}", page=place, given=given)

    assert person.user_name in text(client.get(place))
    assert act(person.id, "link").status_code == 409, "without a number there is nowhere to send it"
    assert act(person.id, "mobile", "12345").status_code == 422
    assert act(person.id, "mobile", mobile).status_code == 303
    with in_province(SLUG):
        assert (person.row().second_factor_sealed, person.row().password_hash) == (None, None)
    assert not person.signed_in()
    assert person.sign_in()[1].status_code == 422
    link = actors.setup_link_of(application, in_province, SLUG, mobile)
    for reason in ("", "长" * 201):
        assert act(person.id, "close", reason).status_code == 422
    assert act(person.id, "close", "本人要求").status_code == 303
    assert application.test_client().get(link, follow_redirects=True).status_code == 404
    with in_province(SLUG):
        db.session.execute(update(SetupLink).values(sent_at=ago(minutes=2)))
        db.session.commit()
    assert act(person.id, "reopen").status_code == 303
    answer, new_secret = actors.complete_setup(
        application.test_client(), actors.setup_link_of(application, in_province, SLUG, mobile), PASSWORD
    )
    assert answer.status_code == 303
    assert new_secret != person.secret
    assert act(someone().id, "close", "试").status_code == 404, "who is no administrator is none of theirs"
    assert act(person.id, "promote").status_code == 404
    assert client.get("/platform/provinces/nowhere/administrators").status_code == 404
    acts = text(client.get("/platform/"))
    for words in ("更换管理员手机号码", "停用省级管理员", "恢复省级管理员"):
        assert words in acts
    verbs = [
        verb
        for verb in person.verbs()
        if verb in ("mobile_changed", "second_factor_renewed", "close", "reopen", "opened")
    ]
    assert verbs == ["mobile_changed", "second_factor_renewed", "close", "reopen", "opened"]
    stranger = application.test_client()
    assert stranger.get(place).location.endswith("/platform/sign-in")


def test_operators_are_closed_and_opened_from_the_terminal_and_unused_ones_close(
    application, stack, monkeypatch
):
    name, secret = f"op-{uuid.uuid4().hex[:8]}", pyotp.random_base32()
    with application.app_context():
        operators.create_operator(name, "测试运营")
        operators.set_demonstration_credentials(name, PASSWORD, secret)
    for key, value in stack.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(worker, "_context", [application.app_context])
    client = application.test_client()
    post_form(client, "/platform/sign-in", user_name=name, password=PASSWORD)
    run = CliRunner().invoke
    assert run(cli_operators.command, ["close", name]).exit_code == 0
    assert client.get("/platform/second-factor").location.endswith("/platform/sign-in"), (
        "the session ended at once"
    )
    assert (
        post_form(
            application.test_client(), "/platform/sign-in", user_name=name, password=PASSWORD
        ).status_code
        == 422
    )
    assert "已停用" in run(cli_operators.command, ["code", name]).output
    assert run(cli_operators.command, ["reopen", "nobody-here"]).exit_code == 1
    assert "3天内有效" in run(cli_operators.command, ["reopen", name]).output
    with application.app_context():
        operators.set_demonstration_credentials(name, PASSWORD, secret)
    response = client.get("/platform/second-factor")
    assert response.status_code == 302, "and doesn't come back with the account"
    with application.app_context():
        long_ago = update(Operator.__table__).where(Operator.__table__.c.user_name == name)
        with db.engines["platform"].begin() as connection:
            connection.execute(long_ago.values(used_at=ago(days=170)))
        assert [
            operator.closes_on is not None
            for operator in operators.list_operators()
            if operator.user_name == name
        ] == [True]
        timetable.run_task("close_unused_operators")
        assert [operator.state for operator in operators.list_operators() if operator.user_name == name] == [
            "active"
        ]
        with db.engines["platform"].begin() as connection:
            connection.execute(long_ago.values(used_at=ago(days=181)))
        timetable.run_task("close_unused_operators")
    assert "已停用" in run(cli_operators.command, ["list"]).output
    with application.app_context(), pytest.raises(InvalidState):
        operators.issue_code(name)
