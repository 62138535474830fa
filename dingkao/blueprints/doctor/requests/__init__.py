"""A doctor's requests (申请): 免考 [S14], 延考, changes, corrections, 复核; created, filled in, submitted,
tracked."""

from dingkao.blueprints.doctor.requests import (
    change_forms,
    request_documents,
    request_pages,
)
from dingkao.blueprints.doctor.requests.blueprint import requests

__all__ = [
    "change_forms",
    "request_documents",
    "request_pages",
    "requests",
]
