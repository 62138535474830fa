"""Issues certificates (考核结果通知书): once for a record that passed. Its printed content is stored
encrypted when it is issued, and every later drawing uses that."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    func,
    select,
)

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates.certificate_queries import (
    valid_certificate,
)
from dingkao.certificates.certificate_rendering import (
    render_and_store,
)
from dingkao.certificates.models import Certificate
from dingkao.certificates.serials import new_serial
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState
from dingkao.filings.dossier import certificate_numbers, filing_of
from dingkao.filings.models import Filing
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.models import Organisation
from dingkao.results.models import PublicationEntry
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import by_code
from dingkao.tenants.settings import Setting

ISSUE_BATCH_SIZE, RENDER_BATCH_SIZE = 100, 10
FIRST_ID = UUID(int=0)
NOT_VALID_MESSAGE = "该通知书已撤销或已被替换。"
TYPED_CONTENT = ("name", "institution", "issuer", "foot")
"""The parts of a certificate's content that people have typed, which may contain unprintable characters."""
settings.register(
    "certificate_number_form",
    Setting(
        "证书编号形式",
        "serial",
        kind="one",
        group="证书",
        order=10,
        choices={
            "serial": "随机编号（不含证件号）",
            "manual": "证件号码+KH+日期",
        },
    ),
)
settings.register(
    "certificate_download",
    Setting(
        "允许医师下载结果通知书",
        True,
        kind="yes_no",
        group="证书",
        order=20,
    ),
)
settings.register(
    "certificate_foot",
    Setting(
        "结果通知书底部说明",
        "本通知书加盖发证机关公章后方可生效。",
        group="证书",
        order=40,
    ),
)


class UnprintableCharacters(InvalidState):
    """A certificate can't be issued because no font here has some of its characters."""

    def __init__(self, characters: str) -> None:
        """`characters`: those that no font has."""
        super().__init__(
            f"“{characters}”无法打印，通知书没有签发。请核对姓名、机构名称是否录错；确为生僻字的，"
            "请联系平台运营增加字体后再签发。",
        )


def issue(record: Assessment) -> Certificate:
    """Returns the certificate of a record that passed (locked); a valid one that exists, else a new one, with
    an entry in the journal, not drawn yet. Its content is stored now and never read again from other tables.
    Raises InvalidState for a record that hasn't passed, UnprintableCharacters if a character would be printed
    as an empty box."""
    return valid_certificate(record) or _issue_new(record)


def _issue_new(record: Assessment) -> Certificate:
    """Create the certificate of a record (locked), with its content encrypted and not drawn yet; flush and
    journal it. Raises InvalidState for a record that hasn't passed, UnprintableCharacters."""
    if record.state != "passed":
        raise InvalidState("考核结果为合格并发布后，才能签发通知书。")
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    identity = new_id()
    serial = _unused_serial(cycle)
    today = clock.today()
    content = certificate_content(record, doctor, cycle) | {
        "serial": serial,
        "issued_on": today.isoformat(),
    }
    if characters := _unprintable_in(content):
        raise UnprintableCharacters(characters)
    if settings.value("certificate_number_form") == "manual":
        content["printed_number"] = f"{content['number']}KH{today:%Y%m%d}"
    certificate = Certificate(
        id=identity,
        assessment_id=record.id,
        serial=serial,
        cycle_label=content["cycle"],
        issued_on=today,
        holder_masked=mask_name(doctor.name),
        state="issued",
        content_sealed=current_vault().encrypt(
            SecretLocation("certificate", "content", identity),
            json.dumps(content, ensure_ascii=False),
        ),
        issued_at=clock.now(),
    )
    db.session.add(certificate)
    db.session.flush()
    journal.write_entry(
        "certificate",
        certificate.id,
        "issued",
        by=SYSTEM_ACTOR,
        serial=serial,
    )
    return certificate


def _unprintable_in(content: dict[str, Any]) -> str:
    """Returns the characters of a certificate's content that no font here has; "" if there are none."""
    return unprintable_characters(*(content[name] for name in TYPED_CONTENT))


