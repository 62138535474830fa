"""The web application, as a table of contents."""

from pathlib import Path

import redis
from flask import Flask
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from dingkao.blueprints import access, compressing, web
from dingkao.blueprints.account import account
from dingkao.blueprints.answering import AnswerDoor
from dingkao.blueprints.articles import articles
from dingkao.blueprints.banks import banks
from dingkao.blueprints.certificates import certificates
from dingkao.blueprints.deciding import deciding
from dingkao.blueprints.display import display
from dingkao.blueprints.doctors import doctors
from dingkao.blueprints.editorial import editorial
from dingkao.blueprints.enrolment import enrolment
from dingkao.blueprints.examinations import examinations
from dingkao.blueprints.filing import filing
from dingkao.blueprints.halls import halls
from dingkao.blueprints.home import home
from dingkao.blueprints.institutions import institutions
from dingkao.blueprints.mocks import mocks
from dingkao.blueprints.notices import notices
from dingkao.blueprints.office import office
from dingkao.blueprints.platform import platform
from dingkao.blueprints.practice import practice
from dingkao.blueprints.province import province
from dingkao.blueprints.public import front, public
from dingkao.blueprints.pulse import PulseDoor
from dingkao.blueprints.requests import requests
from dingkao.blueprints.result import result
from dingkao.blueprints.results import results
from dingkao.blueprints.review import review
from dingkao.blueprints.scores import scores
from dingkao.blueprints.sitting import sitting
from dingkao.blueprints.staff import staff
from dingkao.blueprints.ticket import ticket
from dingkao.blueprints.uploads import uploads
from dingkao.blueprints.verify import verifying
from dingkao.blueprints.watching import watching
from dingkao.blueprints.work import work
from dingkao.database.connections import PATIENCE, POOL, UNPREPARED, keep_fresh
from dingkao.database.model import db
from dingkao.errors import Unavailable
from dingkao.outside import sms, storage, wechat
from dingkao.settings import Settings
from dingkao.tenants.door import ProvinceDoor
from dingkao.tenants.rls import enclose_engine, refuse_strong_role
from dingkao.tenants.secrets import Vault, install

ROOT = Path(__file__).resolve().parents[1]
BLUEPRINTS = (
    front, public, account, display, home, notices, articles, filing, uploads, practice, mocks, sitting, ticket, requests, result,
    office, doctors, enrolment, review, deciding, banks, examinations, halls, watching, scores, results, certificates, institutions, staff, province, work,
    editorial,
    verifying, platform,
)  # fmt: skip
YEAR = 365 * 24 * 3600


def create_app(settings: Settings) -> Flask:
    """The application for `settings`. Raises StrongRole at the first query if a database role is stronger than it may be."""
    app = Flask("dingkao", root_path=str(ROOT / "dingkao"), template_folder=str(ROOT / "templates"), static_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": PATIENCE | UNPREPARED | {"autocommit": True}, "pool_size": 4, "max_overflow": 8} | POOL,
        SQLALCHEMY_BINDS={"platform": {"url": settings.platform_database_url, "connect_args": PATIENCE, "pool_size": 1, "max_overflow": 3} | POOL},
        MAX_CONTENT_LENGTH=25 * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
    )
    app.extensions["settings"] = settings
    app.extensions["redis"] = redis.Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=2)
    app.extensions["sms"] = sms.from_settings(settings, app.extensions["redis"])
    app.extensions["sms later"] = sms.Later(app.extensions["sms"])
    app.extensions["wechat"] = wechat.from_settings(settings, app.extensions["redis"])
    install(app, Vault(settings.data_key))
    storage.install(app, storage.from_settings(settings))
    db.init_app(app)
    with app.app_context():
        enclose_engine(db.engine)
        for engine in db.engines.values():
            keep_fresh(engine)
        refuse_strong_role(db.engines["platform"])
    compressing.install(app)
    web.install(app)
    access.install(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    _health(app)
    served = WhiteNoise(ProvinceDoor(AnswerDoor(PulseDoor(app.wsgi_app, settings, app.extensions["redis"]), settings)), max_age=YEAR)
    compressing.prepare(ROOT / "dingkao" / "static")
    served.add_files(str(ROOT / "dingkao" / "static"), prefix="static/")
    app.wsgi_app = ProxyFix(served, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies)  # type: ignore[method-assign]
    return app


def _health(app: Flask) -> None:
    @app.get("/healthz")
    @access.allow(access.ANYONE)
    def healthz() -> str:
        return "ok\n"

    @app.get("/readyz")
    @access.allow(access.ANYONE)
    def readyz() -> str:
        with db.engines["platform"].connect() as connection:
            connection.execute(text("select 1"))
        app.extensions["redis"].ping()
        if not storage.store().answers():
            raise Unavailable(storage.DOWN)
        return "ready\n"
