"""The three verdicts of a record (domain.md §11): 工作成绩, 职业道德, 业务水平."""

from dingkao.assessments.models import (
    VERDICT_PARTS,
    VERDICTS,
    Assessment,
)
from dingkao.errors import InvalidInput


def is_passing(record: Assessment) -> bool:
    """Whether all three verdicts are 合格; False while one is not decided."""
    return set(verdicts_of(record)) == {"pass"}


def verdicts_of(
    record: Assessment,
) -> tuple[str | None, str | None, str | None]:
    """Returns the verdicts on 工作成绩, 职业道德, 业务水平; None for one that is not decided yet."""
    return record.performance, record.ethics, record.competence


def set_verdicts(record: Assessment, verdicts: dict[str, str]) -> None:
    """Change verdicts without writing a journal entry, within a transition: `verdicts` is part (key of
    VERDICT_PARTS) → pass or fail. Raises InvalidInput."""
    for part, verdict in verdicts.items():
        if part not in VERDICT_PARTS or verdict not in VERDICTS:
            raise InvalidInput("请选择要变更的评定。")
        setattr(record, part, verdict)


def require_verdict(verdict: str, field: str, message: str) -> None:
    """Raises InvalidInput with this field and message unless `verdict` is pass or fail."""
    if verdict not in VERDICTS:
        raise InvalidInput(message, field)
