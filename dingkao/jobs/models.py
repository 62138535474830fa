"""The table of jobs: their arguments, progress and result."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in
from dingkao.tenants.rls import TenantOwned

JOB_STATES = (
    "waiting",
    "running",
    "paused",
    "done",
    "failed",
    "cancelled",
)

OPEN_STATES = ("waiting", "running", "paused")
"""The states of a job that goes on, by itself or when it is resumed: while one is open, no other that would
do the same is asked for. The opposite: `Job.is_over`."""


class Job(TenantOwned, Model):
    """A background job (任务) of a province, visible to the account `asked_by`. `arguments` hold ids and no
    personal data.

    `address` and `device`: the client that asked for it, for the journal entries of its work. `subject_id`:
    the row that it is about. `sentence`: what people read about a failure or delay. For a chunked job,
    `cursor` is where the next chunk begins, `turn` how often a worker has started it, `advanced_at` when the
    last chunk was done, `requested` an action that was requested and not carried out yet, `undoing` whether
    it is undoing its work after a cancellation. `tries` counts the starts since the last progress. `seen_at`:
    when whoever asked for it saw that it had ended. `file_expires_at`: when the file that it has built is
    deleted; None if there is none, or none any more.
    """

    __tablename__ = "job"
    __table_args__ = (
        check_in("state", JOB_STATES),
        check_in("requested", ("pause", "cancel")),
        Index(None, "tenant_id", "state", "id"),
        Index(None, "tenant_id", "asked_by", "id"),
        Index(None, "tenant_id", "name", "subject_id", "id"),
        Index(
            "job_unseen_ix",
            "tenant_id",
            "asked_by",
            postgresql_where=text("ended_at is not null and seen_at is null and asked_by is not null"),
        ),
        Index(
            "job_file_expires_ix",
            "tenant_id",
            "file_expires_at",
            postgresql_where=text("file_expires_at is not null"),
        ),
    )

    name: Mapped[str]
    title: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    subject_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(default="waiting")
    requested: Mapped[str | None]
    undoing: Mapped[bool] = mapped_column(default=False)
    asked_by: Mapped[UUID | None]
    address: Mapped[str | None]
    device: Mapped[str | None]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    advanced_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    cursor: Mapped[dict[str, Any] | None]
    turn: Mapped[int] = mapped_column(default=0)
    result: Mapped[dict[str, Any] | None]
    sentence: Mapped[str | None]
    tries: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[datetime | None]
    file_expires_at: Mapped[datetime | None]

    @property
    def is_under_way(self) -> bool:
        """Whether it waits for a worker or runs."""
        return self.state in ("waiting", "running")

    @property
    def is_over(self) -> bool:
        """Whether it has ended: done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")
