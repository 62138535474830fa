"""What holds for every answer: one commit, headers, cookies by province, refusals as pages, what templates may use."""

import hashlib
import json
import re
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

import redis
import structlog
from flask import Flask, Request, Response, g, jsonify, render_template, request
from flask.sessions import SecureCookieSessionInterface
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFError, CSRFProtect
from markupsafe import Markup
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.utils import cached_property

from dingkao import clock
from dingkao.blueprints.access import cookie_name
from dingkao.database.model import db
from dingkao.errors import NotFound, Refusal, TooMany, Unavailable
from dingkao.people.opening import opened
from dingkao.settings import Settings
from dingkao.tenants.door import PROVINCE
from dingkao.tenants.guard import UnknownProvince
from dingkao.tenants.registry import PROVINCES, Province
from dingkao.tenants.sending import send

log = structlog.get_logger()
csrf = CSRFProtect()
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
UNHOLDABLE = re.compile(r"[\x00\ud800-\udfff]")
LOOKS_AGAIN_AFTER = 3
PATIENCE = {"socket_timeout": 1, "socket_connect_timeout": 1}
STATIC = Path(__file__).resolve().parents[1] / "static"


def limit_key(whom: str | None = None) -> str:
    """Whom a limit counts, within the province: the address, or `whom` the view names."""
    province = request.environ.get(PROVINCE)
    return f"{province.code if isinstance(province, Province) else 'platform'}|{whom or get_remote_address()}"


def per_session() -> str:
    """Whom a limit counts where it is the session, for a hospital's doctors may share one address."""
    return limit_key(hashlib.sha256(request.cookies.get(cookie_name(), "").encode()).hexdigest())


limiter = Limiter(key_func=limit_key, headers_enabled=False, swallow_errors=True)


class PlainRequest(Request):
    """A request whose form and query hold only characters that a row can hold: NUL and halves of characters are dropped."""

    @cached_property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The form."""
        return _plain(super().form)

    @cached_property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query."""
        return _plain(super().args)


def _plain(given: MultiDict[str, str]) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict([(UNHOLDABLE.sub("", name), UNHOLDABLE.sub("", text)) for name, text in given.items(multi=True)])


class ProvinceCookies(SecureCookieSessionInterface):
    """Flask's own session holds the form token alone; its cookie is named after the province like every other."""

    def get_cookie_name(self, app: Flask) -> str:
        """The name."""
        return cookie_name("form")

    def get_cookie_secure(self, app: Flask) -> bool:
        """Everywhere but where plain http is allowed."""
        return not Settings.in_force().plain_http


def install(app: Flask) -> None:
    """Put all of it on `app`."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ]
    )
    app.request_class = PlainRequest
    app.session_interface = ProvinceCookies()
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax", WTF_CSRF_TIME_LIMIT=12 * 3600, WTF_CSRF_SSL_STRICT=False)
    app.config.update(RATELIMIT_STORAGE_URI=app.extensions["settings"].redis_url, RATELIMIT_STORAGE_OPTIONS=PATIENCE)
    csrf.init_app(app)
    limiter.init_app(app)
    app.after_request(settle)
    app.after_request(headers)
    app.after_request(told_where)
    app.context_processor(words)
    app.jinja_env.globals.update(asset=asset, icon=icon)
    app.jinja_env.filters.update(day=day, minute=minute)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(Refusal, refused)
    app.register_error_handler(CSRFError, stale_form)
    app.register_error_handler(RateLimitExceeded, too_often)
    app.register_error_handler(HTTPException, unanswered)
    for fault in (OperationalError, InterfaceError, redis.ConnectionError, redis.TimeoutError):
        app.register_error_handler(fault, engine_down)
    app.register_error_handler(IntegrityError, twice)
    app.register_error_handler(DataError, unholdable)
    app.register_error_handler(Exception, broken)


def settle(response: Response) -> Response:
    """The only commit of the web: what was asked is done whole, or not at all."""
    if request.environ.get(PROVINCE) is None or not db.session.registry.has():
        return response
    if response.status_code < 400:
        send(db.session())
        db.session.commit()
    else:
        db.session.rollback()
    return response


def told_where(response: Response) -> Response:
    """Where a script has posted a form (static/js/keeping.js) it is told where the answer leads: a browser would hide that from it."""
    if response.status_code == 303 and request.headers.get("X-Keeping"):
        response.set_data(json.dumps({"leads": response.headers.pop("Location")}))
        response.status_code, response.mimetype = 200, "application/json"
    return response


def headers_of(settings: Settings) -> list[tuple[str, str]]:
    """What browsers are told to keep to with every answer (security.md 17)."""
    told = [
        ("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ]  # fmt: skip
    return told if settings.plain_http else [*told, ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")]


def headers(response: Response) -> Response:
    """Tell them, and to keep nothing where the view hasn't said what."""
    for name, text in headers_of(Settings.in_force()):
        response.headers.setdefault(name, text)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def words() -> dict[str, Any]:
    """What every template knows."""
    settings = Settings.in_force()
    return {"province": g.get("province"), "demonstration": settings.demonstration, "now": clock.beijing(clock.now())}


