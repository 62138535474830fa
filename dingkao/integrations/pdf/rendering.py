"""Pages as PDF by WeasyPrint, and as pictures by PDFium. Nothing is fetched: a page contains everything it
shows.

Both libraries are loaded when the first page is drawn: that takes a second, and most processes draw none.
Long texts that people wrote are drawn in a sandbox; pages with a few short values of a record, such as a
certificate, are drawn in this process.
"""

import importlib
import io
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from PIL import Image

from dingkao.integrations.sandbox import runner

if TYPE_CHECKING:
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

TEMPLATES_DIR = Path(__file__).resolve().parents[3] / "templates" / "print"
DPI = 150
PRINT_MEMORY = 512 * runner.MB
"""Bytes that a page may take in a sandbox, also during a web request: to draw a form of a few pages takes
300 MB of addresses, of which the Chinese fonts, mapped and cut down, are the most; 215 MB are in use at
once."""
TOO_COMPLEX_MESSAGE = "内容过多或过于复杂，画不出来。请减少题目，或缩短其中过长的文字和表格。"


def render_pdf(template: str, /, **content: Any) -> bytes:
    """Returns the page `templates/print/<template>.html`, filled with `content` and styled by
    `<template>.css`, as PDF. It is drawn in this process, without limits: only for a few short values. What
    Jinja or WeasyPrint raise passes through."""
    return html_to_pdf(
        _template_environment().get_template(f"{template}.html").render(**content),
        template,
    )


def render_pdf_sandboxed(template: str, /, **content: Any) -> bytes:
    """Returns the same as `render_pdf`, drawn in a sandbox with at least PRINT_MEMORY; the template itself is
    filled in this process. The sandbox may start threads: Pango reads the list of fonts in one. Raises
    TooLarge, runner.Unreadable, Unavailable."""
    page = _template_environment().get_template(f"{template}.html").render(**content)
    limits = runner.current_limits()
    return runner.run(
        html_to_pdf,
        page,
        template,
        limit_message=TOO_COMPLEX_MESSAGE,
        limits=replace(limits, memory=max(limits.memory, PRINT_MEMORY), may_start_threads=True),
    )


def html_to_pdf(page: str, style: str) -> bytes:
    """Returns a page's HTML as PDF, styled by `<style>.css` of TEMPLATES_DIR; of what it refers to, only
    `data:` addresses are read."""
    from weasyprint import HTML

    fonts, sheet = _load_css(style)
    pdf: bytes = HTML(string=page, url_fetcher=_data_only_fetcher()).write_pdf(
        stylesheets=[sheet], font_config=fonts
    )
    return pdf


def preload() -> None:
    """Import what a sandbox's fork server should have ready."""
    importlib.import_module("weasyprint")


def first_page_png(document: bytes) -> bytes:
    """Returns the first page of a PDF, which we made ourselves, as PNG with 150 dots per inch. It is drawn in
    this process, without limits."""
    import pypdfium2

    opened = pypdfium2.PdfDocument(document)
    try:
        picture = opened[0].render(scale=DPI / 72).to_pil()
    finally:
        opened.close()
    buffer = io.BytesIO()
    picture.convert("RGB").quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _data_only_fetcher() -> "URLFetcher":
    """Returns the fetcher that allows `data:` and refuses every other address, also redirects (security.md
    11)."""
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=("data",), allow_redirects=False)


@lru_cache(maxsize=8)
def _load_css(name: str) -> "tuple[FontConfiguration, CSS]":
    """Returns fonts and style sheet of `<name>.css`, loaded once."""
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration

    fonts = FontConfiguration()
    return fonts, CSS(
        string=(TEMPLATES_DIR / f"{name}.css").read_text(),
        font_config=fonts,
        url_fetcher=_data_only_fetcher(),
    )


@lru_cache(maxsize=1)
def _template_environment() -> Environment:
    """Returns the environment of the templates in TEMPLATES_DIR, which escapes every value."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES_DIR),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
