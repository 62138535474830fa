"""Pictures in questions: checked and redrawn like all uploaded pictures, stored once even if uploaded again,
and named by their content."""

import hashlib
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from dingkao.database.base import db, new_id
from dingkao.errors import NotFound
from dingkao.integrations.images import images
from dingkao.integrations.images.images import Illustration
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.question_banks.importers.question_files import (
    PICTURE_NAME_BYTES,
    picture_name,
)
from dingkao.question_banks.models import QuestionPicture

STORE_KIND = "question-picture"


def save_picture(content: bytes, *, by: Actor) -> str:
    """Check, redraw and store a picture, unless the province has it already, and return the name by which
    questions' texts refer to it, as ![说明](图:name). A new one is flushed and journalled; its file stays if
    the caller rolls back. Raises InvalidInput (field "picture"), TooLarge, Unavailable."""
    return save_processed_picture(images.process_illustration(content), by=by)


def save_processed_picture(drawn: Illustration, *, by: Actor) -> str:
    """Store a picture that was checked and redrawn already, and return its name. If the province has it
    already, nothing is written; else its row is flushed and journalled, and its file stays in the store if
    the caller rolls back. If another transaction stores it meanwhile, there is an IntegrityError. Raises
    Unavailable."""
    digest = hashlib.sha256(drawn.content).digest()
    if db.session.scalar(select(QuestionPicture.id).where(QuestionPicture.digest == digest)) is None:
        width, height = drawn.size
        picture = QuestionPicture(
            id=new_id(),
            digest=digest,
            content_type=drawn.content_type,
            width=width,
            height=height,
            size=len(drawn.content),
            made_by=by.id,
        )
        current_store().put(STORE_KIND, picture.id, drawn.content)
        db.session.add(picture)
        db.session.flush()
        journal.write_entry("question_picture", picture.id, "kept", by=by)
    return picture_name(drawn)


def all_exist(names: Iterable[str]) -> bool:
    """Whether the province has pictures with all these names."""
    return all(_find_picture(name) is not None for name in set(names))


def load_picture(name: str) -> tuple[bytes, str]:
    """Return the content of the picture of that name, and its content type. Callers must check that the
    question may be seen. Raises NotFound, Unavailable; encryption.DecryptionFailed (`storage`) if its file
    was altered."""
    picture = _find_picture(name)
    if picture is None:
        raise NotFound
    return current_store().get(STORE_KIND, UUID(str(picture.id))), picture.content_type


def _find_picture(name: str) -> QuestionPicture | None:
    """The row of the picture whose digest begins with the name (hexadecimal); None if there is none, or the
    name isn't one."""
    try:
        start = bytes.fromhex(name)
    except ValueError:
        return None
    if len(start) != PICTURE_NAME_BYTES:
        return None
    query = select(QuestionPicture).where(
        QuestionPicture.digest >= start,
        QuestionPicture.digest <= start + b"\xff" * PICTURE_NAME_BYTES,
    )
    return db.session.scalar(query.limit(1))
