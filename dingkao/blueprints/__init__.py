"""The web, thin: fetch, check who asks, form, one verb, redirect. A blueprint a door; rules live in the rooms below."""

from flask import Blueprint

from dingkao.people.opening import opened_codes
from dingkao.tenants.guard import guarded


def of_province(name: str) -> Blueprint:
    """A blueprint of a province, with its guard."""
    return guarded(name, "dingkao", opened_codes)