def certificate_content(record: Assessment, doctor: Doctor, cycle: Cycle) -> dict[str, Any]:
    """Returns what a new certificate prints, from roster, filing and settings: name → text or None, as
    `_issue_new` stores it. `number`: of the identity document, decrypted; `practice`: of the practising
    certificate; `photo`: its id; `scopes`: a list of codes."""
    filing = filing_of(record)
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    province = by_code(current_tenant())
    return {
        "name": doctor.name,
        "sex": doctor.sex,
        "number": document_number_of(doctor),
        "category": doctor.category,
        "institution": institution.name,
        "issuer": province.commission if province else "",
        "cycle": f"{cycle.starts_on:%Y年%m月}-{cycle.ends_on:%Y年%m月}",
        "since": cycle.starts_on.isoformat(),
        "until": cycle.ends_on.isoformat(),
        "foot": settings.value("certificate_foot"),
        "scopes": _roster_scopes(doctor),
        **(_filed_content(filing) if filing else _UNFILED_CONTENT),
    }


_UNFILED_CONTENT = {
    "qualification": "",
    "practice": "",
    "photo": None,
}


def _filed_content(filing: Filing) -> dict[str, Any]:
    """Returns the part of the content that comes from the filing: numbers of the certificates ("" if not
    filed), photo's id, and the scopes of practice if they were filed, which then replace the roster's."""
    numbers = certificate_numbers(filing)
    filed_scopes = filing.practice.get("scope")
    return {
        "qualification": numbers.get("qualification", ""),
        "practice": numbers.get("practice", ""),
        "photo": str(filing.photo_id) if filing.photo_id else None,
        **({"scopes": filed_scopes} if filed_scopes else {}),
    }


def _roster_scopes(doctor: Doctor) -> list[str]:
    """Returns the codes of the scopes of practice in the roster."""
    return [code for code in (doctor.scope or "").split(",") if code]


def replace(record: Assessment, *, by: Actor, reason: str) -> Certificate | None:
    """Replace the record's valid certificate (record locked), because its content was corrected: the old one
    becomes 已替换, the new one gets its own serial, and its drawing is enqueued. Both are journalled. Returns
    the new one, or None if there was no valid one. Raises UnprintableCharacters, InvalidState for a record
    that hasn't passed; the caller then rolls back."""
    replaced = db.session.scalar(
        select(Certificate)
        .where(
            Certificate.assessment_id == record.id,
            Certificate.state == "issued",
        )
        .with_for_update(),
    )
    if replaced is None:
        return None
    replaced.state, replaced.state_reason = "replaced", reason
    db.session.flush()
    journal.write_entry(
        "certificate",
        replaced.id,
        "replaced",
        by=by,
        before="issued",
        after="replaced",
        reason=reason,
    )
    replacement = issue(record)
    enqueue_rendering(replacement, by=by)
    return replacement


def enqueue_issue(record: Assessment, *, by: Actor) -> Job:
    """Enqueue issuing and drawing the certificate of one record that passed only after its list was
    published. The job fails if the record hasn't passed or can't be printed."""
    return enqueueing.enqueue(
        "issue_one",
        "签发结果通知书",
        {"record": str(record.id)},
        by=by.id,
    )


@worker.register_job("issue_one")
def issue_job(job: Job, _progress: worker.ProgressCallback) -> None:
    """Issue and draw the certificate of one record, which is locked. Idempotent. Raises InvalidState, and
    what `render_and_store` raises."""
    certificate = issue(
        db.session.scalars(
            select(Assessment).where(Assessment.id == UUID(job.arguments["record"])).with_for_update(),
        ).one(),
    )
    if certificate.drawn_at is None:
        render_and_store(certificate)


def mask_name(name: str) -> str:
    """Returns a name as strangers may see it: the first character, and a star for each other one."""
    return name[:1] + "*" * (len(name) - 1)


@worker.register_chunked_job("issue_certificates")
def issue_batch(job: Job, cursor: Cursor) -> Chunk:
    """Issue a certificate for everyone who passed in a publication, then draw them, which takes a hundred
    times as long.

    Certificates that are issued or drawn already are left as they are; who hasn't passed any more gets none.
    The cursor has the phase as its key, `issued` or `drawn`, and the last record's id as value. Raises what
    `render_and_store` raises.
    """
    publication_id = UUID(job.arguments["publication"])
    if "drawn" in cursor:
        return _render_batch(publication_id, UUID(cursor["drawn"]))
    total = None if cursor else 2 * _passed_count(publication_id)
    return _issue_batch(
        publication_id,
        UUID(cursor.get("issued", str(FIRST_ID))),
        total,
    )


