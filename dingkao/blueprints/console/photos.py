"""Photos of doctors in bulk in the console: an archive is checked, then imported, by a job."""

from functools import partial

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.file import FileField
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.errors import InvalidInput, TooLarge, Unavailable
from dingkao.filings import photo_imports
from dingkao.integrations.images.photo_archives import MAX_ARCHIVE_BYTES, MAX_ENTRIES
from dingkao.jobs.models import Job
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Form, Required
from dingkao.web.request_lifecycle import limiter

photos = console_blueprint("photos")
BYTES_PER_MB = 1024 * 1024


class ArchiveForm(Form):
    """An archive of photos to be imported."""

    file = FileField("压缩包（zip）", [Required("请选择文件。")])


@photos.route("/office/photos", methods=["GET", "POST"])
@require("photos.import")
@limiter.limit("60/hour", methods=["POST"])
def import_photos() -> Response | tuple[str, int] | str:
    """Import an archive of photos with a job, or check it first; a refused file is named in the form."""
    form = ArchiveForm()
    job = submit_form(
        form,
        partial(_enqueue_import, form),
        refusals=(InvalidInput, TooLarge, Unavailable),
        field="file",
    )
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    page = render_template(
        "console/photos/import_photos.html",
        form=form,
        max_mb=MAX_ARCHIVE_BYTES // BYTES_PER_MB,
        max_entries=MAX_ENTRIES,
    )
    return form_page(page)


def _enqueue_import(form: ArchiveForm) -> Job:
    """Enqueue the import (or the check) of the form's archive. Raises InvalidInput, TooLarge, Unavailable."""
    upload = form.file.data
    return photo_imports.enqueue_import(
        upload.read(MAX_ARCHIVE_BYTES + 1),
        upload.filename or "",
        dry_run="check" in request.form,
        by=current_user.as_actor(),
    )
