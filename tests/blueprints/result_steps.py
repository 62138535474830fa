"""From scores to a list that is published, by HTTP, and the certificates that come of it."""

import re

from sqlalchemy import select

from dingkao.certificates.models import Certificate
from dingkao.database.base import db
from dingkao.journal.models import JournalEntry
from dingkao.results import pass_lines
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "guizhou", 52
_serial = actors.unused_serials(SLUG)
LINE_BOX = r'name="line" value="([0-9a-f-]{36})"'


def scored_doctor(application, in_province, right=True, **cells):
    """A doctor who has filed and sat, all right or all wrong; `cells` change the roster row."""
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
    doctor.file()
    actors.advance_to(in_province, doctor, "ready")
    actors.sit_all_papers(in_province, doctor, right=right)
    return doctor


def approve_line(admins, in_province):
    """Have the line of clinical physicians proposed by one, refused to the same, approved by the other."""
    proposer, approver = admins
    page = f"/{SLUG}/office/lines"
    refused = post_form(proposer, page, category="clinical", level="physician", line="六十")
    assert (refused.status_code, refused.get_data(as_text=True).count('value="六十"')) == (422, 1)
    answer = post_form(proposer, page, category="clinical", level="physician", line="60")
    assert answer.status_code == 303
    own_page, page_of_other = (person.get(page).get_data(as_text=True) for person in (proposer, approver))
    assert not re.search(LINE_BOX, own_page), "the proposer is offered to approve"
    line_id = re.search(LINE_BOX, page_of_other)[1]
    refused = post_form(proposer, f"{page}/approve", page=page, line=line_id)
    assert refused.status_code == 403
    assert "提出人与确认人不能是同一人" in refused.get_data(as_text=True)
    for _ in range(2):
        assert post_form(approver, f"{page}/approve", page=page, line=line_id).status_code == 303
    assert "已生效" in proposer.get(page).get_data(as_text=True)
    assert post_form(proposer, page, category="clinical", level="physician", line="50").status_code == 409
    with in_province(SLUG):
        verbs = db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == line_id)).all()
    assert verbs == ["proposed", "approved"]


def listed(application, admins, in_province):
    """Conclude all that wait and have the first administrator make a list of them: its page."""
    with in_province(SLUG):
        pass_lines.apply_approved_lines()
    reviewer = signed_in_client(
        application, in_province, SLUG, "organisation_reviewer", sample_data.registration_number(CODE, 1)
    )
    post_form(reviewer, f"/{SLUG}/office/conclusions", all="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    place = post_form(admins[0], f"/{SLUG}/office/publications").location
    actors.run_pending_jobs(application, in_province, SLUG)
    return place


def published(application, admins, in_province):
    """Conclude and publish all that wait; the page of the list."""
    proposer, approver = admins
    place = listed(application, admins, in_province)
    assert "须由另一位省级管理员确认" in proposer.get(place).get_data(as_text=True)
    assert post_form(proposer, f"{place}/approve", page=place).status_code == 403
    answer = post_form(approver, f"{place}/approve", page=place)
    assert "/office/work/" in answer.location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "已完成" in approver.get(answer.location).get_data(as_text=True)
    return place


def certificate_of(doctor):
    """The one certificate of a doctor of the test, in the province entered."""
    return db.session.scalars(select(Certificate).where(Certificate.assessment_id == doctor.record_id)).one()