def _issue_batch(publication_id: UUID, last_id: UUID, total: int | None) -> Chunk:
    """Issue the certificates of the next records that are still passed (locked), and write the journal. The
    chunk counts as issued whoever has a certificate now, and reports names that can't be printed."""
    record_ids = _passed_record_ids(publication_id, last_id, ISSUE_BATCH_SIZE)
    records = (
        select(Assessment)
        .where(
            in_array(Assessment.id, record_ids),
            Assessment.state == "passed",
        )
        .order_by(Assessment.id)
        .with_for_update()
    )
    with journal.batched_entries():
        passed_records = db.session.scalars(records.execution_options(populate_existing=True)).all()
        refused = issue_each(passed_records)
    is_last = len(record_ids) < ISSUE_BATCH_SIZE
    next_cursor = {"drawn": str(FIRST_ID)} if is_last else {"issued": str(record_ids[-1])}
    return Chunk(
        next_cursor,
        done=len(record_ids),
        total=total,
        counts={"issued": len(passed_records) - len(refused)},
        reasons=Counter(reason for _, reason in refused),
        names=refused,
    )


def issue_each(
    records: Iterable[Assessment],
) -> list[tuple[str, str]]:
    """Issue the certificates of locked records that passed. Returns (doctor's name, refusal) of those that
    can't be printed. Raises InvalidState for one that hasn't passed."""
    refused: list[tuple[str, str]] = []
    for record in records:
        try:
            issue(record)
        except UnprintableCharacters as refusal:
            doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
            refused.append((doctor.name, refusal.message))
    return refused


def _render_batch(publication_id: UUID, last_id: UUID) -> Chunk:
    """Draw the certificates of the next records that are valid and not drawn yet. Raises what
    `render_and_store` raises."""
    record_ids = _passed_record_ids(publication_id, last_id, RENDER_BATCH_SIZE)
    not_drawn = select(Certificate).where(
        in_array(Certificate.assessment_id, record_ids),
        Certificate.state == "issued",
        Certificate.drawn_at.is_(None),
    )
    certificates = db.session.scalars(not_drawn.order_by(Certificate.id)).all()
    for certificate in certificates:
        render_and_store(certificate)
    is_last = len(record_ids) < RENDER_BATCH_SIZE
    next_cursor = None if is_last else {"drawn": str(record_ids[-1])}
    return Chunk(
        next_cursor,
        done=len(record_ids),
        counts={"drawn": len(certificates)},
    )


def _passed_record_ids(publication_id: UUID, last_id: UUID, limit: int) -> list[UUID]:
    """Returns the next `limit` ids after `last_id`, in order, of records that passed in a publication; later
    changes of their verdict do not count."""
    query = select(PublicationEntry.assessment_id).where(
        *_passed_in(publication_id),
        PublicationEntry.assessment_id > last_id,
    )
    return list(db.session.scalars(query.order_by(PublicationEntry.assessment_id).limit(limit)))


def _passed_count(publication_id: UUID) -> int:
    """Returns how many records passed in a publication."""
    query = select(func.count()).select_from(PublicationEntry).where(*_passed_in(publication_id))
    return db.session.scalars(query).one()


def _passed_in(
    publication_id: UUID,
) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions that a publication's entry is passed."""
    return (
        PublicationEntry.publication_id == publication_id,
        PublicationEntry.verdict == "passed",
    )


@worker.register_job("draw_certificate")
def render_certificate_job(job: Job, _progress: worker.ProgressCallback) -> None:
    """Draw one certificate again, for example after its files were lost. Raises what `render_and_store`
    raises."""
    render_and_store(
        db.session.scalars(
            select(Certificate).where(Certificate.id == UUID(job.arguments["certificate"])),
        ).one(),
    )


def enqueue_rendering(certificate: Certificate, *, by: Actor) -> Job:
    """Enqueue the drawing of one certificate, valid or not, also if it is drawn already."""
    return enqueueing.enqueue(
        "draw_certificate",
        "重新生成结果通知书",
        {"certificate": str(certificate.id)},
        by=by.id,
    )


def _unused_serial(cycle: Cycle) -> str:
    """Returns a new serial that no certificate of the province has."""
    while True:
        serial = new_serial(current_tenant() % 100, cycle.ends_on.year)
        if db.session.scalar(select(Certificate.id).where(Certificate.serial == serial)) is None:
            return serial
