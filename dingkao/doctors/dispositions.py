"""What has become of a doctor who takes no part in a cycle, or in whom list and register differ (去向): a
code with a note, set by the institution or an office. Everybody is accounted for by one of them."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors.disposition_models import (
    DISPOSITIONS,
    OPEN_DISPOSITIONS,
    DoctorDisposition,
)
from dingkao.errors import InvalidInput
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.tenants.context import current_tenant

NOTE_NEEDED = ("other", "to_contact")
MAX_NOTE_LENGTH = 200


def validate_disposition(code: str, note: str) -> tuple[str, str | None]:
    """Return a disposition's code, and its note with single blanks (None if there is none). Raises
    InvalidInput naming the field."""
    note_text = " ".join(note.split())
    if code not in DISPOSITIONS:
        raise InvalidInput("请选择去向。", "disposition")
    if code in NOTE_NEEDED and not note_text:
        raise InvalidInput(
            f"去向为“{DISPOSITIONS[code]}”的，请在备注中写明情况。",
            "note",
        )
    if len(note_text) > MAX_NOTE_LENGTH:
        raise InvalidInput(f"备注请不要超过{MAX_NOTE_LENGTH}字。", "note")
    return code, note_text or None


def set_dispositions(
    doctor_ids: Iterable[UUID],
    cycle_id: UUID,
    code: str,
    note: str | None,
    *,
    by: Actor,
) -> None:
    """Store and journal the disposition of doctors in a cycle, in place of an earlier one; whether they are
    in the cycle isn't asked, and their records stay. `code` and `note` are those that `validate_disposition`
    has returned. At most 5,000 doctors."""
    ids = sorted(set(doctor_ids))
    if not ids:
        return
    now = clock.now()
    values = [
        {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "cycle_id": cycle_id,
            "doctor_id": doctor_id,
            "disposition": code,
            "note": note,
            "set_by": by.id,
            "set_at": now,
        }
        for doctor_id in ids
    ]
    statement = insert(DoctorDisposition).values(values)
    columns = ("disposition", "note", "set_by", "set_at")
    stored = db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "cycle_id", "doctor_id"],
            set_={column: statement.excluded[column] for column in columns},
        ).returning(DoctorDisposition.id)
    )
    with journal.batched_entries():
        for (disposition_id,) in stored:
            journal.write_entry(
                "doctor_disposition",
                disposition_id,
                "set",
                by=by,
                after=code,
            )


def clear_dispositions(doctor_ids: Collection[UUID], cycle_id: UUID, *, by: Actor) -> int:
    """Delete the dispositions of doctors (at most 5,000) in a cycle, so that they can be included again; the
    former ones, which are locked first, stay in the journal. Flushes. Returns how many there were."""
    dispositions = db.session.scalars(
        select(DoctorDisposition)
        .where(
            DoctorDisposition.cycle_id == cycle_id,
            in_array(DoctorDisposition.doctor_id, doctor_ids),
        )
        .order_by(DoctorDisposition.id)
        .with_for_update()
    ).all()
    with journal.batched_entries():
        for disposition in dispositions:
            journal.write_entry(
                "doctor_disposition",
                disposition.id,
                "cleared",
                by=by,
                before=disposition.disposition,
            )
    for disposition in dispositions:
        db.session.delete(disposition)
    db.session.flush()
    return len(dispositions)


def dispositions_of(doctor_ids: Iterable[UUID], cycle_id: UUID) -> dict[UUID, DoctorDisposition]:
    """Doctor's id → disposition in a cycle, for at most 5,000 doctors; doctors without one are left out."""
    query = select(DoctorDisposition).where(
        DoctorDisposition.cycle_id == cycle_id,
        in_array(DoctorDisposition.doctor_id, set(doctor_ids)),
    )
    return {disposition.doctor_id: disposition for disposition in db.session.scalars(query)}


def is_final(code: str) -> bool:
    """Whether a doctor with this disposition takes no part; with others that is still open."""
    return code not in OPEN_DISPOSITIONS
