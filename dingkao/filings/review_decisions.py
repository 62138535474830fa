"""The decisions of a review (审核, domain.md §11 nos. 6 and 8 to 10): approving, accepting, returning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dingkao.assessments import assessment_transitions, review_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.assessments.procedure_tests import skips_test
from dingkao.assessments.review_hooks import run_ready_effects
from dingkao.assessments.verdicts import require_verdict
from dingkao.errors import Forbidden, NotFound
from dingkao.filings.dossier import Dossier, dossier_of_record
from dingkao.filings.return_marks import marks_to_store
from dingkao.filings.review import CLERK_MESSAGE, ReviewScope, require_unleased
from dingkao.filings.review_changes import save_snapshots
from dingkao.filings.review_guards import (
    assistant_reason,
    require_in_time,
    require_not_own_record,
    validate_bad_record_check,
    validate_conduct_findings,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.notice_catalogue import (
    ACCEPTED,
    ACCEPTED_WITHOUT_TEST,
    INSTITUTION_APPROVED,
    PROCEDURE_CHANGED,
    RETURNED_BY_INSTITUTION,
    RETURNED_BY_ORGANISATION,
    NoticeKind,
)

StoredMarks = dict[str, Any] | None


@dataclass(frozen=True)
class Decision:
    """A reviewer's decision from the form: verdicts (pass, fail, or ""), and the opinion or reason; of the
    institution whether cases of direct failure were found (`conduct`: none or found) and which
    (`conduct_codes`); of the assessment organisation what its check of bad records found (none or found).
    `is_other_person`: a reviewer with the doctor's name has declared to be somebody else."""

    performance: str = ""
    ethics: str = ""
    competence: str = ""
    text: str = ""
    conduct: str = ""
    conduct_codes: tuple[str, ...] = ()
    bad_record_check: str = ""
    is_other_person: bool = False


def apply_decision(
    record: Assessment,
    scope: ReviewScope,
    action: str,
    *,
    by: Actor,
    decision: Decision,
    marks: Mapping[str, str] | None = None,
) -> str:
    """Make a decision on a locked record as `decide` does, which has the same parameters, and finish it
    (`finish_decisions`: snapshot, admission ticket). Returns the sentence for the reviewer. Raises as
    `decide` does."""
    dossier = dossier_of_record(record)
    message = decide(dossier, scope, action, by=by, decision=decision, marks=marks)
    finish_decisions([dossier], scope, by=by)
    return message


def decide(
    dossier: Dossier,
    scope: ReviewScope,
    action: str,
    *,
    by: Actor,
    decision: Decision,
    marks: Mapping[str, str] | None = None,
) -> str:
    """Make a decision on the dossier of a locked record, journal it, and notify the doctor, unless the record
    only goes back to the institution; `finish_decisions` has to follow in the same transaction. A record that
    goes to another desk has no lease any more. Returns the sentence for the reviewer.

    `action`: code of the decision, see `_DECISIONS`. A return may have `marks` (key → sentence, see
    `return_marks`), which become the reason if none is typed; with another action they are ignored. Raises
    what the transition raises (Forbidden, InvalidState, InvalidInput), InvalidState if another person has
    leased the record; DeadlinePassed for an approval too shortly before the test, where the province blocks
    that; Forbidden for the reviewer's own record, for who may not decide for its organisation, and for
    approving or accepting what he or she filled in; InvalidInput for a namesake who hasn't declared to be
    somebody else; NotFound for an action that this side does not have."""
    record = dossier.record
    if scope.organisation_of(record) not in scope.deciding_ids:
        raise Forbidden(CLERK_MESSAGE)
    require_unleased(record, by)
    apply = _DECISIONS.get((scope.name, action))
    if apply is None:
        raise NotFound
    require_not_own_record(
        dossier.doctor,
        by,
        is_declared_other=decision.is_other_person,
    )
    if not action.startswith("return") and (reason := assistant_reason(dossier, by)):
        raise Forbidden(reason)
    stored_marks = None
    if marks and action.startswith("return"):
        stored_marks = marks_to_store(dossier, marks)
        decision = _with_reason_of_marks(decision, stored_marks or {})
    _log_marks(record, stored_marks, by)
    return apply(dossier, decision, stored_marks, by)


def finish_decisions(dossiers: Sequence[Dossier], scope: ReviewScope, *, by: Actor) -> None:
    """Store what the side has seen of the dossiers (of one cycle, at most 5,000) that `decide` has decided
    on, and do what follows for those that have become 待测评: they get admission tickets
    (`review_hooks.on_ready`)."""
    run_ready_effects([dossier.record for dossier in dossiers if dossier.record.state == "ready"])
    save_snapshots(dossiers, scope.name, by=by)


def _log_marks(
    record: Assessment,
    stored_marks: StoredMarks,
    by: Actor,
) -> None:
    """Write which fields were marked to the journal."""
    if stored_marks:
        journal.write_entry(
            "assessment",
            record.id,
            "marked",
            by=by,
            fields=sorted(stored_marks),
        )


