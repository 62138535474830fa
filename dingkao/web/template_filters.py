"""Functions and filters for templates: URLs of static files, icons, limits, dates and sizes as text."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask
from markupsafe import Markup

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.exams.scoring import SCORE_SCALE_TEXT
from dingkao.integrations.images import images
from dingkao.people.accounts import CODE_VALID_DAYS
from dingkao.people.administrator_invitations import LINK_VALID_DAYS
from dingkao.people.passwords import min_password_length
from dingkao.web import written_assets

STATIC_DIR = Path(__file__).resolve().parents[1] / "static"


def install(app: Flask) -> None:
    """Register functions and filters on the application's template environment."""
    app.jinja_env.globals.update(
        asset=asset_url,
        icon=icon,
        min_password_length=min_password_length,
        code_valid_days=CODE_VALID_DAYS,
        link_valid_days=LINK_VALID_DAYS,
        max_file_bytes=images.MAX_DOCUMENT_BYTES,
        max_file_pages=images.MAX_PAGES,
        score_scale_text=SCORE_SCALE_TEXT,
    )
    app.jinja_env.filters.update(
        day=format_date,
        minute=clock.minute_text,
        file_size=format_file_size,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def static_folders(config: AppConfig) -> list[Path]:
    """The folders served under static/: that of the source code, and that of the instance, in which packages
    are copied if the source folder can't be written to. Where both have a file, the first counts."""
    return [STATIC_DIR, config.home / "static"]


def written_folder(config: AppConfig) -> Path:
    """The folder of files written at start (web/written_assets): within the source's static folder, or the
    instance's if the source folder can't be written to."""
    source_folder, instance_folder = static_folders(config)
    return (source_folder if os.access(source_folder, os.W_OK) else instance_folder) / written_assets.FOLDER


def static_file(name: str) -> Path:
    """The file that is served as static/`name`: the source's, else the instance's, which may not exist."""
    own_file, copied_file = (folder / name for folder in static_folders(AppConfig.current()))
    return own_file if own_file.exists() else copied_file


def format_file_size(byte_count: int) -> str:
    """A size in bytes as text: «10MB» for whole megabytes (of 1024 kB), else «500kB», rounded down."""
    megabytes, remainder = divmod(byte_count, 1024 * 1024)
    return f"{byte_count // 1024}kB" if remainder else f"{megabytes}MB"


@lru_cache(maxsize=64)
def icon(name: str) -> Markup:
    """The Tabler icon called `name` as inline SVG, in the colour of the text around it. Raises
    FileNotFoundError for an icon that was not copied at set-up."""
    svg = static_file(f"vendor/icons/{name}.svg").read_text()
    return Markup(svg.replace("<svg", '<svg aria-hidden="true"', 1))  # noqa: S704 - a file of ours


@lru_cache(maxsize=256)
def asset_url(name: str) -> str:
    """The URL of a file under static/ with a version that changes with its content, so that browsers may
    cache it for a year. A file of that name written at start is preferred; the version of a missing file is
    «0». Each process looks once: a file changed later needs a restart."""
    file = written_folder(AppConfig.current()) / name
    served = f"{written_assets.FOLDER}/{name}"
    if not file.exists():
        file, served = static_file(name), name
    version = written_assets.version_of(file.read_bytes()) if file.exists() else "0"
    return f"/static/{served}?v={version}"


def format_date(moment: Any) -> str:
    """«2024年09月01日» for a date or a moment (in Beijing time); "" for None."""
    if moment is None:
        return ""
    moment = clock.to_beijing(moment) if hasattr(moment, "hour") else moment
    return f"{moment.year}年{moment.month:02d}月{moment.day:02d}日"
