"""The blueprint of a doctor's requests, and what all of its pages load."""

from uuid import UUID

from flask import redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.current_records import cycle_of_doctor
from dingkao.errors import NotFound
from dingkao.filings.dossier import Dossier, dossier_of
from dingkao.requests import request_queries
from dingkao.requests.models import Request
from dingkao.web.province_blueprint import province_blueprint

requests = province_blueprint("requests")


def current_dossier(*, for_update: bool = False) -> Dossier:
    """The current user's own dossier, for requests (for the filing's pages there is `filing_dossier`), locked
    with `for_update`. Raises NotFound before the first cycle, and for a doctor without an assessment."""
    cycle = cycle_of_doctor(current_user.doctor().id)
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    return dossier_of(current_user.doctor(), cycle, for_update=for_update)


def get_request(request_id: UUID) -> tuple[Request, Dossier]:
    """The doctor's own request with that id, and its dossier; in a POST both are locked, the dossier's
    assessment first. Raises NotFound."""
    is_post = request.method == "POST"
    dossier = current_dossier(for_update=is_post)
    return request_queries.get_request(request_id, dossier.record, for_update=is_post), dossier


def get_request_of_kind(request_id: UUID, kind: str) -> tuple[Request, Dossier]:
    """The doctor's own request with that id, of this kind, and its dossier, both locked in a POST. Raises
    NotFound for any other."""
    doctor_request, dossier = get_request(request_id)
    if doctor_request.kind != kind:
        raise NotFound
    return doctor_request, dossier


def redirect_to_request(doctor_request: Request, anchor: str | None = None) -> Response:
    """A redirect to the page of a request, at `anchor`."""
    address = url_for(
        "requests.show_request",
        request_id=doctor_request.id,
        _anchor=anchor,
    )
    return redirect(address, 303)
