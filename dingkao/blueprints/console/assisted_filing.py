"""代填 in the console: a clerk fills in a doctor's filing on the pages that doctors use (`doctor/filing`);
here it is begun, confirmed by the doctor, submitted."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response as FlaskResponse
from flask import (
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.assessments.models import ASSESSMENT_STATES
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.blueprints.doctor.filing import (
    documents,
    entries,
    steps,
    submission,
)
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    Refusal,
    TooLarge,
)
from dingkao.filings import assistance, completeness
from dingkao.filings.assistance_list import ASSISTED_LIST
from dingkao.filings.assistance_marks import (
    confirmation_of,
    marks_of,
)
from dingkao.filings.dossier import Dossier
from dingkao.filings.fields import STEPS
from dingkao.filings.filing_prints import render_filing_form
from dingkao.integrations.images.images import MAX_DOCUMENT_BYTES
from dingkao.people.identity_numbers import mask_number
from dingkao.people.organisations import find_organisation
from dingkao.people.sms_codes import CODE_MINUTES
from dingkao.web.access_control import current_grant, require
from dingkao.web.forms import Form, Required
from dingkao.web.mobile_codes import code_sent_response, sms_codes
from dingkao.web.request_lifecycle import limiter

assisted_filing = console_blueprint("assisted_filing")
PREFIX = "/office/assist/<uuid:record_id>"
CODE_PURPOSE = "confirm_filing"
SHARED_PAGES: tuple[tuple[str, Callable[..., Any], tuple[str, ...]], ...] = (
    ("/filing/<int:number>", steps.step, ("GET", "POST")),
    ("/filing/<int:number>/keep", steps.autosave, ("POST",)),
    (
        "/filing/list/<string:kind>/<string:entry>",
        entries.list_entry,
        ("GET", "POST"),
    ),
    (
        "/filing/list/<string:kind>/<string:entry>/remove",
        entries.remove_entry,
        ("POST",),
    ),
    (
        "/filing/list/<string:kind>/<string:entry>/proofs",
        entries.upload_entry_proofs,
        ("GET", "POST"),
    ),
    (
        "/filing/list/<string:kind>/<string:entry>/proofs/<uuid:document_id>/remove",
        entries.remove_entry_proof,
        ("POST",),
    ),
    ("/filing/photo", documents.photo, ("GET", "POST")),
    ("/filing/photo.jpg", documents.photo_image, ("GET",)),
    ("/filing/proof", documents.proofs, ("GET", "POST")),
    (
        "/filing/proof/<uuid:document_id>",
        documents.proof_file,
        ("GET",),
    ),
    (
        "/filing/proof/<uuid:document_id>/remove",
        documents.remove_proof,
        ("POST",),
    ),
    ("/filing/check", submission.review_before_submit, ("GET",)),
)
"""The doctors' pages that are also shown here: address, view, methods."""


