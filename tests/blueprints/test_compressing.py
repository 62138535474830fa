"""What leaves compressed, and what must not: a page that another site asked for in someone's name (BREACH)."""

import gzip

import pytest

from tests import people

SLUG = "xinjiang"
_serial = people.serials(SLUG)
HOST = "http://localhost"


@pytest.fixture
def doctor(application, in_province):
    return people.doctor(application, in_province, SLUG, next(_serial))


def encoding(client, **headers: str) -> str | None:
    """How the notice's page comes to a browser that takes gzip and says `headers`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(f"/{SLUG}/filing/notice", headers={"Accept-Encoding": "gzip"} | given).headers.get("Content-Encoding")


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
    answer = application.test_client().get(f"/{SLUG}/login", headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": "cross-site"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "请输入密码" in gzip.decompress(answer.data).decode()


def test_a_form_with_faults_is_compressed_and_stays_a_422(doctor):
    doctor.post("/filing/notice")
    page = doctor.get("/filing/list/education/new")
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    answer = doctor.client.post(
        f"/{SLUG}/filing/list/education/new", data={"csrf_token": token}, headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": "same-origin"}
    )
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (422, "gzip")


def test_our_style_sheets_and_modules_are_served_compressed(application):
    for name in ("css/doctor.css", "js/page.js", "vendor/weui.min.css"):
        answer = application.test_client().get(f"/static/{name}", headers={"Accept-Encoding": "br"})
        assert answer.headers["Content-Encoding"] == "br", name
