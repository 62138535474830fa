"""Institutions and assessment organisations: taken in from a sheet or a form, appointed, assigned."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from dingkao.database.model import db, new_id
from dingkao.errors import Invalid
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report, Row
from dingkao.people.models import Organisation
from dingkao.tenants.asking import TENANT, Asked, an_id, whole
from dingkao.tenants.context import current_tenant
from dingkao.tenants.divisions import UnknownDivision, division_of, health_authority
from dingkao.tenants.registry import by_code
from dingkao.tenants.secrets import normalised

COLUMNS = {
    "name": ("机构名称", "单位名称", "医疗机构名称", "名称"),
    "registration_number": ("机构登记号", "登记号", "医疗机构登记号", "机构代码"),
    "division": ("行政区划代码", "行政区划", "区划代码"),
    "category": ("机构类别", "类别", "机构类型"),
    "contact": ("联系电话", "咨询电话", "联系方式", "联系人及电话"),
}
NEEDED = ("name", "registration_number", "division")
_ONE = Asked(lambda: select(*whole(Organisation)).where(Organisation.tenant_id == TENANT, Organisation.id == an_id("organisation")))
BATCH = 1000
DEFAULT_CATEGORY = "医疗机构"
LONGEST_NAME, LONGEST_NUMBER, LONGEST_CATEGORY, LONGEST_CONTACT = 100, 50, 50, 60
TELEPHONE = re.compile(r"\+?[0-9][0-9 ()\-]{5,}[0-9]")


@dataclass(frozen=True)
class InstitutionEntry:
    """One institution as handed in."""

    name: str
    registration_number: str
    division: str
    category: str
    contact: str = ""


def organisation_of(identity: UUID | None) -> Organisation | None:
    """An organisation; None where there is none."""
    found = _ONE.one(Organisation, organisation=identity) if identity else None
    return found[0] if found else None


def import_institutions(content: bytes, *, by: Actor) -> Report:
    """Take in the institutions of a csv or xlsx; the key is 机构登记号, so the same file again changes nothing. Raises Invalid."""
    report = Report()
    known = {row.registration_number: row for row in db.session.scalars(select(Organisation))}
    seen: set[str] = set()
    fresh: list[dict[str, Any]] = []
    for row in sheets.read(content, COLUMNS, NEEDED, report):
        if row.is_foot("name", "registration_number"):
            continue
        try:
            entry = _entry(row)
            if entry.registration_number in seen:
                raise Invalid("机构登记号在本文件中重复", "registration_number")
            values = _judged(entry)
        except Invalid as fault:
            column = row.where(COLUMNS[fault.field or "name"][0])
            report.errors.append(Fault(row.number, column, fault.sentence, "请更正后重新导入,已导入的行不会重复。"))
            continue
        seen.add(entry.registration_number)
        if entry.registration_number in known:
            changed = _revise(known[entry.registration_number], values)
            report.changed += changed
            report.unchanged += not changed
        else:
            fresh.append(_new(values))
    for start in range(0, len(fresh), BATCH):
        db.session.execute(insert(Organisation), fresh[start : start + BATCH])
    report.accepted = len(fresh)
    journal.write(
        "province", _province_subject(), "institutions_imported", by=by, accepted=report.accepted, changed=report.changed,
        refused=len(report.errors),
    )  # fmt: skip
    return report


def add_institution(entry: InstitutionEntry, *, by: Actor) -> Organisation:
    """One institution by a form; raises Invalid naming the field."""
    number = normalised(entry.registration_number)
    if db.session.scalar(select(Organisation.id).where(Organisation.registration_number == number)):
        raise Invalid("该机构登记号已存在,请在列表中查找。", "registration_number")
    tidy = InstitutionEntry(" ".join(entry.name.split()), number, entry.division, entry.category.strip(), " ".join(entry.contact.split()))
    organisation = Organisation(**_new(_judged(tidy)))
    db.session.add(organisation)
    db.session.flush()
    journal.write("organisation", organisation.id, "made", by=by)
    return organisation


def assign(institution: Organisation, assessor: Organisation, *, by: Actor) -> None:
    """Give `institution` its assessment organisation (所属考核机构); a hospital may assess its own (办法). Raises Invalid."""
    if not assessor.assesses:
        raise Invalid(f"{assessor.name}尚未被指定为考核机构,请先指定。", "assessment_organisation")
    if institution.assessment_organisation_id != assessor.id:
        institution.assessment_organisation_id = assessor.id
        journal.write("organisation", institution.id, "assigned", by=by, assessor=str(assessor.id))


def appoint(organisation: Organisation, *, by: Actor) -> None:
    """Appoint `organisation` an assessment organisation (考核机构). Repeatable."""
    if not organisation.assesses:
        organisation.assesses = True
        journal.write("organisation", organisation.id, "appointed", by=by)


def reach(organisation: Organisation, contact: str, *, by: Actor) -> None:
    """Say whom its doctors call (联系电话): an office and a telephone, or nothing. Raises Invalid."""
    told = _contact(" ".join(contact.split()))
    if organisation.contact != told:
        organisation.contact = told
        journal.write("organisation", organisation.id, "contact_changed", by=by)


def _contact(text: str) -> str | None:
    """Whom to call, as it is kept. Raises Invalid."""
    if len(text) > LONGEST_CONTACT:
        raise Invalid(f"联系电话超过{LONGEST_CONTACT}个字", "contact")
    if text and not TELEPHONE.search(text):
        raise Invalid("联系电话里没有电话号码,请写成“医务科 0355-1234567”", "contact")
    return text or None


def _entry(row: Row) -> InstitutionEntry:
    if row.lost_digits("registration_number"):
        raise Invalid("机构登记号被Excel当作数字,后几位已丢失,请先把该列设为文本格式再填写", "registration_number")
    name = " ".join(row.text("name").split())
    return InstitutionEntry(
        name, normalised(row.text("registration_number")), row.text("division"), " ".join(row.text("category").split()),
        " ".join(row.text("contact").split()),
    )  # fmt: skip


def _judged(entry: InstitutionEntry) -> dict[str, Any]:
    """`entry` as the columns of an institution's row; raises Invalid naming the field."""
    for field, label, text, longest in (
        ("name", "机构名称", entry.name, LONGEST_NAME),
        ("registration_number", "机构登记号", entry.registration_number, LONGEST_NUMBER),
        ("category", "机构类别", entry.category, LONGEST_CATEGORY),
    ):
        if not text and field != "category":
            raise Invalid(f"{label}未填写", field)
        if len(text) > longest:
            raise Invalid(f"{label}超过{longest}个字", field)
    province = by_code(current_tenant())
    assert province is not None  # noqa: S101 - a province that was entered is in the registry
    try:
        division = division_of(province, entry.division)
    except UnknownDivision as fault:
        raise Invalid(f"行政区划代码应为{province.short_name}的6位数字代码", "division") from fault
    return {
        "name": entry.name, "registration_number": entry.registration_number, "division": division, "category": entry.category,
        "health_authority": health_authority(province, division), "contact": _contact(entry.contact),
    }  # fmt: skip


def _new(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"tenant_id": current_tenant(), "id": new_id(), "category": values["category"] or DEFAULT_CATEGORY}


def _revise(row: Organisation, values: dict[str, Any]) -> bool:
    """Bring a known institution up to date and tell whether it wasn't. An empty category or contact leaves the known one."""
    news = {name: value for name, value in values.items() if value and value != getattr(row, name)}
    for name, value in news.items():
        setattr(row, name, value)
    return bool(news)


def _province_subject() -> UUID:
    return UUID(int=current_tenant())
