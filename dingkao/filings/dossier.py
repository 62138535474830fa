"""The dossier (填报): a doctor's filing in a cycle, together with the record, the roster's data and the
province's terms."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Select, select

from dingkao import clock
from dingkao.assessments.assessment_transitions import is_time_to_file
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import phases_of
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.code_lists import SCOPES
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.errors import DeadlinePassed, InvalidState, NotFound
from dingkao.filings.entry_list_fields import ENTRY_LISTS, EntryList
from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import form_values, non_empty
from dingkao.filings.field_warnings import (
    certificate_number_warnings,
    date_warnings,
)
from dingkao.filings.fields import STEP_COLUMNS, Field, fields_of
from dingkao.filings.models import Filing
from dingkao.filings.procedure_grounds import years_between
from dingkao.filings.province_terms import (
    direct_fail_texts,
    province_terms,
)
from dingkao.filings.user_notice import has_confirmed_notice
from dingkao.people.identity_numbers import RESIDENT_TYPES
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)

EDITABLE = ("included", "draft", "institution_returned")
ENCRYPTED_FIELDS = ("qualification", "practice")
ENTRY_NOT_FOUND_MESSAGE = "这条经历已被删除，请返回上一页查看。"
WARNING_CONSEQUENCES = {
    "warn": "不影响提交。",
    "block": "更正后才能提交。",
}
"""Value of the setting certificate_number_check → the last words of a warning about a certificate number."""


@dataclass
class Dossier:
    """A doctor's filing in a cycle with what belongs to it. `filing` is None until something has been saved.
    What reads step 2 decrypts its certificate numbers, and raises encryption.DecryptionFailed for an altered
    one."""

    record: Assessment
    doctor: Doctor
    cycle: Cycle
    filing: Filing | None
    is_assisted: bool = False
    """Whether somebody fills it in on the doctor's behalf (代填)."""
    _fields_cache: dict[int, tuple[dict[str, str], list[Field]]] = dataclasses.field(
        default_factory=dict,
        repr=False,
        compare=False,
    )

    def fields(self, step: int) -> list[Field]:
        """Returns the fields of a step for this doctor in this province. Cached as long as the filing's
        chosen texts of direct failure stay the same, because a page calls this many times."""
        chosen_texts = direct_fail_texts(self.filing)
        cached = self._fields_cache.get(step)
        if cached and cached[0] == chosen_texts:
            return cached[1]
        fields = fields_of(
            step,
            level=self.doctor.level,
            category=self.doctor.category,
            years=self.cycle.years,
            with_hints=self.doctor.document_type in RESIDENT_TYPES,
            terms=province_terms(self.filing),
        )
        self._fields_cache[step] = (dict(chosen_texts), fields)
        return fields

    def birth_date(self) -> date | None:
        """Returns the date of birth: the roster's, else the filed one, else None."""
        return self.doctor.birth_date or self._filed_birth_date()

    def _filed_birth_date(self) -> date | None:
        """Returns the date of birth filed in step 1, or None."""
        iso_day = self.filing.basic.get("birth_date") if self.filing else None
        return date.fromisoformat(iso_day) if iso_day else None

    def step_values(self, step: int) -> dict[str, Any]:
        """Returns field name → stored value of a step; for step 1 or 2, if it was never saved, also values
        from the roster."""
        values = stored_step(self, step)
        if step in (1, 2) and not values.get("saved"):
            return self._roster_defaults(step) | values
        return values

    def valid_step_values(self, step: int) -> dict[str, Any]:
        """Returns the values that a page opened now shows, field name → value: the stored ones; of a step
        that was never saved, those from the roster that are valid."""
        fields = self.fields(step)
        values = self.step_values(step)
        if column_values(self.filing, step).get("saved"):
            return non_empty({field.name: values.get(field.name) for field in fields})
        return validate_fields(
            fields,
            form_values(fields, values),
            birth_date=self.birth_date(),
        )[0]

    def cycle_range(self) -> tuple[date, date]:
        """Returns the first and last day on which a good or bad record counts: those of the cycle, but not
        after today."""
        return self.cycle.starts_on, min(self.cycle.ends_on, clock.today())

    def warnings(self, step: int) -> dict[str, str]:
        """Returns what is unusual about a step's values but may be right, field name → sentence. Certificate
        numbers are checked as the province has set it (domain.md §2.3)."""
        values = self.step_values(step)
        number_warnings = self._certificate_number_warnings(values) if step == 2 else {}
        return number_warnings | date_warnings(values)

    def _certificate_number_warnings(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Returns field name → warning about a certificate number, with the consequence that the province has
        set."""
        mode = settings.value("certificate_number_check")
        if mode == "off":
            return {}
        warnings = certificate_number_warnings(
            values,
            document_number_of(self.doctor),
            level=self.doctor.level,
            category=self.doctor.category,
        )
        return {name: sentence + WARNING_CONSEQUENCES[mode] for name, sentence in warnings.items()}

    def restorable_entry(self, kind: str) -> str | None:
        """Returns the name of the entry that was removed last from the list `kind` and can be restored, or
        None."""
        values = column_values(self.filing, ENTRY_LISTS[kind].step)
        removed = values.get(removed_entry_key(kind))
        return removed["entry"].get("name") if removed else None

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Returns the entries of the list `kind` in the doctor's order: dicts of the field values and
        `id`."""
        return list(column_values(self.filing, ENTRY_LISTS[kind].step).get(kind, []))

    def find_entry(self, kind: str, entry_id: str) -> dict[str, Any] | None:
        """Returns the entry of the list `kind` with this id, or None."""
        return next(
            (entry for entry in self.entries(kind) if entry["id"] == entry_id),
            None,
        )

    def is_editable(self) -> bool:
        """Whether the record's state lets the doctor change the filing; `require_changeable` also checks
        dates."""
        return self.record.state in EDITABLE

    def _roster_defaults(self, step: int) -> dict[str, Any]:
        """Returns field name → value from the roster for a step, without values that the field does not
        offer."""
        values = self._basic_defaults() if step == 1 else self._practice_defaults()
        return {
            field.name: values[field.name]
            for field in self.fields(step)
            if _is_offered(field, values.get(field.name))
        }

    def _basic_defaults(self) -> dict[str, Any]:
        """Returns the roster's values for step 1, field name → value."""
        doctor = self.doctor
        return {
            "ethnicity": f"{doctor.ethnicity.removesuffix('族')}族" if doctor.ethnicity else None,
            "education": doctor.education,
            "sex": doctor.sex,
            "birth_date": doctor.birth_date.isoformat() if doctor.birth_date else None,
        }

    def _practice_defaults(self) -> dict[str, Any]:
        """Returns the roster's values for step 2, field name → value."""
        doctor = self.doctor
        scope_codes = (doctor.scope or "").split(",")
        values = {
            "scope": [code for code in scope_codes if code in SCOPES],
            "department": doctor.department,
            "title": doctor.title,
        }
        return values | self._registration_defaults() | roster_certificate_numbers(doctor)

    def _registration_defaults(self) -> dict[str, Any]:
        """Returns what follows from the roster's first registration: its date, and the years since then."""
        first_registered = self.doctor.first_registered
        if first_registered is None:
            return {}
        return {
            "registered": first_registered.isoformat(),
            "specialty_years": years_between(first_registered, clock.today()),
        }


def _is_offered(field: Field, value: Any) -> bool:
    """Whether a value is not empty and, for a field with choices, one of them."""
    return bool(value) and (field.kind != "one" or value in (field.choices or {}))


def _of_doctor_query(
    kind: type[Assessment | Filing],
) -> Select[Any]:
    """Returns the query of the doctor's rows of a model in a cycle, for a prepared statement."""
    return select(*all_columns(kind)).where(
        kind.tenant_id == TENANT_PARAM,
        kind.cycle_id == uuid_param("cycle"),
        kind.doctor_id == uuid_param("doctor"),
    )


_RECORD_STATEMENT = PreparedStatement(
    lambda: _of_doctor_query(Assessment).order_by(Assessment.id.desc()).limit(1),
)
_FILING_STATEMENT = PreparedStatement(lambda: _of_doctor_query(Filing))


def dossier_of(doctor: Doctor, cycle: Cycle, *, for_update: bool = False) -> Dossier:
    """Returns the dossier of `doctor` in `cycle`, with the newest record there; with `for_update`, the record
    and then the filing are locked and read anew. Raises NotFound if the doctor is not included in the
    cycle."""
    record = _fetch(
        _RECORD_STATEMENT,
        Assessment,
        doctor,
        cycle,
        for_update=for_update,
    )
    if record is None or record.state == "not_included":
        raise NotFound("您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人。")
    filing = _fetch(
        _FILING_STATEMENT,
        Filing,
        doctor,
        cycle,
        for_update=for_update,
    )
    return Dossier(record, doctor, cycle, filing)


def _fetch(
    statement: PreparedStatement,
    kind: type[Assessment | Filing],
    doctor: Doctor,
    cycle: Cycle,
    *,
    for_update: bool,
) -> Any:
    """Returns the doctor's row in a cycle that a statement finds, or None."""
    row = statement.fetch_object(
        kind,
        for_update=(kind,) if for_update else (),
        cycle=cycle.id,
        doctor=doctor.id,
    )
    return row[0] if row else None


def filing_of(record: Assessment) -> Filing | None:
    """Returns the filing of the record's doctor in its cycle, or None."""
    return db.session.scalar(
        select(Filing).where(
            Filing.cycle_id == record.cycle_id,
            Filing.doctor_id == record.doctor_id,
        ),
    )


def dossier_of_record(record: Assessment) -> Dossier:
    """Returns the dossier of a record, in any state; nothing is locked."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    return Dossier(record, doctor, cycle, filing_of(record))


def certificate_numbers(filing: Filing) -> dict[str, str]:
    """Returns field name → decrypted certificate number, without numbers that are not filed. Raises
    encryption.DecryptionFailed."""
    return _decrypted_numbers("filing", filing)


def roster_certificate_numbers(doctor: Doctor) -> dict[str, str]:
    """Returns field name → decrypted certificate number as the roster has it, without those that it hasn't.
    Raises encryption.DecryptionFailed."""
    return _decrypted_numbers("doctor", doctor)


def _decrypted_numbers(table: str, owner: Filing | Doctor) -> dict[str, str]:
    """Returns field name → decrypted certificate number of `owner`, a row of the database's `table`, without
    those that it hasn't. Raises encryption.DecryptionFailed."""
    numbers = {}
    for name in ENCRYPTED_FIELDS:
        encrypted = getattr(owner, f"{name}_sealed")
        if encrypted:
            numbers[name] = current_vault().decrypt(SecretLocation(table, name, owner.id), encrypted)
    return numbers


def set_certificate_number(filing: Filing, name: str, number: str | None) -> None:
    """Set the number of the field `name`, one of ENCRYPTED_FIELDS, encrypted; None or "" as NULL. The filing
    has its id already."""
    location = SecretLocation("filing", name, filing.id)
    setattr(
        filing,
        f"{name}_sealed",
        current_vault().encrypt(location, number) if number else None,
    )


def filing_last_day(cycle: Cycle) -> date | None:
    """Returns the last day of the cycle's filing phase (报名), or None if the cycle has no such phase."""
    phase = phases_of(cycle).get("filing")
    return phase.last_day if phase else None


def column_values(filing: Filing | None, step: int) -> dict[str, Any]:
    """Returns a copy of a step's JSON column, without the certificate numbers, which are stored encrypted; {}
    without a filing."""
    return dict(getattr(filing, STEP_COLUMNS[step])) if filing else {}


def set_column_values(filing: Filing, step: int, values: dict[str, Any]) -> None:
    """Replace the JSON column of a step by `values`, which hold no certificate numbers; the caller counts the
    revision."""
    setattr(filing, STEP_COLUMNS[step], values)


def stored_step(dossier: Dossier, step: int) -> dict[str, Any]:
    """Returns the stored values of a step with the certificate numbers, without anything from the roster; {}
    without a filing. Raises encryption.DecryptionFailed."""
    values = column_values(dossier.filing, step)
    if step == 2 and dossier.filing:
        values |= certificate_numbers(dossier.filing)
    return values


def get_entry_list(kind: str) -> EntryList:
    """Returns the definition of the entry list `kind`. Raises NotFound."""
    if kind not in ENTRY_LISTS:
        raise NotFound
    return ENTRY_LISTS[kind]


def removed_entry_key(kind: str) -> str:
    """Returns the key in the step's column under which the entry last removed from the list `kind` is
    stored."""
    return f"{kind}_removed"


def require_changeable(dossier: Dossier) -> None:
    """Raises InvalidState if the record's state doesn't let the filing be changed, or the doctor, whose
    record is only included, has not confirmed the user notice; DeadlinePassed after the last day. Without
    assistance the date of a record that is only included is checked when the filing begins
    (`assessment_transitions.start_filing`)."""
    if not dossier.is_editable():
        raise InvalidState("信息已提交，不能直接修改。机构开始审核前可以撤回；审核开始后请联系本机构退回。")
    if dossier.record.state == "included" and not dossier.is_assisted:
        _require_notice_confirmed(dossier)
    elif not is_time_to_file(dossier.record, dossier.cycle):
        raise DeadlinePassed("报名已截止，不能再修改。您已保存的内容还在，请联系本机构。")


def _require_notice_confirmed(dossier: Dossier) -> None:
    """Raises InvalidState if the doctor has not confirmed the user notice."""
    if not has_confirmed_notice(dossier.doctor, dossier.cycle):
        raise InvalidState("请先在主页阅读用户告知书并点击“确定”，再填报信息。")
