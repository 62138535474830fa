"""Institutions and assessment organisations: adding, finding by what was typed, appointing, assigning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import aliased

from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.organisation_search import (
    insert_organisation_keys,
    organisation_condition,
)
from dingkao.people.scopes import Grant
from dingkao.tenants.characters import fold_lookalikes
from dingkao.tenants.context import current_tenant
from dingkao.tenants.divisions import (
    UnknownDivision,
    division_code,
    health_authority,
)
from dingkao.tenants.encryption import normalise_text
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)
from dingkao.tenants.registry import Province, by_code

_ORGANISATION_STATEMENT = PreparedStatement(
    lambda: select(*all_columns(Organisation)).where(
        Organisation.tenant_id == TENANT_PARAM,
        Organisation.id == uuid_param("organisation"),
    )
)
MAX_SUGGESTIONS = 5
DEFAULT_CATEGORY = "医疗机构"
MAX_NAME_LENGTH = 100
MAX_NUMBER_LENGTH = 50
MAX_CATEGORY_LENGTH = 50
MAX_CONTACT_LENGTH = 60
TELEPHONE = re.compile(r"\+?[0-9][0-9 ()\-]{5,}[0-9]")


@dataclass(frozen=True)
class InstitutionValues:
    """The values of one institution as a form or a spreadsheet has them."""

    name: str
    registration_number: str
    division: str
    category: str
    contact: str = ""


def find_organisation(identity: UUID | None) -> Organisation | None:
    """The organisation with that id, open or closed, by a prepared statement, not locked nor refreshed; None
    if there is none, or `identity` is None."""
    if identity is None:
        return None
    organisation_row = _ORGANISATION_STATEMENT.fetch_object(Organisation, organisation=identity)
    return organisation_row[0] if organisation_row else None


def lock_open(*organisation_ids: UUID | None) -> dict[UUID, Organisation]:
    """The organisations with these ids by id (None and an unknown id are left out), locked in the order of
    ids until the transaction ends: none of them is closed or merged into another one meanwhile
    (`organisation_mergers`), but rows are moved to and from them. Whoever puts somebody into an organisation
    that was read before calls this, lest what is written after the last chunk of a merger stay behind. Raises
    InvalidState for one that is closed."""
    query = (
        select(Organisation)
        .where(in_array(Organisation.id, set(organisation_ids) - {None}))
        .order_by(Organisation.id)
        .with_for_update(read=True, key_share=True)
        .execution_options(populate_existing=True)
    )
    organisations = {organisation.id: organisation for organisation in db.session.scalars(query)}
    for organisation in organisations.values():
        if organisation.closed_at is not None:
            raise InvalidState(f"{organisation.name}已撤销或并入其他机构，请刷新页面后重新选择机构。")
    return organisations


def list_institutions(grant: Grant, limit: int) -> Sequence[Organisation]:
    """The first `limit` institutions, open or closed, that `grant` names, sorted by name; a grant for the
    whole province names none."""
    query = select(Organisation).where(in_array(Organisation.id, grant.institution_ids))
    return db.session.scalars(query.order_by(Organisation.name).limit(limit)).all()


def add_institution(entry: InstitutionValues, *, by: Actor) -> Organisation:
    """Add one institution from a form, flush it with its search keys, and journal it. Raises InvalidInput
    naming the field."""
    number = normalise_text(entry.registration_number)
    if db.session.scalar(select(Organisation.id).where(Organisation.registration_number == number)):
        raise InvalidInput(
            "该机构登记号已存在，请在列表中查找。",
            "registration_number",
        )
    tidy = InstitutionValues(
        fold_lookalikes(" ".join(entry.name.split())),
        number,
        entry.division,
        entry.category.strip(),
        " ".join(entry.contact.split()),
    )
    organisation = Organisation(**new_organisation_row(validate_institution(tidy)))
    db.session.add(organisation)
    db.session.flush()
    insert_organisation_keys({organisation.id: organisation.name})
    journal.write_entry("organisation", organisation.id, "made", by=by)
    return organisation


def matches_typed(words: str) -> ColumnElement[bool]:
    """The SQL condition that an organisation, open or closed, has the typed 机构登记号, or a name, now or
    formerly, that contains the typed words; of a single character, that begins with it. False for nothing
    typed. Sends queries: up to 300 organisations are looked up beforehand."""
    return organisation_condition(words)


def resolve_organisation(words: str, *where: ColumnElement[bool]) -> Organisation:
    """The organisation that was typed, among those that meet the SQL conditions `where` and aren't closed:
    the one with exactly this name or 机构登记号, or into which the one with that number was merged, else the
    only one with a name, now or formerly, that begins with `words`, else the only one with a name that
    contains them. Raises InvalidInput for the field `institution` if none or several match; the message
    suggests some."""
    exact = or_(
        Organisation.registration_number == normalise_text(words),
        _succeeds_number(normalise_text(words)),
        Organisation.name == fold_lookalikes(" ".join(words.split())),
    )
    begins = organisation_condition(words, is_beginning=True)
    for is_meant in (exact, begins, matches_typed(words)):
        matches = _list_matches(is_meant, *where)
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _several_match(words, matches)
    raise InvalidInput(
        f"没有找到机构“{words[:20]}”，请填写完整的机构名称或机构登记号。",
        "institution",
    )


def _succeeds_number(number: str) -> ColumnElement[bool]:
    """The SQL condition that an organisation with this 机构登记号 was merged into it."""
    predecessor = aliased(Organisation)
    return Organisation.id.in_(
        select(predecessor.successor_id).where(
            predecessor.tenant_id == current_tenant(), predecessor.registration_number == number
        )
    )


def _list_matches(
    *where: ColumnElement[bool],
) -> Sequence[Organisation]:
    """The first organisations that meet the conditions and aren't closed: one more than MAX_SUGGESTIONS,
    which shows whether there are more."""
    query = (
        select(Organisation)
        .where(*where, Organisation.closed_at.is_(None))
        .order_by(Organisation.name, Organisation.id)
    )
    return db.session.scalars(query.limit(MAX_SUGGESTIONS + 1)).all()


def _several_match(words: str, matches: Sequence[Organisation]) -> InvalidInput:
    """The error for typed words that several organisations match."""
    suggestions = "、".join(
        f"{organisation.name}（{organisation.registration_number}）"
        for organisation in matches[:MAX_SUGGESTIONS]
    )
    ellipsis = "等" if len(matches) > MAX_SUGGESTIONS else ""
    return InvalidInput(
        f"有多家机构符合“{words[:20]}”，请填写机构登记号：{suggestions}{ellipsis}。",
        "institution",
    )


def resolve_choice(text: str, *where: ColumnElement[bool]) -> Organisation:
    """The organisation whose id (from a list) is `text`, or whose name (now or formerly, or a part that only
    one has) or 机构登记号 it is, among those that meet the SQL conditions `where` and aren't closed. Raises
    InvalidInput for the field `institution` if none or several match."""
    try:
        by_id = Organisation.id == UUID(text)
    except ValueError:
        return resolve_organisation(text, *where)
    is_open = Organisation.closed_at.is_(None)
    organisation = db.session.scalar(select(Organisation).where(*where, by_id, is_open))
    if organisation is None:
        raise InvalidInput("请从列表中选择一项。", "institution")
    return organisation


def assign_assessor(institution: Organisation, assessor: Organisation, *, by: Actor) -> None:
    """Make `assessor` the assessment organisation (所属考核机构) of `institution`, which may be the
    institution itself (办法); the caller has locked both (`assessor`: `lock_against_withdrawal`). A change is
    journalled. Whether either is closed isn't asked. Raises InvalidInput for the field
    `assessment_organisation` if `assessor` isn't an assessment organisation."""
    if not assessor.assesses:
        raise InvalidInput(
            f"{assessor.name}尚未被指定为考核机构，请先指定。",
            "assessment_organisation",
        )
    if institution.assessment_organisation_id != assessor.id:
        institution.assessment_organisation_id = assessor.id
        journal.write_entry(
            "organisation",
            institution.id,
            "assigned",
            by=by,
            assessor=str(assessor.id),
        )


