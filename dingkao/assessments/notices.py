"""Telling a doctor (消息): written with the move that caused it, in the same transaction."""

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.people import notifying


def tell(record: Assessment, title: str, body: str) -> None:
    """A message to the doctor of `record`."""
    account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == record.doctor_id)).one()
    notifying.tell(account, title, body)
