"""What reviewers do at their desk, by HTTP."""

import re
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from tests.actors import SignedInDoctor
from tests.blueprints.signed_in_client import post_form

GRADES = {"performance": "pass", "ethics": "pass", "conduct": "none", "text": "同意"}


def submit_filing(doctor: SignedInDoctor) -> SignedInDoctor:
    """The doctor fills in everything and hands it in."""
    doctor.file()
    doctor.submit()
    return doctor


def take(client: FlaskClient, doctor: SignedInDoctor, side: str = "institution") -> Any:
    """Open a record for review."""
    queue = f"/{doctor.slug}/office/review?side={side}"
    return post_form(client, f"/{doctor.slug}/office/review/{doctor.record_id}/open", page=queue, side=side)


def decide(
    client: FlaskClient, doctor: SignedInDoctor, decision: str, side: str = "institution", **more: Any
) -> Any:
    """Open a record, unless that is refused, and decide on it."""
    opened = take(client, doctor, side)
    if opened.status_code != 303:
        return opened
    base = f"/{doctor.slug}/office/review/{doctor.record_id}"
    return post_form(
        client, f"{base}/decide", page=f"{base}?side={side}", side=side, decision=decision, **more
    )


def approve(client: FlaskClient, doctor: SignedInDoctor) -> Any:
    """The institution approves a filing."""
    return decide(client, doctor, "approve", **GRADES)


def accept(client: FlaskClient, doctor: SignedInDoctor) -> Any:
    """The assessment organisation accepts a filing."""
    return decide(client, doctor, "accept", "organisation", bad_record_check="none")


def recall(
    client: FlaskClient, doctor: SignedInDoctor, side: str = "institution", reason: str = "选错人"
) -> Any:
    """Recall a record from the list of what was sent on."""
    base = f"/{doctor.slug}/office/review"
    return post_form(
        client,
        f"{base}/{doctor.record_id}/recall",
        page=f"{base}/phrases?side={side}",
        side=side,
        reason=reason,
    )


def preview(client: FlaskClient, slug: str, ids: list[UUID], side: str = "institution", **more: Any) -> str:
    """The preview of a batch."""
    queue = f"/{slug}/office/review"
    answer = post_form(
        client,
        f"{queue}/batch",
        page=f"{queue}/phrases?side={side}",
        side=side,
        record=[str(record_id) for record_id in ids],
        **more,
    )
    return str(answer.get_data(as_text=True))


def confirm(client: FlaskClient, slug: str, page: str, *, without: tuple[UUID, ...] = ()) -> Any:
    """Press the button of a preview, with some unticked; the page of the batch."""
    left_out = re.findall(r'name="left_out" value="([^"]+)"', page)
    ticked = re.findall(r'name="record"\s+value="([^"]+)"', page)
    data = {
        "csrf_token": _value(page, "csrf_token"),
        "side": _value(page, "side"),
        "batch": _value(page, "batch"),
        "seen_at": _value(page, "seen_at"),
        "confirmed": "1",
        "record": [record_id for record_id in ticked if UUID(record_id) not in without],
        "left_out": left_out,
    }
    return client.post(f"/{slug}/office/review/batch", data=data)


def _value(page: str, name: str) -> str:
    match = re.search(rf'name="{name}"[^>]*value="([^"]+)"', page)
    assert match, name
    return match[1]
