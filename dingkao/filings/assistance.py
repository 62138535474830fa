"""代填 (domain.md §12, «assist, marked»): a clerk of the doctor's institution fills in the filing of a doctor
who can't. Every step is marked (`assistance_marks`). Before it is submitted the doctor confirms all of it,
the declarations among it, by a code on the own phone or by signing the printed form."""

from uuid import UUID

from sqlalchemy import Select, and_, select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.doctors.doctor_queries import account_of_doctor
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.filings import filing_submission
from dingkao.filings.assistance_marks import confirmation_of
from dingkao.filings.completeness import missing_items
from dingkao.filings.dossier import (
    EDITABLE,
    Dossier,
    dossier_of,
    require_changeable,
)
from dingkao.filings.models import Document, Filing
from dingkao.filings.saving import get_or_create_filing
from dingkao.integrations.images import images
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.authentication import bound_mobile
from dingkao.people.identity_numbers import mask_number
from dingkao.people.notice_catalogue import (
    ASSISTANCE_BEGUN,
    ASSISTED_SUBMITTED,
)
from dingkao.people.scopes import Grant, in_scope, scope_condition
from dingkao.tenants.encryption import SecretLocation, current_vault

MAX_REASON_LENGTH = 200
SIGNATURE_KIND = "signature"
STATEMENT = (
    "本人因故不能自行填报，委托所在机构经办人代为填写。以上内容（包括良好、不良执业行为记录，"
    "直接认定为不合格的情形和本人承诺）均由本人提供并逐项核对，真实、完整，本人对其负责。"
)
"""What the doctor confirms by the code or the signature."""


def get_dossier(record_id: UUID, grant: Grant, *, for_update: bool = False) -> Dossier:
    """The dossier of the doctor of a record within `grant`, as somebody sees it who assists: with the
    doctor's newest record of that cycle, which is the same as long as there are only first rounds. With
    `for_update`, record and filing are locked. Raises NotFound, also for a doctor who is not included."""
    record = db.session.scalar(select(Assessment).where(Assessment.id == record_id))
    if record is None or not in_scope(grant, institution_id=record.institution_id):
        raise NotFound
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    dossier = dossier_of(doctor, cycle, for_update=for_update)
    dossier.is_assisted = True
    return dossier


def is_begun(dossier: Dossier) -> bool:
    """Whether somebody has begun to fill in the filing on the doctor's behalf."""
    return dossier.filing is not None and dossier.filing.assistance is not None


def begin(dossier: Dossier, *, reason: str, by: Actor) -> None:
    """Begin to fill in a locked filing on the doctor's behalf, with the reason why the doctor can't; journal
    it and tell the doctor. A filing is created if there is none, and a record that is only included becomes a
    draft. Beginning again has no effect. Raises InvalidInput, InvalidState, DeadlinePassed, and Forbidden for
    who may neither file nor assist."""
    if is_begun(dossier):
        return
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= MAX_REASON_LENGTH:
        raise InvalidInput(
            f"请填写代填的原因，不超过{MAX_REASON_LENGTH}字。",
            "reason",
        )
    filing = get_or_create_filing(dossier, None, by)
    filing.assistance = {
        "reason": reason,
        "begun_by": by.name,
        "steps": {},
    }
    filing.assisted_at = clock.now()
    dossier.record.assisted = True
    journal.write_entry(
        "filing",
        filing.id,
        "assistance_begun",
        by=by,
        reason=reason,
    )
    notify(dossier.record, ASSISTANCE_BEGUN, reason=reason)


def confirmation_mobile(doctor: Doctor) -> str | None:
    """The mobile number to which the doctor's code goes: the one bound to the account, else the roster's;
    None if there is neither. Nobody who assists can type another. Raises encryption.DecryptionFailed."""
    if number := bound_mobile(account_of_doctor(doctor)):
        return number
    if doctor.mobile_sealed is None:
        return None
    return current_vault().decrypt(
        SecretLocation("doctor", "mobile", doctor.id),
        doctor.mobile_sealed,
    )


def require_confirmable(dossier: Dossier) -> Filing:
    """The filing, if all is filled in that the doctor has to confirm. Raises InvalidState with what is
    missing, DeadlinePassed."""
    require_changeable(dossier)
    if dossier.filing is None or dossier.filing.assistance is None:
        raise InvalidState("还没有开始代填。")
    items = missing_items(dossier)
    if items:
        raise InvalidState(f"还有{len(items)}处没有填好，填好后再请本人确认。{items[0].message}")
    return dossier.filing


