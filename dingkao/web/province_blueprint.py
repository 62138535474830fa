"""Blueprints of a province. Views are thin: they fetch, check, read the form, call a room once and redirect.
The rules are in the rooms."""

from flask import Blueprint

from dingkao.people.provinces import province_states
from dingkao.tenants.blueprint_guard import tenant_blueprint


def province_blueprint(name: str) -> Blueprint:
    """A blueprint whose views refuse requests outside an open province."""
    return tenant_blueprint(name, "dingkao", province_states)