def lock_against_withdrawal(assessor: Organisation) -> None:
    """Refresh an organisation and keep others, until the transaction ends, from withdrawing it as an
    assessment organisation, closing and merging it; whether it is one, and open, the caller asks after that;
    it can still be referred to."""
    db.session.refresh(assessor, with_for_update={"read": True, "key_share": True})


def lock_for_assignment(institution_id: UUID, assessor_choice: str) -> None:
    """Lock an institution, and the organisation that was chosen to assess it (text as in `resolve_choice`;
    ignored if it names none), in the order of ids, until the transaction ends (the second only against being
    withdrawn, closed or merged): two who assign each to the other would wait for each other otherwise.
    `assign_assessor` comes after it."""
    try:
        assessor_id = resolve_choice(assessor_choice).id if assessor_choice else institution_id
    except InvalidInput:
        assessor_id = institution_id
    for organisation_id in sorted({institution_id, assessor_id}):
        query = select(Organisation).where(Organisation.id == organisation_id)
        is_weak = organisation_id != institution_id
        locking = query.with_for_update(read=is_weak, key_share=is_weak)
        db.session.scalar(locking.execution_options(populate_existing=True))


def appoint_assessor(organisation: Organisation, *, by: Actor) -> None:
    """Make `organisation` (locked) an assessment organisation (考核机构). It is journalled; does nothing if
    it is one. The opposite: `assessor_withdrawal`."""
    if not organisation.assesses:
        organisation.assesses = True
        journal.write_entry("organisation", organisation.id, "appointed", by=by)


