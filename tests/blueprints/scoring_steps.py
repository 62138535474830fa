"""What tests of marking stand on: a line and a list of two persons, a doctor who may sit, what was scored."""

import re

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import sittings
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.correction_models import ScoreChange
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.results import pass_lines
from tests import actors
from tests.blueprints.signed_in_client import post_form

SLUG, CODE = "chongqing", 50
_serial = actors.unused_serials(SLUG)


def approve_line(admins):
    """Have the line of clinical physicians approved, 95 points: of ten questions every one is to be right."""
    page = f"/{SLUG}/office/lines"
    post_form(admins[0], page, category="clinical", level="physician", line="95")
    line_id = re.search(r'name="line" value="([0-9a-f-]{36})"', admins[1].get(page).get_data(as_text=True))[1]
    assert post_form(admins[1], f"{page}/approve", page=page, line=line_id).status_code == 303


def ready_to_sit(application, in_province):
    """A doctor who may sit. Nothing is filled in: marking looks at none of it."""
    return actors.ready_doctor(application, in_province, SLUG, next(_serial))


def sat(in_province, doctor):
    """The sitting of the first paper: its id, score, versions by position, the answers."""
    with in_province(SLUG):
        query = select(Sitting).join(
            Paper, (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id)
        )
        sitting = db.session.scalars(
            query.where(Sitting.assessment_id == doctor.record_id, Paper.subject == "common")
        ).one()
        return (
            sitting.id,
            sitting.score_tenths,
            [item.version for item in load_layout(sitting.layout)],
            sittings.saved_answers(sitting),
        )


def score(in_province, doctor):
    return sat(in_province, doctor)[1]


def verdict(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(
            select(Assessment.competence).where(Assessment.id == doctor.record_id)
        ).one()


def listed(application, in_province, admins, reviewer):
    """Apply the lines, conclude, and have a list for publication made; its page's address."""
    with in_province(SLUG):
        pass_lines.apply_approved_lines()
    post_form(reviewer, f"/{SLUG}/office/conclusions", all="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    place = post_form(admins[0], f"/{SLUG}/office/publications").location
    actors.run_pending_jobs(application, in_province, SLUG)
    return place


def publish(application, in_province, admins, reviewer):
    place = listed(application, in_province, admins, reviewer)
    assert post_form(admins[1], f"{place}/approve", page=place).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)


def changes(in_province, sitting_id):
    with in_province(SLUG):
        return [
            (score_change.before_tenths, score_change.after_tenths, score_change.state)
            for score_change in db.session.scalars(
                select(ScoreChange).where(ScoreChange.sitting_id == sitting_id)
            )
        ]


def proposed(application, in_province, client, version, **given):
    """Propose a correction and let what it would change be counted; the page's address."""
    answer = post_form(
        client,
        f"/{SLUG}/office/corrections/version/{version}",
        **({"treatment": "marked", "reason": "命题组复核"} | given),
    )
    assert answer.status_code == 303, answer.get_data(as_text=True)
    actors.run_pending_jobs(application, in_province, SLUG)
    return answer.location


def corrected(application, in_province, admins, version, **given):
    page = proposed(application, in_province, admins[0], version, **given)
    assert post_form(admins[1], f"{page}/approve", page=page).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    return page


def drawn_version(in_province):
    """A version of A1 that was drawn and whose question is in use unchanged, and another letter than its
    key."""
    with in_province(SLUG):
        for layout in db.session.scalars(select(Sitting.layout).order_by(Sitting.id.desc())):
            for item in load_layout(layout):
                version = db.session.get_one(QuestionVersion, (CODE, item.version))
                question = db.session.get_one(Question, (CODE, version.question_id))
                if version.kind == "A1" and (question.current_version, question.proposed_version) == (
                    version.id,
                    None,
                ):
                    return version.id, actors.wrong_letter(version)
    raise AssertionError("none was drawn")
