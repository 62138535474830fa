"""Limits how often a person learns that a document number is on another institution's roster, or another
doctor's. Without a limit, somebody who may type numbers could find out who is on the province's roster
(security.md 25)."""

from dataclasses import dataclass
from uuid import UUID

from dingkao.tenants import settings
from dingkao.tenants.rate_counters import current_count, increment
from dingkao.tenants.settings import Setting

COUNTER_KIND, HOUR_SECONDS = "told-elsewhere", 3600
MAX_PER_DOCTOR = 5
settings.register(
    "elsewhere_told_an_hour",
    Setting(
        "每个机构一小时内最多提示医师“已在另一机构的名单中”（次）",
        30,
        kind="whole",
        group="账户",
        order=50,
        min_value=1,
        max_value=10000,
    ),
)


@dataclass(frozen=True)
class DisclosureLimit:
    """How many disclosures `subject` (the id of an institution or a doctor) gets in an hour, which begins
    with the first. They are counted in the cache (`rate_counters`). Once `limit` is reached, no number is
    looked up for the subject any more, because a refusal of only known numbers would disclose too."""

    subject: UUID
    limit: int

    @classmethod
    def for_institution(cls, organisation_id: UUID) -> "DisclosureLimit":
        """The limit of an institution whose clerks add doctors: as many as the province's setting says."""
        return cls(
            organisation_id,
            int(settings.value("elsewhere_told_an_hour")),
        )

    @classmethod
    def for_doctor(cls, doctor_id: UUID) -> "DisclosureLimit":
        """The limit of a doctor who requests the correction of a number."""
        return cls(doctor_id, MAX_PER_DOCTOR)

    def is_exhausted(self) -> bool:
        """Whether the disclosures of the current hour are used up; False if the cache doesn't respond."""
        return current_count(COUNTER_KIND, self.subject) >= self.limit

    def record_disclosure(self) -> None:
        """Count one more disclosure, at once: it stays counted after a rollback. Nothing is raised if the
        cache doesn't respond."""
        increment(COUNTER_KIND, self.subject, seconds=HOUR_SECONDS)


class _Unlimited(DisclosureLimit):
    """The limit of users who may see every doctor of the province: none."""

    def is_exhausted(self) -> bool:
        """False, because there is no limit."""
        return False

    def record_disclosure(self) -> None:
        """Do nothing, because there is no limit."""


UNLIMITED = _Unlimited(UUID(int=0), 0)
"""For users who may see every doctor of the province."""
