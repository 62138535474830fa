"""Names of organisations: changing one (更名), and those that an organisation had before or took over from
others. What was issued keeps the name that it was issued with."""

from collections.abc import Sequence

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation, OrganisationFormerName
from dingkao.people.organisation_search import update_organisation_keys
from dingkao.people.organisations import MAX_NAME_LENGTH
from dingkao.people.proposed_acts import validate_reason
from dingkao.tenants.characters import fold_lookalikes


def rename(organisation: Organisation, name: str, *, reason: str, by: Actor) -> None:
    """Give an organisation (locked) another name, for a reason such as the decision that says so. It is
    journalled and found by the former name, too; the same name again changes nothing. Its search keys are
    updated, and the session flushed. Raises InvalidInput naming the field."""
    new_name = fold_lookalikes(" ".join(name.split()))
    if not 0 < len(new_name) <= MAX_NAME_LENGTH:
        raise InvalidInput(f"机构名称应为1至{MAX_NAME_LENGTH}字。", "name")
    reason = validate_reason(reason)
    if new_name == organisation.name:
        return
    journal.write_entry(
        "organisation",
        organisation.id,
        "renamed",
        by=by,
        old=organisation.name,
        new=new_name,
        reason=reason,
    )
    store_former_name(organisation)
    organisation.name = new_name
    update_organisation_keys([organisation.id])


def store_former_name(organisation: Organisation) -> None:
    """Store the present name of an organisation as a former one, before it gets another. The caller updates
    the search keys."""
    db.session.add(OrganisationFormerName(organisation_id=organisation.id, name=organisation.name))


def take_over_names(predecessor: Organisation, successor: Organisation) -> None:
    """Let an organisation be found by the names, present and former, of one that is merged into it; its
    search keys are updated. Flushes."""
    names = [former.name for former in former_names(predecessor)]
    for name in dict.fromkeys((*names, predecessor.name)):
        db.session.add(
            OrganisationFormerName(
                organisation_id=successor.id,
                name=name,
                predecessor_id=predecessor.id,
            )
        )
    update_organisation_keys([successor.id])


def former_names(organisation: Organisation) -> Sequence[OrganisationFormerName]:
    """The names that an organisation had or took over, the oldest first."""
    query = select(OrganisationFormerName).where(OrganisationFormerName.organisation_id == organisation.id)
    return db.session.scalars(query.order_by(OrganisationFormerName.id)).all()
