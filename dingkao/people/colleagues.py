"""Staff whom the reviewers of an institution or an assessment organisation invite themselves, one by one or
by a sheet: to their own organisations only, up to reviewer (domain.md §12)."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import exists, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import InvalidInput, Refusal
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.journal.entries import Actor
from dingkao.people import import_checks
from dingkao.people.accounts import create_staff, is_administrator, issue_code, staff_login_index
from dingkao.people.departments import resolve_department
from dingkao.people.models import (
    Account,
    Membership,
    Organisation,
)
from dingkao.people.names import is_same_name
from dingkao.people.notice_catalogue import ROLE_ADDED
from dingkao.people.notices import notify_account
from dingkao.people.permissions import (
    ROLES,
    SCOPES,
    Role,
    Scope,
)
from dingkao.people.scopes import Grant
from dingkao.people.staff_accounts import add_role

ACTION = "staff.invite_own"
COLUMNS = {
    "name": ("姓名",),
    "user_name": ("用户名", "登录名"),
    "role": ("角色", "岗位"),
    "department": ("科室", "所在科室"),
    "organisation": ("机构登记号", "登记号"),
}
REQUIRED_COLUMNS = ("name", "user_name", "role")
MAX_ROWS = 200
"""How many may be invited by one sheet: their codes are shown once, on one page."""


@dataclass(frozen=True)
class Seat:
    """A role at an organisation to which somebody may be invited."""

    role: Role
    organisation: Organisation

    @property
    def code(self) -> str:
        """The seat as a form sends it."""
        return f"{self.role.code}:{self.organisation.id}"

    @property
    def label(self) -> str:
        """The seat as people read it."""
        return f"{self.role.label} · {self.organisation.name}"

    @property
    def is_of_department(self) -> bool:
        """Whether the role reaches no more than a department, which has to be named."""
        return self.role.scope is Scope.DEPARTMENT


@dataclass(frozen=True)
class Invitation:
    """Somebody who was invited, to a department or with "" to none, with the one-time code that is shown
    once."""

    name: str
    user_name: str
    seat: Seat
    code: str
    department: str = ""


def seats(grant: Grant) -> list[Seat]:
    """The seats to which somebody with `grant` may invite: of each organisation of the grant, open or closed,
    by name, the roles that can be added and have its scope there."""
    ids = grant.organisation_ids
    organisations = db.session.scalars(
        select(Organisation).where(in_array(Organisation.id, ids)).order_by(Organisation.name)
    )
    return [
        Seat(role, organisation)
        for organisation in organisations
        for role in ROLES
        if role.can_be_added and organisation.id in _ids_of_scope(grant, role)
    ]


def _ids_of_scope(grant: Grant, role: Role) -> tuple[UUID, ...]:
    """The organisations of the grant at which a role of this scope is held."""
    by_scope = {
        Scope.INSTITUTION: grant.institution_ids,
        Scope.DEPARTMENT: grant.institution_ids,
        Scope.ASSESSOR: grant.assessor_ids,
    }
    return by_scope.get(SCOPES[role.code], ())


def resolve_seat(code: str, grant: Grant) -> Seat:
    """The seat whose `Seat.code` a form sends. Raises InvalidInput for one that is not among `seats`."""
    seat = next(
        (seat for seat in seats(grant) if seat.code == code),
        None,
    )
    if seat is None:
        raise InvalidInput("请从列表中选择角色和机构。", "seat")
    return seat


def invite(user_name: str, name: str, seat: Seat, *, by: Actor, department: str = "") -> Invitation:
    """Create an account for somebody at a seat (of `seats`: not checked here), with a one-time code; both are
    journalled. `department`: the name of the one that a seat `is_of_department` is limited to, "" for other
    seats. Raises InvalidInput naming the field, and InvalidState for an organisation that is closed."""
    if department and not seat.is_of_department:
        raise InvalidInput("只有科室联络员需要填写科室。", "department")
    own_department = resolve_department(seat.organisation, department) if seat.is_of_department else None
    account = create_staff(
        user_name,
        name,
        [(seat.role.code, seat.organisation)],
        by=by,
        department=own_department,
    )
    return Invitation(
        account.name,
        user_name,
        seat,
        issue_code(account, by=by),
        own_department.name if own_department else "",
    )


def invite_many(content: bytes, grant: Grant, *, by: Actor) -> tuple[list[Invitation], ImportReport]:
    """Invite everybody of a sheet, each row in a savepoint of its own, and return the invitations with their
    codes; the report says who could not be invited. Doesn't commit. Raises InvalidInput (also above MAX_ROWS
    rows: nobody is invited then), TooLarge, Unavailable."""
    report = ImportReport()
    invitations: list[Invitation] = []
    rows = [
        row
        for row in sheet_reader.read_rows(
            content,
            COLUMNS,
            REQUIRED_COLUMNS,
            report,
            date_columns=(),
            code_columns=("organisation",),
        )
        if not row.is_footer("name", "user_name")
    ]
    if len(rows) > MAX_ROWS:
        raise InvalidInput(
            f"一次最多邀请{MAX_ROWS}人，请分成几个文件。",
            "file",
        )
    available = seats(grant)
    for row in rows:
        try:
            with db.session.begin_nested():
                invitations.append(_invite_row(row, available, by))
        except Refusal as refusal:
            column = COLUMNS.get(getattr(refusal, "field", None) or "", ("",))[0]
            report.errors.append(
                RowProblem(
                    row.number,
                    column,
                    refusal.message,
                    "更正后重新导入这一行。",
                )
            )
    report.accepted = len(invitations)
    return invitations, report


def check_many(content: bytes, grant: Grant, *, by: Actor) -> tuple[list[Invitation], ImportReport]:
    """Check a sheet as `invite_many` would take it, and invite nobody: whom it would invite (their codes are
    worth nothing), and the report. Raises InvalidInput, TooLarge, Unavailable."""
    with import_checks.undone_afterwards():
        return invite_many(content, grant, by=by)


def give_seat(user_name: str, name: str, seat: Seat, *, by: Actor, department: str = "") -> bool:
    """Give somebody who has an account already (locked here), named by user name and name together, a seat
    besides, which ends their sessions and is journalled, tell them, and return True; False if they have it
    already. `department`: as in `invite`, ignored for other seats. Raises InvalidInput, with the same
    sentence whichever of the two does not match, and for one's own account and an administrator's;
    InvalidState for a closed account or organisation."""
    query = select(Account).where(
        Account.login_index == staff_login_index(user_name),
        Account.kind == "staff",
    )
    account = db.session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if account is None or not is_same_name(account.name, name):
        raise InvalidInput("没有用户名和姓名都相符的账号，请核对。", "user_name")
    if account.id == by.id or is_administrator(account.id):
        raise InvalidInput("不能给自己或省级管理员添加角色。", "user_name")
    own_department = resolve_department(seat.organisation, department) if seat.is_of_department else None
    is_new = add_role(account, seat.role.code, seat.organisation, by=by, department=own_department)
    if is_new:
        notify_account(account.id, ROLE_ADDED, role=seat.role.label, place=seat.organisation.name)
    return is_new


def _invite_row(row: ImportRow, available: Iterable[Seat], by: Actor) -> Invitation:
    """Invite the person of a row, to a seat among `available`. Raises InvalidInput naming the column or form
    field, and InvalidState for an organisation that is closed."""
    name = row.text("name")
    if not name:
        raise InvalidInput("姓名未填写。", "name")
    return invite(
        row.text("user_name"),
        name,
        _seat_of_row(row, available),
        by=by,
        department=row.text("department"),
    )


def _seat_of_row(row: ImportRow, available: Iterable[Seat]) -> Seat:
    """The seat among `available` that a row names by the role, and by the organisation's number if there are
    several. Raises InvalidInput naming the column."""
    role, number = (
        row.text("role"),
        row.text("organisation").upper(),
    )
    matching = [
        seat
        for seat in available
        if seat.role.label == role and number in ("", seat.organisation.registration_number)
    ]
    if not matching:
        raise InvalidInput(
            "角色或机构登记号不在您可以邀请的范围内。",
            "role",
        )
    if len(matching) > 1:
        raise InvalidInput(
            "您在多家机构任职，请填写机构登记号。",
            "organisation",
        )
    return matching[0]


def colleagues_page(grant: Grant, cursor: str | None) -> Page[Account]:
    """A page of the accounts, also closed ones, that hold a role at an organisation of `grant`, by name; an
    invalid cursor gives the first page."""
    holds_role = exists().where(
        Membership.tenant_id == Account.tenant_id,
        Membership.account_id == Account.id,
        in_array(
            Membership.organisation_id,
            grant.organisation_ids,
        ),
    )
    query = select(Account).where(Account.kind == "staff", holds_role)
    return fetch_page(query, [Account.name, Account.id], cursor)
