"""Another site's page changes nothing here, whatever token it has got hold of."""

import re
import uuid
from dataclasses import replace

import pyotp
import pytest
from werkzeug.test import Client

from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.operators import operator_accounts as operators
from dingkao.people import passwords
from dingkao.people.accounts import create_staff
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.web.same_origin_middleware import SameOriginMiddleware, parse_origin

PASSWORD = "sieben-blaue-Pferde-im-Regen"

DOORS = (
    "/sitting/01a20d6d-6950-77af-8da9-61ade7289f87/answer",
    "/sitting/01a20d6d-6950-77af-8da9-61ade7289f87/pulse",
)
FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "https://localhost"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://[localhost"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
)
SAME_ORIGIN = (
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://LOCALHOST:80"},
    {"Origin": "https://dingkao.example.cn"},
)


def posts(application):
    """The address of every route that may change something, ids filled in, and of the doors before Flask."""
    example_values = {"uuid": "01a20d6d-6950-77af-8da9-61ade7289f87", "int": "1", "string": "some"}
    addresses = set(DOORS)
    for rule in application.url_map.iter_rules():
        if rule.methods - {"GET", "HEAD", "OPTIONS"}:
            addresses.add(
                re.sub(
                    r"<(?:(\w+)(?:\(.*?\))?:)?\w+>",
                    lambda part: example_values[part[1] or "string"],
                    rule.rule,
                )
            )
    return sorted(
        address if address.startswith("/platform") else f"/shanxi{address}" for address in addresses
    )


def test_no_route_takes_what_another_sites_page_has_sent(application, provinces):
    client = application.test_client()
    assert len(posts(application)) > 100
    for address in posts(application):
        answers = [client.post(address, headers=headers) for headers in FOREIGN[:4]]
        assert [answer.status_code for answer in answers] == [403] * 4, address
        assert all("不是从本平台的页面发出的" in answer.get_data(as_text=True) for answer in answers), address
        assert "frame-ancestors 'none'" in answers[0].headers["Content-Security-Policy"]
        assert client.post(
            address, headers={"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
        ).status_code in (302, 303, 400, 404, 415, 422), address


def test_a_script_is_answered_in_json(application, provinces):
    answer = application.test_client().post(
        "/shanxi/login", headers={"Origin": "https://evil.example", "Accept": "application/json"}
    )
    assert (answer.status_code, answer.mimetype) == (403, "application/json")
    assert "重新操作" in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [*((headers, 403) for headers in FOREIGN), *((headers, 200) for headers in SAME_ORIGIN)],
)
def test_what_a_browser_says_of_the_page(stack, headers, status):
    def inside(_environ, start_response):
        start_response("200 OK", [])
        return []

    settings = replace(AppConfig.from_environment(stack.environment), public_url="https://dingkao.example.cn")
    client = Client(SameOriginMiddleware(inside, settings))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.open("/", method=method, headers=headers).status_code == status
    assert client.get("/", headers=headers).status_code == 200


def test_an_origin_is_scheme_host_and_port():
    assert (
        parse_origin("https://A.example")
        == parse_origin("https://a.example:443/x")
        == ("https", "a.example", 443)
    )
    assert parse_origin("http://a.example") != parse_origin("https://a.example")
    assert parse_origin("null") is None
    assert parse_origin("http://a:port") is None
    assert parse_origin("http://") is None


def token_of(client, address):
    return re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"',
        client.get(address, follow_redirects=True).get_data(as_text=True),
    )[1]


@pytest.fixture
def administrator(application, in_province, provinces):
    """The user name of an administrator with a password and a second factor bound, and the factor's
    secret."""
    secret, name = pyotp.random_base32(), f"f-{uuid.uuid4().hex[:12]}"
    with in_province("shanxi"):
        account = create_staff(name, "测试人员", [("province_admin", None)], by=TERMINAL_ACTOR)
        account.state, account.password_hash = "active", passwords.hash_password(PASSWORD)
        account.second_factor_sealed = current_vault().encrypt(
            SecretLocation("account", "second_factor", account.id), secret
        )
        db.session.commit()
    return name, secret


def test_the_forms_token_is_another_at_each_change_of_who_is_here(application, administrator):
    name, secret = administrator
    client, page = application.test_client(), "/shanxi/login?staff=1"
    tokens = [token_of(client, page)]
    assert (
        client.post(page, data={"csrf_token": tokens[0], "account": name, "password": PASSWORD}).status_code
        == 303
    )
    tokens.append(token_of(client, "/shanxi/second-factor"))
    assert (
        client.post(
            "/shanxi/second-factor", data={"csrf_token": tokens[0], "code": pyotp.TOTP(secret).now()}
        ).status_code
        == 400
    )
    assert (
        client.post(
            "/shanxi/second-factor", data={"csrf_token": tokens[1], "code": pyotp.TOTP(secret).now()}
        ).status_code
        == 303
    )
    tokens.append(token_of(client, "/shanxi/start"))
    for token in tokens[:2]:
        assert client.post("/shanxi/sign-out", data={"csrf_token": token}).status_code == 400
    assert client.post("/shanxi/sign-out", data={"csrf_token": tokens[2]}).status_code == 303
    assert (
        client.post(page, data={"csrf_token": tokens[2], "account": name, "password": PASSWORD}).status_code
        == 400
    )


def test_an_operators_too(application):
    secret, name = pyotp.random_base32(), f"f-{uuid.uuid4().hex[:12]}"
    with application.app_context():
        operators.create_operator(name, "测试运营")
        operators.set_demonstration_credentials(name, PASSWORD, secret)
    client, tokens = application.test_client(), []
    for address, form in (
        ("/platform/sign-in", {"user_name": name, "password": PASSWORD}),
        ("/platform/second-factor", {"code": pyotp.TOTP(secret).now()}),
    ):
        tokens.append(token_of(client, address))
        assert all(
            client.post(address, data={"csrf_token": token} | form).status_code == 400
            for token in tokens[:-1]
        )
        assert client.post(address, data={"csrf_token": tokens[-1]} | form).status_code == 303
    assert client.post("/platform/sign-out", data={"csrf_token": tokens[-1]}).status_code == 400
    tokens.append(token_of(client, "/platform/"))
    assert client.post("/platform/sign-out", data={"csrf_token": tokens[-1]}).status_code == 303
    assert (
        client.post(
            "/platform/sign-in", data={"csrf_token": tokens[-1], "user_name": name, "password": PASSWORD}
        ).status_code
        == 400
    )
