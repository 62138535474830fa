"""Lists of people as files (domain.md §12 «Lists as files»): one is asked for with a reason, approved by a
second person if it holds more than MAX_PEOPLE or full numbers, then built by a job (`list_files`) with the
filters of the view that was looked at. What lists there are: `exported_lists`."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidInput, InvalidState, NotFound
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal import proposals
from dingkao.journal.entries import Actor
from dingkao.people.exported_lists import (
    LARGE_ACTION,
    ExportedList,
    ExportedView,
    count_people,
    get_list,
    may_reveal,
    open_view,
)
from dingkao.people.list_files import LIST_EXPORT, MAX_PEOPLE, UNMASKED_MESSAGE, is_large
from dingkao.people.models import EXPORT_FORMATS, ExportRequest
from dingkao.people.permissions import grants
from dingkao.people.scopes import WHOLE_PROVINCE, Grant, in_scope, load_grant, scope_condition
from dingkao.people.second_person import require_second_person
from dingkao.tenants.context import current_tenant

MAX_REASON_LENGTH = 100
SAME_PERSON_MESSAGE = "提出人与确认人不能是同一人，请由另一人确认。"
WITHDRAWN_MESSAGE = "该导出已撤回，请刷新页面查看。"
TOO_LARGE_MESSAGE = (
    f"超过{MAX_PEOPLE:,}人的名单须由审核人、复核人或省级管理员提出，并经另一人确认。"
    "请缩小范围，或请他们导出。"
)


@dataclass(frozen=True)
class ExportWish:
    """What somebody asks for: a list, its view (the query of the address), a key of EXPORT_FORMATS, whether
    with full numbers, and why."""

    listed: ExportedList
    view: str
    file_format: str
    reason: str
    is_unmasked: bool = False


def ask(request_id: UUID, wish: ExportWish, *, by: Actor) -> ExportRequest:
    """Ask for a list as a file and return the request, locked and journalled, whose job is enqueued unless a
    second person must approve first. `request_id` is that of the form, so that a form sent twice asks once.
    The caller has checked that `by` may have the list (`exported_lists.get_list`). Raises InvalidInput, also
    for an empty list, Forbidden without an account, and NotFound for the id of another person's request."""
    values = _validate_wish(wish, by) | {"tenant_id": current_tenant(), "id": request_id}
    statement = insert(ExportRequest).values(**values).on_conflict_do_nothing().returning(ExportRequest.id)
    is_new = db.session.scalar(statement) is not None
    request = proposals.get_for_update(ExportRequest, request_id, ExportRequest.asked_by == by.id)
    if is_new:
        _log_request(request, by)
        if not request.needs_approval:
            _enqueue(request)
    return request


def _log_request(request: ExportRequest, by: Actor) -> None:
    """Enter in the journal that a list was asked for."""
    journal.write_entry(
        "export_request",
        request.id,
        "asked",
        by=by,
        reason=request.reason,
        list=request.list_code,
        people=request.people,
        format=request.file_format,
        full_numbers=request.is_unmasked,
    )


def _validate_wish(wish: ExportWish, by: Actor) -> dict[str, Any]:
    """The columns of the request; counts the list's rows, up to a limit. Raises InvalidInput for what can't
    be asked for, Forbidden if `by` has no account."""
    if by.id is None:
        raise Forbidden
    reason = _validate_reason_and_format(wish)
    if wish.is_unmasked and not may_reveal(wish.listed, by=by):
        raise InvalidInput(UNMASKED_MESSAGE, "is_unmasked")
    view = open_view(wish.listed, wish.view, by.id)
    people = count_people(view)
    if not people:
        raise InvalidInput("名单中没有人，请返回调整筛选条件。")
    needs_approval = is_large(wish.listed, people) or wish.is_unmasked
    if is_large(wish.listed, people) and not grants(LARGE_ACTION, by.roles):
        raise InvalidInput(TOO_LARGE_MESSAGE)
    return {
        "list_code": wish.listed.code,
        "view": wish.view,
        "title": title_of(wish.listed, view),
        "file_format": wish.file_format,
        "is_unmasked": wish.is_unmasked,
        "reason": reason,
        "people": int(people),
        "organisation_id": _organisation_of(load_grant(wish.listed.action, by.id)),
        "asked_by": by.id,
        "asked_at": clock.now(),
        "needs_approval": needs_approval,
    }


def _validate_reason_and_format(wish: ExportWish) -> str:
    """The reason, tidied. Raises InvalidInput for a missing or too long one, and for an unknown format."""
    if wish.file_format not in EXPORT_FORMATS:
        raise InvalidInput("请选择文件格式。", "file_format")
    reason = " ".join(wish.reason.split())
    if not 0 < len(reason) <= MAX_REASON_LENGTH:
        raise InvalidInput(f"请填写用途，不超过{MAX_REASON_LENGTH}字，如“报送市卫健委”。", "reason")
    return reason


