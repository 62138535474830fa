"""The assessment organisations that a person may choose: those within the scope of an action."""

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.people import organisations
from dingkao.people.models import Organisation
from dingkao.people.scopes import Grant, scope_condition


def list_assessors(scope: Grant, limit: int) -> list[Organisation]:
    """The first `limit` open assessment organisations within `scope`, sorted by name."""
    query = select(Organisation).where(
        Organisation.assesses,
        Organisation.closed_at.is_(None),
        scope_condition(scope, assessor=Organisation.id),
    )
    return list(db.session.scalars(query.order_by(Organisation.name).limit(limit)))


def resolve_assessor(text: str, scope: Grant) -> Organisation:
    """The open assessment organisation within `scope` whose id, name or 机构登记号 is `text`. A typed name
    may also be a former one, or a part that only one of them has. Raises InvalidInput for the field
    `institution` if none or several match."""
    return organisations.resolve_choice(
        text,
        Organisation.assesses.is_(True),
        scope_condition(scope, assessor=Organisation.id),
    )


def resolve_assessed_institution(words: str, scope: Grant) -> Organisation:
    """The open institution whose 机构登记号 or name, also a former one or a part that only one has, was typed
    (`words`), among those assessed by organisations within `scope`. Raises InvalidInput for the field
    `institution` if none or several match."""
    return organisations.resolve_organisation(
        words,
        scope_condition(scope, assessor=Organisation.assessment_organisation_id),
    )
