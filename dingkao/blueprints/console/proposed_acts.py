"""Acts that take two administrators, in the console: the pending ones, each with a preview; approving,
withdrawing."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import (
    console_blueprint,
    count_decidable,
    current_user_recusal_reason,
)
from dingkao.certificates import certificate_queries, official_seals
from dingkao.certificates.models import CERTIFICATE_STATES
from dingkao.errors import NotFound
from dingkao.people import channel_accounts
from dingkao.people import proposed_acts as rules
from dingkao.people.models import PROPOSED_ACT_KINDS, ProposedAct
from dingkao.people.name_lookups import account_names
from dingkao.web.access_control import require

proposed_acts = console_blueprint("proposed_acts")
DONE_MESSAGES = {
    "seal": "已启用新公章，以后签发的通知书使用新公章。",
    "revocation": "已撤销，公众查验页会显示“已撤销”。",
    "sms_account": "短信账号已更改，立即生效。",
    "wechat_account": "微信公众号已更改，立即生效。",
}


def pending_counts() -> tuple[int, int]:
    """How many acts the current administrator may decide on, and how many only another one may."""
    return count_decidable(rules.pending_query(), ProposedAct.proposed_by)


@proposed_acts.get("/office/proposals")
@require("proposed_acts.view")
def list_acts() -> str:
    """The pending acts, and a page of those that were decided before."""
    pending = rules.list_pending()
    page = rules.finished_page(request.args.get("after"))
    acts = [*pending, *page.rows]
    return render_template(
        "console/proposed_acts/list.html",
        waiting=pending,
        page=page,
        kinds=PROPOSED_ACT_KINDS,
        names=_account_names(acts),
        subjects=_subject_serials(acts),
        recused={act.id: current_user_recusal_reason(act.proposed_by) for act in pending},
        states=_state_text,
    )


def _state_text(act: ProposedAct) -> str:
    """The state of an act as text; one that another administrator rejected is withdrawn, too."""
    if act.withdrawn_at:
        return "已撤回或退回"
    return "已确认" if act.approved_at else "等待另一位省级管理员确认"


def _account_names(acts: Iterable[ProposedAct]) -> dict[UUID, str]:
    return account_names(account_id for act in acts for account_id in (act.proposed_by, act.approved_by))


def _subject_serials(acts: Iterable[ProposedAct]) -> dict[UUID, str]:
    """The serial numbers of the certificates whose revocation the acts propose, by certificate id."""
    return certificate_queries.serials_of(act.subject_id for act in acts if act.kind == "revocation")


@proposed_acts.get("/office/proposals/<uuid:act_id>")
@require("proposed_acts.view")
def show_act(act_id: UUID) -> str:
    """One act: the proposed value beside the present one, who proposed it and why, and the decision. Raises
    NotFound."""
    act = rules.get_act(act_id)
    return render_template(
        "console/proposed_acts/act.html",
        row=act,
        kinds=PROPOSED_ACT_KINDS,
        names=_account_names([act]),
        state=_state_text(act),
        waits=not act.approved_at and not act.withdrawn_at,
        may=current_user.may("proposed_acts.decide"),
        own=act.proposed_by == current_user.id,
        recused=current_user_recusal_reason(act.proposed_by),
        **_act_preview(act),
    )


def _act_preview(act: ProposedAct) -> dict[str, Any]:
    """Template variables of the preview, depending on the act's kind."""
    if act.kind == "seal":
        return {}
    if act.kind == "revocation":
        certificate, doctor = certificate_queries.certificate_with_doctor(act.subject_id)
        return {
            "certificate": certificate,
            "doctor": doctor,
            "certificate_states": CERTIFICATE_STATES,
        }
    return {
        "changes": channel_accounts.proposal_changes(act),
        "platform": not act.value,
    }


@proposed_acts.get("/office/proposals/<uuid:act_id>/seal.png")
@require("proposed_acts.view")
def seal_picture(act_id: UUID) -> FlaskResponse:
    """The image of the proposed official seal. Raises NotFound, Unavailable."""
    act = rules.get_act(act_id)
    if act.kind != "seal":
        raise NotFound
    seal = official_seals.proposed_seal(act)
    return FlaskResponse(seal.content, mimetype=seal.content_type)


@proposed_acts.post("/office/proposals/<uuid:act_id>/approve")
@require("proposed_acts.decide")
def approve_act(act_id: UUID) -> Response:
    """Approve an act as the second person, by which it takes effect; again, it changes nothing. Raises
    NotFound, Forbidden for who proposed it or isn't independent of them, InvalidState, and what its effect
    raises."""
    act = rules.get_for_update(act_id)
    rules.approve(act, by=current_user.as_actor())
    flash(DONE_MESSAGES[act.kind])
    return redirect(url_for("proposed_acts.show_act", act_id=act.id), 303)


@proposed_acts.post("/office/proposals/<uuid:act_id>/withdraw")
@require("proposed_acts.decide")
def withdraw_act(act_id: UUID) -> Response:
    """Withdraw the own act, or reject another's; again, it changes nothing. Raises NotFound, InvalidState
    once it is approved."""
    act = rules.get_for_update(act_id)
    rules.withdraw(act, by=current_user.as_actor())
    flash("已退回，不再办理。" if act.proposed_by != current_user.id else "已撤回，可以重新提出。")
    return redirect(url_for("proposed_acts.list_acts"), 303)