def title_of(listed: ExportedList, view: ExportedView) -> str:
    """The title of a file of that view: the list's, with the view in words."""
    return f"{listed.title}（{view.description}）" if view.description else listed.title


def _organisation_of(grant: Grant) -> UUID | None:
    """The one organisation whose list it is; None for a list of the province, of several, or of departments
    alone."""
    organisation_ids = () if grant.is_province else grant.organisation_ids
    return organisation_ids[0] if len(organisation_ids) == 1 else None


def _enqueue(request: ExportRequest) -> None:
    """Enqueue the job that builds the file, for whoever asked, and note the job in the request."""
    request.job_id = LIST_EXPORT.enqueue(request.id, f"导出{request.title}", by=request.asked_by).id


# --- the second person


def waiting_query(grant: Grant) -> Select[Any]:
    """The query of the requests that wait for a second person, of the organisations that are reached with
    `grant` (of LARGE_ACTION); also those that the person asked for."""
    is_waiting = (
        ExportRequest.needs_approval,
        ExportRequest.approved_at.is_(None),
        ExportRequest.withdrawn_at.is_(None),
    )
    return select(ExportRequest).where(*is_waiting, _reached_condition(grant))


def _reached_condition(grant: Grant) -> ColumnElement[bool]:
    """The SQL condition that a request is of an organisation that `grant` reaches; with a grant for the
    province, any."""
    organisation = ExportRequest.organisation_id
    return scope_condition(grant, institution=organisation, assessor=organisation)


def list_waiting(grant: Grant, limit: int) -> list[ExportRequest]:
    """The requests of `waiting_query`, the oldest first, at most `limit`."""
    return list(db.session.scalars(waiting_query(grant).order_by(ExportRequest.id).limit(limit)))


def list_own_waiting(account_id: UUID) -> list[ExportRequest]:
    """The requests of an account that wait for a second person, the oldest first."""
    own = waiting_query(WHOLE_PROVINCE).where(ExportRequest.asked_by == account_id)
    return list(db.session.scalars(own.order_by(ExportRequest.id)))


def get_request(
    request_id: UUID, grant: Grant, account_id: UUID, *, for_update: bool = False
) -> ExportRequest:
    """The request with that id, locked with `for_update`, if the account asked for it or reaches it with
    `grant` (of LARGE_ACTION). Raises NotFound."""
    query = select(ExportRequest).where(ExportRequest.id == request_id)
    request = db.session.scalar(query.with_for_update() if for_update else query)
    if request is None or not (request.asked_by == account_id or is_reached(request, grant)):
        raise NotFound
    return request


def is_reached(request: ExportRequest, grant: Grant) -> bool:
    """Whether a request is one on which `grant` (of LARGE_ACTION) lets one decide, were it not one's own."""
    organisation_id = request.organisation_id
    return in_scope(grant, institution_id=organisation_id, assessor_id=organisation_id)


def approve(request: ExportRequest, *, by: Actor) -> None:
    """Approve a locked request as the second person, which enqueues its job and is journalled; does nothing
    if that is done, or nobody has to approve it. The caller has checked `is_reached`. Raises Forbidden,
    InvalidState."""
    if request.withdrawn_at:
        raise InvalidState(WITHDRAWN_MESSAGE)
    if request.approved_at or not request.needs_approval:
        return
    require_second_person(by, request.asked_by, same=SAME_PERSON_MESSAGE)
    request.approved_by, request.approved_at = by.id, clock.now()
    journal.write_entry("export_request", request.id, "approved", by=by)
    _enqueue(request)


def withdraw(request: ExportRequest, *, by: Actor) -> None:
    """Withdraw or reject a locked request, which is journalled; does nothing if that is done. Whether `by`
    may (`get_request`) isn't asked here. Raises InvalidState if it needs no approval, or has it."""
    if not request.needs_approval:
        raise InvalidState("该导出不需要确认，正在生成，可在“我的任务”中取消。")
    proposals.withdraw(request, by=by, refusal="该导出已确认，不能撤回。")


# --- the file


def request_of_job(job: Job) -> ExportRequest | None:
    """The request whose file a job builds; None for another job."""
    if job.name != LIST_EXPORT.job or job.subject_id is None:
        return None
    return db.session.scalar(select(ExportRequest).where(ExportRequest.id == job.subject_id))


def log_download(job: Job, *, by: Actor) -> None:
    """Enter in the journal, in a transaction of its own, that the file of a job was downloaded; does nothing
    for a job that builds no such list. Raises Forbidden if `by` may not have the list any more, NotFound if
    there is no such list any more."""
    request = request_of_job(job)
    if request is not None:
        get_list(request.list_code, by=by)
        journal.write_entry_in_own_transaction("export_request", request.id, "downloaded", by=by)
