"""The procedure (简易程序, 一般程序) of a filing: the grounds (适用条件) for 简易程序 that this doctor meets,
and the chosen one."""

from datetime import date

from dingkao.filings.dossier import Dossier, stored_step
from dingkao.filings.procedure_grounds import (
    ProcedureFacts,
    ProcedureGround,
    all_grounds,
)
from dingkao.filings.province_terms import province_terms
from dingkao.tenants import settings


def grounds_of(dossier: Dossier) -> list[ProcedureGround]:
    """Returns the grounds for 简易程序 (§1.4), each with whether the filing meets it and why."""
    conduct = stored_step(dossier, 4)
    registered = dossier.step_values(2).get("registered")
    facts = ProcedureFacts(
        first_registered_on=date.fromisoformat(registered) if registered else None,
        ends_on=dossier.cycle.ends_on,
        good_record=conduct.get("good_record"),
        bad_record=conduct.get("bad_record"),
        good_records=len(dossier.entries("good_records")),
    )
    proofs = {
        "good": settings.value("simple_proof_good"),
        "clean": settings.value("simple_proof_clean"),
    }
    return all_grounds(facts, province_terms(dossier.filing), proofs)


def chosen_ground(dossier: Dossier) -> ProcedureGround | None:
    """Returns the ground with which 简易程序 was chosen; None for 一般程序 or an unknown ground."""
    stored = stored_step(dossier, 5)
    if stored.get("procedure") != "simple":
        return None
    code = stored.get("ground")
    return next(
        (ground for ground in grounds_of(dossier) if ground.code == code),
        None,
    )


def choosable_grounds(dossier: Dossier) -> set[str]:
    """Returns the codes of the grounds that this doctor may choose (§1.4): those that are met, and those that
    only the institution can verify."""
    return {ground.code for ground in grounds_of(dossier) if ground.is_met is not False}


def allows_unproven_simple_procedure() -> bool:
    """Whether the province lets a doctor choose a ground that the filing does not meet, which the review then
    verifies."""
    return bool(settings.value("simple_without_ground") == "flag")
