"""WeChat as a way in, against a stand-in written from Tencent's «微信公众号(服务号)开发文档»: «网页授权», «获
取 Access token», «发送模板消息»."""

import dataclasses
import itertools
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import select, update

from dingkao.app import create_app
from dingkao.database.base import db
from dingkao.errors import InvalidInput, Unavailable
from dingkao.integrations.wechat_api import DeliveryFailed, OfficialAccount
from dingkao.people import authentication, wechat_sign_in
from dingkao.people.models import Account
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors
from tests.blueprints.sign_in_account import TOKEN, text

SLUG, CODE = "qinghai", 63
SERIALS = itertools.count(10)
APP_ID, SECRET = "wx0000000000000001", "app-secret"
INSIDE = (
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/116.0 Mobile Safari/537.36 "
    "MicroMessenger/8.0.49"
)


class Tencent:
    """What the documents say of the three interfaces: a code is good once, an access token until another is
    given or it is over."""

    def __init__(self):
        self.codes, self.used, self.tokens, self.sent, self.followers, self.errcode = (
            {},
            set(),
            [],
            [],
            {"oAlice_1"},
            0,
        )

    def code(self, openid):
        """What a browser comes back with."""
        code = f"code{len(self.codes):028d}"
        self.codes[code] = openid
        return code

    def answer(self, path, query, body):
        if path == "/sns/oauth2/access_token":
            return self._page_token(query)
        if path == "/cgi-bin/token":
            return self._account_token(query)
        if path == "/cgi-bin/message/template/send":
            return self._message(query, body)
        return {"errcode": -1, "errmsg": "system error"}

    def _page_token(self, query):
        """Who came back with a code, once."""
        if (
            set(query) < {"appid", "secret", "code", "grant_type"}
            or query["grant_type"] != "authorization_code"
        ):
            return {"errcode": 41008, "errmsg": "missing code"}
        if query["appid"] != APP_ID:
            return {"errcode": 40013, "errmsg": "invalid appid"}
        if query["secret"] != SECRET:
            return {"errcode": 40125, "errmsg": "invalid appsecret"}
        if query["code"] in self.used:
            return {"errcode": 40163, "errmsg": "code been used"}
        if query["code"] not in self.codes:
            return {"errcode": 40029, "errmsg": "invalid code"}
        self.used.add(query["code"])
        return {
            "access_token": "of-the-page",
            "expires_in": 7200,
            "refresh_token": "r",
            "openid": self.codes[query["code"]],
            "scope": "snsapi_base",
        }

    def _account_token(self, query):
        """The token that messages are sent with; the one before it ends."""
        if (query.get("grant_type"), query.get("appid"), query.get("secret")) != (
            "client_credential",
            APP_ID,
            SECRET,
        ):
            return {"errcode": 40001, "errmsg": "invalid credential"}
        self.tokens.append(f"token-{len(self.tokens)}")
        return {"access_token": self.tokens[-1], "expires_in": 7200}

    def _message(self, query, body):
        """Send a message to a follower."""
        if not self.tokens or query.get("access_token") != self.tokens[-1]:
            return {
                "errcode": 40001,
                "errmsg": "invalid credential, access_token is invalid or not latest",
            }
        if self.errcode:
            return {"errcode": self.errcode, "errmsg": "told"}
        if body["template_id"] != "template-1":
            return {"errcode": 40037, "errmsg": "invalid template_id"}
        if body["touser"] not in self.followers:
            return {"errcode": 43004, "errmsg": "require subscribe"}
        self.sent.append(body)
        return {"errcode": 0, "errmsg": "ok", "msgid": len(self.sent)}


@pytest.fixture(scope="module")
def tencent():
    tencent = Tencent()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(None)

        def do_POST(self):
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, body):
            parts = urllib.parse.urlsplit(self.path)
            content = json.dumps(
                tencent.answer(parts.path, dict(urllib.parse.parse_qsl(parts.query)), body)
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    tencent.address = f"http://127.0.0.1:{server.server_port}"
    yield tencent
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def connected(application, tencent):
    """The application with an official account."""
    wechat_settings = {
        "WECHAT_APP_ID": APP_ID,
        "WECHAT_SECRET": SECRET,
        "WECHAT_TEMPLATE": "template-1",
        "WECHAT_OPEN_URL": "https://open.weixin.qq.com",
        "WECHAT_API_URL": tencent.address,
    }
    return create_app(dataclasses.replace(application.extensions["settings"], wechat=wechat_settings))


@pytest.fixture(scope="module")
def allowed(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, 1)
    with in_province(SLUG):
        settings.change("wechat_sign_in", True, by=None, reason="试")
        db.session.commit()


class Phone:
    """A browser inside WeChat; where it is signed in, as `someone`."""

    def __init__(self, connected, someone=None):
        self.client = connected.test_client()
        self.client.environ_base["HTTP_USER_AGENT"] = INSIDE
        if someone:
            self.client.set_cookie(f"dk-{SLUG}", someone.client.get_cookie(f"dk-{SLUG}").value)

    def set_out(self, bind=False):
        """Off to WeChat: the state it is sent with."""
        answer = self.client.get(f"/{SLUG}/wechat/begin" + ("?bind=1" if bind else ""))
        assert answer.status_code == 302, text(answer)
        address = urllib.parse.urlsplit(answer.location)
        assert (address.netloc, address.path, address.fragment) == (
            "open.weixin.qq.com",
            "/connect/oauth2/authorize",
            "wechat_redirect",
        )
        query = urllib.parse.parse_qsl(address.query)
        assert [name for name, _ in query] == ["appid", "redirect_uri", "response_type", "scope", "state"]
        parameters = dict(query)
        assert (parameters["appid"], parameters["response_type"], parameters["scope"]) == (
            APP_ID,
            "code",
            "snsapi_base",
        )
        assert parameters["redirect_uri"].endswith(f"/{SLUG}/wechat/back")
        assert len(parameters["state"]) <= 128
        return parameters["state"]

    def come_back(self, state, code):
        """Back with a code, and on by the button."""
        page = text(self.client.get(f"/{SLUG}/wechat/back?code={code}&state={state}"))
        fields = dict(re.findall(r'name="(state|code)"[^>]*value="([^"]*)"', page))
        assert fields == {"state": state, "code": code}
        return self.client.post(f"/{SLUG}/wechat/finish", data=fields | {"csrf_token": TOKEN.search(page)[1]})

    def signed_in(self):
        return self.client.get(f"/{SLUG}/account").status_code == 200


@pytest.fixture
def doctor(application, in_province, allowed):
    return lambda: actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))


