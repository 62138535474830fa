"""The sitting of an exam [S15] to [S18]: entrance and papers, notice, answering and saving, handing in, the
closing page."""

from dingkao.blueprints.doctor.sitting import (
    answering,
    closing_page,
    entrance,
    exam_notice,
    hand_in,
    hearings,
)
from dingkao.blueprints.doctor.sitting.blueprint import sitting

__all__ = [
    "answering",
    "closing_page",
    "entrance",
    "exam_notice",
    "hand_in",
    "hearings",
    "sitting",
]
