"""The verification of the journal in the console, for administrators and auditors: the findings of the last
one, and starting one now."""

from datetime import datetime
from typing import Any

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.jobs.models import Job
from dingkao.journal.findings import FINDING_LABELS
from dingkao.people import journal_verification as rules
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limiter,
)

journal_verification = console_blueprint("journal_verification")


@journal_verification.get("/office/journal")
@require("journal.verify")
def journal_status() -> FlaskResponse:
    """The findings of the last completed verification, and the progress of one that is running."""
    last = rules.last_completed()
    running = rules.running_verification()
    page = render_template(
        "console/journal_verification/status.html",
        last=last,
        found=_findings_of(last) if last else None,
        running=running,
        what=FINDING_LABELS,
    )
    return auto_refreshing_page(page, waits=running is not None and running.state != "paused")


@journal_verification.post("/office/journal/verify")
@require("journal.verify")
@limiter.limit("6/hour")
def start_verification() -> Response:
    """Enqueue a verification, unless one waits, runs or is paused."""
    rules.enqueue_verification(by=current_user.as_actor())
    flash("已开始核验，可以离开本页，稍后再来查看。")
    return redirect(url_for("journal_verification.journal_status"), 303)


def _findings_of(job: Job) -> dict[str, Any]:
    """The findings of a verification, with moments as datetimes."""
    findings = rules.findings_of(job)
    for finding in findings["entries"]:
        finding["moment"] = datetime.fromisoformat(finding["at"]) if finding["at"] else None
    return findings | {
        name: datetime.fromisoformat(findings[name]) if findings[name] else None
        for name in ("since", "until")
    }
