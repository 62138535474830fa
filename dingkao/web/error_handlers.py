"""Responses to refusals and errors: a page, or JSON for a script."""

import traceback
from collections.abc import Callable
from typing import Any

import redis
import structlog
from flask import (
    Flask,
    Response,
    current_app,
    g,
    jsonify,
    render_template,
    request,
)
from flask_limiter.errors import RateLimitExceeded
from flask_login import AnonymousUserMixin, current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException

from dingkao.database.base import db
from dingkao.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    Refusal,
    Unavailable,
)
from dingkao.people.provinces import served_province_codes
from dingkao.tenants.blueprint_guard import UnknownProvince
from dingkao.tenants.middleware import PROVINCE_KEY, SAFE_METHODS
from dingkao.tenants.registry import PROVINCES, Province
from dingkao.web.access_control import log_refused_access
from dingkao.web.refused_responses import retry_headers

log = structlog.get_logger()
RETRY_AFTER_SECONDS = 10
CONSOLE_PREFIX = "/office"
"""The paths of the console, whose errors keep its frame for staff."""
ANSWERS_ON_PHONE_MESSAGE = (
    "您已经点选的答案存在这台手机上，没有丢失，恢复后会自动发送。请不要清除浏览器数据，也不要换用其他手机。"
)
ENGINE_ERRORS = (
    OperationalError,
    InterfaceError,
    NoConnection,
    redis.ConnectionError,
    redis.TimeoutError,
)
"""What is raised if the database or the cache does not respond."""


def install(app: Flask) -> None:
    """Register the handlers on the application, for every exception that a request may raise, and silence
    Flask's own logging of exceptions."""
    app.register_error_handler(Refusal, handle_refusal)
    app.register_error_handler(CSRFError, handle_csrf_error)
    app.register_error_handler(RateLimitExceeded, handle_rate_limit)
    app.register_error_handler(HTTPException, handle_http_error)
    app.log_exception = suppress_default_logging  # type: ignore[assignment,method-assign]
    for kinds, handler in ERROR_HANDLERS:
        for kind in kinds:
            app.register_error_handler(kind, handler)


def install_console_frame(app: Flask, context: Callable[[], dict[str, Any]]) -> None:
    """Show errors to staff within the console's layout. `context` returns the layout's template variables,
    which at an address without a view nothing else sets."""
    app.extensions["console_frame"] = context


def handle_refusal(refusal: Refusal) -> tuple[Any, int] | tuple[Any, int, dict[str, str]]:
    """The response to a refusal: a page, or JSON for a script, with the refusal's status and Retry-After.
    Rolls back. An UnknownProvince gets a page with the open provinces. A Forbidden to somebody signed in to a
    province is entered in the journal, which stays."""
    if isinstance(refusal, Forbidden) and PROVINCE_KEY in request.environ:
        log_refused_access()
    db.session.rollback()
    if isinstance(refusal, UnknownProvince):
        return _error_page(
            "errors/unknown_province.html",
            404,
            sentence=refusal.message,
            provinces=served_provinces(),
        )
    return _refusal_response(refusal)


def handle_csrf_error(_fault: CSRFError) -> tuple[Any, int]:
    """The response, with status 400, to a form whose CSRF token is missing, expired or not this browser's."""
    return _error_response(
        "页面打开时间过长，为安全起见请返回上一页刷新后再提交，您填写的内容通常还在。",
        400,
    )


def handle_rate_limit(_fault: RateLimitExceeded) -> tuple[Any, int, dict[str, str]]:
    """The response, with status 429 and Retry-After (a minute, whatever the limit), if the rate limit of a
    view (`limiter.limit`) is reached."""
    return _refusal_response(RateLimited("操作过于频繁，请稍等几分钟再试。"))


def handle_http_error(error: HTTPException) -> tuple[Any, int]:
    """The response to werkzeug's errors: unknown address (outside provinces a page with those that are open),
    wrong method, too large a request; also to an error raised after the view (such as in the commit), which
    Flask passes on as `original_exception`."""
    original = getattr(error, "original_exception", None)
    if original:  # an error after the view, such as in the commit
        return _handle_original(original)
    status = error.code or 500
    if status == 404 and _names_no_province():
        return _error_page(
            "errors/unknown_province.html",
            404,
            sentence="没有找到这个地址。请选择您执业所在的省份。",
            provinces=served_provinces(),
        )
    sentences = {
        404: NotFound().message,
        405: "这个操作只能从页面上的按钮进行，请返回重试。",
        413: f"提交的内容过大，一次最多{_max_form_size()}。请选择较小的文件，或分成几次提交。",
    }
    return _error_response(
        sentences.get(status, "请求无法处理，请返回上一页重试。"),
        status,
    )


def _max_form_size() -> str:
    """The size of the largest form, as text: 25 MB."""
    return f"{current_app.config['MAX_CONTENT_LENGTH'] // 1024 // 1024} MB"


def _handle_original(original: Exception) -> tuple[Any, int]:
    """The response to an error raised after the view."""
    handler = next(handler for kinds, handler in ERROR_HANDLERS if isinstance(original, kinds))
    return handler(original)


def _names_no_province() -> bool:
    """Whether the address has no province, though only static files and the platform are outside
    provinces."""
    is_elsewhere = request.path.startswith(("/static/", "/platform"))
    return request.environ.get(PROVINCE_KEY) is None and not is_elsewhere