def bound(connected, tencent, someone, openid):
    phone = Phone(connected, someone)
    answer = phone.come_back(phone.set_out(bind=True), tencent.code(openid))
    assert answer.location == f"/{SLUG}/account/wechat", text(answer)
    return phone


def test_bound_while_signed_in_then_a_way_in_then_unbound(connected, tencent, doctor, in_province):
    someone = doctor()
    stranger = Phone(connected)
    refused = stranger.come_back(stranger.set_out(), tencent.code("oAlice_1"))
    assert refused.status_code == 422
    assert "该微信还没有绑定账号" in text(refused)
    phone = bound(connected, tencent, someone, "oAlice_1")
    assert "已绑定微信" in text(phone.client.get(f"/{SLUG}/account/wechat"))
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.wechat_index.is_not(None))).one()
        assert b"oAlice_1" not in bytes(account.wechat_sealed) + bytes(account.wechat_index)
        assert (
            current_vault().decrypt(SecretLocation("account", "wechat", account.id), account.wechat_sealed)
            == "oAlice_1"
        )

    new_phone = Phone(connected)
    assert "微信登录" in text(new_phone.client.get(f"/{SLUG}/login"))
    answer = new_phone.come_back(new_phone.set_out(), tencent.code("oAlice_1"))
    assert answer.location == f"/{SLUG}/start"
    assert new_phone.signed_in()
    small = Phone(connected)
    assert small.come_back(small.set_out(), tencent.code("oalice_1")).status_code == 422, (
        "small letters are another person"
    )

    token = TOKEN.search(text(phone.client.get(f"/{SLUG}/account/wechat")))[1]
    phone.client.post(f"/{SLUG}/account/wechat/unbind", data={"csrf_token": token})
    late = Phone(connected)
    assert late.come_back(late.set_out(), tencent.code("oAlice_1")).status_code == 422
    assert not late.signed_in()


def test_a_code_and_a_state_are_good_once_and_in_their_browser(connected, tencent, doctor):
    bound(connected, tencent, doctor(), "oBob_2")
    phone, thief = Phone(connected), Phone(connected)
    state, code = phone.set_out(), tencent.code("oBob_2")
    foreign = thief.come_back(state, code)
    assert foreign.status_code == 422
    assert not thief.signed_in(), "a state of another browser"
    thief.set_out()
    assert thief.come_back(state, code).status_code == 422
    assert phone.come_back(state, code).status_code == 422, "a state that was tried elsewhere is used up"
    state = phone.set_out()
    mark = phone.client.get_cookie(f"dk-{SLUG}-wechat").value
    assert phone.come_back(state, code).location == f"/{SLUG}/start"
    second_phone = Phone(connected)
    second_phone.client.set_cookie(f"dk-{SLUG}-wechat", mark)
    assert second_phone.come_back(state, tencent.code("oBob_2")).status_code == 422, "a state is good once"
    replay = Phone(connected)
    answer = replay.come_back(replay.set_out(), code)
    assert answer.status_code == 422
    assert "微信授权已失效" in text(answer), "a code is good once"
    assert not replay.signed_in()
    made_up = Phone(connected)
    assert made_up.come_back("made-up", tencent.code("oBob_2")).status_code == 422


def test_one_wechat_is_one_account_and_an_attackers_is_bound_to_nobody(connected, tencent, doctor):
    owner, other_doctor = doctor(), doctor()
    bound(connected, tencent, owner, "oCarol_3")
    phone = Phone(connected, other_doctor)
    answer = phone.come_back(phone.set_out(bind=True), tencent.code("oCarol_3"))
    assert "该微信已绑定另一个账号" in text(answer)
    attacker = Phone(connected, owner)
    state = attacker.set_out(bind=True)
    victim = Phone(connected, other_doctor)
    victim.set_out(bind=True)
    assert victim.come_back(state, tencent.code("oMallory_4")).status_code == 422, (
        "an errand begun by another binds nothing here"
    )


