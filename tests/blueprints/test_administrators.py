"""One administrator is one person: whoever invites another sees neither password nor second factor nor code,
however it is tried."""

import threading
import time
from datetime import timedelta

import pyotp
from click.testing import CliRunner
from sqlalchemy import select, update

from dingkao import clock
from dingkao import config as settings_of_process
from dingkao.cli import province as cli_province
from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.journal import failed_attempts
from dingkao.journal.entries import invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import administrator_invitations, channel_accounts
from dingkao.people.models import Account, Appointment, SetupLink
from dingkao.tenants import settings
from tests import actors
from tests.blueprints.administrator import CODE, PASSWORD, SLUG, later, number, text
from tests.blueprints.sign_in_account import crowd
from tests.blueprints.signed_in_client import post_form

# --- who sees what


def test_the_invited_alone_sets_password_and_factor_by_the_link_to_the_own_mobile(
    application, administrator, in_province, link_to
):
    first, mobile = administrator(), number()
    answer, name = first.invite(mobile)
    page = text(answer)
    link = link_to(mobile)
    assert "设置链接已发送到本人手机" in page
    assert f"{mobile[:3]}****{mobile[-4:]}" in page
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.user_name == name)).one().id
    page_texts = (
        page
        + text(first.client.get(f"/{SLUG}/office/staff/{account}"))
        + text(first.client.get(f"/{SLUG}/office/staff?q={name}"))
    )
    assert mobile not in page_texts
    assert link.rsplit("/", 1)[1] not in page_texts
    assert 'class="one-time-code"' not in page_texts
    client = application.test_client()
    for _ in range(2):
        assert "设置密码和动态口令" in text(client.get(link, follow_redirects=True)), "looking spends nothing"
    weak, _ = actors.complete_setup(client, link, "shortone")
    assert "至少12位" in text(weak)
    wrong, _ = actors.complete_setup(client, link, PASSWORD, code="000000")
    assert "动态口令不正确" in text(wrong)
    mismatch_answer, _ = actors.complete_setup(client, link, PASSWORD, again="another-word-26")
    assert "两次输入的新密码不一致" in text(mismatch_answer)
    with crowd():
        in_crowd, _ = actors.complete_setup(client, link, PASSWORD)
    assert (in_crowd.status_code, in_crowd.headers.get("Retry-After")) == (503, "5")
    assert "设置密码和动态口令" in text(in_crowd)
    opened, secret = actors.complete_setup(client, link, PASSWORD)
    assert opened.location == f"/{SLUG}/start"
    assert client.get(f"/{SLUG}/office").status_code == 200, "both factors were shown"
    assert client.get(link, follow_redirects=True).status_code == 404, "once"
    assert application.test_client().get(link, follow_redirects=True).status_code == 404
    new_client = application.test_client()
    assert post_form(new_client, f"/{SLUG}/login?staff=1", account=name, password=PASSWORD).status_code == 303
    with in_province(SLUG):
        used = db.session.scalars(select(Account).where(Account.id == account)).one().second_factor_counter
        assert used, "which code was shown is kept"
    assert (
        post_form(
            new_client, f"/{SLUG}/second-factor", code=pyotp.TOTP(secret).generate_otp(used)
        ).status_code
        == 422
    ), "the code of setting up was used"
    with in_province(SLUG):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == account).order_by(JournalEntry.id)
        ).all()
        assert {"role_given", "link_sent", "opened", "second_factor_bound", "signed_in"} <= set(verbs)
        tried = failed_attempts.attempt_subject(db.session.get_one(Account, (CODE, account)).login_index)
        missed = db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == tried)).all()
        assert missed[0] == "second_factor_failed"
        assert invalid_entries(account) == []


def test_a_link_never_goes_by_an_account_that_an_administrator_keeps(administrator, in_province, link_to):
    first, mobile = administrator(), number()
    sms_account = {
        "carrier": "aliyun",
        "access_key": "k",
        "secret": "s",
        "sign_name": "定考",
        "code_template": "1",
    }
    with in_province(SLUG):
        settings.change(
            "sms_account", channel_accounts.encrypt_account("sms_account", sms_account), by=None, reason="试"
        )
        db.session.commit()
    try:
        first.invite(mobile)
        assert link_to(mobile) is not None
    finally:
        with in_province(SLUG):
            settings.change("sms_account", "", by=None, reason="试")
            db.session.commit()


def test_another_administrators_number_is_refused_before_a_code_is_sent(administrator):
    first, second = administrator(), administrator()
    typed = {"password": PASSWORD, "mobile": second.mobile, "send": "1"}
    assert "已登记给管理员" in text(post_form(first.client, f"/{SLUG}/account/mobile", **typed))


