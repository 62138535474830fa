"""What finding people costs the database at real size: doctors chosen at random are searched by each form, as
the province's office and as the clerk of their institution."""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, select

from dingkao.assessments.models import Assessment
from dingkao.assessments.people_search import find_ids
from dingkao.certificates.models import Certificate
from dingkao.certificates.serials import new_serial
from dingkao.database.base import db
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor, DoctorSearchKey
from dingkao.doctors.name_search import SearchForm, search_condition, search_forms
from dingkao.doctors.search_keys import DEPARTMENT, INITIALS, PINYIN, search_keys
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.people.models import Organisation
from dingkao.people.scopes import WHOLE_PROVINCE, Grant
from dingkao.tenants.context import current_tenant
from dingkao.tenants.rls import plans_by_value
from tests.load.bench_stack import Bench, report_at_most, report_result

DOCTORS, CHECKED, REPETITIONS = 100, 500, 3
MAX_MS = 2.0


class DatabaseClock:
    """The milliseconds for which statements have been waited for."""

    def __init__(self) -> None:
        self.milliseconds = 0.0
        self._began_at = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the statements of the block."""
        event.listen(db.engine, "before_cursor_execute", self._begin)
        event.listen(db.engine, "after_cursor_execute", self._end)
        try:
            yield
        finally:
            event.remove(db.engine, "before_cursor_execute", self._begin)
            event.remove(db.engine, "after_cursor_execute", self._end)

    def _begin(self, *_: Any) -> None:
        self._began_at = time.perf_counter()

    def _end(self, *_: Any) -> None:
        self.milliseconds += (time.perf_counter() - self._began_at) * 1000


def _key_of(doctor: Doctor, kind: str) -> str:
    """The first key of a kind of a doctor, without its letter; "" if there is none."""
    keys = sorted(key for key in search_keys(doctor.name, doctor.department) if key.startswith(kind))
    return keys[0][1:] if keys else ""


TEXTS: dict[str, tuple[str, Callable[[Doctor], str]]] = {
    "name": ("name", lambda doctor: doctor.name),
    "two_characters": ("name", lambda doctor: doctor.name[-2:]),
    "three_characters": ("name", lambda doctor: doctor.name[-3:]),
    "surname": ("name", lambda doctor: doctor.name[0]),
    "pinyin": ("pinyin", lambda doctor: _key_of(doctor, PINYIN)),
    "pinyin_beginning": ("pinyin", lambda doctor: _key_of(doctor, PINYIN)[:4]),
    "initials": ("pinyin", lambda doctor: _key_of(doctor, INITIALS)),
    "one_initial": ("pinyin", lambda doctor: _key_of(doctor, INITIALS)[:1]),
    "number": ("number", document_number_of),
    "last_four": ("number", lambda doctor: document_number_of(doctor)[-4:]),
    "institution": ("institution", lambda doctor: _institution_of(doctor).name),
    "institution_part": ("institution", lambda doctor: _institution_of(doctor).name[-6:]),
    "department": ("department", lambda doctor: _key_of(doctor, DEPARTMENT)),
    "ticket": ("ticket", lambda doctor: _ticket_of(doctor)),
    "certificate": ("certificate", lambda doctor: _certificate_of(doctor)),
}
"""What is measured: the code of the search form, and what is typed to find a doctor."""


def _institution_of(doctor: Doctor) -> Organisation:
    return db.session.get_one(Organisation, (doctor.tenant_id, doctor.organisation_id))


def _ticket_of(doctor: Doctor) -> str:
    """The number of the doctor's ticket, issued now if there is none."""
    record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == doctor.id)).first()
    assert record
    ticket = db.session.scalar(select(AdmissionTicket).where(AdmissionTicket.assessment_id == record.id))
    if ticket is None:
        number = f"{current_tenant()}99{doctor.id.int % 10**8:08d}"
        ticket = AdmissionTicket(assessment_id=record.id, number=number)
        db.session.add(ticket)
        db.session.flush()
    return ticket.number


def _certificate_of(doctor: Doctor) -> str:
    """The serial of the doctor's certificate, issued now if there is none."""
    record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == doctor.id)).first()
    assert record
    certificate = db.session.scalar(select(Certificate).where(Certificate.assessment_id == record.id))
    if certificate is None:
        certificate = Certificate(
            assessment_id=record.id,
            serial=new_serial(
                current_tenant(), 2025
            ),  # those of the load are of 2026, and may be met by chance
            content_sealed=b"",
            holder_masked=doctor.name[0],
            cycle_label="",
            issued_on=doctor.created_at.date(),
        )
        db.session.add(certificate)
        db.session.flush()
    return certificate.serial


