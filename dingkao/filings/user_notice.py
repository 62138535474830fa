"""The user notice (用户告知书): its text, which a doctor confirms before filing, and who has confirmed it."""

import hashlib

from sqlalchemy import bindparam, select

from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.filings.models import NoticeReading
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.tenants import settings
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    uuid_param,
)
from dingkao.tenants.settings import Setting

settings.register(
    "user_notice",
    Setting(
        "用户告知书",
        (
            "请您如实填报本人信息，并对所填内容的真实性负责。"
            "您的身份证号、手机号、照片等信息仅用于医师定期考核。"
            "填报后请及时提交；只保存不提交，机构无法审核。"
        ),
        kind="long",
        group="填报",
        order=10,
    ),
)

_NOTICE_READ_STATEMENT = PreparedStatement(
    lambda: select(NoticeReading.id).where(
        NoticeReading.tenant_id == TENANT_PARAM,
        NoticeReading.doctor_id == uuid_param("doctor"),
        NoticeReading.cycle_id == uuid_param("cycle"),
        NoticeReading.digest == bindparam("digest"),
    )
)


def has_confirmed_notice(doctor: Doctor, cycle: Cycle) -> bool:
    """Whether the doctor has confirmed the present text of the user notice [S5] in this cycle."""
    digest = user_notice_digest()
    return bool(_NOTICE_READ_STATEMENT.fetch_rows(doctor=doctor.id, cycle=cycle.id, digest=digest))


def confirm_notice(doctor: Doctor, cycle: Cycle, *, by: Actor) -> None:
    """Store and journal that the doctor has read and understood the user notice [S5], once for each cycle and
    version of the text. Locks the doctor."""
    db.session.scalars(select(Doctor.id).where(Doctor.id == doctor.id).with_for_update()).one()
    if not has_confirmed_notice(doctor, cycle):
        db.session.add(
            NoticeReading(
                doctor_id=doctor.id,
                cycle_id=cycle.id,
                digest=user_notice_digest(),
            )
        )
        journal.write_entry(
            "doctor",
            doctor.id,
            "notice_read",
            by=by,
            cycle=str(cycle.id),
        )


def user_notice_digest() -> bytes:
    """Returns the SHA-256 digest of the present user notice, which identifies its version."""
    return hashlib.sha256(str(settings.value("user_notice")).encode()).digest()
