"""Nobody makes oneself a second administrator, and for seven days nobody approves anything together with whom
they invited."""

import re
import threading
import uuid
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from dingkao import clock
from dingkao.cycles.cycles import current_cycle
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import (
    administrator_invitations,
    authentication,
    passwords,
    second_factor,
    second_person,
    sign_in_sessions,
    staff_accounts,
)
from dingkao.people.accounts import give_role
from dingkao.people.models import Account, Appointment
from dingkao.results import pass_lines
from tests import actors
from tests.blueprints.administrator import PASSWORD, SLUG, Administrator, later, number, text
from tests.blueprints.signed_in_client import post_form

# --- making oneself a second administrator: by a code, by the own number or one number for two, by two invitations
# at once, by the role for an account that is there or for oneself, by a colleague's number, by a mistyped
# one, by a lost factor, by opening a closed account again, by one's own second account, by the terminal
# (test_administrators.py); and then approving, for seven days, what one of the pair proposed


def test_no_code_is_ever_issued_to_an_administrator(administrator):
    first, second = administrator(), administrator()
    answer = first.act(second.id, "code")
    assert answer.status_code == 409
    assert "省级管理员不发放一次性代码" in text(answer)
    assert second.alive()


def test_a_number_is_one_administrators_and_ones_own_no_others(administrator):
    first, second = administrator(), administrator()
    for used_mobile in (first.mobile, second.mobile, f"+86 {second.mobile[:3]} {second.mobile[3:]}"):
        answer, _ = first.invite(used_mobile)
        assert answer.status_code == 422
        assert "一个号码只能用于一位管理员" in text(answer)
    for wrong in ("", "12345", "13800"):
        assert "11位手机号码" in text(first.invite(wrong)[0])
    puppet = first.appointed()
    assert first.act(puppet.id, "close", reason="试").status_code == 303
    assert "已停用" in text(first.invite(puppet.mobile)[0]), "nor does a closed account free the number"


def test_of_two_invitations_at_once_to_one_number_one_is_made(administrator, in_province):
    first, mobile, outcomes, barrier = administrator(), number(), [], threading.Barrier(2)

    def invite():
        with in_province(SLUG):
            actor = actors.Actor("staff", first.id, frozenset({"province_admin"}))
            barrier.wait()
            try:
                administrator_invitations.invite_administrator(
                    f"i-{uuid.uuid4().hex[:10]}", "李新任", mobile, by=actor
                )
                db.session.commit()
                outcomes.append("made")
            except (InvalidInput, IntegrityError):
                outcomes.append("refused")

    threads = [threading.Thread(target=invite) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused"]


def test_nobody_binds_a_colleagues_number_to_the_own_account(administrator, in_province):
    first, second = administrator(), administrator()
    with in_province(SLUG):
        with pytest.raises(InvalidInput, match="一个号码只能用于一位管理员"):
            authentication.change_mobile(first.row(), second.mobile)
        db.session.rollback()


def test_an_own_second_account_is_no_second_person(application, administrator, in_province):
    """An account of another role, whose code one has seen, decides nothing together with who made it."""
    first, second = administrator(), administrator()
    answer, name = first.invite("", role="question_editor")
    code = re.search(r'class="one-time-code">([2-9A-Z-]{11})<', text(answer))[1]
    client = application.test_client()
    post_form(client, f"/{SLUG}/login?staff=1", account=name, password=code)
    password_form = {"old_password": code, "new_password": PASSWORD, "again": PASSWORD}
    assert post_form(client, f"/{SLUG}/password/first", **password_form).location == f"/{SLUG}/start"
    second_account = Administrator(application, in_province, client=client, user_name=name)
    with in_province(SLUG):
        assert second_person.recusal_reason(first.id, second_account.id) is not None
        assert second_person.recusal_reason(second_account.id, first.id) is not None
        assert second_person.recusal_reason(second.id, second_account.id) is None
    assert first.act(second_account.id, "link").status_code == 409, "and no link makes an administrator of it"
    assert first.act(second_account.id, "mobile", mobile=number()).status_code == 409


def test_who_has_no_number_appoints_nobody(administrator, in_province):
    first = administrator()
    with in_province(SLUG):
        db.session.execute(
            update(Account).where(Account.id == first.id).values(mobile_index=None, mobile_sealed=None)
        )
        db.session.commit()
    answer, _ = first.invite(number())
    assert answer.status_code == 422
    assert "绑定您本人的手机号码" in text(answer)


def test_the_role_is_given_to_no_account_that_is_there(administrator, in_province):
    first = administrator()
    answer, name = first.invite("", role="auditor")
    assert answer.status_code == 200
    with in_province(SLUG):
        auditor = db.session.scalars(select(Account).where(Account.user_name == name)).one()
        with pytest.raises(Exception, match="省级管理员须单独邀请"):
            staff_accounts.add_role(auditor, "province_admin", None, by=TERMINAL_ACTOR)
        with pytest.raises(InvalidInput, match="本人的手机号码"):
            give_role(auditor, "province_admin", None, by=actors.Actor("staff", first.id))
        auditor = auditor.id
    assert first.act(auditor, "mobile", mobile=number()).status_code == 409, "no link makes one of it"
    assert first.act(auditor, "roles", role="province_admin").status_code == 422
    assert first.act(first.id, "roles", role="question_editor").status_code == 409, "nor any role to oneself"


def test_nobody_sends_a_colleagues_link_elsewhere(administrator, link_to):
    first, second, own_mobile = administrator(), administrator(), number()
    assert first.act(second.id, "mobile", mobile=own_mobile).status_code == 409
    assert link_to(own_mobile) is None
    assert second.alive()


def test_a_mistyped_number_is_mended_while_nobody_has_opened_the_account(
    administrator, in_province, link_to, application
):
    first, mender, wrong, right = administrator(), administrator(), number(), number()
    _, name = first.invite(wrong)
    lapsed_link = link_to(wrong)
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.user_name == name)).one().id
        db.session.execute(
            update(Appointment)
            .where(Appointment.account_id == account)
            .values(at=clock.now() - timedelta(days=30))
        )
        db.session.commit()
    later(in_province, account)
    assert first.act(account, "mobile", mobile="123").status_code == 422
    assert mender.act(account, "mobile", mobile=right).status_code == 303
    assert application.test_client().get(lapsed_link, follow_redirects=True).status_code == 404
    client = application.test_client()
    assert actors.complete_setup(client, link_to(right), PASSWORD)[0].status_code == 303
    puppet = Administrator(application, in_province, right, client=client, user_name=name)
    assert proposed_and_approved(in_province, first, puppet) == 403, "the days count from here"
    assert proposed_and_approved(in_province, mender, puppet) == 403, (
        "who typed the number could be the one who has it"
    )


