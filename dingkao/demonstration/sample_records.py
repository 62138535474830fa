"""Creates demonstration doctors in every reachable state, by the same transitions as for real doctors."""

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.enrolment import include
from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.demonstration.sample_filings import SampleFiling
from dingkao.demonstration.sample_papers import (
    create_halls,
    create_papers,
)
from dingkao.demonstration.sample_portraits import draw_portrait
from dingkao.demonstration.sample_requests import create_requests
from dingkao.demonstration.sample_scoring import create_post_exam_data
from dingkao.demonstration.sample_sittings import (
    begin_paper,
    create_monitoring_data,
    create_practice,
    sit_papers,
)
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.exams import sittings
from dingkao.exams.tickets import get_or_issue_ticket
from dingkao.filings import filing_submission
from dingkao.filings.dossier import dossier_of
from dingkao.filings.return_marks import marks_to_store
from dingkao.jobs import enqueueing, worker
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people import passwords
from dingkao.people.models import Account
from dingkao.people.scopes import WHOLE_PROVINCE
from dingkao.results import pass_lines, publication_lists, publishing

REQUEST_STATES = ("deferred", "exempted", "refused", "asking")
"""Sample states of doctors in 待测评 with a request: granted (延考, 免考), refused, or waiting."""
SAMPLE_STATES = (
    "included", "draft", "institution_pending", "institution_returned", "organisation_pending", "organisation_returned", "ready", "testing",
    "scored", "absent", "grading", "confirming", "passed", "failed", "passed", "ready",
    *REQUEST_STATES,
)  # fmt: skip
RETURNED_MARKS = {
    "1.school": "与毕业证书上的名称不一致。",
    "3.education": "起止时间与毕业证书不一致。",
}
"""The return marks on a returned filing: «step.field» → sentence."""


def create_records(cycle: Cycle, staff: dict[str, Actor], password: str) -> None:
    """Create papers, pass lines and halls of `cycle`, bring one doctor into each of SAMPLE_STATES, with what
    belongs to it, and include two more; publish the results of those who are to be passed or failed. `staff`:
    side (institution, organisation, admin, admin2) → actor. `password`: of the doctors' accounts, which are
    opened."""
    create_papers(cycle)
    query = select(Assessment).where(Assessment.cycle_id == cycle.id).order_by(Assessment.doctor_id)
    records = list(db.session.scalars(query))
    ids = [record.id for record in records[: len(SAMPLE_STATES) + 2]]
    include(cycle, ids, by=staff["admin"], grant=WHOLE_PROVINCE)
    _approve_pass_lines(cycle, records[SAMPLE_STATES.index("scored")], staff)
    samples = list(zip(records, SAMPLE_STATES, strict=False))
    for record, state in samples:
        _open_account(record, password)
        if state != "included":
            _create_sample(cycle, record, state, staff)
    create_halls(
        cycle,
        _records_for(samples, ("ready", "testing")),
        staff["organisation"],
    )
    final_records = _records_for(samples, FINAL_STATES)
    _publish_results(cycle, records, final_records, staff)
    absent_record = next(record for record in records if record.state == "absent")
    create_post_exam_data(cycle, final_records[0], absent_record, staff)


def _records_for(
    samples: Collection[tuple[Assessment, str]],
    states: Collection[str],
) -> list[Assessment]:
    """Returns the records whose intended state is one of `states`."""
    return [record for record, state in samples if state in states]


def _approve_pass_lines(cycle: Cycle, scored_record: Assessment, staff: dict[str, Actor]) -> None:
    """Approve a pass line of 60 points for every category and level except those of `scored_record`, which is
    to stay without a verdict."""
    scored_doctor = _doctor_of(scored_record)
    for category, level in itertools.product(CATEGORIES, LEVELS):
        if (category, level) != (
            scored_doctor.category,
            scored_doctor.level,
        ):
            line = pass_lines.propose_line(cycle, category, level, 600, by=staff["admin"])
            pass_lines.approve_line(line, by=staff["admin2"])


def _create_sample(
    cycle: Cycle,
    record: Assessment,
    state: str,
    staff: dict[str, Actor],
) -> None:
    """Bring a record into `state`, and add the requests and events of that sample state; a record that is to
    be passed or failed only as far as 待发布."""
    doctor = _doctor_of(record)
    if state in FINAL_STATES:
        _SampleDoctor(
            cycle,
            record,
            doctor,
            staff,
            "confirming",
            right=state == "passed",
        ).advance()
        return
    _SampleDoctor(cycle, record, doctor, staff, state, right=True).advance()
    create_requests(record, state, staff, draw_portrait(record.id))
    create_monitoring_data(record, state, staff["organisation"])


def _publish_results(
    cycle: Cycle,
    records: Collection[Assessment],
    final_records: Collection[Assessment],
    staff: dict[str, Actor],
) -> None:
    """Publish the results of `final_records`. The other records in 待发布 are returned before that and
    concluded again afterwards, so that they stay unpublished."""
    waiting_records = [
        record for record in records if record.state == "confirming" and record not in final_records
    ]
    for record in waiting_records:
        assessment_transitions.return_for_objection(record, by=staff["admin"], reason="先行核对")
    _publish_confirming(cycle, staff)
    for record in waiting_records:
        assessment_transitions.conclude(record, by=staff["organisation"])


def _publish_confirming(cycle: Cycle, staff: dict[str, Actor]) -> None:
    """Publish all records that are 待发布 now."""
    publication = publication_lists.propose_publication(cycle, by=staff["admin"])
    _run_latest_job(publication.id, publication_lists.GATHER_JOB)
    publishing.approve_publication(publication, by=staff["admin2"])
    _run_latest_job(publication.id, publishing.PUBLISH_JOB)


