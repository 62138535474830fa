"""Responses to refused forms: the page with the refusal's status and its Retry-After header."""

from flask import Response, current_app
from werkzeug.wrappers import Response as BaseResponse

from dingkao.errors import Refusal


def refused_response(page: BaseResponse | str, refusal: Refusal) -> Response:
    """The page of a form, with what was typed, as the response to a refused form; by its status the request
    is rolled back. A Refresh header is removed, because reloading would send the form again."""
    response = current_app.make_response(page)
    response.status_code = refusal.status
    response.headers.pop("Refresh", None)
    response.headers.update(retry_headers(refusal))
    return response


def retry_headers(refusal: Refusal) -> dict[str, str]:
    """The header Retry-After, if the refusal knows the seconds; else no header."""
    return {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
