"""The roster (医师名单): read row by row, judged without touching a database, then taken in by the thousand.

Sound rows go in, others are told with row, column, reason and remedy. The key is the ID number: the same file again is no news.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from pypinyin import lazy_pinyin
from sqlalchemy import insert, select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES, SCOPES, code_of
from dingkao.doctors.models import Doctor
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report, Row
from dingkao.people import identity
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.secrets import Place, normalised, vault

COLUMNS = {
    "name": ("姓名", "医师姓名"),
    "sex": ("性别",),
    "document_type": ("证件类型", "身份证件类型"),
    "number": ("证件号码", "身份证号", "身份证号码", "证件号", "居民身份证号"),
    "ethnicity": ("民族",),
    "education": ("学历", "最高学历"),
    "level": ("级别", "医师级别", "执业级别"),
    "category": ("执业类别",),
    "scope": ("执业范围",),
    "qualification": ("医师资格证书编码", "资格证书编码"),
    "practice": ("医师执业证书编码", "执业证书编码"),
    "institution": ("主要执业机构", "主要执业机构名称", "机构名称"),
    "registration_number": ("机构登记号", "主要执业机构登记号", "医疗机构登记号"),
    "department": ("科室", "所在科室"),
    "title": ("技术职称", "专业技术职称", "职称"),
    "mobile": ("手机号码", "手机号", "联系电话", "手机"),
    "first_registered": ("首次注册日期", "首次注册时间"),
}
NEEDED = ("name", "number", "category", "registration_number")
BATCH = 1000


@dataclass(frozen=True)
class RosterRow:
    """One sound row, in our own codes."""

    name: str
    document_type: str
    number: str
    sex: str | None
    birth_date: date | None
    level: str
    category: str
    scope: str | None
    ethnicity: str
    education: str
    qualification: str
    practice: str
    registration_number: str
    department: str
    title: str
    mobile: str | None
    first_registered: date | None


class Unsound(ValueError):  # noqa: N818
    """A row is refused; `column` is our own name of it."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.remedy = remedy


Warn = Callable[[str, str, str], None]


def judge(row: Row, institutions: Mapping[str, str], warn: Warn) -> RosterRow:
    """`row` as a sound one. `institutions`: 机构登记号 → name of those registered in the province; `warn(column, reason, remedy)`
    is called for what is odd but not refused. Raises Unsound with the first fault."""
    name = " ".join(row.text("name").split())
    if not name:
        raise Unsound("name", "姓名未填写", "请填写与身份证一致的姓名。")
    if all("一" <= character <= "鿿" for character in name.replace(" ", "")):
        name = name.replace(" ", "")
    document_type = code_of("document", row.text("document_type") or "居民身份证")
    if document_type is None:
        raise Unsound("document_type", f"不认识的证件类型“{row.text('document_type')}”", "请从模板的证件类型中选择,如居民身份证。")
    found = _document(row, document_type)
    sex = _sex(row, found)
    number = normalised(row.text("registration_number"))
    if not number:
        raise Unsound("registration_number", "机构登记号未填写", "请填写主要执业机构的登记号。")
    if number not in institutions:
        raise Unsound("registration_number", f"机构登记号{number}未在本省登记", "请核对登记号;机构尚未登记的,请先由省级管理员添加。")
    category = code_of("category", row.text("category"))
    if category is None:
        known = "、".join(CATEGORIES.values())
        raise Unsound("category", f"不认识的执业类别“{row.text('category')}”", f"请填写以下之一:{known}。")
    level = code_of("level", row.text("level") or "执业医师")
    if level is None:
        raise Unsound("level", f"不认识的级别“{row.text('level')}”", "请填写执业医师或执业助理医师。")
    try:
        mobile = identity.mobile(row.text("mobile")) if row.text("mobile") else None
    except identity.NotANumber as fault:
        raise Unsound("mobile", fault.reason, fault.remedy) from fault
    _warnings(row, found.number, institutions[number], warn)
    return RosterRow(
        name=name, document_type=document_type, number=found.number, sex=sex, birth_date=found.birth_date, level=level, category=category,
        scope=_scope(row, category, warn), ethnicity=row.text("ethnicity"), education=row.text("education"),
        qualification=normalised(row.text("qualification")), practice=normalised(row.text("practice")), registration_number=number,
        department=row.text("department"), title=row.text("title"), mobile=mobile, first_registered=_first_registered(row, warn),
    )  # fmt: skip


