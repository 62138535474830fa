"""Builds the web application: its parts are listed and joined here, and defined elsewhere."""

from pathlib import Path

import redis
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from dingkao.assessments import reminders  # noqa: F401 - declares a setting; no page imports it
from dingkao.blueprints.console.absences import absences
from dingkao.blueprints.console.articles import article_editor
from dingkao.blueprints.console.assisted_filing import assisted_filing
from dingkao.blueprints.console.certificates import certificates
from dingkao.blueprints.console.colleagues import colleagues
from dingkao.blueprints.console.conduct_records import conduct_records
from dingkao.blueprints.console.dashboard import dashboard
from dingkao.blueprints.console.departments import departments
from dingkao.blueprints.console.doctors import doctors
from dingkao.blueprints.console.enrolment import enrolment
from dingkao.blueprints.console.enrolment_changes import enrolment_changes
from dingkao.blueprints.console.exam_monitoring import exam_monitoring
from dingkao.blueprints.console.exports import exports
from dingkao.blueprints.console.gradings import gradings
from dingkao.blueprints.console.halls import halls
from dingkao.blueprints.console.handover import handover
from dingkao.blueprints.console.inbox import inbox
from dingkao.blueprints.console.institution_changes import institution_changes
from dingkao.blueprints.console.institutions import institutions
from dingkao.blueprints.console.jobs import jobs
from dingkao.blueprints.console.journal_verification import (
    journal_verification,
)
from dingkao.blueprints.console.lists import lists
from dingkao.blueprints.console.navigation import menu_for_current_user
from dingkao.blueprints.console.office_notices import office_notices
from dingkao.blueprints.console.outages import outages
from dingkao.blueprints.console.papers import papers
from dingkao.blueprints.console.participation import participation
from dingkao.blueprints.console.people_search import people_search
from dingkao.blueprints.console.photos import photos
from dingkao.blueprints.console.place_choice import place_choice
from dingkao.blueprints.console.proposed_acts import proposed_acts
from dingkao.blueprints.console.province_settings import (
    settings_pages,
)
from dingkao.blueprints.console.question_banks import question_banks
from dingkao.blueprints.console.request_decisions import (
    request_decisions,
)
from dingkao.blueprints.console.results import results
from dingkao.blueprints.console.review_pages import filing_review
from dingkao.blueprints.console.scoring import scoring
from dingkao.blueprints.console.staff import staff
from dingkao.blueprints.doctor.admission_ticket import (
    admission_ticket,
)
from dingkao.blueprints.doctor.filing import filing
from dingkao.blueprints.doctor.home import home
from dingkao.blueprints.doctor.mock_exams import mock_exams
from dingkao.blueprints.doctor.notices import notices
from dingkao.blueprints.doctor.practice import practice
from dingkao.blueprints.doctor.requests import requests
from dingkao.blueprints.doctor.result import result
from dingkao.blueprints.doctor.sitting import sitting
from dingkao.blueprints.doctor.transfer import transfer
from dingkao.blueprints.doctor_or_staff.account import account
from dingkao.blueprints.doctor_or_staff.uploads import uploads
from dingkao.blueprints.platform.access import platform
from dingkao.blueprints.public.account_setup import account_setup
from dingkao.blueprints.public.articles import articles
from dingkao.blueprints.public.certificate_lookup import (
    certificate_lookup,
)
from dingkao.blueprints.public.display_mode import display_mode
from dingkao.blueprints.public.sign_in import front, public
from dingkao.config import ROOT, AppConfig
from dingkao.database import clock_skew
from dingkao.database.base import db
from dingkao.database.connections import (
    CONNECT_OPTIONS,
    POOL_OPTIONS,
    POOLER_OPTIONS,
    ping_idle_connections,
)
from dingkao.integrations import sms, storage, wechat_api
from dingkao.operators import key_check
from dingkao.people import notice_delivery  # noqa: F401 - declares settings; no page imports it
from dingkao.processes import deferred_garbage_collection
from dingkao.tenants.encryption import Vault, install
from dingkao.tenants.middleware import ProvinceMiddleware
from dingkao.tenants.rls import (
    require_restricted_role,
    set_tenant_on_begin,
)
from dingkao.web import (
    access_control,
    compression,
    error_handlers,
    health,
    request_lifecycle,
    template_filters,
    written_assets,
)
from dingkao.web.answer_middleware import AnswerMiddleware
from dingkao.web.heartbeat_middleware import HeartbeatMiddleware
from dingkao.web.same_origin_middleware import SameOriginMiddleware