@assisted_filing.url_value_preprocessor
def _take_record_id(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Take the record's id off the values of the address, so that views of doctors' pages get theirs; the
    pages' dossier and addresses follow it (`doctor/filing/blueprint`)."""
    if values and "record_id" in values:
        g.assisted_record_id = values.pop("record_id")


def _for_assistance(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view of a doctors' page, opened by those who are granted filings.assist."""

    @wraps(view)
    def assisted_view(**values: Any) -> Any:
        """The view itself, with a mark of its own."""
        return view(**values)

    return require("filings.assist")(assisted_view)


for _address, _view, _methods in SHARED_PAGES:
    assisted_filing.add_url_rule(
        PREFIX + _address,
        _view.__name__,
        _for_assistance(_view),
        methods=list(_methods),
    )


@assisted_filing.context_processor
def _assisted_doctor() -> dict[str, Any]:
    """The variable `assisted` for the layout of the doctors' pages: who is assisted, and the way back; no
    variable on pages that have loaded no assisted dossier."""
    dossier: Dossier | None = g.get("assisted_dossier")
    if dossier is None:
        return {}
    institution = find_organisation(dossier.record.institution_id)
    return {
        "assisted": {
            "name": dossier.doctor.name,
            "institution": institution.name if institution else "",
            "address": url_for(
                "assisted_filing.show_filing",
                record_id=dossier.record.id,
            ),
        }
    }


class CodeForm(Form):
    """The code that the doctor reads out from the own phone."""

    sms_code = StringField("验证码", [Required("请输入本人手机收到的验证码。")])


@assisted_filing.get("/office/assist")
@assisted_filing.post("/office/assist/search", endpoint="search_filings")
@require("filings.assist")
def list_filings() -> str | Response:
    """The filings that are being filled in on doctors' behalf."""
    view = open_list(
        ASSISTED_LIST,
        links={"name": _filing_address},
        endpoint="assisted_filing.list_filings",
        search_endpoint="assisted_filing.search_filings",
    )
    if isinstance(view, Response):
        return view
    return render_template("console/assisted_filing/list.html", view=view)


def _filing_address(row: ListRow) -> str:
    """The address of the page of a row's filing; a row begins with the record."""
    return url_for("assisted_filing.show_filing", record_id=row[0].id)


def _dossier(*, for_update: bool = False) -> Dossier:
    """The dossier that the address names, also before assisting began; with `for_update` record and filing
    are locked. Raises NotFound, also for a doctor who isn't included."""
    return assistance.get_dossier(g.assisted_record_id, current_grant(), for_update=for_update)


@assisted_filing.get(PREFIX)
@require("filings.assist")
def show_filing() -> str:
    """How far a filing is: begin, fill in, let the doctor confirm, submit. Raises NotFound."""
    return _render_filing(_dossier(), CodeForm(formdata=None))


def _render_filing(
    dossier: Dossier,
    form: CodeForm,
    *,
    wait: int = 0,
    message: str | None = None,
) -> str:
    """The page of an assisted filing. `wait`: seconds until the next code; `message`: why the last act was
    refused."""
    mobile = assistance.confirmation_mobile(dossier.doctor)
    is_editable = dossier.is_editable()
    return render_template(
        "console/assisted_filing/filing.html",
        dossier=dossier,
        doctor=dossier.doctor,
        record_id=dossier.record.id,
        state=ASSESSMENT_STATES[dossier.record.state],
        steps=STEPS,
        begun=assistance.is_begun(dossier),
        editable=is_editable,
        marks=marks_of(dossier.filing),
        lacks=completeness.missing_items(dossier) if is_editable else [],
        confirmation=confirmation_of(dossier.filing),
        confirmed=assistance.is_confirmed(dossier),
        mobile=mask_number(mobile) if mobile else None,
        statement=assistance.STATEMENT,
        max_reason_length=assistance.MAX_REASON_LENGTH,
        form=form,
        wait=wait,
        told=message,
    )


@assisted_filing.post(f"{PREFIX}/begin")
@require("filings.assist")
@limiter.limit("120/hour")
def begin() -> Response | tuple[str, int]:
    """Begin to fill in a filing on the doctor's behalf, with a reason, notify the doctor, and go to its first
    step; a filing is created if there is none, and a record that is only included becomes a draft. If it was
    begun already, nothing changes. A refusal is shown on the page. Raises NotFound."""
    dossier = _dossier(for_update=True)
    try:
        assistance.begin(
            dossier,
            reason=request.form.get("reason", ""),
            by=current_user.as_actor(),
        )
    except (InvalidInput, InvalidState) as refusal:
        return _refused(refusal)
    return redirect(
        url_for(
            "assisted_filing.step",
            record_id=dossier.record.id,
            number=1,
        ),
        303,
    )


def _refused(refusal: Refusal, form: CodeForm | None = None) -> tuple[str, int]:
    """The page with the sentence of a refusal, with its status; what the request changed is undone, and its
    locks end."""
    db.session.rollback()
    page = _render_filing(
        _dossier(),
        form or CodeForm(formdata=None),
        message=refusal.message,
    )
    return page, refusal.status


@assisted_filing.post(f"{PREFIX}/confirm")
@require("filings.assist")
@limiter.limit("30/10minutes")
def confirm_by_code() -> Response | tuple[str, int] | str:
    """Send the code to the doctor's phone (`send` in the form; why none was sent, as beyond the limits for
    codes, is said on the page, with status 200), or take the code that the doctor reads out as the
    confirmation; a refusal is shown on the page. Raises NotFound."""
    dossier, form = _dossier(for_update=True), CodeForm()
    if request.form.get("send"):
        return code_sent_response(
            form,
            lambda: _send_code(dossier),
            lambda wait: _render_filing(dossier, form, wait=wait),
        )
    if not form.validate_on_submit():
        return _render_filing(dossier, form), InvalidInput.status
    try:
        _confirm(dossier, form.sms_code.data or "")
    except (InvalidInput, InvalidState) as refusal:
        return _refused(refusal, form)
    flash("本人已确认，可以提交。")
    return redirect(
        url_for(
            "assisted_filing.show_filing",
            record_id=dossier.record.id,
        ),
        303,
    )


def _send_code(dossier: Dossier) -> str:
    """Send the doctor, after the request, a code for the filing's present revision, which replaces an earlier
    one, and return the sentence for the page. Raises InvalidState if the filing can't be confirmed or no
    number is known, DeadlinePassed, RateLimited."""
    filing, mobile = (
        assistance.require_confirmable(dossier),
        _required_mobile(dossier),
    )
    sms_codes().send(
        CODE_PURPOSE,
        str(dossier.doctor.account_id),
        mobile,
        address=request.remote_addr,
        may_receive=True,
        ticket=f"{filing.id}:{filing.revision}",
    )
    return f"验证码将在一分钟内送达本人手机{mask_number(mobile)}，{CODE_MINUTES}分钟内有效。"


def _confirm(dossier: Dossier, code: str) -> None:
    """Use up the code, which counts only for the revision for which it was sent (in the cache, at once), and
    store and journal the confirmation of the locked filing. Raises InvalidInput for a wrong code,
    InvalidState, DeadlinePassed."""
    filing, mobile = (
        assistance.require_confirmable(dossier),
        _required_mobile(dossier),
    )
    sms_codes().consume(
        CODE_PURPOSE,
        str(dossier.doctor.account_id),
        mobile,
        code,
        ticket=f"{filing.id}:{filing.revision}",
    )
    assistance.confirm_by_code(dossier, mobile, by=current_user.as_actor())


def _required_mobile(dossier: Dossier) -> str:
    """The doctor's mobile number. Raises InvalidState if none is known."""
    mobile = assistance.confirmation_mobile(dossier.doctor)
    if mobile is None:
        raise InvalidState("该医师没有绑定手机，名单中也没有手机号码。请打印后由本人签字，上传签字件。")
    return mobile


@assisted_filing.get(f"{PREFIX}/form.pdf")
@require("filings.assist")
@limiter.limit("60/hour")
def print_form() -> FlaskResponse:
    """The filled-in form as PDF, its certificate numbers in full, to be signed by the doctor. Raises
    NotFound, also if nothing is filed, TooLarge, Unavailable."""
    headers = {
        "Content-Disposition": 'inline; filename="filing.pdf"',
        "Cache-Control": "private, no-store",
    }
    return FlaskResponse(
        render_filing_form(_dossier()),
        mimetype="application/pdf",
        headers=headers,
    )


@assisted_filing.post(f"{PREFIX}/signature")
@require("filings.assist")
@limiter.limit("60/hour")
def confirm_by_signature() -> Response | tuple[str, int]:
    """Store the scan of the signed form as the doctor's confirmation of the revision that the form names; a
    refusal is shown on the page. Raises NotFound."""
    dossier, file = (
        _dossier(for_update=True),
        request.files.get("signature"),
    )
    try:
        assistance.confirm_by_signature(
            dossier,
            file.read(MAX_DOCUMENT_BYTES + 1) if file else b"",
            revision=request.form.get("revision", -1, int),
            by=current_user.as_actor(),
        )
    except (InvalidInput, TooLarge) as refusal:
        return _refused(type(refusal)(f"文件没有保存：{refusal.message}"))
    except Refusal as refusal:
        return _refused(refusal)
    flash("签字件已上传，可以提交。")
    return redirect(
        url_for(
            "assisted_filing.show_filing",
            record_id=dossier.record.id,
        ),
        303,
    )


@assisted_filing.get(f"{PREFIX}/signature")
@require("filings.assist")
def signature() -> FlaskResponse:
    """The scan of the signed form, if the doctor's last confirmation, also of an earlier revision, was by
    signature. Raises NotFound if not, Unavailable."""
    content, content_type = assistance.signature_content(_dossier().filing)
    return FlaskResponse(
        content,
        mimetype=content_type,
        headers={"Content-Disposition": "inline"},
    )


@assisted_filing.post(f"{PREFIX}/submit")
@require("filings.assist")
def submit() -> Response | tuple[str, int]:
    """Submit the filing on the doctor's behalf, once the doctor has confirmed it as it stands, and notify the
    doctor; does nothing if it is submitted already. A refusal is shown on the page. Raises NotFound."""
    dossier = _dossier(for_update=True)
    try:
        assistance.submit(dossier, by=current_user.as_actor())
    except (InvalidInput, InvalidState) as refusal:
        return _refused(refusal)
    flash("已代为提交，医师会收到通知。")
    return redirect(
        url_for(
            "assisted_filing.show_filing",
            record_id=dossier.record.id,
        ),
        303,
    )