def waiting_page(page: str, *, waits: bool) -> Response:
    """A page that shows work under way: while it `waits` the browser looks again by itself, scripts or none."""
    return Response(page, headers={"Refresh": str(LOOKS_AGAIN_AFTER)} if waits else {}, mimetype="text/html")


def xlsx(content: bytes, name: str) -> Response:
    """A workbook to be kept under `name`."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return Response(content, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@lru_cache(maxsize=64)
def icon(name: str) -> Markup:
    """One of Tabler's icons as part of the page, in the colour of its text."""
    drawn = (STATIC / "vendor" / "icons" / f"{name}.svg").read_text()
    return Markup(drawn.replace("<svg", '<svg aria-hidden="true"', 1))  # noqa: S704 - a file of the package, nobody's input


@lru_cache(maxsize=256)
def asset(name: str) -> str:
    """The address of a file under static/, changing with its content, so that it may be kept for a year."""
    file = STATIC / name
    version = hashlib.sha256(file.read_bytes()).hexdigest()[:10] if file.exists() else "0"
    return f"/static/{name}?v={version}"


def day(moment: Any) -> str:
    """2024年09月01日, of a date or a moment in Beijing."""
    if moment is None:
        return ""
    moment = clock.beijing(moment) if hasattr(moment, "hour") else moment
    return f"{moment.year}年{moment.month:02d}月{moment.day:02d}日"


def minute(moment: Any) -> str:
    """2024年09月01日 12:03, Beijing time."""
    return "" if moment is None else f"{day(moment)} {clock.beijing(moment):%H:%M}"


def refused(refusal: Refusal) -> tuple[Any, int]:
    """A refusal as a page, or as JSON where a script asked."""
    db.session.rollback()
    if isinstance(refusal, UnknownProvince):
        return _page("errors/province.html", 404, sentence=refusal.sentence, provinces=served())
    return _answer(refusal.sentence, refusal.status)


def stale_form(_fault: CSRFError) -> tuple[Any, int]:
    """The form's token is missing or old."""
    return _answer("页面打开时间过长,为安全起见请返回上一页刷新后再提交,您填写的内容通常还在。", 400)


def too_often(_fault: RateLimitExceeded) -> tuple[Any, int]:
    """A limit has been reached."""
    return _answer(TooMany("操作过于频繁,请稍等几分钟再试。").sentence, 429)


def unanswered(fault: HTTPException) -> tuple[Any, int]:
    """What werkzeug refuses: no such address, wrong method, too large."""
    status = fault.code or 500
    if status == 404 and request.environ.get(PROVINCE) is None and not request.path.startswith(("/static/", "/platform")):
        return _page("errors/province.html", 404, sentence="没有找到这个地址。请选择您执业所在的省份。", provinces=served())
    sentences = {
        404: NotFound().sentence,
        405: "这个操作只能从页面上的按钮进行,请返回重试。",
        413: "上传的文件过大,请按页面提示的大小重新选择。",
    }
    return _answer(sentences.get(status, "请求无法处理,请返回上一页重试。"), status)


def engine_down(fault: Exception) -> tuple[Any, int]:
    """The database or the cache does not answer."""
    log.error("engine.down", kind=type(fault).__name__)
    db.session.rollback()
    return _answer(Unavailable("服务暂时连接不上,您刚才的操作没有保存。请保留本页,一分钟后再试。").sentence, 503)


def twice(fault: IntegrityError) -> tuple[Any, int]:
    """Two asked for the same at once, and the database let one through."""
    log.warning("request.twice", constraint=getattr(getattr(fault.orig, "diag", None), "constraint_name", None))
    db.session.rollback()
    return _answer("相同的内容刚刚已经提交过,没有重复办理。请返回上一页刷新后查看。", 409)


def unholdable(_fault: DataError) -> tuple[Any, int]:
    """Something that a column can't hold: out of range, or no text."""
    db.session.rollback()
    return _answer("填写的内容里有无法识别的字符或超出范围的数字、日期,请返回上一页核对。", 422)


def broken(fault: Exception) -> tuple[Any, int]:
    """A fault of ours: where it happened is logged, never the values, which may be personal."""
    frames = traceback.extract_tb(fault.__traceback__)
    where = [frame for frame in frames if "/.venv/" not in frame.filename][-4:] + frames[-1:]
    log.error("request.broken", kind=type(fault).__name__, where=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in where])
    db.session.rollback()
    return _answer("系统出现问题,我们已经记录。请返回上一页重试;仍不行请联系客服并说明时间。", 500)


def served() -> list[Province]:
    """The provinces that are open, in the registry's order; empty when the platform's tables can't be asked."""
    try:
        codes = {row.code for row in opened() if row.state == "open"}
    except (OperationalError, InterfaceError):
        codes = set()
    return [province for province in PROVINCES if province.code in codes]


def _answer(sentence: str, status: int) -> tuple[Any, int]:
    if request.accept_mimetypes.best == "application/json":
        return jsonify(error=sentence), status
    return _page("errors/refusal.html", status, sentence=sentence, status=status)


def _page(template: str, code: int, **shown: Any) -> tuple[str, int]:
    return render_template(template, **shown), code
