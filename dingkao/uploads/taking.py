"""Taking a file in pieces: begun, each piece once, finished; and the registry of what an upload may be for.

Pieces follow one another: all are CHUNK bytes but the last. What has come is counted in the row and lies sealed in the store, so a piece sent
twice changes nothing, and a sender who doesn't know where it stands is told. A room takes finished files of its own by `register`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from sqlalchemy import Select, case, delete, func, select

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed, NotFound, TooLarge, TooMany
from dingkao.journal.writing import Actor
from dingkao.outside.pictures import MAX_BYTES, TOO_MANY_BYTES
from dingkao.outside.storage import store
from dingkao.uploads.models import Upload

CHUNK = 128 * 1024
MOST_OPEN = 20
MOST_BYTES_A_DAY = 200 * 1024 * 1024
LIVES = timedelta(days=1)
SWEPT_AT_ONCE = 200
GONE = "这次上传已取消或超过一天未完成,请重新选择文件。"


@dataclass(frozen=True)
class Purpose:
    """What a finished upload may be for. `admit` (subject, who) raises a Refusal where this account may not hand in anything for the
    subject now; `keep` (subject, name, content, who) checks the file, keeps it and gives the document's id, or raises a Refusal."""

    admit: Callable[[UUID | None, Actor], None]
    keep: Callable[[UUID | None, str, bytes, Actor], UUID]


PURPOSES: dict[str, Purpose] = {}


class Elsewhere(NotAllowed):
    """The piece doesn't follow what is here; `received` says where the upload stands."""

    def __init__(self, received: int) -> None:
        super().__init__("文件没有接上,正在从断开处继续。")
        self.received = received


def register(purpose: str, admit: Callable[[UUID | None, Actor], None], keep: Callable[[UUID | None, str, bytes, Actor], UUID]) -> None:
    """Finished uploads of `purpose` go to `keep`; a room says so once, where it is imported."""
    PURPOSES[purpose] = Purpose(admit, keep)


def begin(purpose: str, subject: UUID | None, key: UUID, name: str, size: int, *, by: Actor) -> Upload:
    """An upload of `size` bytes, begun; told again with the same `key` it is the one begun before, wherever that stands. Raises Invalid,
    TooLarge, TooMany, NotFound for a key given up or a purpose that is none, and what the purpose's `admit` raises."""
    if purpose not in PURPOSES or by.id is None:
        raise NotFound
    found = db.session.scalar(_own(by).where(Upload.key == key))
    if found is not None:
        if found.state == "cancelled":
            raise NotFound(GONE)
        return found
    if size <= 0:
        raise Invalid("文件是空的,请重新选择。")
    if size > MAX_BYTES:
        raise TooLarge(TOO_MANY_BYTES)
    PURPOSES[purpose].admit(subject, by)
    _within_limits(by.id, size)
    row = Upload(id=new_id(), account_id=by.id, key=key, purpose=purpose, subject_id=subject, name=name[-200:], size=size)
    db.session.add(row)
    db.session.flush()
    return row


def take(upload: UUID, offset: int, content: bytes, *, by: Actor) -> Upload:
    """Keep the piece that begins at `offset`; one that is here already changes nothing, nor does one that comes after the end. Raises
    Elsewhere where it doesn't follow what is here, Invalid where it isn't of the size it should be, NotFound, Unavailable."""
    row = _locked(upload, by)
    if row.state == "done":
        return row
    if offset < 0 or offset % CHUNK or offset > row.received:
        raise Elsewhere(row.received)
    if len(content) != min(CHUNK, row.size - offset):
        raise Invalid("文件片段不完整,正在重新发送。")
    if offset == row.received:
        store().put("chunk", _piece(row.id, offset), content, "application/octet-stream", sealed=True)
        row.received = offset + len(content)
        db.session.flush()
    return row


def finish(upload: UUID, *, by: Actor) -> Upload:
    """Hand the whole file to whom it is for; finished before, it stays finished. Raises Elsewhere where pieces are missing, what the
    purpose's `keep` raises, NotFound, Unavailable."""
    row = _locked(upload, by)
    if row.state == "done":
        return row
    if row.received < row.size:
        raise Elsewhere(row.received)
    content = b"".join(store().get("chunk", _piece(row.id, offset), sealed=True) for offset in range(0, row.size, CHUNK))
    row.document_id = PURPOSES[row.purpose].keep(row.subject_id, row.name, content, by)
    row.state = "done"
    db.session.flush()
    return row


def cancel(upload: UUID, *, by: Actor) -> None:
    """Give an unfinished upload up; its pieces go with the next sweep. A finished one stays. Raises NotFound."""
    row = _locked(upload, by)
    if row.state == "open":
        row.state = "cancelled"
        db.session.flush()


def sweep() -> int:
    """A duty of the timetable: pieces that nobody needs any more leave the store at once, rows after a day, for until then they count for
    the day's limit and tell who asks again that a file is here. Gives the number of uploads cleared. Raises Unavailable."""
    late = clock.now() - LIVES
    needless = select(Upload).where(Upload.cleared.is_(False), (Upload.state != "open") | (Upload.begun_at < late))
    rows = list(db.session.scalars(needless.order_by(Upload.begun_at).limit(SWEPT_AT_ONCE).with_for_update(skip_locked=True)))
    for row in rows:
        for offset in range(0, min(row.received + CHUNK, row.size), CHUNK):  # a piece may lie there that was never counted
            store().remove("chunk", _piece(row.id, offset))
        row.cleared = True
        row.state = "cancelled" if row.state == "open" else row.state
    db.session.flush()
    db.session.execute(delete(Upload).where(Upload.cleared.is_(True), Upload.begun_at < late))
    return len(rows)


def _within_limits(account: UUID, size: int) -> None:
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(account), 0))))
    counted = case((Upload.state == "cancelled", Upload.received), else_=Upload.size)
    mine = select(func.count().filter(Upload.state == "open"), func.coalesce(func.sum(counted), 0))
    opened, bytes_ = db.session.execute(mine.where(Upload.account_id == account, Upload.begun_at > clock.now() - LIVES)).one()
    if opened >= MOST_OPEN:
        raise TooMany("未完成的上传太多,请先完成或取消其中一些。", 600)
    if bytes_ + size > MOST_BYTES_A_DAY:
        raise TooMany(f"一天内上传的文件合计不能超过{MOST_BYTES_A_DAY // 1024 // 1024}MB,请明天再传。", 3600)


def _own(by: Actor) -> Select[Upload]:
    return select(Upload).where(Upload.account_id == by.id)


def _locked(upload: UUID, by: Actor) -> Upload:
    row = db.session.scalar(_own(by).where(Upload.id == upload).with_for_update().execution_options(populate_existing=True))
    if row is None or row.state == "cancelled":
        raise NotFound(GONE)
    return row


def _piece(upload: UUID, offset: int) -> UUID:
    return uuid5(upload, str(offset))
