"""Records of made-up doctors in every state, and what doctors in that state have: filings, admission tickets,
scores, certificates, a place on a publication, requests. Rows as COPY takes them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from stdnum import luhn
from stdnum.iso7064 import mod_11_10

from dingkao.certificates.issuing import mask_name
from dingkao.requests.approval_chains import APPROVAL_CHAINS
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests.load.synthetic_names import Weighted
from tests.load.synthetic_people import Person, sample_id

Cells = tuple[Any, ...]
EVERY_STATE = "every"
"""Instead of a state: each of the states, by STATE_SHARES."""
STATE_SHARES = (
    ("not_included", 3), ("included", 7), ("draft", 8), ("institution_pending", 23), ("institution_returned", 2.5),
    ("organisation_pending", 13), ("organisation_returned", 0.5), ("ready", 14), ("deferred", 0.5), ("testing", 1), ("scored", 4),
    ("absent", 0.5), ("grading", 3), ("confirming", 5), ("passed", 14), ("failed", 1),
)  # fmt: skip
"""States of the records of a province in the middle of its cycle: a hundred thousand of 446,000 wait for
their institution."""
STATES = Weighted(STATE_SHARES)
_UNFILED = ("not_included", "included")
_UNSUBMITTED = (*_UNFILED, "draft")
_UNGRADED = (*_UNSUBMITTED, "institution_pending", "institution_returned")
_UNACCEPTED = (*_UNGRADED, "organisation_pending", "organisation_returned")
_SCORED = ("scored", "grading", "confirming", "passed", "failed")
_FINAL = ("passed", "failed")
RETURN_REASONS = (
    "教育经历的起止时间有误，请核对毕业证书后修改。",
    "照片不清晰，请重新上传。",
    "请补充工作成绩的说明。",
)
REQUEST_SHARE, LEASED_SHARE, SIMPLE_SHARE = 0.02, 0.01, 0.12
REQUEST_KINDS = {
    "ready": ("exemption", "deferral"),
    "organisation_pending": ("change",),
    "failed": ("appeal",),
}


@dataclass(frozen=True)
class RecordGround:
    """What records of a load have in common: province, cycle, the state they are to be in (a state's code or
    EVERY_STATE), whether they carry three verdicts, the papers of each category and level, the publication
    of those whose result is published, the moment of loading."""

    tenant: int
    cycle_id: UUID
    cycle_label: str
    state: str
    graded: bool
    papers: dict[tuple[str, str], UUID]
    publication_id: UUID
    now: datetime


@dataclass(frozen=True)
class RecordPlace:
    """Where a record is: institution, its assessment organisation, a reviewer of each (None: there is
    none)."""

    institution_id: UUID
    institution_name: str
    assessor_id: UUID | None
    institution_reviewer: UUID | None = None
    organisation_reviewer: UUID | None = None


@dataclass(frozen=True)
class Record:
    """A record to be written: person, place, state, procedure, and chance for what is added to it."""

    person: Person
    place: RecordPlace
    state: str
    procedure: str | None
    chance: Random


def draw_record(ground: RecordGround, person: Person, place: RecordPlace, chance: Random) -> Record:
    """The record of a person in the cycle."""
    state = STATES.draw(chance) if ground.state == EVERY_STATE else ground.state
    is_simple = ground.state == EVERY_STATE and chance.random() < SIMPLE_SHARE
    is_submitted = ground.graded or state not in _UNSUBMITTED
    return Record(
        person, place, state, ("simple" if is_simple else "general") if is_submitted else None, chance
    )


ASSESSMENT_COLUMNS = (
    "tenant_id", "id", "doctor_id", "cycle_id", "round", "institution_id", "assessor_id", "state", "changed_at", "submitted_at", "procedure",
    "performance", "ethics", "competence", "opinion", "returned_reason", "leased_by", "leased_until", "opened_at", "graded_by", "accepted_by",
    "exempted",
)  # fmt: skip


def assessment_cells(ground: RecordGround, record: Record) -> Cells:
    """The row of the record itself."""
    person, place, state, chance = record.person, record.place, record.state, record.chance
    changed_at = ground.now - timedelta(minutes=chance.randrange(1, 40_000))
    is_graded = ground.graded or state not in _UNGRADED
    is_accepted = state not in _UNACCEPTED
    is_returned = state in ("institution_returned", "organisation_returned")
    is_leased = state.endswith("_pending") and chance.random() < LEASED_SHARE
    reviewer = place.institution_reviewer if state == "institution_pending" else place.organisation_reviewer
    return (
        ground.tenant, person.record_id, person.doctor_id, ground.cycle_id, "first", place.institution_id,
        place.assessor_id if ground.graded or state != "not_included" else None,
        state, changed_at, None if state in _UNSUBMITTED else changed_at - timedelta(hours=chance.randrange(1, 200)), record.procedure,
        "pass" if is_graded else None, "pass" if is_graded else None, _competence(ground, record),
        "情况属实，同意。" if is_graded else None, chance.choice(RETURN_REASONS) if is_returned else None,
        reviewer if is_leased else None, ground.now + timedelta(minutes=20) if is_leased and reviewer else None,
        changed_at if is_leased or is_graded else None,
        place.institution_reviewer if is_graded else None, place.organisation_reviewer if is_accepted else None,
        False,
    )  # fmt: skip


def _competence(ground: RecordGround, record: Record) -> str | None:
    """The verdict on 业务水平, as far as there is one; of those to be graded each twentieth fails."""
    if record.state in ("failed", "absent"):
        return "fail"
    if record.state == "passed":
        return "pass"
    if ground.graded or record.state in ("grading", "confirming"):
        return "pass" if record.person.serial % 20 else "fail"
    return None


FILING_COLUMNS = (
    "tenant_id", "id", "doctor_id", "cycle_id", "revision", "basic", "practice", "experience", "performance", "procedure",
    "qualification_sealed", "practice_sealed", "client_ids", "saved_at",
)  # fmt: skip


def filing_cells(ground: RecordGround, record: Record) -> Iterator[Cells]:
    """The filing of a doctor who has begun one; a draft ends with its second step."""
    if record.state in _UNFILED:
        return
    person, filing_id = record.person, sample_id(record.chance, record.person.serial)
    is_complete = record.state != "draft"
    later_steps = (
        (_experience(record), _PERFORMANCE, _procedure(record)) if is_complete else ("{}", "{}", "{}")
    )
    yield (
        ground.tenant, filing_id, person.doctor_id, ground.cycle_id, 7 if is_complete else 2, _basic(person), _practice(person), *later_steps,
        current_vault().encrypt(SecretLocation("filing", "qualification", filing_id), person.qualification),
        current_vault().encrypt(SecretLocation("filing", "practice", filing_id), person.practice),
        "{}", ground.now - timedelta(days=2),
    )  # fmt: skip


_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False)


def _json(**values: Any) -> str:
    return _ENCODER.encode(values)


_PERFORMANCE = _json(
    good_record="no", bad_record="no", quantity="pass", patients="12000", quality="pass", ordered_tasks="pass", direct_fail="no"
)  # fmt: skip
_REPORT = "本考核周期内认真履行岗位职责，遵守法律法规和诊疗规范，完成门诊、住院和急诊任务。" * 13


def _basic(person: Person) -> str:
    """The first step: who the doctor is."""
    graduated_year = person.first_registered.year - 2
    return _json(
        ethnicity=person.ethnicity, education=person.education, degree="无" if person.level == "assistant" else "学士", school="医科大学",
        graduated=f"{graduated_year}-07", working_since=f"{graduated_year}-08",
    )  # fmt: skip


def _practice(person: Person) -> str:
    """The second step: where and as what the doctor works."""
    return _json(
        scope=[person.scope], qualified=f"{person.first_registered.year - 1}-12-01", registered=f"{person.first_registered}",
        department=person.department, title=person.title, employment="在职",
        specialty_years=str(max(2026 - person.first_registered.year, 1)),
    )  # fmt: skip


def _experience(record: Record) -> str:
    """The third step: one school, one place of work."""
    since = record.person.first_registered.year
    return _json(
        education=[
            {"id": f"{record.person.serial:032x}", "name": "医科大学", "education": record.person.education,
             "since": f"{since - 7}-09", "until": f"{since - 2}-07"}
        ],
        practice=[
            {"id": f"{record.person.serial + 1:032x}", "name": record.place.institution_name, "department": record.person.department,
             "since": f"{since}-03"}
        ],
    )  # fmt: skip


def _procedure(record: Record) -> str:
    """The fifth step: the procedure; 简易程序 has its ground and a report."""
    if record.procedure == "simple":
        return _json(procedure="simple", ground="clean", report=_REPORT, promise="yes")
    return _json(procedure="general", promise="yes")


def ticket_cells(ground: RecordGround, record: Record) -> Iterator[Cells]:
    """The admission ticket of a record that is 待测评 or beyond."""
    if record.state not in _UNACCEPTED:
        body = f"{ground.tenant:02d}26{record.person.serial * 7_919 % 10_000_000:07d}"
        yield (
            ground.tenant, sample_id(record.chance, record.person.serial), record.person.record_id,
            body + luhn.calc_check_digit(body), ground.now,
        )  # fmt: skip


def sitting_cells(ground: RecordGround, record: Record) -> Iterator[Cells]:
    """The sitting of the paper: open while the test lasts, else a score from paper, around 78 of 100
    points."""
    if record.state not in (*_SCORED, "testing"):
        return
    is_open = record.state == "testing"
    score = min(max(round(record.chance.gauss(780, 110)), 0), 1000)
    yield (
        ground.tenant, sample_id(record.chance, record.person.serial), record.person.record_id,
        ground.papers[record.person.category, record.person.level], record.person.serial, "[]", 1, ground.now - timedelta(hours=1),
        ground.now + timedelta(hours=1), None if is_open else ground.now - timedelta(minutes=5), None if is_open else "offline",
        None if is_open else score, "all", record.place.assessor_id,
    )  # fmt: skip


def certificate_cells(ground: RecordGround, record: Record) -> Iterator[Cells]:
    """The certificate of a doctor who has passed."""
    if record.state != "passed":
        return
    person, certificate_id = record.person, sample_id(record.chance, record.person.serial)
    digits = f"{ground.tenant:02d}2026{person.serial * 104_729 % 100_000_000:08d}"
    serial = f"{digits[:6]}KH{digits[6:]}{mod_11_10.calc_check_digit(digits)}"
    content = _json(
        name=person.name, sex=person.sex, number=person.number, category=person.category, institution=record.place.institution_name,
        issuer="卫生健康委员会", cycle=ground.cycle_label, since="2024-07-01", until="2026-06-30", foot="", scopes=[person.scope],
        qualification=person.qualification, practice=person.practice, photo=None, serial=serial, issued_on="2026-11-01",
    )  # fmt: skip
    yield (
        ground.tenant, certificate_id, person.record_id, serial,
        current_vault().encrypt(SecretLocation("certificate", "content", certificate_id), content), mask_name(person.name),
        ground.cycle_label, ground.now.date(), "issued", ground.now,
    )  # fmt: skip


def entry_cells(ground: RecordGround, record: Record) -> Iterator[Cells]:
    """The entry of a published result."""
    if record.state in _FINAL:
        yield ground.tenant, ground.publication_id, record.person.record_id, record.state


def request_cells(ground: RecordGround, record: Record) -> Iterator[Cells]:
    """The request that one in fifty of some states has made and nobody has decided on."""
    kinds = REQUEST_KINDS.get(record.state)
    if kinds is None or record.chance.random() > REQUEST_SHARE:
        return
    kind = record.chance.choice(kinds)
    submitted_at = ground.now - timedelta(minutes=record.chance.randrange(1, 20_000))
    yield (
        ground.tenant, sample_id(record.chance, record.person.serial), record.person.record_id, record.place.institution_id, record.place.assessor_id,
        kind, "first_pending",
        *(("organisation", None) if kind == "change" else APPROVAL_CHAINS[kind]),
        submitted_at, submitted_at, submitted_at,
    )  # fmt: skip


@dataclass(frozen=True)
class RecordTable:
    """A table filled from records: its columns, and the rows that a record has there."""

    name: str
    columns: tuple[str, ...]
    cells: Callable[[RecordGround, Record], Iterator[Cells]]


RECORD_TABLES = (
    RecordTable("filing", FILING_COLUMNS, filing_cells),
    RecordTable("admission_ticket", ("tenant_id", "id", "assessment_id", "number", "issued_at"), ticket_cells),
    RecordTable("sitting", (
        "tenant_id", "id", "assessment_id", "paper_id", "seed", "layout", "epoch", "opened_at", "closes_at", "handed_in_at", "handed_in_by",
        "score_tenths", "x_rule", "assessor_id",
    ), sitting_cells),
    RecordTable("certificate", (
        "tenant_id", "id", "assessment_id", "serial", "content_sealed", "holder_masked", "cycle_label", "issued_on", "state", "issued_at",
    ), certificate_cells),
    RecordTable("publication_entry", ("tenant_id", "publication_id", "assessment_id", "verdict"), entry_cells),
    RecordTable("request", (
        "tenant_id", "id", "assessment_id", "institution_id", "assessor_id", "kind", "state", "first_side", "second_side", "begun_at",
        "submitted_at", "changed_at",
    ), request_cells),
)  # fmt: skip
"""What follows from a record in EVERY_STATE, in the order in which foreign keys allow it to be written."""