def is_confirmed(dossier: Dossier) -> bool:
    """Whether the doctor has confirmed the filing as it stands now: any later save asks for a new
    confirmation."""
    confirmation = confirmation_of(dossier.filing)
    return (
        confirmation is not None
        and dossier.filing is not None
        and confirmation.revision == dossier.filing.revision
    )


def confirm_by_code(dossier: Dossier, mobile: str, *, by: Actor) -> None:
    """Store and journal that the doctor confirmed a locked filing by the code sent to `mobile` (stored
    masked); the caller has used up the code. Raises InvalidState, DeadlinePassed."""
    _store_confirmation(dossier, by, method="sms", mobile=mask_number(mobile))


def confirm_by_signature(dossier: Dossier, content: bytes, *, revision: int, by: Actor) -> None:
    """Store the scan of the printed and signed form (picture or PDF) as the doctor's confirmation of a locked
    filing, and journal it; the file stays in the store even if that is rolled back. `revision`: that of the
    printed form. Raises InvalidInput, TooLarge, Unavailable, InvalidState, DeadlinePassed."""
    filing = require_confirmable(dossier)
    if revision != filing.revision:
        raise InvalidInput(
            "填报内容在打印之后有改动，请重新打印，由本人核对签字后再上传。",
            SIGNATURE_KIND,
        )
    if not content:
        raise InvalidInput("请选择本人签字的扫描件或照片。", SIGNATURE_KIND)
    rewritten, content_type = images.process_document(content)
    document = Document(
        id=new_id(),
        doctor_id=dossier.doctor.id,
        cycle_id=dossier.cycle.id,
        kind=SIGNATURE_KIND,
        name="本人签字件",
        content_type=content_type,
        size=len(rewritten),
    )
    current_store().put(SIGNATURE_KIND, document.id, rewritten)
    db.session.add(document)
    _store_confirmation(dossier, by, method="signature", document=str(document.id))


def _store_confirmation(dossier: Dossier, by: Actor, **details: str) -> None:
    """Store a confirmation of the filing's present revision, in place of an earlier one, and journal it.
    `details`: `method`, and `mobile` or `document`. Raises InvalidState, DeadlinePassed."""
    filing = require_confirmable(dossier)
    confirmation = {
        "at": clock.now().isoformat(),
        "name": by.name,
        "revision": filing.revision,
        "statement": STATEMENT,
        **details,
    }
    filing.assistance = (filing.assistance or {}) | {"confirmation": confirmation}
    journal.write_entry(
        "filing",
        filing.id,
        "assistance_confirmed",
        by=by,
        method=details["method"],
        revision=filing.revision,
    )


def submit(dossier: Dossier, *, by: Actor) -> None:
    """Submit a locked filing on the doctor's behalf, and tell the doctor; does nothing if it is submitted.
    Raises InvalidState unless the doctor has confirmed it as it stands, InvalidInput, DeadlinePassed,
    Forbidden."""
    if dossier.record.state == "institution_pending":
        return
    require_confirmable(dossier)
    if not is_confirmed(dossier):
        raise InvalidState("提交前须由本人确认：发送验证码到本人手机，或打印后由本人签字并上传。")
    filing_submission.submit(dossier, by=by)
    notify(dossier.record, ASSISTED_SUBMITTED)


def signature_content(filing: Filing | None) -> tuple[bytes, str]:
    """The scan of the signed form and its content type. Raises NotFound without one (also if its file is
    missing), Unavailable."""
    confirmation = confirmation_of(filing)
    document_id = confirmation.document_id if confirmation else None
    document = document_id and db.session.scalar(select(Document).where(Document.id == document_id))
    if not document:
        raise NotFound("没有本人签字件。")
    return current_store().get(SIGNATURE_KIND, document.id), document.content_type


def assisted_query(grant: Grant) -> Select[Filing]:
    """The query of the filings within `grant` that are filled in on the doctors' behalf and may still be
    edited, in no order."""
    of_record = and_(
        Assessment.tenant_id == Filing.tenant_id,
        Assessment.doctor_id == Filing.doctor_id,
        Assessment.cycle_id == Filing.cycle_id,
    )
    return (
        select(Filing)
        .join(Assessment, of_record)
        .where(
            Filing.assisted_at.is_not(None),
            Assessment.state.in_(EDITABLE),
            scope_condition(grant, institution=Assessment.institution_id),
        )
    )