def _run_latest_job(subject: UUID, name: str) -> None:
    """Run the latest job `name` about the row `subject` within this transaction."""
    job = enqueueing.latest_job_about(subject, name)
    assert job is not None  # noqa: S101 - it was enqueued just now
    worker.run_inline(job)


@dataclass(frozen=True)
class _SampleDoctor:
    """A doctor whose record is brought into the state `target`, one transition after the other. `right`: the
    doctor answers correctly."""

    cycle: Cycle
    record: Assessment
    doctor: Doctor
    staff: dict[str, Actor]
    target: str
    right: bool

    @property
    def actor(self) -> Actor:
        """The doctor as an actor."""
        return Actor("doctor", self.doctor.account_id, name=self.doctor.name)

    def advance(self) -> None:
        """Bring the record from «included» to its target."""
        last_state = _LAST_STEPS.get(self.target, self.target)
        states = list(_STEPS)
        for state in states[: states.index(last_state) + 1]:
            _STEPS[state](self)
        if self.target in _STEPS_BESIDE:
            _STEPS_BESIDE[self.target](self)


def _file(sample: _SampleDoctor) -> None:
    """Start the filing, and complete it unless the target is «draft»."""
    filing = SampleFiling(sample.cycle, sample.record, sample.doctor, sample.actor)
    filing.start()
    if sample.target != "draft":
        filing.complete()


def _submit(sample: _SampleDoctor) -> None:
    """Submit the filing to the institution."""
    dossier = dossier_of(sample.doctor, sample.cycle, for_update=True)
    filing_submission.submit(dossier, by=sample.actor)


def _approve(sample: _SampleDoctor) -> None:
    """Approve the filing, with both verdicts 合格."""
    assessment_transitions.approve(
        sample.record,
        by=sample.staff["institution"],
        performance="pass",
        ethics="pass",
        opinion="情况属实，同意。",
    )


def _accept(sample: _SampleDoctor) -> None:
    """Accept the filing, and issue the admission ticket."""
    assessment_transitions.accept(sample.record, by=sample.staff["organisation"])
    get_or_issue_ticket(sample.record)


def _sit(sample: _SampleDoctor) -> None:
    """Sit the papers; the record becomes 待划线 when the last one is handed in."""
    if sample.target == "testing":
        begin_paper(sample.record, sample.actor)
    else:
        sit_papers(sample.record, sample.actor, right=sample.right)


def _apply_pass_line(sample: _SampleDoctor) -> None:
    """Turn the scores into a verdict on 业务水平 with a line of 60 points."""
    own_sittings = sittings.sittings_by_paper(sample.record).values()
    scores = [sitting.score_tenths for sitting in own_sittings]
    competence = "pass" if pass_lines.reaches_line(scores, 600) else "fail"
    assessment_transitions.apply_pass_line(sample.record, by=SYSTEM_ACTOR, competence=competence)


def _conclude(sample: _SampleDoctor) -> None:
    """Conclude the record (综合评定)."""
    assessment_transitions.conclude(sample.record, by=sample.staff["organisation"])


_STEPS: dict[str, Callable[[_SampleDoctor], None]] = {
    "draft": _file,
    "institution_pending": _submit,
    "organisation_pending": _approve,
    "ready": _accept,
    "testing": _sit,
    "grading": _apply_pass_line,
    "confirming": _conclude,
}
"""State → the function that leads to it from the state before, in order. 待划线 follows from handing in."""
_LAST_STEPS = dict.fromkeys(REQUEST_STATES, "ready") | {
    "institution_returned": "institution_pending",
    "organisation_returned": "organisation_pending",
    "scored": "testing",
    "absent": "ready",
}
"""State that is not in _STEPS → the last step of _STEPS that leads to it."""


def _return_to_doctor(sample: _SampleDoctor) -> None:
    """Return the filing to the doctor, with RETURNED_MARKS."""
    dossier = dossier_of(sample.doctor, sample.cycle)
    assessment_transitions.return_to_doctor(
        sample.record,
        by=sample.staff["institution"],
        reason="教育经历的起止时间有误，请核对毕业证书后修改。",
        marks=marks_to_store(dossier, RETURNED_MARKS),
    )


def _return_to_institution(sample: _SampleDoctor) -> None:
    """Return the filing to the institution."""
    assessment_transitions.return_to_institution(
        sample.record,
        by=sample.staff["organisation"],
        reason="工作成绩评定依据不足，请补充说明。",
    )


def _mark_absent(sample: _SampleDoctor) -> None:
    assessment_transitions.mark_absent(sample.record, by=SYSTEM_ACTOR)


def _practise(sample: _SampleDoctor) -> None:
    """Create practice runs of the doctor."""
    create_practice(sample.record, sample.doctor)


_STEPS_BESIDE: dict[str, Callable[[_SampleDoctor], None]] = {
    "institution_returned": _return_to_doctor,
    "organisation_returned": _return_to_institution,
    "absent": _mark_absent,
    "ready": _practise,
}
"""State → the function that runs after the steps: it leads to a state that is not in _STEPS, or adds data."""


@cache
def cached_password_hash(password: str) -> str:
    """The hash of the password that all accounts of the demonstration have. It is public, so one is enough,
    and nobody waits for dozens."""
    return passwords.hash_password(password)


def _open_account(record: Assessment, password: str) -> None:
    """Make the doctor's account active, with the demonstration's password."""
    account = db.session.get_one(Account, (record.tenant_id, _doctor_of(record).account_id))
    account.password_hash, account.state = (
        cached_password_hash(password),
        "active",
    )


def _doctor_of(record: Assessment) -> Doctor:
    return db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
