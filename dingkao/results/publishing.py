"""综合评定 and publication (发布): the list is frozen with its digest by one administrator, approved by another, then published by a job."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import STATES, Assessment
from dingkao.assessments.notices import tell
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotAllowed, NotFound, Refusal
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.proposing import held, take_back
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.people.accounts import actor_of
from dingkao.people.models import Account
from dingkao.results.models import Publication, PublicationEntry
from dingkao.tenants.context import current_tenant

BATCH = 200
CERTIFICATES = "issue_certificates"


def conclude_many(cycle: Cycle, ids: Iterable[UUID], *, assessors: list[UUID], by: Actor) -> tuple[int, list[str]]:
    """综合评定 of the records `ids` of the assessors' own; how many were concluded, and the reasons of those that weren't."""
    query = select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.id.in_(list(ids)), Assessment.assessor_id.in_(assessors))
    done, reasons = 0, []
    for record in db.session.scalars(query.order_by(Assessment.id).with_for_update()):
        if record.state == "confirming":
            continue
        try:
            moves.conclude(record, by=by)
        except Refusal as refusal:
            reasons.append(refusal.sentence)
        else:
            done += 1
    return done, sorted(set(reasons))


def ask_conclusion(cycle: Cycle, *, assessors: list[UUID], by: Actor) -> Job:
    """Ask for 综合评定 of everyone of the assessors' own who waits for it."""
    arguments = {"cycle": str(cycle.id), "assessors": [str(one) for one in assessors]}
    return asking.ask("conclude_all", f"综合评定({cycle.label})", arguments, by=by.id)


