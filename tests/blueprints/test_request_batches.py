"""免考 and 延考 decided on in batches, beside the proofs: what has to be looked into alone is left out by
name and reason."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.requests.models import Request, RequestFile
from tests.blueprints import request_steps
from tests.blueprints.signed_in_client import post_form

SLUG, CODE = "hainan", 46
PAGE = f"/{SLUG}/office/requests/batch"


@pytest.fixture(scope="module")
def desks(application, in_province):
    return request_steps.deciders(application, in_province, SLUG)


@pytest.fixture
def waiting(application, in_province):
    """A new doctor who is 待测评."""
    return lambda: request_steps.doctor_in(application, in_province, SLUG, "ready")


def states(in_province, *ids):
    with in_province(SLUG):
        state_by_id = dict(db.session.execute(select(Request.id, Request.state)).all())
    return [state_by_id[UUID(request_id)] for request_id in ids]


def decide(client, kind, ids, side="institution", **more):
    address = f"{PAGE}?side={side}&kind={kind}"
    return post_form(client, address, request=ids, **({"decision": "agree", "opinion": ""} | more))


def test_deferrals_with_proofs_go_on_together_and_to_the_second_side(desks, waiting, in_province):
    doctors = [waiting() for _ in range(2)]
    ids = [request_steps.deferral(doctor) for doctor in doctors]
    page = desks["institution"].get(f"{PAGE}?side=institution&kind=deferral").get_data(as_text=True)
    assert page.count('class="proof-picture"') == 2
    assert "还剩12天" in page
    answer = decide(desks["institution"], "deferral", ids)
    assert "已办理2项申请" in answer.get_data(as_text=True)
    assert states(in_province, *ids) == ["second_pending"] * 2
    decide(desks["organisation"], "deferral", ids, side="organisation")
    assert states(in_province, *ids) == ["granted"] * 2


def test_what_contradicts_the_filing_or_has_no_proof_is_left_out_by_name(desks, waiting, in_province):
    unmet, unproven, sound = waiting(), waiting(), waiting()
    unmet_id, sound_id = request_steps.exemption(unmet), request_steps.deferral(sound)
    unproven_id = request_steps.deferral(unproven)
    with in_province(SLUG):
        db.session.execute(update(Request).where(Request.id == unmet_id).values(reason="retired"))
        db.session.query(RequestFile).filter(RequestFile.request_id == unproven_id).delete()
        db.session.commit()
    answer = decide(desks["institution"], "deferral", [unmet_id, unproven_id, sound_id])
    page = answer.get_data(as_text=True)
    assert "已办理1项申请" in page
    assert "填报信息与免考理由不符，须打开申请单独办理。" in page
    assert "没有证明材料，须打开申请单独办理。" in page
    assert states(in_province, unmet_id, unproven_id, sound_id) == [
        "first_pending",
        "first_pending",
        "second_pending",
    ]


def test_a_refusal_needs_its_reason_and_changes_stay_alone(desks, waiting, in_province):
    request_id, change_id = request_steps.deferral(waiting()), request_steps.change(waiting())
    refused = decide(desks["institution"], "deferral", [request_id], decision="refuse")
    assert (refused.status_code, "不同意的，请填写原因" in refused.get_data(as_text=True)) == (422, True)
    assert decide(desks["institution"], "deferral", []).status_code == 422
    answer = decide(desks["institution"], "deferral", [change_id])
    assert "只有免考、延考申请可以成批办理" in answer.get_data(as_text=True)
    decide(desks["institution"], "deferral", [request_id], decision="refuse", opinion="材料不全")
    assert states(in_province, request_id, change_id) == ["refused", "first_pending"]
    assert desks["institution"].get(f"{PAGE}?side=institution&kind=change").status_code == 404
    assert "成批办理免考申请" in desks["institution"].get(PAGE).get_data(as_text=True)


def test_nobody_elses_requests_are_reached_and_lateness_is_counted(desks, waiting, in_province):
    request_id = request_steps.deferral(waiting())
    assert decide(desks["elsewhere"], "deferral", [request_id]).status_code == 404
    with in_province(SLUG):
        db.session.execute(
            update(Request)
            .where(Request.id == request_id)
            .values(submitted_at=clock.now() - timedelta(days=14))
        )
        db.session.commit()
    page = desks["institution"].get(f"{PAGE}?side=institution&kind=deferral").get_data(as_text=True)
    assert "已超过答复期限2天" in page
