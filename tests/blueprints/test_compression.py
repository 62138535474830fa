"""What leaves compressed, and what must not: a page that another site asked for in someone's name
(BREACH)."""

import gzip
import hashlib
import re

import pytest

from dingkao.app import create_app
from dingkao.config import AppConfig
from tests import actors

SLUG = "xinjiang"
_serial = actors.unused_serials(SLUG)
HOST = "http://localhost"


@pytest.fixture
def doctor(application, in_province):
    return actors.signed_in_doctor(application, in_province, SLUG, next(_serial))


def encoding(client, **headers: str) -> str | None:
    """How the notice's page comes to a browser that takes gzip and says `headers`."""
    request_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(
        f"/{SLUG}/filing/notice", headers={"Accept-Encoding": "gzip"} | request_headers
    ).headers.get("Content-Encoding")


def test_our_own_pages_and_the_persons_own_hand_get_pages_compressed(doctor):
    assert encoding(doctor.client, Sec_Fetch_Site="same-origin") == "gzip"
    assert encoding(doctor.client, Sec_Fetch_Site="none") == "gzip"
    assert encoding(doctor.client, Referer=f"{HOST}/{SLUG}/home") == "gzip"


def test_what_another_site_asked_for_with_someones_cookies_is_sent_as_it_is(doctor):
    for site in ("cross-site", "same-site"):
        assert encoding(doctor.client, Sec_Fetch_Site=site, Referer=f"{HOST}/{SLUG}/home") is None
    assert encoding(doctor.client) is None
    assert encoding(doctor.client, Referer="https://elsewhere.example/localhost") is None


def test_without_cookies_there_is_nobody_to_spy_on(application, doctor):
    answer = application.test_client().get(
        f"/{SLUG}/login", headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": "cross-site"}
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "请输入密码" in gzip.decompress(answer.data).decode()


def test_a_form_with_faults_is_compressed_and_stays_a_422(doctor):
    doctor.post("/filing/notice")
    page = doctor.get("/filing/list/education/new")
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    answer = doctor.client.post(
        f"/{SLUG}/filing/list/education/new",
        data={"csrf_token": token},
        headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": "same-origin"},
    )
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (422, "gzip")


def test_our_style_sheets_and_modules_are_served_compressed(application):
    for name in (
        "written/css/doctor.css",
        "written/css/console.css",
        "css/doctor/questions.css",
        "written/js/page.js",
        "vendor/tabler.css",
    ):
        answer = application.test_client().get(f"/static/{name}", headers={"Accept-Encoding": "br"})
        assert answer.headers["Content-Encoding"] == "br", name


def test_packages_that_lie_in_the_home_are_served(stack):
    copied = stack.home / "static" / "vendor" / "elsewhere.css"
    copied.parent.mkdir(parents=True)
    copied.write_text("a { color: red }")
    client = create_app(AppConfig.from_environment(stack.environment)).test_client()
    assert client.get("/static/vendor/elsewhere.css").text == "a { color: red }"
    assert client.get("/static/written/css/doctor.css").status_code == 200


def test_a_module_asks_for_others_at_addresses_that_change_with_them(application):
    """They are kept for a year: without a version a new module would be joined to what an old release had
    under that name."""
    client, import_pattern = (
        application.test_client(),
        re.compile(r'(?:from "\./|src="/static/written/js/)([\w-]+\.js)\?v=(\w+)"'),
    )
    waiting = {match.groups() for match in import_pattern.finditer(client.get(f"/{SLUG}/login").text)}
    waiting |= {("sitting.js", ""), ("practice.js", ""), ("large-file-upload.js", "")}
    versions = dict(waiting)
    while waiting:
        name, _ = waiting.pop()
        module = client.get(f"/static/written/js/{name}").text
        assert 'from "./' not in import_pattern.sub("", module)
        imports = {match.groups() for match in import_pattern.finditer(module)} - versions.items()
        waiting |= imports
        versions |= dict(imports)
    assert {
        "answer-store.js",
        "question-text.js",
        "practice-queue.js",
        "chunked-upload.js",
    } <= versions.keys()
    for name, version in versions.items():
        content = client.get(f"/static/written/js/{name}").data
        assert version in ("", hashlib.sha256(content).hexdigest()[:10]), name
