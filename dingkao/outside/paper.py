"""Paper: pages as PDF by WeasyPrint, and as pictures by PDFium. Nothing is fetched: what a page shows is in the page.

Both libraries are loaded when the first page is drawn: they take a second, and most processes draw none.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from PIL import Image

if TYPE_CHECKING:
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "print"
DPI = 150


def pdf(template: str, /, **content: Any) -> bytes:
    """The page `templates/print/<template>.html` filled with `content`, as PDF; its style is `<template>.css` beside it."""
    from weasyprint import HTML

    fonts, style = _style(template)
    page = _templates().get_template(f"{template}.html").render(**content)
    written: bytes = HTML(string=page, url_fetcher=_nothing()).write_pdf(stylesheets=[style], font_config=fonts)
    return written


def png(document: bytes) -> bytes:
    """The first page of a PDF as PNG, 150 dots an inch."""
    import pypdfium2

    opened = pypdfium2.PdfDocument(document)
    try:
        picture = opened[0].render(scale=DPI / 72).to_pil()
    finally:
        opened.close()
    written = io.BytesIO()
    picture.convert("RGB").quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(written, "PNG")
    return written.getvalue()


@lru_cache(maxsize=1)
def _nothing() -> "URLFetcher":
    """Lets `data:` through and refuses every other address, redirects too (security.md 11)."""
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=("data",), allow_redirects=False)


@lru_cache(maxsize=8)
def _style(name: str) -> "tuple[FontConfiguration, CSS]":
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration

    fonts = FontConfiguration()
    return fonts, CSS(string=(TEMPLATES / f"{name}.css").read_text(), font_config=fonts, url_fetcher=_nothing())


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