def _document(row: Row, document_type: str) -> identity.Document:
    if not row.text("number"):
        raise Unsound("number", "证件号码未填写", "请填写证件号码;没有号码的医师无法登录。")
    if isinstance(row.cells.get("number"), float) and row.cells["number"] >= 10**15:
        raise Unsound("number", "证件号码被Excel当作数字,后几位已丢失", "请先把该列设为文本格式,再重新填写完整号码。")
    try:
        return identity.document(document_type, row.text("number"))
    except identity.NotANumber as fault:
        raise Unsound("number", fault.reason, fault.remedy) from fault


def _sex(row: Row, found: identity.Document) -> str | None:
    if not row.text("sex"):
        return found.sex
    given = code_of("sex", row.text("sex"))
    if given is None:
        raise Unsound("sex", f"性别“{row.text('sex')}”无法识别", "请填写男或女。")
    if found.sex and given != found.sex:
        raise Unsound("sex", "性别与证件号码不一致", "请对照身份证核对性别与证件号码(第17位单数为男、双数为女)。")
    return given


def _scope(row: Row, category: str, warn: Warn) -> str | None:
    codes = []
    for word in row.text("scope").replace(",", ";").replace("、", ";").replace(";", ";").split(";"):
        if word.strip():
            codes.append((code_of("scope", word), word.strip()))
    whole = code_of("scope", row.text("scope")) if row.text("scope") else None
    if whole:
        codes = [(whole, row.text("scope"))]
    for code, word in codes:
        if code is None:
            warn("scope", f"不认识的执业范围“{word}”", "已留空,由医师填报时选择。")
        elif SCOPES[code][0] not in ("any", category):
            warn("scope", f"执业范围“{word}”不属于该执业类别", "已保留,请核对。")
    return ",".join(code for code, _ in codes if code) or None


def _first_registered(row: Row, warn: Warn) -> date | None:
    try:
        day = row.day("first_registered")
    except ValueError:
        warn("first_registered", f"无法识别的日期“{row.text('first_registered')}”", "已留空,由医师填报时补充;日期请写成2024-09-01。")
        return None
    if day and not identity.EARLIEST_BIRTH <= day <= clock.today():
        warn("first_registered", "首次注册日期不合理", "已留空,由医师填报时补充。")
        return None
    return day


def _warnings(row: Row, number: str, institution: str, warn: Warn) -> None:
    qualification = normalised(row.text("qualification"))
    if len(qualification) == 27 and len(number) == 18 and qualification[9:] != number:
        warn("qualification", "资格证书编码中的证件号与本人不一致", "请核对资格证书编码。")
    elif qualification and len(qualification) not in (24, 27):
        warn("qualification", "资格证书编码通常为27位", "请核对资格证书编码。")
    practice = normalised(row.text("practice"))
    if practice and len(practice) != 15:
        warn("practice", "执业证书编码通常为15位", "请核对执业证书编码。")
    if row.text("institution") and normalised(row.text("institution")) != normalised(institution):
        warn("institution", f"机构名称与登记号对应的“{institution}”不一致", "以机构登记号为准,请核对。")


@dataclass(frozen=True)
class _Known:
    id: UUID
    organisation_id: UUID
    digest: bytes | None
    account_id: UUID


def import_roster(
    content: bytes, *, by: Actor, only: Organisation | None = None, dry_run: bool = False, progress: Callable[[int], None] | None = None
) -> Report:
    """Take in a roster (xlsx or csv). `only`: the institution whose clerk imports, who may bring its own doctors alone.
    `dry_run` judges and changes nothing. `progress` is called with the number of rows done. Raises Invalid, TooLarge."""
    report = Report()
    organisations = {row.registration_number: row for row in db.session.scalars(select(Organisation))}
    names = {number: organisation.name for number, organisation in organisations.items()}
    seen: set[str] = set()
    done = 0
    for batch in _batches(sheets.read(content, COLUMNS, NEEDED), BATCH):
        sound: list[tuple[Row, RosterRow]] = []
        for row in batch:
            try:
                judged = judge(row, names, _warner(report, row))
                if judged.number in seen:
                    raise Unsound("number", "证件号码与本文件前面的行重复", "请删除重复的行,或更正号码。")
                if only and judged.registration_number != only.registration_number:
                    raise Unsound("registration_number", "不是本机构的医师", f"本机构只能导入登记号为{only.registration_number}的医师。")
            except Unsound as fault:
                report.errors.append(Fault(row.number, COLUMNS[fault.column][0], fault.reason, fault.remedy))
                continue
            seen.add(judged.number)
            sound.append((row, judged))
        _take_in(sound, organisations, report, dry_run)
        done += len(batch)
        if progress:
            progress(done)
    report.errors.sort(key=lambda fault: fault.row)
    if not dry_run:
        journal.write(
            "organisation" if only else "province", only.id if only else UUID(int=current_tenant()), "roster_imported", by=by,
            accepted=report.accepted, changed=report.changed, unchanged=report.unchanged, refused=len(report.errors),
        )  # fmt: skip
    return report


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def _warner(report: Report, row: Row) -> Warn:
    return lambda column, reason, remedy: report.warnings.append(Fault(row.number, COLUMNS[column][0], reason, remedy))


