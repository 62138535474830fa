"""Fills in the filings of demonstration doctors, saved step by step as a doctor would."""

from dataclasses import dataclass

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.demonstration.sample_portraits import draw_portrait
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.filings import (
    entry_lists,
    filing_documents,
    saving,
    user_notice,
)
from dingkao.filings.dossier import Dossier, dossier_of
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation

SCHOOLS = {14: "山西医科大学", 41: "郑州大学医学院"}


@dataclass(frozen=True)
class SampleFiling:
    """The filing of `doctor` for `record` in `cycle`; `by` is the doctor as the actor."""

    cycle: Cycle
    record: Assessment
    doctor: Doctor
    by: Actor

    def start(self) -> None:
        """Confirm the user notice and save the first step."""
        user_notice.confirm_notice(self.doctor, self.cycle, by=self.by)
        self._save(
            1,
            ethnicity="汉族",
            education="本科",
            degree="学士",
            school=self._school,
            graduated=f"{self._birth_year + 23}-07",
            working_since=f"{self._birth_year + 23}-08",
        )

    def complete(self) -> None:
        """Save everything else that is required for submission."""
        portrait = draw_portrait(self.doctor.id)
        filing_documents.save_photo(self._dossier(), portrait, by=self.by)
        self._save_practice()
        self._save_experience()
        self._save(
            4,
            good_record="no",
            bad_record="no",
            quantity="pass",
            patients="12000",
            quality="pass",
            ordered_tasks="pass",
            direct_fail="no",
        )
        self._save(5, procedure="general", promise="yes")

    @property
    def _birth_year(self) -> int:
        return self.doctor.birth_date.year if self.doctor.birth_date else 1970

    @property
    def _school(self) -> str:
        return SCHOOLS.get(self.record.tenant_id, "医学院")

    def _dossier(self) -> Dossier:
        """The doctor's dossier of the cycle, locked."""
        return dossier_of(self.doctor, self.cycle, for_update=True)

    def _save(self, step: int, **values: str) -> None:
        """Save a step of the filing; raises what `saving.save_step` raises."""
        dossier = self._dossier()
        saving.save_step(
            dossier,
            step,
            {name: [value] for name, value in values.items()},
            dossier.filing.revision if dossier.filing else 0,
            by=self.by,
        )

    def _save_entry(self, kind: str, **values: str) -> None:
        """Add an entry to the list `kind`."""
        entry_lists.save_entry(
            self._dossier(),
            kind,
            "new",
            {name: [value] for name, value in values.items()},
            by=self.by,
        )

    def _save_practice(self) -> None:
        """Save the second step (执业信息)."""
        doctor = self.doctor
        province = self.record.tenant_id
        born = self._birth_year
        area = f"{province}0100"
        codes = f"{list(LEVELS).index(doctor.level) + 1}{list(CATEGORIES).index(doctor.category) + 1}0"
        self._save(
            2,
            scope=(doctor.scope or "99").split(",")[0],
            qualification=f"{born + 24}{province}{codes}{document_number_of(doctor)}",
            qualified=f"{born + 24}-12-01",
            practice=f"{codes}{area}{doctor.id.int % 10**6:06d}",
            registered=f"{born + 27}-07-01",
            department=doctor.department or "门诊部",
            title="主治医师" if doctor.level == "physician" else "医师",
            employment="在职",
            specialty_years=str(max(clock.today().year - born - 27, 1)),
        )

    def _save_experience(self) -> None:
        """Add an entry of education and one of practice (third step)."""
        born = self._birth_year
        institution = db.session.get_one(
            Organisation,
            (self.record.tenant_id, self.record.institution_id),
        )
        self._save_entry(
            "education",
            name=self._school,
            education="本科",
            since=f"{born + 18}-09",
            until=f"{born + 23}-07",
        )
        self._save_entry(
            "practice",
            name=institution.name,
            department="门诊部",
            since=f"{born + 23}-08",
        )