BLUEPRINTS = (
    front, public, account_setup, account, display_mode, home, notices, articles, filing, uploads, practice, mock_exams, sitting, admission_ticket, requests, transfer, result,
    dashboard, lists, doctors, conduct_records, participation, enrolment, enrolment_changes, assisted_filing, exports, filing_review, people_search, request_decisions, question_banks, papers, halls, exam_monitoring, outages, scoring, results, certificates, institutions, institution_changes, inbox, handover, place_choice, staff, proposed_acts, settings_pages, jobs,
    journal_verification,
    article_editor, office_notices, absences, colleagues, gradings, departments, photos,
    certificate_lookup, platform,
)  # fmt: skip
ONE_YEAR_SECONDS = 365 * 24 * 3600


@deferred_garbage_collection()
def create_app(config: AppConfig) -> Flask:
    """Returns the application for `config`, with all blueprints, engines and middleware; the assets that are
    made at start are written on the way. Raises key_check.WrongDataKey if its data key is not that of the
    database; at the first query, rls.RoleTooPowerful is raised if a database role has more rights than it may
    have."""
    app = Flask(
        "dingkao",
        root_path=str(ROOT / "dingkao"),
        template_folder=str(ROOT / "templates"),
        static_folder=None,
    )
    app.config.update(
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={
            "connect_args": CONNECT_OPTIONS | POOLER_OPTIONS | {"autocommit": True},
            "pool_size": 4,
            "max_overflow": 8,
        }
        | POOL_OPTIONS,
        SQLALCHEMY_BINDS={
            "platform": {
                "url": config.platform_database_url,
                "connect_args": CONNECT_OPTIONS | POOLER_OPTIONS,
                "pool_size": 1,
                "max_overflow": 3,
            }
            | POOL_OPTIONS,
        },
        # of a whole form with its files; the limits of single files: uploads.chunked_uploads.UploadLimits
        MAX_CONTENT_LENGTH=25 * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
    )
    app.extensions["settings"] = config
    app.extensions["redis"] = redis.Redis.from_url(
        config.redis_url,
        socket_timeout=3,
        socket_connect_timeout=2,
    )
    app.extensions["sms"] = sms.from_settings(config, app.extensions["redis"])
    app.extensions["background_sms"] = sms.BackgroundSender(app.extensions["sms"])
    app.extensions["wechat"] = wechat_api.from_settings(config, app.extensions["redis"])
    install(app, Vault(config.data_keys))
    storage.install(app, storage.from_settings(config))
    db.init_app(app)
    with app.app_context():
        clock_skew.install(app, db.engines["platform"])
        set_tenant_on_begin(db.engine)
        for engine in db.engines.values():
            ping_idle_connections(engine)
        require_restricted_role(db.engines["platform"])
        key_check.install(app)
    compression.install(app)
    request_lifecycle.install(app)
    access_control.install(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    error_handlers.install_console_frame(app, menu_for_current_user)
    health.install(app)
    served = WhiteNoise(
        ProvinceMiddleware(
            AnswerMiddleware(
                HeartbeatMiddleware(app.wsgi_app, config, app.extensions["redis"]),
                config,
            ),
        ),
        max_age=ONE_YEAR_SECONDS,
    )
    own_folder = template_filters.STATIC_DIR
    written_folder = template_filters.written_folder(config)
    written_assets.write_assets(own_folder, written_folder)
    for folder in (own_folder, written_folder):
        compression.precompress_static(folder)
    for folder in filter(Path.is_dir, reversed(template_filters.static_folders(config))):  # the later counts
        served.add_files(str(folder), prefix="static/")
    served.add_files(str(written_folder), prefix=f"static/{written_assets.FOLDER}/")
    app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
        SameOriginMiddleware(served, config),
        x_for=config.trusted_proxies,
        x_proto=config.trusted_proxies,
    )
    return app
