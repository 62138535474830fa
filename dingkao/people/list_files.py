"""The job that builds the file of a list of people that somebody has asked for (`export_requests`): its rows
within what they are granted when it runs, marked with who asked, when and why."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, literal, select, tuple_

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidState, NotFound
from dingkao.integrations.spreadsheets.csv_writer import write_csv_file
from dingkao.integrations.spreadsheets.xlsx_writer import SheetNotes, write_xlsx_file
from dingkao.people.accounts import load_actor
from dingkao.people.exported_lists import (
    ExportedList,
    ExportedView,
    get_list,
    may_reveal,
    open_view,
)
from dingkao.people.list_exports import FILE_LIFETIME, Export, ExportCursor, Rows
from dingkao.people.models import ExportRequest
from dingkao.people.name_lookups import account_name, organisation_names

MAX_PEOPLE, MAX_SHEET_NAME_LENGTH = 1_000, 31
"""How many people a list has at the most that nobody else must approve; the letters of a sheet's name."""
GROWN_MESSAGE = f"名单已超过{MAX_PEOPLE:,}人，须经另一人确认，请重新提出。"
UNMASKED_MESSAGE = "完整证件号码须由可以查看的审核人、复核人或省级管理员提出，并经另一人确认。"


def is_large(listed: ExportedList, people: int) -> bool:
    """Whether a second person must approve a list with so many rows."""
    return listed.names_people and people > MAX_PEOPLE


def _list_of(request: ExportRequest) -> ExportedList:
    """The list of a request. Raises NotFound, and Forbidden if whoever asked may not have it any more."""
    return get_list(request.list_code, by=load_actor(request.asked_by))


def _get_request(request_id: UUID) -> ExportRequest:
    """The request with that id. Raises NotFound."""
    request = db.session.scalar(select(ExportRequest).where(ExportRequest.id == request_id))
    if request is None:
        raise NotFound
    return request


def _open_view(request: ExportRequest) -> ExportedView:
    """The view of a request, within what whoever asked is granted now. Raises NotFound, Forbidden,
    InvalidInput."""
    listed = _list_of(request)
    if request.is_unmasked and not may_reveal(listed, by=load_actor(request.asked_by)):
        raise Forbidden(UNMASKED_MESSAGE)
    return open_view(listed, request.view, request.asked_by)


def _count(request_id: UUID) -> int:
    """How many people the list has. Raises InvalidState if these have become too many for one person, and as
    `_open_view` NotFound, Forbidden, InvalidInput."""
    request = _get_request(request_id)
    people = _open_view(request).count_rows()
    if is_large(_list_of(request), people) and not request.approved_at:
        raise InvalidState(GROWN_MESSAGE)
    return people


def _fetch_rows(request_id: UUID, after: ExportCursor, limit: int) -> tuple[Rows, ExportCursor]:
    """The next rows of the list, at most `limit`, and the cursor after them, None at the end. With full
    numbers if the request is for these. Raises as `_open_view` NotFound, Forbidden, InvalidInput."""
    request = _get_request(request_id)
    view = _open_view(request)
    query, columns = view.query, view.order_columns
    if after:
        query = query.where(tuple_(*columns) > tuple_(*map(_literal_of, after, columns)))
    ordered = query.add_columns(*columns).order_by(*columns).limit(limit)
    list_rows = db.session.execute(ordered).all()
    cells = view.cells([row[: -len(columns)] for row in list_rows], request.is_unmasked)
    if len(list_rows) < limit:
        return cells, None
    return cells, list(map(str, list_rows[-1][-len(columns) :]))


def _literal_of(text: str, column: Any) -> Any:
    """A value of the cursor as a SQL value of its column."""
    value = UUID(text) if isinstance(column.type, Uuid) else column.type.python_type(text)
    return literal(value, column.type)


def _write_file(request_id: UUID, rows: Iterator[Any], path: Path) -> None:
    """Write the file in the format asked for, with who asked for it, when and why, and who approved it.
    Raises as `_open_view` NotFound, Forbidden, InvalidInput, and InvalidState if an xlsx would have more rows
    than a sheet holds."""
    request = _get_request(request_id)
    listed, headings = _list_of(request), _open_view(request).headings
    facts = _facts_of(request)
    if request.file_format == "csv":
        write_csv_file(path, headings, rows, "；".join(f"{label}：{text}" for label, text in facts))
        return
    short_id = str(request.id)[-12:]
    footer = f"{_asker_text(request)} {_minute_text(request.asked_at)} 用途：{request.reason} 编号{short_id}"
    write_xlsx_file(path, headings, rows, listed.title[:MAX_SHEET_NAME_LENGTH], SheetNotes(facts, footer))


def _facts_of(request: ExportRequest) -> list[tuple[str, str]]:
    """What the file says of itself: label and text."""
    return [
        ("名单", request.title),
        ("导出", f"{_asker_text(request)} {_minute_text(request.asked_at)}"),
        ("用途", request.reason),
        *_approval_facts(request),
        ("编号", str(request.id)),
        ("提示", f"含个人信息，仅限上述用途，用后删除；系统中保留{FILE_LIFETIME.days}天，每次下载均有记录。"),
    ]


def _approval_facts(request: ExportRequest) -> list[tuple[str, str]]:
    """Who approved it, and when; empty if nobody had to."""
    if request.approved_at is None:
        return []
    return [("确认", f"{account_name(request.approved_by)} {_minute_text(request.approved_at)}")]


def _asker_text(request: ExportRequest) -> str:
    """Who asked, with the organisation."""
    names = [*organisation_names([request.organisation_id]).values(), account_name(request.asked_by)]
    return " ".join(names)


def _minute_text(moment: datetime) -> str:
    """A moment in Beijing, to the minute."""
    return f"{clock.to_beijing(moment):%Y-%m-%d %H:%M}"


def _file_name(request_id: UUID) -> str:
    """The name of the file: the list's code and the format. Raises NotFound."""
    request = _get_request(request_id)
    return f"{request.list_code.replace('_', '-')}.{request.file_format}"


LIST_EXPORT = Export("export_list", _file_name, _count, _fetch_rows, _write_file)
