"""What happens to a form that was sent: errors are shown in the form, and its page is rendered again with
status 422."""

from collections.abc import Callable
from typing import TypeVar

from flask import request

from dingkao.errors import InvalidInput, Refusal
from dingkao.web.forms import Form

ResultT = TypeVar("ResultT")


def submit_form(
    form: Form,
    act: Callable[[], ResultT],
    *,
    refusals: tuple[type[Refusal], ...] = (InvalidInput,),
    field: str | None = None,
) -> ResultT | None:
    """Call `act` if the form was sent and is valid, and return its result; else None, also if `act` raised
    one of `refusals`: its message is then shown at `field` if that is given, else at the refusal's field, or
    above the form. What `act` changed before is undone only by the status of the response (`form_page`).
    Raises other refusals."""
    if not form.validate_on_submit():
        return None
    try:
        return act()
    except refusals as refusal:
        form.add_refusal(
            InvalidInput(
                refusal.message,
                field or getattr(refusal, "field", None),
            )
        )
        return None


def form_page(page: str) -> tuple[str, int] | str:
    """The page of a form as a response: with status 422, by which the request is rolled back, if the form was
    sent (and so refused), else 200."""
    return (page, InvalidInput.status) if request.method == "POST" else page


def form_page_with_errors(page: str, form: Form) -> tuple[str, int] | str:
    """The page of a form that is also sent to show a preview, as a response: with status 422 only if the form
    has errors."""
    return (page, InvalidInput.status) if form.errors or form.form_errors else page