def set_contact(organisation: Organisation, contact: str, *, by: Actor) -> None:
    """Set the contact for the doctors of an organisation (locked; 联系电话): a text that contains a telephone
    number, such as «医务科 0355-1234567», or "" for none; a change is journalled. Raises InvalidInput for the
    field `contact`."""
    clean_contact = _validate_contact(" ".join(contact.split()))
    if organisation.contact != clean_contact:
        organisation.contact = clean_contact
        journal.write_entry("organisation", organisation.id, "contact_changed", by=by)


def _validate_contact(text: str) -> str | None:
    """The contact (tidied before) as it is stored; None for an empty text. Raises InvalidInput."""
    if not text:
        return None
    if len(text) > MAX_CONTACT_LENGTH:
        raise InvalidInput(f"联系电话超过{MAX_CONTACT_LENGTH}个字", "contact")
    if not TELEPHONE.search(text):
        raise InvalidInput(
            "联系电话里没有电话号码，请写成“医务科 0355-1234567”",
            "contact",
        )
    return text


def validate_institution(entry: InstitutionValues) -> dict[str, Any]:
    """The values of an institution, validated, by column, with the health authority of its division. `entry`
    is tidied before: no needless blanks, the 机构登记号 in its normal form. Whether the number is free is not
    asked here. Raises InvalidInput naming the field."""
    _require_text("name", "机构名称", entry.name, MAX_NAME_LENGTH)
    _require_text(
        "registration_number",
        "机构登记号",
        entry.registration_number,
        MAX_NUMBER_LENGTH,
    )
    _require_length("category", "机构类别", entry.category, MAX_CATEGORY_LENGTH)
    province = by_code(current_tenant())
    assert province is not None  # noqa: S101 - the current province is in the registry
    division = _validate_division(province, entry.division)
    return {
        "name": entry.name,
        "registration_number": entry.registration_number,
        "division": division,
        "category": entry.category,
        "health_authority": health_authority(province, division),
        "contact": _validate_contact(entry.contact),
    }


def _require_text(field: str, label: str, text: str, max_length: int) -> None:
    """Raise InvalidInput for `field`, called `label` on screens, if its text is empty or too long."""
    if not text:
        raise InvalidInput(f"{label}未填写", field)
    _require_length(field, label, text, max_length)


def _require_length(field: str, label: str, text: str, max_length: int) -> None:
    """Raise InvalidInput for `field`, called `label` on screens, if its text is too long."""
    if len(text) > max_length:
        raise InvalidInput(f"{label}超过{max_length}个字", field)


def _validate_division(province: Province, text: str) -> str:
    """The six-digit code of an administrative division. Raises InvalidInput for the field `division`."""
    try:
        return division_code(province, text)
    except UnknownDivision as error:
        raise InvalidInput(
            f"行政区划代码应为{province.short_name}的6位数字代码",
            "division",
        ) from error


def new_organisation_row(values: dict[str, Any]) -> dict[str, Any]:
    """All column values of a new institution, from those that `validate_institution` returned."""
    return values | {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "category": values["category"] or DEFAULT_CATEGORY,
    }