def test_a_link_lapses_and_gives_way_to_the_next_and_is_of_one_province(
    application, administrator, in_province, link_to, provinces
):
    first, mobile = administrator(), number()
    _, name = first.invite(mobile)
    lapsed_link = link_to(mobile)
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.user_name == name)).one().id
    assert first.act(account, "link").status_code == 429, "one a minute"
    later(in_province, account)
    assert first.act(account, "link").status_code == 303
    current_link = link_to(mobile)
    assert current_link != lapsed_link
    for link, status in (
        (lapsed_link, 404),
        (current_link, 200),
        (current_link.replace(SLUG, "shanxi"), 404),
        (current_link[:-1] + "x", 404),
    ):
        assert application.test_client().get(link, follow_redirects=True).status_code == status, link
    with in_province(SLUG):
        db.session.execute(
            update(SetupLink)
            .where(SetupLink.account_id == account)
            .values(expires_at=clock.now() - timedelta(seconds=1))
        )
        db.session.commit()
    assert "该链接已失效" in text(application.test_client().get(current_link, follow_redirects=True))
    with in_province(SLUG):
        setup_links = db.session.scalars(select(SetupLink).where(SetupLink.account_id == account)).all()
        assert current_link.rsplit("/", 1)[1].encode() not in b"".join(
            setup_link.token_hash for setup_link in setup_links
        )


def test_of_four_who_open_one_link_at_once_one_gets_in(application, administrator, in_province, link_to):
    first, mobile = administrator(), number()
    _, name = first.invite(mobile)
    token, barrier, outcomes = link_to(mobile).rsplit("/", 1)[1], threading.Barrier(4), []
    secret = pyotp.random_base32()

    def open_it():
        with in_province(SLUG):
            barrier.wait()
            try:
                administrator_invitations.complete_setup(
                    token, PASSWORD, secret=secret, code=pyotp.TOTP(secret).now()
                )
                db.session.commit()
                outcomes.append("in")
            except InvalidState:
                outcomes.append("refused")

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in", "refused", "refused", "refused"]
    with in_province(SLUG):
        assert (
            invalid_entries(db.session.scalars(select(Account.id).where(Account.user_name == name)).one())
            == []
        )


# --- from the terminal


def test_a_province_opens_alone_and_with_administrators(application, stack, monkeypatch, in_province):
    for key, value in stack.environment.items():
        monkeypatch.setenv(key, value)

    def run(*options):
        return CliRunner().invoke(cli_province.command, ["open", "neimenggu", *options])

    alone = run()
    assert alone.exit_code == 0
    assert "还没有管理员" in alone.output
    refused = run("--admin", "没有手机")
    assert refused.exit_code == 64
    mobiles = [number(), number()]
    options = ["--admin", f"王卫国:{mobiles[0]}", "--admin", f"王卫国：{mobiles[1]}"]
    opened = run(*options, "--json")
    assert opened.exit_code == 0, opened.output
    assert '"user_name": "wangweiguo"' in opened.output
    assert '"user_name": "wangweiguo2"' in opened.output
    assert mobiles[0] not in opened.output
    link = None
    for _ in range(
        100
    ):  # the terminal's own application sends it, in a thread that nothing here can wait for
        link = link or actors.setup_link_of(application, in_province, "neimenggu", mobiles[0])
        if link is None:
            time.sleep(0.1)
    assert link is not None
    assert link.rsplit("/", 1)[1] not in opened.output
    assert actors.complete_setup(application.test_client(), link, PASSWORD)[0].status_code == 303
    with in_province("neimenggu"):
        db.session.execute(update(SetupLink).values(sent_at=clock.now() - timedelta(minutes=2)))
        db.session.commit()
    repeated = run(*options)
    assert repeated.exit_code == 0
    assert "账号已启用" in repeated.output
    third = run("--admin", f"赵三:{number()}")
    assert third.exit_code == 1
    assert "已有两位管理员" in third.output
    with in_province("neimenggu"):
        pair = (
            administrator_invitations._find_by_mobile(mobiles[0]),
            administrator_invitations._find_by_mobile(mobiles[1]),
        )
        assert [account.state for account in pair] == ["active", "initial"]
        assert db.session.scalars(select(Appointment).where(Appointment.account_id == pair[0].id)).all() == []


def test_where_no_link_can_go_the_terminal_warns_and_a_page_refuses(
    application, stack, monkeypatch, in_province, administrator
):
    carrier = {"SMS_ADAPTER": "aliyun"} | dict.fromkeys(settings_of_process._SMS_PROVIDER_VARIABLES, "x")
    for key, value in (stack.environment | carrier).items():
        monkeypatch.setenv(key, value)

    def run():
        return CliRunner().invoke(cli_province.command, ["open", "guangxi", "--admin", f"王卫国:{mobile}"])

    mobile = number()
    opened = run()
    assert opened.exit_code == 0, opened.output
    assert "SMS_LINK_TEMPLATE" in opened.stderr
    assert "deploy/README.md" in opened.stderr
    assert "设置链接没有发出" in opened.stdout
    assert "已发送" not in opened.stdout
    monkeypatch.setenv("SMS_LINK_TEMPLATE", "SMS_1")
    with in_province("guangxi"):
        db.session.execute(update(SetupLink).values(sent_at=clock.now() - timedelta(minutes=2)))
        db.session.commit()
    repeated = run()
    assert repeated.stderr == ""
    assert "设置链接已发送" in repeated.stdout
    monkeypatch.setattr(administrator_invitations, "link_sending_blocked", lambda: True)
    first, second = administrator(), administrator()
    answer, name = first.invite(number())
    assert "短信模板" in text(answer)
    assert first.act(second.id, "link").status_code == 409
    assert second.alive(), "nothing was undone for a link that can't go"
    with in_province(SLUG):
        assert db.session.scalar(select(Account.id).where(Account.user_name == name)) is None
