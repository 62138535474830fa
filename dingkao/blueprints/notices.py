"""Messages to the doctor (消息)."""

from flask import redirect, render_template, url_for
from flask_login import current_user
from sqlalchemy import select, update
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.database.model import db
from dingkao.journal import writing as journal
from dingkao.people.models import Notice

notices = of_province("notices")
SHOWN = 100


@notices.get("/notices", endpoint="list")
@allow(DOCTOR)
def listing() -> str:
    """The messages, the newest first."""
    rows = db.session.scalars(select(Notice).where(Notice.account_id == current_user.id).order_by(Notice.id.desc()).limit(SHOWN)).all()
    return render_template("notices/list.html", rows=rows, unread=any(row.read_at is None for row in rows))


@notices.post("/notices/read")
@allow(DOCTOR)
def read() -> Response:
    """Mark all as read."""
    mine = update(Notice).where(Notice.account_id == current_user.id, Notice.read_at.is_(None))
    read_now = db.session.execute(mine.values(read_at=clock.now()).returning(Notice.id)).all()
    if read_now:
        journal.write("account", current_user.id, "notices_read", by=current_user.actor(), count=len(read_now))
    return redirect(url_for("notices.list"), 303)
