"""The roster (医师名单): read row by row, judged without touching a database, then taken in by the thousand.

Sound rows go in, others are told with row, column, reason and remedy. The key is the ID number: the same file again is no news.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, LargeBinary, any_, bindparam, insert, select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES, DOCUMENT_TYPES, SCOPES, code_of, people, plain
from dingkao.doctors.models import Doctor
from dingkao.doctors.numbers import doubt_of_practice, doubt_of_qualification
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import NOTHING, Fault, Report, Row
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
    "number": ("证件号码", "身份证号", "身份证号码", "证件号", "居民身份证号", "身份证件号码", "公民身份号码", "身份证"),
    "ethnicity": ("民族",),
    "education": ("学历", "最高学历"),
    "level": ("级别", "医师级别", "执业级别"),
    "category": ("执业类别", "类别"),
    "scope": ("执业范围",),
    "qualification": ("医师资格证书编码", "资格证书编码"),
    "practice": ("医师执业证书编码", "执业证书编码"),
    "institution": ("主要执业机构", "主要执业机构名称", "机构名称", "工作单位"),
    "registration_number": ("机构登记号", "主要执业机构登记号", "医疗机构登记号", "执业机构登记号", "登记号", "机构代码"),
    "department": ("科室", "所在科室"),
    "title": ("技术职称", "专业技术职称", "职称"),
    "mobile": ("手机号码", "手机号", "手机", "移动电话", "联系电话", "联系方式"),
    "first_registered": ("首次注册日期", "首次注册时间"),
}
NEEDED = ("name", "number", "category", "registration_number")
BATCH = 1000
LONGEST_NAME = 50
MOST_SCOPES = 3
EARLIEST_REGISTRATION = date(1950, 1, 1)
SEALED = ("qualification", "practice", "mobile")
PREFILLED = ("document_type", "level", "institution", "registration_number")
"""Columns that a template's empty rows may bring filled."""
KEPT_WHEN_EMPTY = ("document_type", "level", "sex")
"""Columns whose empty cell says nothing; of the others it says that there is nothing."""
OF_ANY_REGION = ("香港/澳门/台湾身份证", "港澳台身份证")
_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af ]+")
_SCOPE_MARKS = re.compile("[;\uff1b,\uff0c]")
_FINER_SCOPE_MARKS = re.compile("[\u3001/\n]")
_BETWEEN_MOBILES = (re.compile("[/\u3001;\uff1b,\uff0c\n]+"), re.compile(r"\s+"))


@dataclass(frozen=True)
class RosterRow:
    """One sound row, in our own codes. `given` names the fields it says something about: the others are what holds for a new doctor, and
    leave a known one as he or she is."""

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
    given: frozenset[str]

    def said(self) -> dict[str, Any]:
        """What the row says of its doctor, by our names; nothing is None."""
        return {name: getattr(self, name) or None for name in OF_DOCTOR if name in self.given}


OF_DOCTOR = (
    "name", "document_type", "sex", "birth_date", "level", "category", "scope", "ethnicity", "education", "qualification", "practice",
    "department", "title", "mobile", "first_registered",
)  # fmt: skip


