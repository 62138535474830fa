"""Ready-made phrases (常用语) with which reviewers give opinions and reasons: those of a person, and those of
the person's organisations, which all colleagues may use."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import Forbidden, InvalidInput, NotFound
from dingkao.filings.models import ReviewPhrase
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.organisation_succession import add_column_part

MAX_PHRASES, MAX_PHRASE_LENGTH = 50, 100
"""How many phrases a person, or an organisation, may have."""
DEFAULT_PHRASES = (
    "情况属实，同意。",
    "照片不清晰，请重新上传近期免冠照片。",
    "与资格证书不一致，请核对后修改。",
    "与执业证书不一致，请核对后修改。",
    "请补充证明材料。",
    "请补充执业经历。",
)
"""What is offered where nobody has written a phrase yet."""


def list_phrases(
    organisation_ids: Collection[UUID],
    account_id: UUID,
) -> Sequence[ReviewPhrase]:
    """Returns the person's own phrases, and those of the organisations, in the order of their writing."""
    condition = or_(
        _own_condition(account_id),
        _shared_condition(organisation_ids),
    )
    return db.session.scalars(select(ReviewPhrase).where(condition).order_by(ReviewPhrase.id)).all()


def phrase_texts(
    organisation_ids: Collection[UUID],
    account_id: UUID,
) -> list[str]:
    """Returns the texts that a reviewer is offered, each once; DEFAULT_PHRASES if there are none."""
    texts = [phrase.text for phrase in list_phrases(organisation_ids, account_id)]
    return list(dict.fromkeys(texts)) or list(DEFAULT_PHRASES)


def add_phrase(
    organisation_id: UUID,
    text: str,
    *,
    shared: bool,
    by: Actor,
) -> None:
    """Add a phrase: the person's own, or with `shared` the organisation's, which the caller has checked that
    the person may do, and which is journalled. One that is there already isn't added again. Raises
    InvalidInput if it is empty, too long, or one too many, Forbidden for an actor without account."""
    phrase_text = " ".join(text.split())
    if not 0 < len(phrase_text) <= MAX_PHRASE_LENGTH:
        raise InvalidInput(f"请填写常用语，不超过{MAX_PHRASE_LENGTH}字。", "text")
    if by.id is None:
        raise Forbidden
    owned = (
        _shared_condition([organisation_id])
        if shared
        else _own_condition(
            by.id,
        )
    )
    if _has_same(owned, phrase_text):
        return
    if _count(owned) >= MAX_PHRASES:
        raise InvalidInput(f"常用语最多{MAX_PHRASES}条，请先删除不用的。", "text")
    phrase = ReviewPhrase(
        id=new_id(),
        organisation_id=organisation_id,
        account_id=None if shared else by.id,
        text=phrase_text,
    )
    db.session.add(phrase)
    db.session.flush()
    if shared:
        journal.write_entry("review_phrase", phrase.id, "added", by=by)


def remove_phrase(
    phrase_id: UUID,
    deciding_ids: Collection[UUID],
    *,
    by: Actor,
) -> None:
    """Delete a phrase of one's own, or one shared by an organisation of `deciding_ids` (those for which the
    person decides), which is journalled; does nothing if it is gone. Raises NotFound for any other."""
    phrase = db.session.scalar(
        select(ReviewPhrase).where(ReviewPhrase.id == phrase_id).with_for_update(),
    )
    if phrase is None:
        return
    is_own = phrase.account_id is not None and phrase.account_id == by.id
    is_shared = phrase.account_id is None and phrase.organisation_id in deciding_ids
    if not (is_own or is_shared):
        raise NotFound
    if is_shared:
        journal.write_entry(
            "review_phrase",
            phrase.id,
            "removed",
            by=by,
        )
    db.session.delete(phrase)


def _own_condition(account_id: UUID) -> ColumnElement[bool]:
    return ReviewPhrase.account_id == account_id


def _shared_condition(
    organisation_ids: Collection[UUID],
) -> ColumnElement[bool]:
    return and_(
        ReviewPhrase.account_id.is_(None),
        in_array(ReviewPhrase.organisation_id, organisation_ids),
    )


def _has_same(owned: ColumnElement[bool], text: str) -> bool:
    query = (
        select(ReviewPhrase.id)
        .where(owned, ReviewPhrase.text == text)
        .limit(
            1,
        )
    )
    return db.session.scalar(query) is not None


def _count(owned: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(ReviewPhrase).where(owned)) or 0


add_column_part("共用的常用语", "条", ReviewPhrase.organisation_id, keeps_open=False)