@pytest.mark.parametrize("state", ["closed", "initial"])
def test_an_account_that_is_not_open_is_not_got_into(connected, tencent, doctor, in_province, state):
    someone, openid = doctor(), f"oDave_{state}"
    bound(connected, tencent, someone, openid)
    with in_province(SLUG):
        db.session.execute(
            update(Account).where(Account.id == actors.account_of(someone.record_id)).values(state=state)
        )
        db.session.commit()
    phone = Phone(connected)
    answer = phone.come_back(phone.set_out(), tencent.code(openid))
    assert answer.status_code == 422
    assert "该微信还没有绑定账号" in text(answer)
    assert not phone.signed_in()


def test_an_account_recovered_by_a_code_forgets_its_wechat(connected, tencent, doctor, in_province):
    someone = doctor()
    bound(connected, tencent, someone, "oErin_5")
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.id == actors.account_of(someone.record_id))
        ).one()
        authentication.set_password(account, "qinghai-hu-pan-9", code=None, mobile=None, recovered=True)
        db.session.commit()
    phone = Phone(connected)
    assert phone.come_back(phone.set_out(), tencent.code("oErin_5")).status_code == 422


def test_it_is_off_where_no_account_is_configured_or_the_province_does_not_allow_it(
    application, connected, tencent, doctor, in_province
):
    someone = doctor()
    assert someone.client.get(f"/{SLUG}/wechat/begin").status_code == 404
    assert "微信登录" not in someone.get("/account")
    assert Phone(connected).client.get("/shanxi/wechat/begin").status_code == 404
    outside = connected.test_client()
    assert "微信登录" not in text(outside.get(f"/{SLUG}/login")), "outside WeChat the button leads nowhere"
    assert outside.get(f"/{SLUG}/wechat/begin?bind=1").status_code == 403


def test_a_refused_authorisation_says_how_to_go_on(connected, allowed):
    page = text(Phone(connected).client.get(f"/{SLUG}/wechat/back?state=x"))
    assert "没有完成微信授权" in page
    assert "/login" in page


@pytest.fixture
def official(application, tencent, in_province, allowed):
    tencent.errcode = 0
    with in_province(SLUG):
        yield OfficialAccount(
            APP_ID,
            SECRET,
            "template-1",
            "https://open.weixin.qq.com",
            tencent.address,
            application.extensions["redis"],
        )


def test_messages_go_out_by_one_token_and_a_new_one_where_that_is_over(official, tencent):
    tencent.sent.clear()
    official.send("oAlice_1", {"thing1": "有新消息"}, "http://127.0.0.1/qinghai/notices")
    count = len(tencent.tokens)
    official.send("oAlice_1", {"thing1": "有新消息"}, "http://127.0.0.1/qinghai/notices")
    assert len(tencent.tokens) == count, "the token is kept"
    assert tencent.sent[0] == {
        "touser": "oAlice_1",
        "template_id": "template-1",
        "url": "http://127.0.0.1/qinghai/notices",
        "data": {"thing1": {"value": "有新消息"}},
    }
    tencent.tokens.append("taken by another program")
    official.send("oAlice_1", {"thing1": "有新消息"}, "")
    assert len(tencent.sent) == 3


@pytest.mark.parametrize(
    ("errcode", "fault"),
    [(43004, DeliveryFailed), (43101, DeliveryFailed), (45009, DeliveryFailed), (-1, Unavailable)],
)
def test_what_wechat_refuses_is_told_apart_from_wechat_being_away(official, tencent, errcode, fault):
    tencent.errcode = errcode
    with pytest.raises(fault) as refusal:
        official.send("oAlice_1", {"thing1": "x"}, "")
    assert type(refusal.value) is fault


def test_wrong_secrets_and_a_wechat_that_is_away_are_told_in_words(official, tencent):
    for wrong in ({"secret": "other"}, {"api_url": "http://127.0.0.1:9"}):
        broken = dataclasses.replace(official, **wrong)
        with pytest.raises(Unavailable, match="微信暂时连接不上"):
            broken.openid(tencent.code("oAlice_1"))
    with pytest.raises(InvalidInput, match="微信授权已失效"):
        official.openid("no-code-at-all")
    assert SECRET not in repr(official)


def test_the_state_is_kept_by_its_hash_for_ten_minutes(application, in_province, allowed):
    connection = application.extensions["redis"]
    with in_province(SLUG):
        state, mark = wechat_sign_in.AuthorizationStates(connection).create(None)
        keys = list(connection.scan_iter(f"t:{CODE}:wechat-state:*"))
        assert keys
        for key in keys:
            assert state not in key.decode()
            assert mark not in connection.get(key).decode()
            assert 0 < connection.ttl(key) <= 600
        assert wechat_sign_in.AuthorizationStates(connection).consume(state, mark) is None