class Unsound(ValueError):  # noqa: N818
    """A row is refused; `column` is our own name of it."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.remedy = remedy


Warn = Callable[[str, str, str], None]


def judge(row: Row, institutions: Mapping[str, str], warn: Warn, kind: str = "resident") -> RosterRow:
    """`row` as a sound one. `institutions`: 机构登记号 → name of those registered in the province; `warn(column, reason, remedy)`
    is called for what is odd but not refused; `kind`: the document type where the row names none. Raises Unsound with the first fault."""
    name = _name(row)
    document_type = _document_type(row, kind)
    found = _document(row, document_type)
    sex = _sex(row, document_type, found, warn)
    number = _registration_number(row, institutions)
    category, level = _category(row), _level(row)
    mobile = _mobile(row, warn)
    doubt = identity.oddity(document_type, found.number)
    if doubt:
        warn("number", doubt, "已按所填导入,请对照证件核对。")
    _warn_of_institution(row, institutions[number], warn)
    return RosterRow(
        name=name, document_type=document_type, number=found.number, sex=sex, birth_date=found.birth_date, level=level, category=category,
        scope=_scope(row, category, warn), ethnicity=people(row.text("ethnicity")), education=row.text("education"),
        qualification=_certificate(row, "qualification", warn, lambda text: doubt_of_qualification(text, found.number, level=level, category=category)),
        practice=_certificate(row, "practice", warn, lambda text: doubt_of_practice(text, level=level, category=category)),
        registration_number=number, department=row.text("department"), title=row.text("title"), mobile=mobile,
        first_registered=_first_registered(row, warn), given=_given(row, found),
    )  # fmt: skip


def _given(row: Row, found: identity.Document) -> frozenset[str]:
    given = {column for column in row.cells if column not in KEPT_WHEN_EMPTY or row.text(column)}
    told = {"sex": found.sex, "birth_date": found.birth_date}
    return frozenset(given | {name for name, value in told.items() if value})


def _name(row: Row) -> str:
    name = " ".join(row.text("name").split())
    if not name:
        raise Unsound("name", "姓名未填写", "请填写与身份证一致的姓名。")
    if normalised(name) in NOTHING or not any(one.isalpha() or one == "\u3007" for one in name):
        raise Unsound("name", f"“{name[:20]}”不是姓名", "请填写与身份证一致的姓名。")
    if len(name) > LONGEST_NAME:
        raise Unsound("name", f"姓名超过{LONGEST_NAME}个字", "请核对,只填写姓名。")
    return name.replace(" ", "") if _HAN.fullmatch(name) else name


def _document_type(row: Row, otherwise: str) -> str:
    text = row.text("document_type")
    if not text:
        return otherwise
    if plain(text) in OF_ANY_REGION:
        kind = identity.kind_of_region(row.text("number"))
        if kind is None:
            names = "、".join(DOCUMENT_TYPES[code] for code in ("hong_kong", "macao", "taiwan"))
            raise Unsound("document_type", f"无法确定“{text}”是哪一种证件", f"请填写以下之一:{names}。")
        return kind
    code = code_of("document", text)
    if code is None:
        raise Unsound("document_type", f"不认识的证件类型“{text[:20]}”", "请从模板的证件类型中选择,如居民身份证。")
    return code


def _document(row: Row, document_type: str) -> identity.Document:
    if not row.text("number"):
        raise Unsound("number", "证件号码未填写", "请填写证件号码;没有号码的医师无法登录。")
    if row.lost_digits("number") and isinstance(row.cells["number"], float | int):
        raise Unsound("number", "证件号码被Excel当作数字,后几位已丢失", "请先把该列设为文本格式,再重新填写完整号码。")
    try:
        return identity.document(document_type, row.text("number"))
    except identity.NotANumber as fault:
        raise Unsound("number", fault.reason, fault.remedy) from fault


def _sex(row: Row, document_type: str, found: identity.Document, warn: Warn) -> str | None:
    if not row.text("sex"):
        return found.sex
    given = code_of("sex", row.text("sex"))
    if given is None:
        raise Unsound("sex", f"性别“{row.text('sex')[:20]}”无法识别", "请填写男或女。")
    if found.sex and given != found.sex:
        if document_type in identity.RESIDENT_KINDS:
            raise Unsound("sex", "性别与证件号码不一致", "请对照身份证核对性别与证件号码(第17位单数为男、双数为女)。")
        warn("sex", "性别与证件号码不一致", "已按所填导入,请对照证件核对。")
    return given


def _registration_number(row: Row, institutions: Mapping[str, str]) -> str:
    number = normalised(row.text("registration_number"))
    if not number:
        raise Unsound("registration_number", "机构登记号未填写", "请填写主要执业机构的登记号。")
    if row.lost_digits("registration_number"):
        raise Unsound("registration_number", "机构登记号被Excel当作数字,后几位已丢失", "请先把该列设为文本格式,再重新填写完整登记号。")
    if number not in institutions:
        raise Unsound("registration_number", f"机构登记号{number[:50]}未在本省登记", "请核对登记号;机构尚未登记的,请先由省级管理员添加。")
    return number


def _category(row: Row) -> str:
    text, known = row.text("category"), "、".join(CATEGORIES.values())
    if not text:
        raise Unsound("category", "执业类别未填写", f"请填写以下之一:{known}。")
    code = code_of("category", text)
    if code is None:
        raise Unsound("category", f"不认识的执业类别“{text[:20]}”", f"请填写以下之一:{known}。")
    return code


def _level(row: Row) -> str:
    code = code_of("level", row.text("level") or "执业医师")
    if code is None:
        raise Unsound("level", f"不认识的级别“{row.text('level')[:20]}”", "请填写执业医师或执业助理医师。")
    return code


def _mobile(row: Row, warn: Warn) -> str | None:
    text = row.text("mobile")
    if normalised(text) in NOTHING:
        return None
    try:
        return identity.mobile(text)
    except identity.NotANumber as fault:
        for between in _BETWEEN_MOBILES:
            found = [number for piece in between.split(text) if (number := _mobile_or_none(piece))]
            if found:
                warn("mobile", "一格中不止一个号码", f"已取第一个手机号码(尾号{found[0][-4:]})。")
                return found[0]
        raise Unsound("mobile", fault.reason, fault.remedy) from fault


def _mobile_or_none(text: str) -> str | None:
    try:
        return identity.mobile(text)
    except identity.NotANumber:
        return None


def _scope(row: Row, category: str, warn: Warn) -> str | None:
    codes: dict[str, None] = {}
    for code, word in _scopes(row.text("scope")):
        if code is None:
            warn("scope", f"不认识的执业范围“{word[:30]}”", "已留空,由医师填报时选择。")
            continue
        if SCOPES[code][0] not in ("any", category):
            warn("scope", f"执业范围“{word[:30]}”不属于该执业类别", "已保留,请核对。")
        codes[code] = None
    if len(codes) > MOST_SCOPES:
        warn("scope", f"执业范围超过{MOST_SCOPES}项", f"已全部保留,请核对;医师填报时最多选{MOST_SCOPES}项。")
    return ",".join(codes) or None


def _scopes(text: str) -> Iterator[tuple[str | None, str]]:
    for piece in _SCOPE_MARKS.split(text):
        # 「医学检验、病理」 is one scope: what stands between enumeration commas is divided only where the whole is none
        parts = [piece] if code_of("scope", piece) else _FINER_SCOPE_MARKS.split(piece)
        yield from ((code_of("scope", part), part.strip()) for part in parts if part.strip())


def _first_registered(row: Row, warn: Warn) -> date | None:
    try:
        day = row.day("first_registered")
    except ValueError:
        warn("first_registered", f"无法识别的日期“{row.text('first_registered')[:20]}”", "已留空,由医师填报时补充;日期请写成2024-09-01。")
        return None
    if day and not EARLIEST_REGISTRATION <= day <= clock.today():
        warn("first_registered", "首次注册日期不合理", "已留空,由医师填报时补充。")
        return None
    return day


def _certificate(row: Row, column: str, warn: Warn, doubt_of: Callable[[str], str | None]) -> str:
    heading = COLUMNS[column][-1]
    if row.lost_digits(column):
        warn(column, f"{heading}被Excel当作数字,后几位已丢失", "已留空,由医师填报时补充;请先把该列设为文本格式再填写。")
        return ""
    text = normalised(row.text(column))
    if text in NOTHING:
        return ""
    doubt = doubt_of(text)
    if doubt:
        warn(column, doubt, f"已按所填导入,请核对{heading}。")
    return text


def _warn_of_institution(row: Row, institution: str, warn: Warn) -> None:
    if row.text("institution") and normalised(row.text("institution")) != normalised(institution):
        warn("institution", f"机构名称与登记号对应的“{institution}”不一致", "以机构登记号为准,请核对。")


def import_roster(
    content: bytes, *, by: Actor, only: Organisation | None = None, dry_run: bool = False, progress: Callable[[int], None] | None = None
) -> Report:
    """Take in a roster (xlsx or csv). `only`: the institution whose clerk imports, who may bring its own doctors alone.
    `dry_run` judges and changes nothing. `progress` is called with the number of rows done. Raises Invalid, TooLarge."""
    report = Report()
    organisations = {row.registration_number: row for row in db.session.scalars(select(Organisation))}
    intake = _Intake(report, organisations, only, dry_run, clock.now() + timedelta(days=settings.value("initial_days")))
    done = 0
    for batch in _batches(sheets.read(content, COLUMNS, NEEDED, report), BATCH):
        intake.take_in([row for row in batch if not _is_no_row(row)])
        done += len(batch)
        if progress:
            progress(done)
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


def _is_no_row(row: Row) -> bool:
    """Whether a row is none of a doctor's: it stands below the table, or is an empty line of a template."""
    if row.text("number"):
        return False
    return row.is_foot("name", "number") or not any(row.text(column) for column in row.cells if column not in PREFILLED)


