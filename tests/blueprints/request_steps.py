"""A doctor who may ask for something and those who decide, and what they do by HTTP."""

import io
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from tests import sample_data
from tests.actors import SignedInDoctor, portrait_image, signed_in_doctor, unused_serials
from tests.blueprints.signed_in_client import post_form, signed_in_client

BASIC = {
    "ethnicity": "汉族", "education": "本科", "degree": "学士", "graduated": "2003-07", "working_since": "2003-08",
}  # fmt: skip
"""The first step of a change, but for the school."""


def deciders(application: Any, in_province: Any, slug: str) -> dict[str, Any]:
    """Clients of those who decide, by name: a reviewer and a clerk of the first institution, a reviewer of
    its assessment organisation, an administrator, a reviewer of another institution."""
    signed_in_doctor(application, in_province, slug, next(unused_serials(slug)))
    with in_province(slug) as province:
        first, second = (sample_data.registration_number(province.code, place) for place in (1, 2))
    roles = {
        "institution": ("institution_reviewer", first),
        "clerk": ("institution_clerk", first),
        "organisation": ("organisation_reviewer", first),
        "province": ("province_admin", None),
        "elsewhere": ("institution_reviewer", second),
    }
    return {
        name: signed_in_client(application, in_province, slug, role, place)
        for name, (role, place) in roles.items()
    }


def doctor_in(application: Any, in_province: Any, slug: str, state: str, **cells: str) -> SignedInDoctor:
    """A doctor with a complete filing whose record is in `state`; `cells` change the roster row."""
    someone = signed_in_doctor(application, in_province, slug, next(unused_serials(slug)), **cells)
    someone.file()
    someone.submit()
    with in_province(slug):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
        ).one()
        record.state, record.procedure = state, "general"
        record.performance = record.ethics = "pass"
        record.competence = {"failed": "fail", "passed": "pass"}.get(state)
        db.session.commit()
    return someone


def begun(someone: SignedInDoctor, kind: str) -> str:
    """A new request of a kind; its id."""
    answer = someone.post(f"/requests/new/{kind}", page=f"/requests/new/{kind}")
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return str(answer.location.rsplit("/", 1)[1])


def upload(someone: SignedInDoctor, request_id: str) -> Any:
    """A proof handed in with it."""
    page = f"/requests/{request_id}/files"
    return someone.post(page, file=(io.BytesIO(portrait_image()), "证书.jpg"))


def hand_in(someone: SignedInDoctor, request_id: str, **fields: str) -> str:
    """Hand a request in; its id."""
    page = f"/requests/{request_id}"
    answer = someone.post(f"{page}/save", page=page, submit="1", **fields)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return request_id


def exemption(someone: SignedInDoctor) -> str:
    """A request for 免考 handed in."""
    request_id = begun(someone, "exemption")
    upload(someone, request_id)
    return hand_in(someone, request_id, reason="residency", note="")


def deferral(someone: SignedInDoctor) -> str:
    """A request for 延考 handed in."""
    request_id = begun(someone, "deferral")
    upload(someone, request_id)
    return hand_in(someone, request_id, reason="患病或住院治疗")


def change(someone: SignedInDoctor) -> str:
    """A change of the school handed in."""
    request_id = begun(someone, "change")
    someone.post(f"/requests/{request_id}/step/1", school="青海大学", **BASIC)
    return hand_in(someone, request_id)


def correction(someone: SignedInDoctor) -> str:
    """A correction of the name handed in."""
    request_id = begun(someone, "correction")
    assert someone.post(f"/requests/{request_id}/correction", name="钱更正").status_code == 303
    upload(someone, request_id)
    return hand_in(someone, request_id)


def appeal(someone: SignedInDoctor) -> str:
    """An appeal handed in."""
    request_id = begun(someone, "appeal")
    return hand_in(someone, request_id, note="第二题的答案有争议,申请重新核对评分。")


def decide(client: Any, request_id: str, side: str, decision: str, **more: str) -> Any:
    """Decide as a desk does; `client` as `signed_in_client` makes it."""
    address = f"/{client.slug}/office/requests/{request_id}"
    return post_form(
        client, f"{address}/decide", page=f"{address}?side={side}", side=side, decision=decision, **more
    )


def review(
    client: FlaskClient,
    someone: SignedInDoctor,
    decision: str,
    side: str = "institution",
    **more: str,
) -> Any:
    """Take a filing up from the list of a desk and decide on it; the answer of whichever is refused."""
    base = f"/{someone.slug}/office/review/{someone.record_id}"
    opened = post_form(
        client,
        f"{base}/open",
        page=f"/{someone.slug}/office/review?side={side}",
        side=side,
    )
    if opened.status_code != 303:
        return opened
    checks = {"conduct": "none", "bad_record_check": "none"}
    return post_form(
        client,
        f"{base}/decide",
        page=f"{base}?side={side}",
        side=side,
        decision=decision,
        **checks | more,
    )
