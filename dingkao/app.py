"""The web application, as a table of contents."""

from pathlib import Path

import redis
from flask import Flask
from sqlalchemy import text

from dingkao.database.model import db
from dingkao.settings import Settings
from dingkao.tenants.door import ProvinceDoor
from dingkao.tenants.rls import enclose_engine, refuse_strong_role
from dingkao.tenants.secrets import Vault, install

ROOT = Path(__file__).resolve().parents[1]


def create_app(settings: Settings) -> Flask:
    """The application for `settings`. Raises StrongRole at the first query if a database role is stronger than it may be."""
    app = Flask("dingkao", root_path=str(ROOT / "dingkao"), template_folder=str(ROOT / "templates"), static_folder=None)
    engine_options = {"connect_args": {"autocommit": True}, "pool_pre_ping": True, "pool_size": 4, "max_overflow": 8}
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options,
        SQLALCHEMY_BINDS={"platform": {"url": settings.platform_database_url, "pool_pre_ping": True, "pool_size": 1}},
        MAX_CONTENT_LENGTH=25 * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
    )
    app.extensions["settings"] = settings
    install(Vault(settings.data_key))
    app.extensions["redis"] = redis.Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=2)
    db.init_app(app)
    with app.app_context():
        enclose_engine(db.engine)
        refuse_strong_role(db.engines["platform"])
    _health(app)
    app.wsgi_app = ProvinceDoor(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _health(app: Flask) -> None:
    @app.get("/healthz")
    def healthz() -> tuple[str, int]:
        return "ok\n", 200

    @app.get("/readyz")
    def readyz() -> tuple[str, int]:
        db.session.execute(text("select 1"), bind_arguments={"bind": db.engines["platform"]})
        app.extensions["redis"].ping()
        return "ready\n", 200