@dataclass(frozen=True)
class _Known:
    id: UUID
    organisation_id: UUID
    digest: bytes | None
    account_id: UUID
    document_type: str


@dataclass
class _Intake:
    """One import: what it stands on, and which numbers have gone in."""

    report: Report
    organisations: Mapping[str, Organisation]
    only: Organisation | None
    dry_run: bool
    until: datetime
    seen: set[bytes] = field(default_factory=set)
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {number: organisation.name for number, organisation in self.organisations.items()}

    def take_in(self, rows: list[Row]) -> None:
        """One batch: which are known, by one query; the new by two inserts, the changed one by one."""
        typed = [_indices_of(row.text("number")) for row in rows]
        known = _known([index for indices in typed for index in indices.values()])
        fresh: list[tuple[RosterRow, Organisation]] = []
        doubtful: list[tuple[_Known, RosterRow]] = []
        for row, indices in zip(rows, typed, strict=True):
            kind = next((known[index].document_type for index in indices.values() if index in known), "resident")
            try:
                judged = judge(row, self.names, self._warner(row), kind)
                index = indices[judged.number]
                earlier = known.get(index)
                self._admit(judged, index, earlier)
            except Unsound as fault:
                self.report.errors.append(Fault(row.number, row.where(COLUMNS[fault.column][0]), fault.reason, fault.remedy))
                continue
            self.seen.add(index)
            if earlier is None:
                fresh.append((judged, self.organisations[judged.registration_number]))
            elif earlier.digest == digest_of(judged):
                self.report.unchanged += 1
            else:
                doubtful.append((earlier, judged))
        self._insert(fresh)
        self._revise(doubtful)

    def _admit(self, judged: RosterRow, index: bytes, earlier: _Known | None) -> None:
        if index in self.seen:
            raise Unsound("number", "证件号码与本文件前面的行重复", "请删除重复的行,或更正号码。")
        if self.only and judged.registration_number != self.only.registration_number:
            raise Unsound("registration_number", "不是本机构的医师", f"本机构只能导入登记号为{self.only.registration_number}的医师。")
        if earlier and earlier.organisation_id != self.organisations[judged.registration_number].id:
            raise Unsound("number", "该医师已在另一机构的名单中", "请由原机构和本机构办理转入,不能重复导入。")

    def _warner(self, row: Row) -> Warn:
        return lambda column, reason, remedy: self.report.warnings.append(Fault(row.number, row.where(COLUMNS[column][0]), reason, remedy))

    def _insert(self, fresh: list[tuple[RosterRow, Organisation]]) -> None:
        self.report.accepted += len(fresh)
        if fresh and not self.dry_run:
            rows = [new_rows(judged, organisation, self.until) for judged, organisation in fresh]
            db.session.execute(insert(Account), [account for account, _ in rows])
            db.session.execute(insert(Doctor), [doctor for _, doctor in rows])

    def _revise(self, doubtful: list[tuple[_Known, RosterRow]]) -> None:
        """Known doctors whose row isn't the one that was taken in last: changed where it says something else than what stands."""
        if not doubtful:
            return
        ids = [earlier.id for earlier, _ in doubtful]
        doctors = {doctor.id: doctor for doctor in db.session.scalars(select(Doctor).where(Doctor.id.in_(ids)))}
        for earlier, judged in doubtful:
            doctor = doctors[earlier.id]
            news = _news(doctor, judged)
            self.report.changed += bool(news)
            self.report.unchanged += not news
            if self.dry_run:
                continue
            for column, value in (_fields(news, doctor.id) | {"roster_digest": digest_of(judged)}).items():
                setattr(doctor, column, value)
            if "name" in news:
                db.session.execute(update(Account).where(Account.id == earlier.account_id).values(name=judged.name))
        db.session.flush()