def handle_engine_down(error: Exception) -> tuple[Any, int]:
    """The response, with status 503, if the database or the cache does not respond. It uses neither of them,
    so the page does not show who is signed in. To a request that only reads: JSON for a script, else a page
    that reloads itself after RETRY_AFTER_SECONDS. To any other: that nothing was saved; that page stays."""
    log.error("engine.down", kind=type(error).__name__)
    db.session.rollback()
    g._login_user = AnonymousUserMixin()
    if request.method not in SAFE_METHODS:
        return _error_response(
            Unavailable("服务暂时连接不上，您刚才的操作没有保存。请保留本页，一分钟后再试。").message,
            503,
        )
    sentence = _engine_down_sentence()
    if request.accept_mimetypes.best == "application/json":
        return jsonify(error=sentence), 503
    page = render_template(
        "errors/unavailable.html",
        sentence=sentence,
        again=request.full_path.rstrip("?"),
        seconds=RETRY_AFTER_SECONDS,
    )
    return Response(
        page,
        headers={"Refresh": str(RETRY_AFTER_SECONDS)},
        mimetype="text/html",
    ), 503


def _engine_down_sentence() -> str:
    """The sentence on the page: for pages that keep answers on the phone it says that these aren't lost."""
    view = current_app.view_functions.get(request.endpoint or "")
    return ANSWERS_ON_PHONE_MESSAGE if hasattr(view, "answers_on_phone") else "服务暂时连接不上，请稍候。"


def handle_integrity_error(error: IntegrityError) -> tuple[Any, int]:
    """The response, with status 409, if the database refused rows by a constraint, as when two requests
    stored the same at the same time. Rolls back, and logs the constraint."""
    log.warning(
        "request.twice",
        constraint=getattr(getattr(error.orig, "diag", None), "constraint_name", None),
    )
    db.session.rollback()
    return _error_response(
        "相同的内容刚刚已经提交过，没有重复办理。请返回上一页刷新后查看。",
        409,
    )


def handle_data_error(_fault: DataError) -> tuple[Any, int]:
    """The response, with status 422, to a value that a column can't hold: out of range, or not valid text.
    Rolls back."""
    db.session.rollback()
    return _error_response(
        "填写的内容里有无法识别的字符或超出范围的数字、日期，请返回上一页核对。",
        422,
    )


def handle_internal_error(error: Exception) -> tuple[Any, int]:
    """The response, with status 500, to an error in the program. Rolls back. The error's class and place in
    the source are logged, but no values, which may be personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    own_frames = [frame for frame in frames if "/.venv/" not in frame.filename][-4:] + frames[-1:]
    log.error(
        "request.broken",
        kind=type(error).__name__,
        where=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in own_frames],
    )
    db.session.rollback()
    sentence = "系统出现问题，我们已经记录。请返回上一页重试；仍不行请联系客服并说明时间。"
    try:
        return _error_response(sentence, 500)
    except Exception as frame_error:  # the console's frame is what is broken: a page without it
        log.exception("request.frame_broken", kind=type(frame_error).__name__, exc_info=False)
        return render_template("errors/refused.html", sentence=sentence), 500


def suppress_default_logging(_fault: Any) -> None:
    """Replaces Flask's logging of exceptions, which would log values of the request; the handlers log without
    them."""


def served_provinces() -> list[Province]:
    """The provinces that are served now, in the registry's order; none if the database doesn't respond."""
    try:
        served_codes = served_province_codes()
    except ENGINE_ERRORS:
        return []
    return [province for province in PROVINCES if province.code in served_codes]


def _is_in_console() -> bool:
    """Whether staff of a province asked for an address of the console."""
    path_is_console = request.path == CONSOLE_PREFIX or request.path.startswith(f"{CONSOLE_PREFIX}/")
    if not path_is_console or PROVINCE_KEY not in request.environ:
        return False
    return bool(current_user.is_authenticated and current_user.account.kind == "staff")


def _refusal_response(refusal: Refusal) -> tuple[Any, int, dict[str, str]]:
    """The refusal's message as `_error_response`, with its status and its Retry-After header if it has
    one."""
    return (*_error_response(refusal.message, refusal.status), retry_headers(refusal))


def _error_response(message: str, status: int) -> tuple[Any, int]:
    """JSON with the message for a script, else an error page with it."""
    if request.accept_mimetypes.best == "application/json":
        return jsonify(error=message), status
    return _error_page("errors/refused.html", status, sentence=message)


def _error_page(template: str, code: int, **shown: Any) -> tuple[Any, int]:
    """A page of the folder errors/ with `code` as status; for staff in the console, whatever the template,
    the page refused_in_console with the console's frame. `shown`: the template's variables. If the database
    doesn't respond while the page is rendered, the response of `handle_engine_down`."""
    try:
        if _is_in_console():
            frame = current_app.extensions["console_frame"]()
            return render_template("errors/refused_in_console.html", **frame | shown), code
        return render_template(template, **shown), code
    except ENGINE_ERRORS as error:  # the page shows who is signed in, which is read from the database
        return handle_engine_down(error)


ERROR_HANDLERS: tuple[tuple[tuple[type[Exception], ...], Callable[[Any], tuple[Any, int]]], ...] = (
    (ENGINE_ERRORS, handle_engine_down), ((IntegrityError,), handle_integrity_error), ((DataError,), handle_data_error), ((Exception,), handle_internal_error),
)  # fmt: skip
