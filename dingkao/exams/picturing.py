"""Pictures in questions: checked and written anew like every picture people hand in, kept once however often it comes, named by its content."""

import hashlib
from uuid import UUID

from sqlalchemy import select

from dingkao.database.model import db, new_id
from dingkao.errors import NotFound
from dingkao.exams.models import QuestionPicture
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import pictures
from dingkao.outside.storage import store

KIND = "question-picture"
NAME_BYTES = 16


def keep(content: bytes, *, by: Actor) -> str:
    """Keep a picture; the name by which a question's words call it, as ![说明](图:name). Raises Invalid, TooLarge, Unavailable."""
    written, content_type, size = pictures.illustration(content)
    digest = hashlib.sha256(written).digest()
    if db.session.scalar(select(QuestionPicture.id).where(QuestionPicture.digest == digest)) is None:
        row = QuestionPicture(
            id=new_id(), digest=digest, content_type=content_type, width=size[0], height=size[1], size=len(written), made_by=by.id
        )
        store().put(KIND, row.id, written, content_type, sealed=True)
        db.session.add(row)
        db.session.flush()
        journal.write("question_picture", row.id, "kept", by=by)
    return digest[:NAME_BYTES].hex()


def picture(name: str) -> tuple[bytes, str]:
    """The picture of that name, and its content type. The name is told to nobody but who may see the question. Raises NotFound,
    Unavailable."""
    try:
        start = bytes.fromhex(name)
    except ValueError as fault:
        raise NotFound from fault
    if len(start) != NAME_BYTES:
        raise NotFound
    query = select(QuestionPicture).where(QuestionPicture.digest >= start, QuestionPicture.digest <= start + b"\xff" * NAME_BYTES)
    row = db.session.scalar(query.limit(1))
    if row is None:
        raise NotFound
    return store().get(KIND, UUID(str(row.id)), sealed=True), row.content_type