def _indices_of(text: str) -> dict[str, bytes]:
    """The numbers that `text` may be, each with its blind index: fifteen digits are a resident's eighteen, or another document's own."""
    return {number: number_index(number) for number in {identity.login_number(text), normalised(text)[:64]}}


def number_index(number: str) -> bytes:
    """By what a doctor is found by the whole document number, with its brackets and dashes or without."""
    return vault().blind_index("number", identity.folded(number))


def _known(indices: list[bytes]) -> dict[bytes, _Known]:
    columns = (Doctor.number_index, Doctor.id, Doctor.organisation_id, Doctor.roster_digest, Doctor.account_id, Doctor.document_type)
    # one array, not a list of a thousand parameters: the engine hashes it, where it has not yet counted the table and would compare each row with each
    found = db.session.execute(select(*columns).where(Doctor.number_index == any_(bindparam("indices", indices, ARRAY(LargeBinary)))))
    return {bytes(row[0]): _Known(row[1], row[2], row[3], row[4], row[5]) for row in found}


def _news(doctor: Doctor, judged: RosterRow) -> dict[str, Any]:
    """What `judged` says of `doctor` and isn't so yet. Blanks, width and capitals make no difference."""

    def stands(name: str) -> Any:
        if name not in SEALED:
            return people(doctor.ethnicity or "") if name == "ethnicity" else getattr(doctor, name)
        sealed = getattr(doctor, f"{name}_sealed")
        return vault().unseal(Place("doctor", name, doctor.id), sealed) if sealed else None

    return {name: value for name, value in judged.said().items() if normalised(str(value or "")) != normalised(str(stands(name) or ""))}