@performing.job("conclude_all")
def conclude_all(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """综合评定 of all who wait, a batch a transaction; concluded before: left, so it may run again."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()
    assessors = [UUID(one) for one in job.arguments["assessors"]]
    waiting = select(Assessment.id).where(
        Assessment.cycle_id == cycle.id, Assessment.state.in_(("grading", "absent")), Assessment.assessor_id.in_(assessors)
    )
    ids, done, by = list(db.session.scalars(waiting.order_by(Assessment.id))), 0, actor_of(job.asked_by)
    reasons: Counter[str] = Counter()
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        concluded, why = conclude_many(cycle, batch, assessors=assessors, by=by)
        db.session.commit()
        done += concluded
        reasons.update(dict.fromkeys(why, len(batch) - concluded))
        progress(min(start + BATCH, len(ids)), len(ids))
    return {"concluded": done, "left_out": len(ids) - done, "reasons": reasons}


def propose(cycle: Cycle, *, by: Actor) -> Publication:
    """Propose to publish every record that is 待发布: the list as it stands, and its digest. Raises NotAllowed where there is none, or
    where a proposal waits already."""
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()
    if _open_proposal(cycle):
        raise NotAllowed("已有一份发布清单等待确认,请先确认或撤回。")
    records = db.session.scalars(select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.state == "confirming").order_by(Assessment.id)).all()
    if not records:
        raise NotAllowed("没有待发布的医师。考核机构完成综合评定后,才能发布结果。")
    verdicts = {record.id: "passed" if moves.passes(record) else "failed" for record in records}
    passed = sum(verdict == "passed" for verdict in verdicts.values())
    row = Publication(
        id=new_id(), cycle_id=cycle.id, passed=passed, failed=len(records) - passed, digest=digest_of(verdicts), proposed_by=by.id, proposed_at=clock.now()
    )
    db.session.add(row)
    db.session.flush()
    db.session.execute(insert(PublicationEntry), [
        {"tenant_id": current_tenant(), "publication_id": row.id, "assessment_id": record_id, "verdict": verdict} for record_id, verdict in verdicts.items()
    ])  # fmt: skip
    journal.write("publication", row.id, "proposed", by=by, passed=row.passed, failed=row.failed, digest=row.digest.hex())
    return row


def digest_of(verdicts: dict[UUID, str]) -> bytes:
    """The digest of a list: the same for the same records and verdicts, in whatever order."""
    return hashlib.sha256("\n".join(f"{record}={verdict}" for record, verdict in sorted(verdicts.items())).encode()).digest()


def locked(publication_id: UUID) -> Publication:
    """A publication, held locked. Raises NotFound."""
    return held(Publication, publication_id)


def withdraw(row: Publication, *, by: Actor) -> None:
    """Take a proposal back (held locked). Raises NotAllowed once it is approved."""
    take_back(row, by=by, refusal="结果已确认发布,不能撤回。")


def approve(row: Publication, *, by: Actor) -> Job | None:
    """Approve a proposal (held locked), by another person; asks for the job that publishes. None where it was approved before. Raises
    Forbidden, and NotAllowed where a record of the list has moved since."""
    if row.withdrawn_at:
        raise NotAllowed("该发布清单已撤回,请重新生成。")
    if row.approved_at:
        return None
    if row.proposed_by == by.id:
        raise Forbidden("提出人与确认人不能是同一人,请由另一位省级管理员确认。")
    verdicts = entries_of(row)
    records = db.session.scalars(select(Assessment).where(Assessment.id.in_(verdicts)).order_by(Assessment.id).with_for_update()).all()
    now = {record.id: "passed" if moves.passes(record) else "failed" for record in records if record.state == "confirming"}
    if digest_of(now) != row.digest:
        raise NotAllowed("清单生成后有医师的状态或评定发生变化,请撤回本清单并重新生成。")
    row.approved_by, row.approved_at = by.id, clock.now()
    journal.write("publication", row.id, "approved", by=by, digest=row.digest.hex())
    return asking.ask("publish", f"发布考核结果({row.passed + row.failed}人)", {"publication": str(row.id)}, by=by.id)


def entries_of(row: Publication) -> dict[UUID, str]:
    """The list: record → verdict."""
    query = select(PublicationEntry.assessment_id, PublicationEntry.verdict).where(PublicationEntry.publication_id == row.id)
    return {record: verdict for record, verdict in db.session.execute(query)}  # noqa: C416


def object_to(record_id: UUID, *, by: Actor, reason: str) -> None:
    """省级退回 one record that is 待发布 to its assessment organisation. Raises NotFound, Invalid, NotAllowed."""
    record = db.session.scalar(select(Assessment).where(Assessment.id == record_id).with_for_update())
    if record is None:
        raise NotFound
    moves.object_to(record, by=by, reason=reason)


@performing.job("publish")
def publish(job: Job, progress: performing.Progress) -> dict[str, int]:
    """Publish an approved list, a batch a transaction; records published before are left, so it may run again. Then certificates."""
    row = db.session.scalars(select(Publication).where(Publication.id == UUID(job.arguments["publication"]))).one()
    if row.approved_at is None or row.approved_by is None:
        raise NotAllowed("该发布清单尚未确认。")
    by = Actor("staff", row.approved_by, frozenset({"province_admin"}))
    verdicts = sorted(entries_of(row).items())
    for start in range(0, len(verdicts), BATCH):
        batch = dict(verdicts[start : start + BATCH])
        for record in db.session.scalars(select(Assessment).where(Assessment.id.in_(batch)).order_by(Assessment.id).with_for_update()):
            if record.state != "confirming":
                continue
            (moves.publish_pass if batch[record.id] == "passed" else moves.publish_fail)(record, by=by)
            tell(record, "考核结果已发布", "您本周期的考核结果已发布,请在主页点击“考核结果”查看。")
        db.session.commit()
        progress(min(start + BATCH, len(verdicts)), len(verdicts))
    if row.passed:
        asking.ask(CERTIFICATES, f"生成结果通知书({row.passed}人)", {"publication": str(row.id)}, by=job.asked_by)
    journal.write("publication", row.id, "published", by=SYSTEM)
    return {"passed": row.passed, "failed": row.failed}


def counts(cycle: Cycle) -> dict[str, int]:
    """How many records of a cycle are in which state."""
    found = db.session.execute(select(Assessment.state, func.count()).where(Assessment.cycle_id == cycle.id).group_by(Assessment.state)).all()
    by_state: dict[str, int] = {state: number for state, number in found}  # noqa: C416
    return {state: by_state.get(state, 0) for state in STATES}


def listed(verdicts: dict[UUID, str]) -> list[tuple[Assessment, Doctor, str]]:
    """The records of (a part of) a publication's list, record → verdict, with their doctors, by name."""
    joined = select(Assessment, Doctor).join(Doctor, (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id))
    rows = db.session.execute(joined.where(Assessment.id.in_(verdicts)).order_by(Doctor.name_key, Doctor.id)).all()
    return [(record, doctor, verdicts[record.id]) for record, doctor in rows]


def name_of(account_id: UUID | None) -> str:
    """Who proposed or approved, by name."""
    return db.session.scalar(select(Account.name).where(Account.id == account_id)) or "" if account_id else ""


def _open_proposal(cycle: Cycle) -> UUID | None:
    query = select(Publication.id).where(Publication.cycle_id == cycle.id, Publication.approved_at.is_(None), Publication.withdrawn_at.is_(None))
    return db.session.scalar(query)
