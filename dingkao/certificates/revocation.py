"""Revoking a certificate (撤销): proposed by one administrator with a reason, approved by another."""

from sqlalchemy import (
    select,
)

from dingkao.certificates.issuing import NOT_VALID_MESSAGE
from dingkao.certificates.models import Certificate
from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import proposed_acts
from dingkao.people.models import ProposedAct


def propose_revocation(certificate: Certificate, *, by: Actor, reason: str) -> ProposedAct:
    """Propose to revoke (撤销) a certificate (locked), which is journalled; it stays valid until approval.
    The public page does not show the reason. Raises InvalidState if the certificate is not valid or a
    proposal waits already, InvalidInput."""
    if certificate.state != "issued":
        raise InvalidState(NOT_VALID_MESSAGE)
    return proposed_acts.propose("revocation", certificate.id, by=by, reason=reason)


@proposed_acts.on_approval("revocation")
def apply_revocation(act: ProposedAct, by: Actor) -> None:
    """Revoke the certificate of an approved proposal, which is locked, and write the journal; the doctor is
    not notified, and the files stay. `by`: who approves. Raises InvalidState if it is no longer valid."""
    certificate = db.session.scalars(
        select(Certificate).where(Certificate.id == act.subject_id).with_for_update()
    ).one()
    if certificate.state != "issued":
        raise InvalidState(f"{NOT_VALID_MESSAGE}请撤回此事项。")
    certificate.state, certificate.state_reason = (
        "revoked",
        act.reason,
    )
    reasons = {
        "reason": act.reason,
        "proposed_by": str(act.proposed_by),
    }
    journal.write_entry(
        "certificate",
        certificate.id,
        "revoked",
        by=by,
        before="issued",
        after="revoked",
        **reasons,
    )