def digest_of(judged: RosterRow) -> bytes:
    """The keyed hash by which the same row is known again: of what it says, so that the same words in fewer columns are another row."""
    return vault().blind_index("roster-row", json.dumps(judged.said(), ensure_ascii=False, default=str))


def new_rows(judged: RosterRow, organisation: Organisation, until: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """The account and the doctor that a sound row makes; the initial credential holds `until`."""
    account_id, doctor_id, tenant = new_id(), new_id(), current_tenant()
    account = {
        "tenant_id": tenant, "id": account_id, "kind": "doctor", "login_index": doctor_login_index(judged.number), "name": judged.name,
        "state": "initial", "initial_until": until,
    }  # fmt: skip
    doctor = _fields({name: getattr(judged, name) or None for name in OF_DOCTOR}, doctor_id) | {
        "tenant_id": tenant, "id": doctor_id, "account_id": account_id, "organisation_id": organisation.id,
        "number_index": number_index(judged.number),
        "number_sealed": vault().seal(Place("doctor", "number", doctor_id), judged.number),
        "tail_index": vault().blind_index("number-tail", judged.number[-4:]), "number_masked": identity.masked(judged.number),
        "roster_digest": digest_of(judged),
    }  # fmt: skip
    return account, doctor


def _fields(said: Mapping[str, Any], doctor_id: UUID) -> dict[str, Any]:
    """The columns of a doctor's row for what is `said`, by our names."""
    fields = {name: value for name, value in said.items() if name not in SEALED}
    for name in SEALED:
        if name in said:
            fields[f"{name}_sealed"] = vault().seal(Place("doctor", name, doctor_id), said[name]) if said[name] else None
    if "name" in said:
        fields["name_key"] = name_key(said["name"])
    return fields


def name_key(name: str) -> str:
    """By what names are sorted: pinyin, then the name itself (the engine has no Chinese collation)."""
    from pypinyin import lazy_pinyin  # its dictionaries take half a second to load

    return "".join(lazy_pinyin(name)).lower() + " " + name