def _with_reason_of_marks(
    decision: Decision,
    stored_marks: Mapping[str, Any],
) -> Decision:
    """Returns the decision; if no reason is typed, the labels of the marked fields become its reason."""
    labels = [mark["label"] for mark in stored_marks.values()]
    reason_of_marks = f"请修改：{'、'.join(labels)}。"
    return replace(
        decision,
        text=decision.text.strip() or reason_of_marks,
    )


def _notify(dossier: Dossier, kind: NoticeKind, **fields: object) -> None:
    """Write a notice to the dossier's doctor; see `notify`."""
    notify(dossier.record, kind, account_id=dossier.doctor.account_id, **fields)


def _approve(
    dossier: Dossier,
    decision: Decision,
    _marks: StoredMarks,
    by: Actor,
) -> str:
    """The institution approves; returns the sentence for the reviewer. Raises DeadlinePassed if the province
    blocks late approvals, InvalidInput for a missing verdict or answer of the checklist, InvalidState and
    Forbidden (the transition)."""
    record = dossier.record
    require_in_time(record, dossier.cycle)
    require_verdict(decision.performance, "performance", "请评定工作成绩。")
    require_verdict(decision.ethics, "ethics", "请评定职业道德。")
    assessment_transitions.approve(
        record,
        by=by,
        performance=decision.performance,
        ethics=decision.ethics,
        opinion=decision.text,
        conduct_findings=validate_conduct_findings(
            dossier,
            decision.conduct,
            decision.conduct_codes,
            decision.ethics,
        ),
    )
    _notify(dossier, INSTITUTION_APPROVED)
    return "已通过，转考核机构复核。"


def _return_by_institution(
    dossier: Dossier,
    decision: Decision,
    marks: StoredMarks,
    by: Actor,
) -> str:
    """The institution returns the filing to the doctor; returns the sentence for the reviewer. Raises
    InvalidInput without a reason, InvalidState and Forbidden (the transition)."""
    record = dossier.record
    assessment_transitions.return_to_doctor(
        record,
        by=by,
        reason=decision.text,
        marks=marks,
    )
    _notify(
        dossier,
        RETURNED_BY_INSTITUTION,
        reason=record.returned_reason,
    )
    return "已退回医师修改。"


def _accept(
    dossier: Dossier,
    decision: Decision,
    _marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation accepts, with a test or without one; returns the sentence for the reviewer. Raises
    InvalidInput without the check of bad records or a verdict, InvalidState, Forbidden for the person who
    graded."""
    record = dossier.record
    bad_record_check = validate_bad_record_check(
        record,
        decision.bad_record_check,
    )
    if skips_test(record.procedure):
        assessment_transitions.accept_without_test(
            record,
            by=by,
            competence=decision.competence,
            bad_record_check=bad_record_check,
        )
        _notify(dossier, ACCEPTED_WITHOUT_TEST)
        return "复核通过，转综合评定。"
    assessment_transitions.accept(
        record,
        by=by,
        bad_record_check=bad_record_check,
    )
    _notify(dossier, ACCEPTED)
    return "复核通过，已转待测评。"


def _return_to_institution(
    dossier: Dossier,
    decision: Decision,
    marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation returns the filing to the institution; the doctor is not notified. Returns the
    sentence for the reviewer. Raises InvalidInput without a reason, InvalidState and Forbidden (the
    transition)."""
    record = dossier.record
    assessment_transitions.return_to_institution(
        record,
        by=by,
        reason=decision.text,
        marks=marks,
    )
    return "已退回机构核对。"


def _return_by_organisation(
    dossier: Dossier,
    decision: Decision,
    marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation returns the filing to the doctor; returns the sentence for the reviewer. Raises
    InvalidInput without a reason, InvalidState and Forbidden (the transition)."""
    record = dossier.record
    assessment_transitions.return_to_doctor_by_organisation(
        record,
        by=by,
        reason=decision.text,
        marks=marks,
    )
    _notify(
        dossier,
        RETURNED_BY_ORGANISATION,
        reason=record.returned_reason,
    )
    return "已退回医师修改。"


def _change_procedure(
    dossier: Dossier,
    decision: Decision,
    _marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation changes 简易程序 to 一般程序; the record stays at its desk. Returns the sentence for
    the reviewer. Raises InvalidInput without a reason, InvalidState for another procedure, Forbidden."""
    reason = decision.text.strip()
    review_transitions.change_to_general_procedure(
        dossier.record,
        by=by,
        reason=reason,
    )
    _notify(dossier, PROCEDURE_CHANGED, reason=reason)
    return "已改为一般程序。"


_DECISIONS: dict[
    tuple[str, str],
    Callable[[Dossier, Decision, StoredMarks, Actor], str],
] = {
    ("institution", "approve"): _approve,
    ("institution", "return"): _return_by_institution,
    ("organisation", "accept"): _accept,
    ("organisation", "change_procedure"): _change_procedure,
    ("organisation", "return_institution"): _return_to_institution,
    ("organisation", "return_doctor"): _return_by_organisation,
}
"""(side, code of the decision) → the function that makes it."""
