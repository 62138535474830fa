"""Who is given a certificate, and what its serial tells the public: of a province in service, suspended, and
of none."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao import clock
from dingkao.certificates import certificate_rendering
from dingkao.certificates.models import Certificate
from dingkao.certificates.serials import new_serial, normalise_serial, province_of_serial
from dingkao.database.base import db, new_id
from dingkao.integrations.storage import current_store
from dingkao.journal import failed_attempts
from dingkao.journal.models import JournalEntry
from dingkao.operators import province_admin
from dingkao.people.permissions import PROVINCE_ROLES, ROLE_LABELS
from dingkao.tenants.encryption import current_vault
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "guizhou", 52
_serial = actors.unused_serials(SLUG)


@pytest.fixture
def admin(application, in_province, province):
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.fixture
def drawn(application, in_province):
    """A certificate with its files, without the exam before it: whose, and its id."""
    doctor, certificate_id = actors.signed_in_doctor(application, in_province, SLUG, next(_serial)), new_id()
    with in_province(SLUG):
        fields = {
            "cycle_label": "2026年度考核",
            "issued_on": date(2026, 6, 1),
            "content_sealed": b"x",
            "holder_masked": "张*",
        }
        db.session.add(
            Certificate(
                id=certificate_id,
                assessment_id=doctor.record_id,
                serial=new_serial(CODE, 2026),
                drawn_at=clock.now(),
                **fields,
            )
        )
        for kind, content in (
            (certificate_rendering.PDF_KIND, b"%PDF-1.7"),
            (certificate_rendering.PNG_KIND, b"picture"),
        ):
            current_store().put(kind, certificate_id, content)
        db.session.commit()
    return doctor, certificate_id


@pytest.mark.parametrize("role", [role for role in ROLE_LABELS if role != "province_admin"])
def test_a_certificate_is_fetched_by_administrators_alone(application, in_province, drawn, role):
    place = sample_data.registration_number(CODE, 1) if role not in PROVINCE_ROLES else None
    someone, (_, certificate_id) = signed_in_client(application, in_province, SLUG, role, place), drawn
    for act in ("file", "revoke", "draw"):
        assert (
            post_form(
                someone,
                f"/{SLUG}/office/certificates/{certificate_id}/{act}",
                page=f"/{SLUG}/office",
                reason="试",
            ).status_code
            == 403
        ), act
    with in_province(SLUG):
        assert db.session.get_one(Certificate, (CODE, certificate_id)).state == "issued"
        assert (
            db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == certificate_id)).all()
            == []
        )


def test_an_administrator_fetches_it_and_a_doctor_the_own_one(application, in_province, admin, drawn):
    doctor, certificate_id = drawn
    assert (
        post_form(admin, f"/{SLUG}/office/certificates/{certificate_id}/file", page=f"/{SLUG}/office").data
        == b"%PDF-1.7"
    )
    with in_province(SLUG):
        assert db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == certificate_id)
        ).all() == ["fetched"]
    place = f"/result/{doctor.record_id}"
    assert doctor.client.get(f"/{SLUG}{place}/certificate.png").data == b"picture"
    assert doctor.post(f"{place}/download", page="/account/mobile").data == b"%PDF-1.7"
    other_doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    assert other_doctor.client.get(f"/{SLUG}{place}/certificate.png").status_code == 404
    assert other_doctor.post(f"{place}/download", page="/account/mobile").status_code == 404
    assert (
        other_doctor.post(f"/office/certificates/{certificate_id}/file", page="/account/mobile").status_code
        == 403
    )
    for client in (
        application.test_client(),
        signed_in_client(application, in_province, "henan", "province_admin"),
    ):
        assert client.get(f"/{SLUG}{place}/certificate.png").status_code == 302


@pytest.fixture
def suspended(application, in_province):
    """A certificate of a province that is not served while the test runs: its serial."""
    doctor = actors.signed_in_doctor(
        application, in_province, "guangdong", next(actors.unused_serials("guangdong"))
    )
    serial = new_serial(44, 2026)
    with in_province("guangdong"):
        fields = {
            "cycle_label": "2026年度考核",
            "issued_on": date(2026, 6, 1),
            "content_sealed": b"x",
            "holder_masked": "张*",
        }
        db.session.add(Certificate(assessment_id=doctor.record_id, serial=serial, **fields))
        db.session.commit()
    with application.app_context():
        province_admin.set_service_state("guangdong", "closed", operator=new_id(), name="运营")
    yield doctor, serial
    with application.app_context():
        province_admin.set_service_state("guangdong", "open", operator=new_id(), name="运营")


def noted(subject):
    return list(
        db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == subject).order_by(JournalEntry.id)
        )
    )


def test_a_suspended_provinces_certificates_verify_and_the_page_says_so(application, in_province, suspended):
    doctor, serial = suspended
    public = application.test_client()
    answer = public.get(f"/verify/{serial}")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert '<p class="verdict-box is-passed">有效</p>' in page
    assert "广东省已暂停使用本平台" in page
    assert "张*" in page
    with in_province("guangdong"):
        db.session.scalars(select(Certificate).where(Certificate.serial == serial)).one().state = "revoked"
        db.session.commit()
    assert '<p class="verdict-box is-failed">已撤销</p>' in public.get(f"/verify/{serial}").get_data(
        as_text=True
    )
    with in_province("guangdong"):
        place = failed_attempts.attempt_subject(current_vault().blind_index("verify-place", "127.0.0.1"))
        entries_before = noted(place)
    for _ in range(5):
        assert public.get(f"/verify/{new_serial(44, 2026)}").status_code == 404
    assert public.get(f"/verify/{serial}1").status_code == 404
    with in_province("guangdong"):
        assert noted(place) == [*entries_before, *["verification_failed"] * 3]
    application.extensions.pop("open provinces", None)  # a process asks anew after five seconds
    refused = doctor.client.get("/guangdong/home")
    assert refused.status_code == 404
    assert "已暂停使用本平台" in refused.get_data(as_text=True)


def test_what_a_province_that_is_served_issued_says_nothing_of_suspension(application, suspended):
    _, serial = suspended
    with application.app_context():
        province_admin.set_service_state("guangdong", "open", operator=new_id(), name="运营")
    page = application.test_client().get(f"/verify/{serial}").get_data(as_text=True)
    assert "有效" in page
    assert "暂停" not in page


@given(st.integers(11, 66), st.integers(2000, 2100))
def test_serials(province, year):
    serial = new_serial(province, year)
    issuing_province = province_of_serial(serial)
    assert issuing_province is None or issuing_province.code == province
    position = 10
    altered_serial = serial[:position] + str((int(serial[position]) + 1) % 10) + serial[position + 1 :]
    assert province_of_serial(altered_serial) is None
    assert normalise_serial(f" {serial[:8].lower()}-{serial[8:]} ") == serial


@pytest.mark.parametrize(
    "text", ["", "x", "142026KH123456789", "../../etc", "142026KH1234567890", "%27", "1" * 500]
)
def test_what_is_no_serial_is_not_found(application, text):
    assert application.test_client().get(f"/verify/{text or 'none'}").status_code == 404


def test_serials_are_asked_for_sixty_times_a_minute_from_one_place(application):
    def asked(place):
        answer = application.test_client().get("/verify/x", environ_overrides={"REMOTE_ADDR": place})
        return answer.status_code, answer.headers.get("Retry-After")

    assert [asked("10.60.0.1") for _ in range(61)] == [(404, None)] * 60 + [(429, "60")]
    assert asked("10.60.0.2") == (404, None)
