"""The findings of a verification of the journal, and its report."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dingkao.journal import checkpoints

FINDING_LABELS = {
    "changed": "内容已被改动",
    "missing": "已被删除",
    "foreign": "不是系统写入的，或已被改动",
    "unlinked": "它的前一条记录缺失",
}


@dataclass(frozen=True)
class Finding:
    """An entry with a problem; `kind` is a key of FINDING_LABELS. `subject` is None if unknown."""

    kind: str
    entry: UUID
    subject: UUID | None

    def made_at(self) -> datetime | None:
        """Returns when the entry was made, from its id; None if the id tells no time (see
        `id_time`)."""
        try:
            return checkpoints.id_time(self.entry)
        except ValueError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """Returns the finding as JSON values: `what` (its kind), `entry`, `subject`, and `at` (when the entry
        was made)."""
        made_at = self.made_at()
        return {
            "what": self.kind,
            "entry": str(self.entry),
            "subject": str(self.subject) if self.subject else None,
            "at": made_at.isoformat(timespec="seconds") if made_at else None,
        }


@dataclass
class VerificationReport:
    """The result of a verification, or of one step. `checked`: entries read; `listed`: entries that the
    checkpoints list; `uncovered`: valid entries that they do not list yet, of which the oldest was made at
    `since`; `entries`: findings; `files`: Chinese sentences about invalid files in the store."""

    checked: int = 0
    listed: int = 0
    uncovered: int = 0
    since: datetime | None = None
    entries: list[Finding] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether there are no findings."""
        return not self.entries and not self.files

    def merge(self, other: "VerificationReport") -> None:
        """Add the result of another step; the same finding is kept only once."""
        self.checked += other.checked
        self.listed += other.listed
        self.uncovered += other.uncovered
        self.since = min(
            (moment for moment in (self.since, other.since) if moment),
            default=None,
        )
        self.entries = list(dict.fromkeys([*self.entries, *other.entries]))
        self.files = list(dict.fromkeys([*self.files, *other.files]))

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as JSON values."""
        return {
            "sound": self.is_clean,
            "checked": self.checked,
            "listed": self.listed,
            "uncovered": self.uncovered,
            "uncovered_since": self.since.isoformat(timespec="seconds") if self.since else None,
            "entries": [finding.as_dict() for finding in self.entries],
            "files": self.files,
        }
