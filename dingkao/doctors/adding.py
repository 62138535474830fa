"""One doctor by a form: the rules are those of a row of the roster, the faults are told at the field."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as insert_unless_there

from dingkao import clock
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import Unsound, judge, new_rows, number_index
from dingkao.errors import Invalid
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside.sheets import Row
from dingkao.people.models import Account, Organisation
from dingkao.tenants import settings
from dingkao.tenants.secrets import normalised


def add_doctor(typed: Mapping[str, str], *, by: Actor, only: Collection[UUID] | None = None) -> tuple[Doctor, list[str]]:
    """Put one doctor on the roster, with an account. `typed`: the roster's columns by our names, in its words; `only`: the institutions
    whose doctors these may be (None: any of the province). With the doctor come sentences on what is odd but was taken. Raises Invalid
    naming the field, also for a doctor who is on the roster already."""
    place = db.session.scalar(select(Organisation).where(Organisation.registration_number == normalised(typed.get("registration_number", ""))))
    known = {place.registration_number: place.name} if place else {}
    odd: list[str] = []
    try:
        judged = judge(Row(1, typed), known, lambda _column, reason, remedy: odd.append(f"{reason},{remedy}"))
    except Unsound as fault:
        raise Invalid(f"{fault.reason}。{fault.remedy}", fault.column) from fault
    if typed.get("first_registered") and judged.first_registered is None:
        raise Invalid("首次注册日期不合理。请对照执业证书填写,不清楚的可以留空,由医师填报时补充。", "first_registered")
    if place is None or (only is not None and place.id not in only):
        raise Invalid("不是本机构的医师。本机构只能添加本机构的医师。", "registration_number")
    _unknown(judged.number, place)
    account, doctor = new_rows(judged, place, clock.now() + timedelta(days=settings.value("initial_days")))
    added = db.session.scalar(insert_unless_there(Account).values(account).on_conflict_do_nothing().returning(Account.id))
    if added is None:  # another form or roster has brought the same number since
        _unknown(judged.number, place)
        raise Invalid("该医师刚刚已被添加,请在医师列表中查看。", "number")
    db.session.execute(insert(Doctor).values(doctor))
    row = db.session.scalars(select(Doctor).where(Doctor.id == doctor["id"])).one()
    journal.write("doctor", row.id, "added", by=by, organisation=str(place.id))
    return row, odd


def _unknown(number: str, place: Organisation) -> None:
    there = db.session.scalar(select(Doctor.organisation_id).where(Doctor.number_index == number_index(number)))
    if there == place.id:
        raise Invalid(f"该医师已在{place.name}的名单中,不需要重复添加。", "number")
    if there is not None:
        raise Invalid("该医师已在另一机构的名单中,请由原机构和本机构办理转入,不能重复添加。", "number")