def figures(bench: Bench, slug: str, doctor_ids: list[Any]) -> None:
    """Report the milliseconds of each form, the dearest of which is held to the bar, and how many doctors a
    form did not find, or found for somebody who doesn't reach them; these are named by form and text."""
    chance = random.Random(0)  # noqa: S311 - a sample
    with bench.inside(slug), plans_by_value():  # as the console's statements are planned
        sample = chance.sample(doctor_ids, min(CHECKED, len(doctor_ids)))
        doctors = [db.session.get_one(Doctor, (current_tenant(), doctor_id)) for doctor_id in sample]
        typed = {name: [text_of(doctor) for doctor in doctors] for name, (_, text_of) in TEXTS.items()}
        worst = max(
            _milliseconds(doctors[:DOCTORS], typed, grant_name) for grant_name in ("province", "clerk")
        )
        report_at_most("name_search_ms", worst, "ms", MAX_MS)
        for figure, faults in (
            ("name_search_missed", _missed(doctors, typed)),
            ("name_search_leaked", _leaked(doctors, typed)),
        ):
            for name, text in sorted(faults):
                print(f"{figure}: {name} {text}", file=sys.stderr)  # noqa: T201
            report_at_most(figure, len(faults), "searches", 0)
        report_result("search_key_rows", _rows_per_doctor(doctors), "per doctor", None, None)
        db.session.rollback()


def _milliseconds(doctors: list[Doctor], typed: dict[str, list[str]], grant_name: str) -> float:
    """The median of the dearest form."""
    forms = {form.code: form for form in search_forms()}
    medians = {}
    for name, (code, _) in TEXTS.items():
        times = []
        for doctor, text in zip(doctors, typed[name], strict=False):
            grant = WHOLE_PROVINCE
            if grant_name == "clerk":
                grant = Grant(institution_ids=(doctor.organisation_id,))
            times.append(min(_milliseconds_of(forms[code], text, grant) for _ in range(REPETITIONS)))
        medians[name] = statistics.median(times)
        report_result(f"name_search_{grant_name}_{name}_ms", medians[name], "ms", None, None)
        report_result(f"name_search_{grant_name}_{name}_most_ms", max(times), "ms", None, None)
    return max(medians.values())


def _milliseconds_of(form: SearchForm, text: str, grant: Grant) -> float:
    """The milliseconds of one search."""
    clock = DatabaseClock()
    with clock.running():
        find_ids(form, text, grant)
    return clock.milliseconds


def _missed(doctors: list[Doctor], typed: dict[str, list[str]]) -> set[tuple[str, str]]:
    """The searches, as form and text, whose list for the whole province lacks the doctor for whom the text
    was typed. The first page is no measure: more namesakes than it has places may come before."""
    missed = set()
    for name, texts in typed.items():
        for doctor, text in zip(doctors, texts, strict=True):
            is_listed = select(Doctor.id).where(
                Doctor.id == doctor.id,
                search_condition(text, WHOLE_PROVINCE),
            )
            if text and db.session.scalar(is_listed) is None:
                missed.add((name, text))
    return missed


def _leaked(doctors: list[Doctor], typed: dict[str, list[str]]) -> set[tuple[str, str]]:
    """The searches, as form and text, that show a doctor to the clerk of another institution."""
    leaked = set()
    forms = {form.code: form for form in search_forms()}
    institution_id = doctors[0].organisation_id
    for name, texts in typed.items():
        for text in set(texts):
            ids = find_ids(forms[TEXTS[name][0]], text, Grant(institution_ids=(institution_id,)))
            strangers = select(Doctor.id).where(Doctor.id.in_(ids), Doctor.organisation_id != institution_id)
            if ids and db.session.scalar(strangers.limit(1)):
                leaked.add((name, text))
    return leaked


def _rows_per_doctor(doctors: list[Doctor]) -> float:
    """Rows of keys of a doctor, on the average."""
    ids = [doctor.id for doctor in doctors]
    query = select(DoctorSearchKey.key).where(DoctorSearchKey.doctor_id.in_(ids))
    return len(db.session.scalars(query).all()) / len(ids)
