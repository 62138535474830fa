"""A province's own accounts for short messages and WeChat: sealed, used in its place alone, the platform's
where it has none."""

import base64
import re
from datetime import UTC, datetime

import pytest

from dingkao import clock
from dingkao.database.base import db
from dingkao.integrations.sms import AliyunSms, SmsMessage, TencentSms
from dingkao.integrations.wechat_api import OfficialAccount
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import channel_accounts
from dingkao.people.models import ProposedAct
from dingkao.people.provinces import open_province
from dingkao.tenants import settings
from dingkao.tenants.registry import by_slug
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.rooms.test_sms import Aliyun, serving

SLUG = "qinghai"
PAGE = f"/{SLUG}/office/settings/channels"
ALIYUN = {
    "channel": "sms_account", "carrier": "aliyun", "access_key": "key", "secret": "a-secret", "sign_name": "青海定考", "code_template": "1001",
    "notice_template": "1002", "reason": "启用本省账号",
}  # fmt: skip


@pytest.fixture(scope="module")
def qinghai(application, in_province):
    for slug in (SLUG, "ningxia"):
        with in_province(slug):
            open_province(by_slug(slug), by=TERMINAL_ACTOR)
            db.session.commit()


def test_the_outbox_of_a_demonstration_tells_beijing_time(application, in_province, qinghai, monkeypatch):
    with in_province(SLUG), monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: datetime(2026, 11, 30, 16, 1, 2, tzinfo=UTC))
        application.extensions["sms"].send(
            SmsMessage("code", "13900000001", {"code": "012345"}, "【定考】验证码012345")
        )
    assert "2026年12月01日 00:01:02（北京时间）" in application.test_client().get(f"/{SLUG}/outbox").get_data(
        as_text=True
    )


@pytest.fixture
def admin(application, in_province, qinghai):
    yield signed_in_client(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        db.session.query(ProposedAct).delete()
        for name in channel_accounts.CHANNEL_FIELDS:
            settings.change(name, "", by=None, reason="测试后恢复")
        db.session.commit()


@pytest.fixture(scope="module")
def keep(application, in_province, qinghai):
    """Propose a change, and have another administrator approve it."""
    second = signed_in_client(application, in_province, SLUG, "province_admin")

    def kept(admin, **given):
        answer = post_form(admin, PAGE, **given)
        assert answer.status_code == 303, text(answer)
        assert post_form(second, f"{answer.location}/approve", page=answer.location).status_code == 303

    return kept


def text(answer):
    return answer.get_data(as_text=True)


def test_an_account_of_ones_own_is_sealed_and_its_secret_never_shown(
    application, in_province, admin, keep, owner_connection
):
    assert "现在使用：<strong>平台的</strong>" in text(admin.get(PAGE))
    keep(admin, **ALIYUN)
    page = text(admin.get(PAGE))
    assert "青海定考" in page
    assert "a-secret" not in page
    for query in (
        "select value #>> '{}' from province_setting where name = 'sms_account' and value::text <> '\"\"'",
        "select value from proposed_act where kind = 'sms_account'",
    ):
        stored_values = [base64.b64decode(value) for (value,) in owner_connection.execute(query)]
        assert stored_values
        assert not [
            stored_value
            for stored_value in stored_values
            if b"a-secret" in stored_value or "青海定考".encode() in stored_value
        ]
    with in_province(SLUG):
        own_sender = channel_accounts.sms_sender(application.extensions["sms"])
        assert isinstance(own_sender, AliyunSms)
        assert (own_sender.secret, own_sender.sign_name, own_sender.templates) == (
            "a-secret",
            "青海定考",
            {"code": "1001", "notice": "1002"},
        )
    with in_province("ningxia"):
        assert channel_accounts.sms_sender(application.extensions["sms"]) is application.extensions["sms"], (
            "another province has the platform's"
        )


def test_one_person_takes_over_no_codes(application, in_province, admin):
    """Whoever keeps the account that sends the codes reads each of them."""
    second = signed_in_client(application, in_province, SLUG, "province_admin")
    for form in (
        ALIYUN,
        {"channel": "wechat_account", "app_id": "wx-own", "secret": "a-secret", "reason": "启用"},
    ):
        place = post_form(admin, PAGE, **form).location
        assert post_form(admin, f"{place}/approve", page=PAGE).status_code == 403
        with in_province(SLUG):
            assert channel_accounts.channel_account(form["channel"]) is None
        assert "已有一项更改等待另一位省级管理员确认" in text(admin.get(PAGE))
        second_proposal = post_form(second, PAGE, **form | {"app_id": "another"})
        assert second_proposal.status_code == 409
        assert "等待确认" in text(second_proposal)
        assert f'value="{form["reason"]}"' in text(second_proposal), "what was typed stays"
        preview = text(second.get(place))
        assert "新密钥" in preview
        assert "a-secret" not in preview
        assert post_form(second, f"{place}/approve", page=place).status_code == 303
        with in_province(SLUG):
            assert channel_accounts.channel_account(form["channel"])["secret"] == "a-secret"


def test_a_secret_left_empty_stays_and_the_platforms_account_comes_back(
    application, in_province, admin, keep
):
    keep(admin, **ALIYUN)
    keep(admin, **ALIYUN | {"secret": "", "sign_name": "青海卫健"})
    with in_province(SLUG):
        assert channel_accounts.sms_sender(application.extensions["sms"]).secret == "a-secret"
    keep(admin, channel="sms_account", use="platform", reason="停用")
    with in_province(SLUG):
        assert channel_accounts.sms_sender(application.extensions["sms"]) is application.extensions["sms"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"secret": ""}, "请填写AccessKey Secret"),
        ({"carrier": "another"}, "请选择短信服务商"),
        ({"sign_name": " "}, "请填写短信签名"),
        ({"carrier": "tencent"}, "请填写短信应用ID"),
        ({"reason": ""}, "请填写原因"),
        ({"sign_name": "长" * 201}, "请不要超过200字"),
    ],
)
def test_what_is_missing_is_named_and_what_was_typed_stays(admin, changed, sentence):
    answer = post_form(admin, PAGE, **ALIYUN | changed)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert 'value="1001"' in text(answer)
    assert f'name="reason" maxlength="200" value="{(ALIYUN | changed)["reason"]}"' in text(answer)
    assert "a-secret" not in text(answer)


