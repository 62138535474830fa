"""Institutions and assessment organisations: taken in from a sheet or a form, appointed, assigned."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from dingkao.database.model import db, new_id
from dingkao.errors import Invalid
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report
from dingkao.people.models import Organisation
from dingkao.tenants.context import current_tenant
from dingkao.tenants.divisions import UnknownDivision, health_authority
from dingkao.tenants.registry import by_code
from dingkao.tenants.secrets import normalised

COLUMNS = {
    "name": ("机构名称", "单位名称", "医疗机构名称", "名称"),
    "registration_number": ("机构登记号", "登记号", "医疗机构登记号", "机构代码"),
    "division": ("行政区划代码", "行政区划", "区划代码"),
    "category": ("机构类别", "类别", "机构类型"),
}
NEEDED = ("name", "registration_number", "division")


@dataclass(frozen=True)
class InstitutionEntry:
    """One institution as handed in."""

    name: str
    registration_number: str
    division: str
    category: str


def import_institutions(content: bytes, *, by: Actor) -> Report:
    """Take in the institutions of a csv or xlsx; the key is 机构登记号, so the same file again changes nothing. Raises Invalid."""
    report = Report()
    known = {row.registration_number: row for row in db.session.scalars(select(Organisation))}
    seen: set[str] = set()
    for row in sheets.read(content, COLUMNS, NEEDED):
        entry = InstitutionEntry(row.text("name"), normalised(row.text("registration_number")), row.text("division"), row.text("category"))
        try:
            if entry.registration_number in seen:
                raise Invalid("机构登记号在本文件中重复", "registration_number")
            outcome = _take_in(entry, known)
        except Invalid as fault:
            column = COLUMNS[fault.field or "name"][0]
            report.errors.append(Fault(row.number, column, fault.sentence, "请更正后重新导入,已导入的行不会重复。"))
            continue
        seen.add(entry.registration_number)
        setattr(report, outcome, getattr(report, outcome) + 1)
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
    known: dict[str, Organisation] = {}
    _take_in(InstitutionEntry(entry.name.strip(), number, entry.division.strip(), entry.category.strip()), known)
    organisation = known[number]
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


def _take_in(entry: InstitutionEntry, known: dict[str, Organisation]) -> str:
    if not entry.name:
        raise Invalid("机构名称未填写", "name")
    if not entry.registration_number:
        raise Invalid("机构登记号未填写", "registration_number")
    province = by_code(current_tenant())
    assert province is not None  # noqa: S101 - a province that was entered is in the registry
    try:
        authority = health_authority(province, entry.division)
    except UnknownDivision as fault:
        raise Invalid(f"行政区划代码应为{province.short_name}的6位数字代码", "division") from fault
    row = known.get(entry.registration_number)
    if row is None:
        row = Organisation(
            id=new_id(), name=entry.name, registration_number=entry.registration_number, division=entry.division,
            category=entry.category or "医疗机构", health_authority=authority,
        )  # fmt: skip
        db.session.add(row)
        db.session.flush()
        known[entry.registration_number] = row
        return "accepted"
    same = (row.name, row.division, row.category) == (entry.name, entry.division, entry.category or row.category)
    if same:
        return "unchanged"
    row.name, row.division, row.health_authority = entry.name, entry.division, authority
    row.category = entry.category or row.category
    return "changed"


def _province_subject() -> UUID:
    return UUID(int=current_tenant())
