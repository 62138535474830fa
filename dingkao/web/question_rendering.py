"""Renders texts of questions for all pages: their markup as HTML, with the addresses of their pictures."""

from typing import Any

from flask import url_for
from markupsafe import Markup

from dingkao.question_banks import markup
from dingkao.question_banks.question_types import QUESTION_TYPES


def picture_url(name: str) -> str:
    """The URL of the picture called `name`."""
    return url_for("question_banks.picture", name=name)


def render_question_text(text: str | None) -> Markup:
    """A stored text of a question (with our markup) as HTML, everything else in it escaped; empty for
    None."""
    return markup.to_html(text or "", picture_url)


def question_context() -> dict[str, Any]:
    """The variables of templates that show questions: the question types by code, and functions of a stored
    text: `rich` (HTML), `plain` (without markup), `is_marked` (whether it has markup)."""
    return {
        "question_types": QUESTION_TYPES,
        "rich": render_question_text,
        "plain": markup.to_plain_text,
        "is_marked": markup.has_markup,
    }