def test_a_message_leaves_by_the_provinces_own_account(application, in_province, admin, keep, monkeypatch):
    carrier = Aliyun()
    with serving(carrier) as (address, carrier_requests):
        monkeypatch.setitem(channel_accounts.CARRIER_ENDPOINTS, "aliyun", address)
        place = post_form(admin, PAGE, **ALIYUN | {"sign_name": "定考"}).location
        proposal_id = place.rsplit("/", 1)[1]
        tried = post_form(admin, f"{PAGE}/test", page=place, mobile="13900000001", proposal=proposal_id)
        assert tried.location == place
        assert "已交给服务商" in text(admin.get(place))
        assert (
            post_form(admin, f"{PAGE}/test", page=place, mobile="13900000001", proposal="x").status_code
            == 404
        )
        for proposal in (proposal_id, ""):
            refused = post_form(admin, f"{PAGE}/test", page=place, mobile="139000", proposal=proposal)
            assert (refused.status_code, 'value="139000"' in text(refused)) == (422, True)
        post_form(admin, f"{place}/withdraw", page=place)
        assert len(carrier_requests) == 1, "what was proposed is tried before it holds"
        carrier_requests.clear()
        keep(admin, **ALIYUN | {"sign_name": "定考"})
        answer = post_form(admin, f"{PAGE}/test", page=PAGE, mobile="13900000001")
        assert answer.status_code == 303
        assert "已交给服务商" in text(admin.get(PAGE))
        assert len(carrier_requests) == 1
        carrier.code = "isv.SMS_SIGNATURE_ILLEGAL"
        refused = text(post_form(admin, f"{PAGE}/test", page=PAGE, mobile="13900000001"))
        assert ("服务商答复“isv.SMS_SIGNATURE_ILLEGAL”" in refused, 'value="13900000001"' in refused) == (
            True,
            True,
        )
        with in_province(SLUG):
            extension = application.extensions["background_sms"]
            carrier.code = "OK"
            extension.send_later(
                SmsMessage("code", "13900000002", {"code": "123456"}, "【定考】验证码123456"),
                channel_accounts.sms_sender(extension.sms),
            )
            extension.wait_until_sent()
    assert len(carrier_requests) == 3


def test_the_other_carrier_and_an_official_account(application, in_province, admin, keep):
    keep(admin, **ALIYUN | {"carrier": "tencent", "app_id": "1400000001"})
    wechat = {
        "channel": "wechat_account",
        "app_id": "wx-own",
        "secret": "wx-secret",
        "template": "T1",
        "reason": "启用",
    }
    keep(admin, **wechat)
    with in_province(SLUG):
        own_sender = channel_accounts.sms_sender(application.extensions["sms"])
        assert isinstance(own_sender, TencentSms)
        assert own_sender.app_id == "1400000001"
        official = channel_accounts.wechat_account(None, application.extensions["redis"])
        assert isinstance(official, OfficialAccount)
        assert (official.app_id, official.secret, official.api_url) == (
            "wx-own",
            "wx-secret",
            "https://api.weixin.qq.com",
        )
    with in_province("ningxia"):
        assert channel_accounts.wechat_account(None, application.extensions["redis"]) is None


def test_a_staff_session_that_is_over_leads_to_the_staffs_sign_in_and_back_to_the_form(application, qinghai):
    stranger = application.test_client()
    response = stranger.get(f"/{SLUG}/office/doctors?q=王")
    assert re.search(r"/login\?staff=1&next=/office/doctors", response.location.replace("%2F", "/"))
    form = stranger.get(f"/{SLUG}/login?staff=1")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text(form))[1]
    redirect = stranger.post(PAGE, data={"csrf_token": token}, headers={"Referer": f"http://localhost{PAGE}"})
    assert redirect.status_code == 303
    assert "staff=1" in redirect.location
    assert "ended=1" in redirect.location
    assert "next=/office/settings/channels" in redirect.location.replace("%2F", "/")
    foreign = stranger.post(
        PAGE, data={"csrf_token": token}, headers={"Referer": "http://example.com/office/x"}
    )
    assert "next=" not in foreign.location
    assert "staff=1" not in stranger.get(f"/{SLUG}/home").location
