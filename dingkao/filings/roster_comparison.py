"""What the roster says of a doctor beside what the doctor has filed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dingkao.doctors.code_lists import SCOPES, SEXES
from dingkao.doctors.models import Doctor
from dingkao.filings.dossier import Dossier, roster_certificate_numbers
from dingkao.filings.field_values import display_value
from dingkao.filings.presentation import mask_certificate_number
from dingkao.people.identity_numbers import normalise_number


@dataclass(frozen=True)
class ComparedValue:
    """A value of the roster and the filed one, as people read them; `key` as in `return_marks`."""

    key: str
    label: str
    on_roster: str
    filed: str
    is_different: bool


def compare_with_roster(
    dossier: Dossier,
    *,
    revealed: bool = False,
) -> list[ComparedValue]:
    """Returns the fields of the first two steps for which the roster has a value, in their order; they differ
    only where something is filed. Certificate numbers are masked unless `revealed`."""
    numbers = roster_certificate_numbers(dossier.doctor)
    compared = []
    for step in (1, 2):
        values = dossier.step_values(step)
        for field in dossier.fields(step):
            filed = display_value(field, values.get(field.name))
            on_roster = numbers.get(field.name) or _roster_text(
                dossier.doctor,
                field.name,
            )
            if on_roster:
                is_different = filed != "" and normalise_number(filed) != normalise_number(
                    on_roster,
                )
                if field.name in numbers and not revealed:
                    filed, on_roster = map(
                        mask_certificate_number,
                        (filed, on_roster),
                    )
                key = f"{step}.{field.name}"
                compared.append(
                    ComparedValue(key, field.label, on_roster, filed, is_different),
                )
    return compared


def _roster_text(doctor: Doctor, name: str) -> str:
    """Returns the roster's value for a field, as people read it; "" if it has none."""
    read = _ROSTER_TEXTS.get(name)
    return read(doctor) if read else ""


def _scopes(doctor: Doctor) -> str:
    codes = (doctor.scope or "").split(",")
    return "、".join(SCOPES[code][1] for code in codes if code in SCOPES)


def _day(day: Any) -> str:
    return f"{day:%Y年%m月%d日}" if day else ""


def _ethnicity(doctor: Doctor) -> str:
    return f"{doctor.ethnicity.removesuffix('族')}族" if doctor.ethnicity else ""


_ROSTER_TEXTS: dict[str, Callable[[Doctor], str]] = {
    "sex": lambda doctor: SEXES.get(doctor.sex or "", ""),
    "birth_date": lambda doctor: _day(doctor.birth_date),
    "ethnicity": _ethnicity,
    "education": lambda doctor: doctor.education or "",
    "scope": _scopes,
    "registered": lambda doctor: _day(doctor.first_registered),
    "department": lambda doctor: doctor.department or "",
    "title": lambda doctor: doctor.title or "",
}
"""Field of the filing → the roster's value for it."""
