"""Telling a doctor (消息): written with the move that caused it, in the same transaction."""

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.people import notifying

LEADS = {
    "included": "filing", "draft": "filing", "institution_returned": "filing", "ready": "practice", "testing": "sitting", "passed": "result",
    "failed": "result",
}  # fmt: skip


def tell(record: Assessment, title: str, body: str) -> None:
    """A message to the doctor of `record`; from where it is read, one is led on to what the record's state asks for."""
    account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == record.doctor_id)).one()
    notifying.tell(account, title, body, leads=LEADS.get(record.state))
