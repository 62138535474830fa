"""Correcting what a doctor can't change: name, document, level, category, institution (更正). By the rules of a roster's row; two persons
have decided before (domain.md §11, §12)."""

from collections.abc import Mapping

from sqlalchemy import select, update

from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES, DOCUMENT_TYPES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import name_key
from dingkao.errors import Invalid, NotAllowed
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people import identity
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.tenants.secrets import Place, normalised, vault

LABELS = {"name": "姓名", "document_type": "证件类型", "number": "证件号码", "level": "医师级别", "category": "执业类别", "institution": "主要执业机构登记号"}
LISTS = {"document_type": DOCUMENT_TYPES, "level": LEVELS, "category": CATEGORIES}
LONGEST_NAME = 50


def held(doctor: Doctor) -> dict[str, str]:
    """What stands now, by the names of LABELS."""
    place = db.session.scalars(select(Organisation.registration_number).where(Organisation.id == doctor.organisation_id)).one()
    return {
        "name": doctor.name, "document_type": doctor.document_type, "level": doctor.level, "category": doctor.category, "institution": place,
        "number": vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed),
    }  # fmt: skip


def judged(doctor: Doctor, typed: Mapping[str, str]) -> dict[str, str]:
    """What of `typed` (empty: stays as it is) differs from what stands, as it would be kept. Raises Invalid naming the field."""
    now = held(doctor)
    wanted = {name: " ".join(text.split()) if name == "name" else normalised(text) if name in ("number", "institution") else text for name, text in typed.items() if text.strip()}
    for name, text in wanted.items():
        if name in LISTS and text not in LISTS[name]:
            raise Invalid(f"请从列表中选择{LABELS[name]}。", name)
    if len(wanted.get("name", "")) > LONGEST_NAME:
        raise Invalid(f"姓名请不要超过{LONGEST_NAME}字。", "name")
    kind = wanted.get("document_type", now["document_type"])
    try:
        wanted["number"] = identity.document(kind, wanted.get("number", now["number"])).number
    except identity.NotANumber as fault:
        raise Invalid(f"{fault.reason}。{fault.remedy}", "number") from fault
    if wanted["number"] != now["number"] and _another_has(wanted["number"], doctor):
        raise Invalid("该证件号码已登记在另一位医师名下,请核对。", "number")
    if "institution" in wanted and _institution(wanted["institution"]) is None:
        raise Invalid("没有找到该登记号的机构,请核对,或向机构询问登记号。", "institution")
    return {name: text for name, text in wanted.items() if name in LABELS and text != now[name]}


def said(name: str, value: str) -> str:
    """A value in words; a document number masked."""
    if name == "number":
        return identity.masked(value)
    if name == "institution":
        place = _institution(value)
        return f"{place.name}({value})" if place else value
    return LISTS.get(name, {}).get(value, value)


def correct(doctor: Doctor, values: Mapping[str, str], *, by: Actor) -> None:
    """Correct the doctor (held locked) and the account that goes with the number. Raises Invalid, and NotAllowed where the number has
    come to be another's meanwhile."""
    values = judged(doctor, values)
    if "name" in values:
        doctor.name, doctor.name_key = values["name"], name_key(values["name"])
        db.session.execute(update(Account).where(Account.id == doctor.account_id).values(name=doctor.name))
    if "number" in values or "document_type" in values:
        _renumber(doctor, values.get("document_type", doctor.document_type), values.get("number"))
    if "level" in values:
        doctor.level = values["level"]
    if "category" in values:
        doctor.category, doctor.scope = values["category"], None
    if "institution" in values and (place := _institution(values["institution"])):
        doctor.organisation_id = place.id
    doctor.roster_digest = None
    db.session.flush()
    journal.write("doctor", doctor.id, "corrected", by=by, fields=sorted(values))


def _renumber(doctor: Doctor, kind: str, number: str | None) -> None:
    told = identity.document(kind, number or vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed))
    if _another_has(told.number, doctor):
        raise NotAllowed("该证件号码已登记在另一位医师名下,不能更正为此号码。")
    doctor.document_type = kind
    doctor.number_sealed = vault().seal(Place("doctor", "number", doctor.id), told.number)
    doctor.number_index = vault().blind_index("number", told.number)
    doctor.tail_index = vault().blind_index("number-tail", told.number[-4:])
    doctor.number_masked = identity.masked(told.number)
    doctor.sex, doctor.birth_date = told.sex or doctor.sex, told.birth_date or doctor.birth_date
    db.session.execute(update(Account).where(Account.id == doctor.account_id).values(login_index=doctor_login_index(told.number)))


def _another_has(number: str, doctor: Doctor) -> bool:
    index = vault().blind_index("number", number)
    return db.session.scalar(select(Doctor.id).where(Doctor.number_index == index, Doctor.id != doctor.id)) is not None


def _institution(number: str) -> Organisation | None:
    return db.session.scalar(select(Organisation).where(Organisation.registration_number == number))
