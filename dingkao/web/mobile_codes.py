"""Mobile numbers and SMS codes in forms."""

from collections.abc import Callable
from typing import NamedTuple

from flask import current_app, flash, jsonify, request
from werkzeug.wrappers import Response

from dingkao.errors import InvalidInput, RateLimited, Refusal
from dingkao.people import identity_numbers
from dingkao.people.sms_codes import RESEND_SECONDS, SmsCodes
from dingkao.web.forms import Form


def sms_codes() -> SmsCodes:
    """The application's sender and checker of SMS codes."""
    return SmsCodes(
        current_app.extensions["redis"],
        current_app.extensions["background_sms"],
    )


def parse_mobile(raw_value: str | None) -> str:
    """The typed mobile number (None: nothing typed) in its normal form. Raises InvalidInput for the field
    `mobile`."""
    try:
        return identity_numbers.parse_mobile(raw_value or "")
    except identity_numbers.InvalidNumber as error:
        raise InvalidInput("请输入11位手机号。", "mobile") from error


class CodeSending(NamedTuple):
    """The result of «发送验证码»: the sentence for the page, the seconds until the next code may be
    requested, and whether a field of the form is wrong."""

    message: str
    wait: int = 0
    is_wrong: bool = False


def code_sent_response(
    form: Form,
    send: Callable[[], str],
    render: Callable[[int], str],
) -> Response | str:
    """The response to «发送验证码», always with status 200, so that the request is committed also after a
    refusal: for a script JSON (`told`, `wait`, `wrong`: the fields of CodeSending), else a page. `send` sends
    a code and returns the sentence for the page, or raises a Refusal, whose message is shown instead;
    `render` renders the page, given the seconds until the next code may be requested (0: at once)."""
    sending = _try_to_send(form, send)
    if request.accept_mimetypes.best == "application/json":
        return jsonify(
            told=sending.message,
            wait=sending.wait,
            wrong=sending.is_wrong,
        )
    if not sending.is_wrong:
        flash(sending.message)
    return render(sending.wait)


def _try_to_send(form: Form, send: Callable[[], str]) -> CodeSending:
    """Call `send` and turn refusals into sentences for the page; an InvalidInput is added to the form, too.
    The seconds to wait are RESEND_SECONDS after a code, at most as many after RateLimited, and 0 after any
    other refusal."""
    try:
        return CodeSending(send(), RESEND_SECONDS)
    except InvalidInput as refusal:
        form.add_refusal(refusal)
        return CodeSending(refusal.message, is_wrong=True)
    except RateLimited as refusal:
        return CodeSending(
            refusal.message,
            min(refusal.retry_after, RESEND_SECONDS),
        )
    except Refusal as refusal:
        return CodeSending(refusal.message)
