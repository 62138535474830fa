"""Messages to the doctor (消息)."""

from uuid import UUID

from flask import current_app, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select, update
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.database.model import db
from dingkao.errors import NotFound
from dingkao.journal import writing as journal
from dingkao.people.models import Notice

notices = of_province("notices")
SHOWN = 100
ACTS = {
    "filing": ("去填报信息", "filing.begin"), "practice": ("去在线学习", "practice.choose"), "sitting": ("去参加测评", "sitting.papers"),
    "result": ("查看考核结果", "result.show"), "requests": ("查看我的申请", "requests.index"), "cases": ("去说明情况", "sitting.cases"),
}  # fmt: skip


@notices.get("/notices", endpoint="list")
@allow(DOCTOR)
def listing() -> str:
    """The messages, the newest first, a hundred a page; those not yet read alone where that is asked."""
    mine = select(Notice).where(Notice.account_id == current_user.id)
    unread, before = "unread" in request.args, _id(request.args.get("before", ""))
    waiting = db.session.scalar(mine.where(Notice.read_at.is_(None)).with_only_columns(Notice.id).limit(1)) is not None
    if unread:
        mine = mine.where(Notice.read_at.is_(None))
    if before:
        mine = mine.where(Notice.id < before)
    rows = db.session.scalars(mine.order_by(Notice.id.desc()).limit(SHOWN + 1)).all()
    return render_template(
        "notices/list.html", rows=rows[:SHOWN], onward=rows[SHOWN - 1].id if len(rows) > SHOWN else None, unread=unread, waiting=waiting, before=before,
    )  # fmt: skip


@notices.get("/notices/<uuid:notice_id>")
@allow(DOCTOR)
def show(notice_id: UUID) -> str:
    """One message, and from it to where one acts."""
    row = db.session.scalar(select(Notice).where(Notice.id == notice_id, Notice.account_id == current_user.id))
    if row is None:
        raise NotFound
    label, endpoint = ACTS.get(row.leads or "", ("", ""))
    return render_template("notices/show.html", row=row, label=label, address=url_for(endpoint) if endpoint in current_app.view_functions else None)


@notices.post("/notices/<uuid:notice_id>/read")
@allow(DOCTOR)
def open_(notice_id: UUID) -> Response:
    """Open a message that was not read yet: it is marked, and shown."""
    _mark(Notice.id == notice_id)
    return redirect(url_for("notices.show", notice_id=notice_id), 303)


@notices.post("/notices/read")
@allow(DOCTOR)
def read() -> Response:
    """Mark all as read."""
    _mark()
    return redirect(url_for("notices.list"), 303)


def _mark(*which: object) -> None:
    mine = update(Notice).where(Notice.account_id == current_user.id, Notice.read_at.is_(None), *which)  # type: ignore[arg-type]
    read_now = db.session.execute(mine.values(read_at=clock.now()).returning(Notice.id)).all()
    if read_now:
        journal.write("account", current_user.id, "notices_read", by=current_user.actor(), count=len(read_now))


def _id(text: str) -> UUID | None:
    """A mark that was tampered with begins at the beginning."""
    try:
        return UUID(text)
    except ValueError:
        return None
