"""Pictures of questions: uploaded for a question's text, and served to users who see the question."""

from flask import Response as FlaskResponse
from flask import render_template, request
from flask_login import current_user

from dingkao.blueprints.console.question_banks.blueprint import (
    question_banks,
)
from dingkao.errors import Refusal
from dingkao.integrations.images.images import MAX_DOCUMENT_BYTES
from dingkao.question_banks import question_pictures
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limiter

UPLOAD_TEMPLATE = "console/question_banks/upload_picture.html"
CACHE_CONTROL = "private, max-age=31536000, immutable"


@question_banks.post("/office/banks/pictures")
@require("questions.edit")
@limiter.limit("240/hour")
def upload_picture() -> tuple[str, int] | str:
    """Save a picture; the page then shows it with the markup that puts it into a question, or why it was
    refused."""
    upload = request.files.get("picture")
    content = upload.read(MAX_DOCUMENT_BYTES + 1) if upload else b""
    try:
        name = question_pictures.save_picture(content, by=current_user.as_actor())
    except Refusal as refusal:
        return render_template(UPLOAD_TEMPLATE, name=None, fault=refusal.message), refusal.status
    return render_template(UPLOAD_TEMPLATE, name=name, fault=None)


@question_banks.get("/office/banks/pictures")
@require("questions.edit")
def picture_upload_page() -> str:
    """The page on which pictures are uploaded."""
    return render_template(UPLOAD_TEMPLATE, name=None, fault=None)


@question_banks.get("/pictures/<string:name>")
@require("questions.see_picture")
def picture(name: str) -> FlaskResponse:
    """A picture of a question. Access isn't checked further: its name can't be guessed and occurs only in
    questions that the user may see. Raises NotFound, Unavailable."""
    content, mimetype = question_pictures.load_picture(name)
    return FlaskResponse(
        content,
        mimetype=mimetype,
        headers={"Cache-Control": CACHE_CONTROL},
    )
