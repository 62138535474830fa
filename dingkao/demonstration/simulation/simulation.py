"""The simulation as a whole: its phases in order, and its counts."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

from dingkao.demonstration.simulation.doctor_steps import (
    DoctorSteps,
    SimulatedDoctor,
)
from dingkao.demonstration.simulation.http_browser import HttpBrowser
from dingkao.demonstration.simulation.metrics import (
    Metrics,
    SimulationError,
)
from dingkao.demonstration.simulation.staff_steps import StaffSteps
from dingkao.tenants.registry import Province

CONCURRENT_DOCTORS = 8
STAFF_USER_NAMES = (
    "jigou-jingban",
    "jigou-shenhe",
    "kaohe-fuhe",
    "admin",
    "admin2",
)


@dataclass
class Simulation:
    """The simulation of `doctors` doctors of `province`, served at the URL `base`. `code_of`: user name →
    current TOTP code; `keys`: question key → right answer letters; `report` is called with each line of
    progress."""

    base: str
    province: Province
    doctors: int
    code_of: Callable[[str], str]
    keys: dict[str, str]
    metrics: Metrics = field(default_factory=Metrics)
    report: Callable[[str], None] = lambda _: None
    simulated_doctors: list[SimulatedDoctor] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Run all phases. Returns the counts that `dingkao simulate --json` prints. Raises SimulationError if
        a step of the staff fails; errors of doctors are only counted."""
        started_at = time.monotonic()
        for name, step in self._phases():
            with self.metrics.phase(name):
                step()
            self.report(f"{name} {self.metrics.phases[name]} s")
        verdicts = Counter(doctor.verdict for doctor in self.simulated_doctors)
        return {
            "doctors": self.doctors,
            "passed": verdicts["passed"],
            "failed": verdicts["failed"],
            "seconds": round(time.monotonic() - started_at, 1),
            "requests": self.metrics.requests,
            "busy": self.metrics.busy,
            "errors": len(self.metrics.errors),
            "phases": self.metrics.phases,
        }

    def _phases(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Sign in the staff, and return name and function of each phase, in order. Raises SimulationError."""
        outbox_reader = HttpBrowser(self.base, self.province.slug, self.metrics, 1)
        doctor_steps = DoctorSteps(self.province.code, self.keys, outbox_reader)
        staff_steps = StaffSteps(
            self.base,
            self.province,
            self.metrics,
            self.code_of,
            self.report,
        )
        clerk, institution_reviewer, reviewer, admin, second_admin = (
            staff_steps.sign_in(user_name, number) for number, user_name in enumerate(STAFF_USER_NAMES)
        )

        def import_roster() -> None:
            self.simulated_doctors = staff_steps.import_roster(clerk, self.doctors)

        def conclude() -> None:
            """Conclude the records of all doctors but as many as errors were counted."""
            staff_steps.conclude(reviewer, self.doctors - len(self.metrics.errors))

        return (
            ("roster", import_roster),
            (
                "inclusion",
                lambda: staff_steps.include_doctors(clerk, self.doctors),
            ),
            ("filing", lambda: self._run_for_each(doctor_steps.file)),
            (
                "review",
                lambda: staff_steps.review(institution_reviewer, "institution"),
            ),
            (
                "second_review",
                lambda: staff_steps.review(reviewer, "organisation"),
            ),
            ("papers", lambda: staff_steps.schedule_papers(admin)),
            (
                "sitting",
                lambda: self._run_for_each(doctor_steps.sit_papers),
            ),
            (
                "pass_lines",
                lambda: staff_steps.approve_pass_lines(admin, second_admin),
            ),
            ("conclusion", conclude),
            (
                "publication",
                lambda: staff_steps.publish(admin, second_admin),
            ),
            (
                "certificates",
                lambda: self._run_for_each(doctor_steps.fetch_result),
            ),
        )

    def _run_for_each(self, step: Callable[[SimulatedDoctor], None]) -> None:
        """Run a step for all doctors, CONCURRENT_DOCTORS at a time. An error by which the service or
        its answers are not as expected (those of `run_step`) is counted and does not stop the others; any
        other is raised when the steps that have begun are done, and the rest is left out."""

        def run_step(doctor: SimulatedDoctor) -> None:
            """Do the step for one doctor, and count the error by which it fails."""
            try:
                step(doctor)
            except (
                SimulationError,
                httpx2.HTTPError,
                KeyError,
                TypeError,
                IndexError,
            ) as error:
                with self.metrics.lock:
                    self.metrics.errors.append(f"{step.__name__}: {type(error).__name__} {error}")

        with ThreadPoolExecutor(CONCURRENT_DOCTORS) as pool:
            list(pool.map(run_step, self.simulated_doctors))