def test_what_a_colleague_lost_is_renewed_and_goes_to_the_colleague_alone(
    application, administrator, in_province, link_to
):
    first, second = administrator(), administrator()
    answer = first.act(second.id, "link")
    assert answer.status_code == 303
    link = link_to(second.mobile)
    assert link.rsplit("/", 1)[1] not in text(first.client.get(answer.location))
    assert not second.alive()
    assert (
        post_form(
            application.test_client(), f"/{SLUG}/login?staff=1", account=second.user_name, password=PASSWORD
        ).status_code
        == 422
    ), "old password"
    with in_province(SLUG):
        account = second.row()
        account.password_hash = passwords.hash_password("guessed-by-a-thief-1")
        db.session.commit()
    thief = application.test_client()
    assert (
        post_form(
            thief, f"/{SLUG}/login?staff=1", account=second.user_name, password="guessed-by-a-thief-1"
        ).status_code
        == 303
    )
    page = text(thief.get(f"/{SLUG}/second-factor"))
    assert "请打开发送到您手机的设置链接" in page
    assert 'id="secret"' not in page
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    thief.post(f"/{SLUG}/second-factor", data={"csrf_token": token, "code": "123456", "offer": "x"})
    secret = pyotp.random_base32()
    with in_province(SLUG):
        [half] = sign_in_sessions.live_sessions(second.id)
        with pytest.raises(InvalidState, match="尚未绑定"):
            second_factor.confirm_second_factor(second.row(), half, secret, pyotp.TOTP(secret).now())
        assert second.row().second_factor_sealed is None
    client = application.test_client()
    assert actors.complete_setup(client, link, "another-word-26xy")[0].status_code == 303
    assert client.get(f"/{SLUG}/office").status_code == 200
    assert "/login" in thief.get(f"/{SLUG}/office").location, "whoever was half in is out"


def test_an_account_opened_again_goes_to_its_owners_mobile(administrator, link_to):
    first, second = administrator(), administrator()
    assert first.act(second.id, "close", reason="试").status_code == 303
    page = text(first.act(second.id, "reopen"))
    assert "设置链接已发送到本人手机" in page
    assert 'class="one-time-code"' not in page
    assert link_to(second.mobile).rsplit("/", 1)[1] not in page


def test_whom_one_appointed_and_opened_again_is_bound_anew(application, administrator, in_province, link_to):
    first, days = administrator(), timedelta(days=30)
    puppet = first.appointed()
    with in_province(SLUG):
        appointment_update = update(Appointment).where(Appointment.account_id == puppet.id)
        db.session.execute(appointment_update.values(at=clock.now() - days))
        db.session.commit()
    assert proposed_and_approved(in_province, first, puppet) == 303, "the days are over"
    later(in_province, puppet.id)
    assert first.act(puppet.id, "close", reason="试").status_code == 303
    assert first.act(puppet.id, "reopen").status_code == 200
    assert actors.complete_setup(puppet.client, link_to(puppet.mobile), PASSWORD)[0].status_code == 303
    assert proposed_and_approved(in_province, first, puppet) == 403


# --- approving together with whom one appointed


def proposed_and_approved(in_province, proposer, approver):
    """The status of approving a pass line that another has proposed."""
    with in_province(SLUG):
        actor = actors.Actor("staff", proposer.id, frozenset({"province_admin"}))
        levels = [(category, level) for category in pass_lines.CATEGORIES for level in pass_lines.LEVELS]
        lines = pass_lines.current_lines(current_cycle())
        category, level = next(
            level for level in levels if level not in lines or lines[level].approved_at is None
        )
        line = pass_lines.propose_line(current_cycle(), category, level, 600, by=actor).id
        db.session.commit()
    page = text(approver.client.get(f"/{SLUG}/office/lines"))
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    return approver.client.post(
        f"/{SLUG}/office/lines/approve", data={"csrf_token": token, "line": str(line)}
    ).status_code


def test_for_seven_days_nobody_approves_together_with_whom_they_appointed(administrator, in_province):
    first, second = administrator(), administrator()
    puppet, sibling = first.appointed(), first.appointed()
    for proposer, approver in ((first, puppet), (puppet, first), (puppet, sibling)):
        assert proposed_and_approved(in_province, proposer, approver) == 403
        page = text(approver.client.get(f"/{SLUG}/office/lines"))
        assert "任命关系" in page
    assert proposed_and_approved(in_province, first, second) == 303
    assert proposed_and_approved(in_province, puppet, second) == 303
    with in_province(SLUG):
        db.session.execute(
            update(Appointment)
            .where(Appointment.account_id == puppet.id)
            .values(at=clock.now() - timedelta(days=7, minutes=1))
        )
        db.session.commit()
    assert proposed_and_approved(in_province, first, puppet) == 303
