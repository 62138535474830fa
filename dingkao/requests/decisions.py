"""Deciding on a request: approval or refusal."""

from collections.abc import Mapping

from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import VERDICT_PARTS, Assessment
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidInput, InvalidState
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.notice_catalogue import (
    APPEAL_UPHELD,
    REQUEST_FIRST_APPROVED,
    REQUEST_LAPSED,
    REQUEST_REFUSED,
)
from dingkao.requests import request_transitions
from dingkao.requests.decision_scope import DecisionScope
from dingkao.requests.earlier_deciders import (
    FIRST_DECIDER_MESSAGE,
    has_decided_first,
    require_not_assessor,
)
from dingkao.requests.granted_effects import apply_granted
from dingkao.requests.models import REQUEST_KINDS, SIDES, Request
from dingkao.requests.request_queries import INSTEAD_OF_TEST
from dingkao.requests.submission import lapse_test_replacements

NOT_RESPONSIBLE_MESSAGE = "这项申请当前不由您办理。页面可能已过时，请返回列表刷新。"


def refuse_request(
    doctor_request: Request,
    record: Assessment,
    scope: DecisionScope,
    *,
    by: Actor,
    opinion: str,
) -> str:
    """Refuse a request (不同意; of an appeal: 维持原结果), with a journal entry, and notify the doctor;
    `opinion` is the reason that the doctor reads (stripped). Request and record are locked. Returns the
    sentence (Chinese) for the person who decided. Raises InvalidInput without a reason or for a long one,
    Forbidden for who decided or assessed before, InvalidState if it isn't this person's turn."""
    _require_turn(doctor_request, record, scope, by)
    request_transitions.refuse(doctor_request, by=by, opinion=opinion)
    if doctor_request.kind == "appeal":
        notify(record, APPEAL_UPHELD, opinion=opinion.strip())
        return "已答复：维持原结果。"
    notify(
        record,
        REQUEST_REFUSED,
        request=REQUEST_KINDS[doctor_request.kind],
        opinion=opinion.strip(),
    )
    return "已退回，医师会收到理由。"


def approve_request(
    doctor_request: Request,
    record: Assessment,
    scope: DecisionScope,
    *,
    by: Actor,
    opinion: str,
    verdicts: Mapping[str, str] | None = None,
) -> str:
    """Approve a request (同意); request and record are locked. If a second side has to decide, the request is
    passed on, else it is granted and carried out (`apply_granted`), and the record's other requests for 免考
    or 延考 lapse if it was one; journal entries are written and the doctor is notified. `verdicts` (part →
    pass): what the first decision on an appeal proposes. Returns the sentence (Chinese) for the person who
    decided. Raises InvalidInput, Forbidden, InvalidState (also if it isn't this person's turn, or the
    record's state no longer allows it), and NotFound or Unavailable if a new photo can't be read or
    stored."""
    _require_turn(doctor_request, record, scope, by)
    if doctor_request.state == "first_pending" and doctor_request.second_side:
        if doctor_request.kind == "appeal":
            doctor_request.proposed = _validate_proposed_verdicts(record, verdicts or {}, opinion)
        return _forward(
            doctor_request,
            record,
            doctor_request.second_side,
            by=by,
            opinion=opinion,
        )
    return _grant(doctor_request, record, by=by, opinion=opinion)


def _forward(
    doctor_request: Request,
    record: Assessment,
    second_side: str,
    *,
    by: Actor,
    opinion: str,
) -> str:
    """Pass the request on to its second side and notify the doctor. Returns the sentence for the person who
    decided."""
    request_transitions.forward(doctor_request, by=by, opinion=opinion)
    next_side = SIDES[second_side]
    notify(
        record,
        REQUEST_FIRST_APPROVED,
        request=REQUEST_KINDS[doctor_request.kind],
        side=SIDES[doctor_request.first_side],
        next_side=next_side,
    )
    return f"已同意，转{next_side}复审。"


def _grant(
    doctor_request: Request,
    record: Assessment,
    *,
    by: Actor,
    opinion: str,
) -> str:
    """Carry out and grant the request, notify the doctor, and let the record's other requests for 免考 or
    延考 lapse. Returns the sentence for the person who decided. Raises InvalidInput, InvalidState, Forbidden;
    NotFound, Unavailable for a new photo."""
    notice_kind, notice_fields = apply_granted(doctor_request, record, by=by)
    request_transitions.grant(doctor_request, by=by, opinion=opinion)
    notify(record, notice_kind, **notice_fields)
    if doctor_request.kind in INSTEAD_OF_TEST:
        _lapse_other_requests(doctor_request, record)
    return "已同意并办理完毕，医师会收到通知。"


def _lapse_other_requests(doctor_request: Request, record: Assessment) -> None:
    """Lapse the record's other open requests for 免考 or 延考, which have no object any more, and notify the
    doctor."""
    db.session.flush()
    granted_kind = REQUEST_KINDS[doctor_request.kind]
    reason = f"{granted_kind}申请已通过"
    for lapsed_request in lapse_test_replacements(record, by=SYSTEM_ACTOR, reason=reason):
        notify(
            record,
            REQUEST_LAPSED,
            request=REQUEST_KINDS[lapsed_request.kind],
            granted=granted_kind,
        )


def _require_turn(
    doctor_request: Request,
    record: Assessment,
    scope: DecisionScope,
    by: Actor,
) -> None:
    """Raises Forbidden if this person decided or assessed earlier, or doesn't count as a second person beside
    who assessed; InvalidState if the request does not wait for a side for which this person may decide. That
    the side sees the record, `get_request_for_update` has checked."""
    if not scope.can_act_on(doctor_request):
        if has_decided_first(doctor_request, by.id):
            raise Forbidden(FIRST_DECIDER_MESSAGE)
        raise InvalidState(NOT_RESPONSIBLE_MESSAGE)
    require_not_assessor(doctor_request, record, by)


def _validate_proposed_verdicts(
    record: Assessment, verdicts: Mapping[str, str], opinion: str
) -> dict[str, str]:
    """Returns the verdicts that an appeal would change, part → pass: only to 合格, because an appeal must not
    make a result worse. Those that the record has already, and empty ones, are left out. Raises InvalidInput
    if there is none, another verdict, or no opinion."""
    changes = {
        part: verdicts[part]
        for part in VERDICT_PARTS
        if verdicts.get(part) not in (None, "", getattr(record, part))
    }
    if set(changes.values()) != {"pass"}:
        raise InvalidInput(
            "请选择要改为合格的评定；维持原结果的，请点“维持原结果”。",
            "verdicts",
        )
    if not opinion.strip():
        raise InvalidInput("请填写复核意见。", "opinion")
    return changes
