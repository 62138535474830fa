"""Publications in the console: the frozen list of results is reviewed, exported, and approved by a second
person."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments import assessment_transitions
from dingkao.assessments.enrolment import count_records_by_state
from dingkao.blueprints.console.listing_pages import open_list_of
from dingkao.blueprints.console.navigation import (
    current_user_recusal_reason,
)
from dingkao.blueprints.console.results.blueprint import results
from dingkao.certificates import unprintable_names
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.people.name_lookups import account_name, account_names
from dingkao.results import (
    publication_lists,
    publishing,
)
from dingkao.results.models import Publication
from dingkao.results.publication_entry_list import PUBLICATION_ENTRY_LIST, PUBLICATION_FILTER
from dingkao.web.access_control import require
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import auto_refreshing_page

COUNTED_STATES = (
    "grading",
    "absent",
    "confirming",
    "passed",
    "failed",
)


@results.get("/office/publications")
@require("results.view")
def publications() -> str:
    """The publications of the cycle, and how many results wait (for 综合评定, for publication) or are
    published."""
    cycle = current_cycle()
    context = _publications_context(cycle) if cycle else {}
    return render_template(
        "console/results/publications.html",
        cycle=cycle,
        may=current_user.may("results.publish"),
        **context,
    )


def _publications_context(cycle: Cycle) -> dict[str, Any]:
    """Template variables of the list of publications."""
    listed_publications = publication_lists.list_publications(cycle)
    return {
        "rows": listed_publications,
        "names": _names_of_actors(listed_publications),
        "counts": count_records_by_state(cycle, states=COUNTED_STATES),
        "words": _publication_state_text,
    }


def _names_of_actors(
    listed_publications: Iterable[Publication],
) -> dict[UUID, str]:
    """The names of the accounts that proposed and approved the publications, by id."""
    return account_names(
        actor_id for listed in listed_publications for actor_id in (listed.proposed_by, listed.approved_by)
    )


@results.post("/office/publications")
@require("results.publish")
def propose_publication() -> Response:
    """Propose to publish all assessments that are 待发布: a job gathers their list, to which this redirects;
    locks the cycle. Raises NotFound before the first cycle, InvalidState if there is none, or another list
    isn't settled."""
    proposed = publication_lists.propose_publication(require_current_cycle(), by=current_user.as_actor())
    return redirect(
        url_for("results.publication", publication_id=proposed.id),
        303,
    )


@results.get("/office/publications/<uuid:publication_id>")
@results.post("/office/publications/<uuid:publication_id>/search", endpoint="search_publication")
@require("results.view")
def publication(publication_id: UUID) -> FlaskResponse | Response:
    """One publication with its list; while it is being gathered or published the page reloads itself. Raises
    NotFound."""
    return _render_publication(publication_id, {})


def _render_publication(
    publication_id: UUID,
    refusals: dict[UUID, str],
) -> FlaskResponse | Response:
    """The page of a publication, with the view of its list that the address describes, and at a record's row
    why its return was refused (`refusals`, by record id); or the redirect to another view (`open_list_of`).
    Raises NotFound."""
    shown_publication = publication_lists.get_publication(publication_id)
    view = open_list_of(
        PUBLICATION_ENTRY_LIST,
        PUBLICATION_FILTER,
        "publication_id",
        publication_id,
        endpoint="results.publication",
        search_endpoint="results.search_publication",
    )
    if isinstance(view, Response):
        return view
    job = enqueueing.latest_job_about(
        publication_id,
        publication_lists.GATHER_JOB,
        publishing.PUBLISH_JOB,
    )
    page = render_template(
        "console/results/publication.html",
        row=shown_publication,
        job=_unless_done(job),
        max_reason_length=assessment_transitions.MAX_REASON_LENGTH,
        view=view,
        refusals=refusals,
        boxes=_unprintable_people(shown_publication),
        **_approval_context(shown_publication),
    )
    return auto_refreshing_page(page, waits=enqueueing.is_under_way(job))


def _unless_done(job: Job | None) -> Job | None:
    """The job; None if it is done, because then the page shows nothing of it."""
    return None if job is None or job.state == "done" else job


def _approval_context(
    shown_publication: Publication,
) -> dict[str, Any]:
    """What the page shows of who proposed the list and who may approve it."""
    proposer_id = shown_publication.proposed_by
    return {
        "names": (
            account_name(proposer_id),
            account_name(shown_publication.approved_by),
        ),
        "may": current_user.may("results.publish"),
        "own": proposer_id == current_user.id,
        "recused": current_user_recusal_reason(proposer_id),
        "words": _publication_state_text,
    }


def _unprintable_people(
    shown_publication: Publication,
) -> list[tuple[Doctor, str]]:
    """The doctors on the list who passed and whose name can't be printed on a certificate, each with the
    characters, by name: the first MAX_UNPRINTABLE_SHOWN; none while the list isn't gathered, or if it was
    withdrawn."""
    if shown_publication.gathered_at is None or shown_publication.withdrawn_at:
        return []
    return unprintable_names.unprintable_in_publication(shown_publication.id)


def _publication_state_text(shown_publication: Publication) -> str:
    """The state of a publication as text."""
    if shown_publication.withdrawn_at:
        return "已撤回" if shown_publication.gathered_at else "未生成"
    if shown_publication.published_at:
        return "已发布" if shown_publication.settled_at else "已发布，正在逐一登记并通知医师"
    if shown_publication.approved_at:
        return "已确认，正在核对，核对完即发布"
    return _proposal_state_text(shown_publication)


def _proposal_state_text(shown_publication: Publication) -> str:
    """The state, as text, of a publication that is neither approved nor withdrawn."""
    if shown_publication.gathered_at is None:
        return "正在生成清单"
    return "清单已有变化，请撤回" if shown_publication.changed_at else "待另一位确认"


@results.post("/office/publications/<uuid:publication_id>/approve")
@require("results.publish")
def approve_publication(publication_id: UUID) -> Response:
    """Approve a publication as the second person; a job publishes it. One that was approved before is only
    shown. Raises NotFound, Forbidden, InvalidState."""
    job = publishing.approve_publication(
        publication_lists.get_publication_for_update(publication_id),
        by=current_user.as_actor(),
    )
    if job is None:
        return redirect(
            url_for("results.publication", publication_id=publication_id),
            303,
        )
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)


@results.post("/office/publications/<uuid:publication_id>/withdraw")
@require("results.publish")
def withdraw_publication(publication_id: UUID) -> Response:
    """Withdraw a proposed publication. Raises NotFound, InvalidState."""
    publication_lists.withdraw_publication(
        publication_lists.get_publication_for_update(publication_id),
        by=current_user.as_actor(),
    )
    flash("已撤回，可以重新生成清单。")
    return redirect(url_for("results.publications"), 303)


@results.post("/office/publications/object/<uuid:record_id>")
@require("results.return_record")
def return_record(record_id: UUID) -> Response:
    """Return one assessment that is 待发布 (locked) to its assessment organisation, with a reason;
    `publication` in the address is the list on which it is, which can't be approved any more; without a
    reason the same view of it is shown again, with the refusal at the record's row. Raises NotFound,
    InvalidState, also while its list is being published."""
    try:
        publishing.return_record(
            record_id,
            by=current_user.as_actor(),
            reason=request.form.get("reason", ""),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        publication_id = request.args.get("publication", UUID(int=0), UUID)
        return refused_response(
            _render_publication(publication_id, {record_id: refusal.message}),
            refusal,
        )
    flash("已退回考核机构重新评定。清单已有变化，请撤回后重新生成。")
    return redirect(url_for("results.publications"), 303)
