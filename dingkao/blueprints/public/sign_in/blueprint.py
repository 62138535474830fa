"""The blueprints of the pages before signing in: `front` outside provinces, `public` within a province."""

from flask import Blueprint, request

from dingkao.web.province_blueprint import province_blueprint

front = Blueprint("front", "dingkao")
public = province_blueprint("public")


def province_slug() -> str:
    """The slug of the province in the request's address."""
    return request.script_root.rsplit("/", 1)[-1]
