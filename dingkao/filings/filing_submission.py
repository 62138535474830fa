"""Submitting a filing to the institution, and withdrawing it; what it must not lack is in `completeness`."""

from dingkao.assessments import assessment_transitions
from dingkao.cycles.cycles import is_phase_open
from dingkao.errors import DeadlinePassed, InvalidInput
from dingkao.filings.completeness import missing_items
from dingkao.filings.dossier import (
    Dossier,
    column_values,
    removed_entry_key,
    set_column_values,
    stored_step,
)
from dingkao.filings.entry_list_fields import ENTRY_LISTS
from dingkao.filings.fields import STEPS
from dingkao.filings.filing_documents import delete_orphaned_proofs
from dingkao.filings.models import Filing
from dingkao.journal.entries import Actor


def submit(dossier: Dossier, *, by: Actor) -> None:
    """Submit the filing of a locked dossier to the institution (§11 nos. 4 and 7); removed entries can't be
    restored any more, and which page wrote which field is forgotten. The transition journals it; nobody is
    notified. Raises InvalidInput with the first missing item, InvalidState, DeadlinePassed, Forbidden."""
    items = missing_items(dossier)
    if items:
        raise InvalidInput(items[0].message)
    assessment_transitions.submit(
        dossier.record,
        by=by,
        procedure=stored_step(dossier, 5)["procedure"],
    )
    if dossier.filing:
        _delete_removed_entries(dossier.filing)
        dossier.filing.client_ids = {}
    delete_orphaned_proofs(dossier, by=by)


def _delete_removed_entries(filing: Filing) -> None:
    """Delete the removed entries, which could be restored until submission."""
    for step in STEPS:
        values = column_values(filing, step)
        for kind in ENTRY_LISTS:
            values.pop(removed_entry_key(kind), None)
        set_column_values(filing, step, values)


def withdraw(dossier: Dossier, *, by: Actor) -> None:
    """Withdraw the submitted filing of a locked dossier (§11 no. 5), as long as no reviewer has opened it and
    the filing phase is open, after which it could not be submitted again. Raises InvalidState,
    DeadlinePassed, Forbidden."""
    if not is_phase_open(dossier.cycle, "filing"):
        raise DeadlinePassed("报名已截止，撤回后将不能重新提交，因此不能撤回。如需修改，请联系本机构退回。")
    assessment_transitions.withdraw(dossier.record, by=by)
