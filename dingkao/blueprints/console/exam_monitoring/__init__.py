"""Monitoring an exam in the console: who is answering, whose connection is lost, adding time,
telling something to those who sit, and integrity cases (诚信核查). One blueprint, with a file for each of
these."""

from dingkao.blueprints.console.exam_monitoring import (
    announcing,
    cases,
    live_page,
    sittings,
)
from dingkao.blueprints.console.exam_monitoring.blueprint import (
    exam_monitoring,
)

__all__ = ["announcing", "cases", "exam_monitoring", "live_page", "sittings"]