def _take_in(sound: list[tuple[Row, RosterRow]], organisations: Mapping[str, Organisation], report: Report, dry_run: bool) -> None:
    """One batch: which are known, by one query; the new by two inserts, the changed one by one."""
    indices = {vault().blind_index("number", judged.number): (row, judged) for row, judged in sound}
    found = db.session.execute(
        select(Doctor.number_index, Doctor.id, Doctor.organisation_id, Doctor.roster_digest, Doctor.account_id).where(
            Doctor.number_index.in_(list(indices))
        )
    )
    known = {bytes(row[0]): _Known(row[1], row[2], row[3], row[4]) for row in found}
    accounts: list[dict[str, Any]] = []
    doctors: list[dict[str, Any]] = []
    until = clock.now() + timedelta(days=settings.value("initial_days"))
    for index, (row, judged) in indices.items():
        organisation = organisations[judged.registration_number]
        digest = digest_of(judged)
        earlier = known.get(index)
        if earlier is None:
            report.accepted += 1
            account, doctor = new_rows(judged, organisation, until)
            accounts.append(account)
            doctors.append(doctor)
        elif earlier.organisation_id != organisation.id:
            report.errors.append(
                Fault(row.number, COLUMNS["number"][0], "该医师已在另一机构的名单中", "请由原机构和本机构办理转入,不能重复导入。")
            )
        elif earlier.digest == digest:
            report.unchanged += 1
        else:
            report.changed += 1
            if not dry_run:
                fields = _fields(judged, earlier.id) | {"roster_digest": digest}
                db.session.execute(update(Doctor).where(Doctor.id == earlier.id).values(**fields))
                db.session.execute(update(Account).where(Account.id == earlier.account_id).values(name=judged.name))
    if doctors and not dry_run:
        db.session.execute(insert(Account), accounts)
        db.session.execute(insert(Doctor), doctors)


def digest_of(judged: RosterRow) -> bytes:
    """The keyed hash by which the same row is known again."""
    return vault().blind_index("roster-row", "\x1f".join(str(cell) for cell in astuple(judged)))


def new_rows(judged: RosterRow, organisation: Organisation, until: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """The account and the doctor that a sound row makes; the initial credential holds `until`."""
    account_id, doctor_id, tenant = new_id(), new_id(), current_tenant()
    account = {
        "tenant_id": tenant, "id": account_id, "kind": "doctor", "login_index": doctor_login_index(judged.number), "name": judged.name,
        "state": "initial", "initial_until": until,
    }  # fmt: skip
    doctor = _fields(judged, doctor_id) | {
        "tenant_id": tenant, "id": doctor_id, "account_id": account_id, "organisation_id": organisation.id,
        "number_index": vault().blind_index("number", judged.number),
        "number_sealed": vault().seal(Place("doctor", "number", doctor_id), judged.number),
        "tail_index": vault().blind_index("number-tail", judged.number[-4:]), "number_masked": identity.masked(judged.number),
        "document_type": judged.document_type, "roster_digest": digest_of(judged),
    }  # fmt: skip
    return account, doctor


def _fields(judged: RosterRow, doctor_id: UUID) -> dict[str, Any]:
    def sealed(column: str, text: str | None) -> bytes | None:
        return vault().seal(Place("doctor", column, doctor_id), text) if text else None

    return {
        "name": judged.name, "name_key": name_key(judged.name), "sex": judged.sex, "birth_date": judged.birth_date,
        "level": judged.level, "category": judged.category, "scope": judged.scope, "ethnicity": judged.ethnicity or None,
        "education": judged.education or None, "title": judged.title or None, "department": judged.department or None,
        "qualification_sealed": sealed("qualification", judged.qualification), "practice_sealed": sealed("practice", judged.practice),
        "mobile_sealed": sealed("mobile", judged.mobile), "first_registered": judged.first_registered,
    }  # fmt: skip


def name_key(name: str) -> str:
    """By what names are sorted: pinyin, then the name itself (the engine has no Chinese collation)."""
    return "".join(lazy_pinyin(name)).lower() + " " + name
