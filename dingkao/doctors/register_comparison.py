"""Compares an export of the register (电子化注册) with the list of doctors of an institution or the province
(应考尽考): who is new, gone, at another institution, or has other data. Each part of the file is compared,
then who was never seen in it is found; `register_jobs` does that in chunks. The list itself is not
changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, select
from sqlalchemy.dialects.postgresql import insert

from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors import register_rows
from dingkao.doctors.disclosure_limits import (
    UNLIMITED,
    DisclosureLimit,
)
from dingkao.doctors.models import Doctor
from dingkao.doctors.register_differences import (
    insert_differences,
)
from dingkao.doctors.register_models import (
    RegisterComparison,
    RegisterSighting,
)
from dingkao.doctors.register_rows import (
    InvalidRegisterRow,
    RegisterEntry,
)
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.people import identity_numbers
from dingkao.people.models import Organisation
from dingkao.people.name_grams import fold_for_search
from dingkao.people.name_lookups import organisations_by_id
from dingkao.people.organisation_queries import organisations_by_number
from dingkao.people.organisation_search import organisations_by_name
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import normalise_text

GONE_BATCH_SIZE = 2000
INSTITUTION_LABEL = "主要执业机构"


@dataclass
class _BatchComparison:
    """The comparison of one part of the file. `institutions`: those that the rows name, by 机构登记号 and by
    name; `listed`: the institutions of the known doctors, by id; `doctors`: by number index."""

    comparison: RegisterComparison
    report: ImportReport
    seen: set[bytes]
    doctors: Mapping[bytes, Doctor]
    institutions: Mapping[str, Sequence[Organisation]]
    listed: Mapping[UUID, Organisation]
    disclosure: DisclosureLimit
    differences: list[dict[str, Any]] = field(default_factory=list)
    sighted: set[UUID] = field(default_factory=set)

    def run(self, rows: Iterable[ImportRow]) -> None:
        """Compare the rows, add refused ones to the report, and write differences, with their counts by
        division, and who was seen."""
        for row in rows:
            try:
                self._compare(row)
            except InvalidRegisterRow as error:
                label = row.column_label(register_rows.COLUMNS[error.column][0])
                self.report.errors.append(
                    RowProblem(
                        row.number,
                        label,
                        error.reason,
                        error.remedy,
                    )
                )
        insert_differences(self.comparison, self.differences)
        _insert_sightings(self.comparison, self.sighted)

    def _compare(self, row: ImportRow) -> None:
        """Compare one row, and count it as accepted. Raises InvalidRegisterRow if it names nobody, a person a
        second time, or somebody with whom this list has nothing to do, and if disclosures are used up; a
        doctor of the list counts as seen even then."""
        doctor = next(
            (self.doctors[key] for key in register_rows.row_keys(row) if key in self.doctors),
            None,
        )
        if doctor is not None and self._is_own(doctor.organisation_id):
            self.sighted.add(doctor.id)  # whatever is wrong with the row, the doctor isn't gone
        entry = register_rows.validate_row(row)
        if self.seen.intersection(entry.indices.values()):
            raise InvalidRegisterRow(
                "number",
                "证件号码与本文件前面的行重复",
                "同一人只比对第一行。",
            )
        if doctor is None:
            self._add_new(entry)
        else:
            self._compare_known(entry, doctor)
        self.seen.update(entry.indices.values())
        self.report.accepted += 1

    def _is_own(self, organisation_id: UUID | None) -> bool:
        """Whether an institution is one of those that are compared."""
        return self.comparison.organisation_id in (
            None,
            organisation_id,
        )

    def _institutions_of(self, entry: RegisterEntry) -> Sequence[Organisation]:
        """The open institutions of the province that the register's may be: the one of its 机构登记号, or if
        there is none, all of its name (`organisations_by_name`); none if it isn't one of the province."""
        by_number = self.institutions.get(entry.registration_number, ()) if entry.registration_number else ()
        return by_number or self.institutions.get(fold_for_search(entry.institution), ())

    def _add_new(self, entry: RegisterEntry) -> None:
        """Note somebody who is not on any list of the province. Raises InvalidRegisterRow for a malformed
        number, somebody of another institution, and if disclosures are used up."""
        number = register_rows.require_document_number(entry)
        institution = next(iter(self._institutions_of(entry)), None)
        self._require_own_row(entry, institution)
        self._require_disclosable()
        self._add("new", entry, number, None, institution, [])

    def _require_own_row(
        self,
        entry: RegisterEntry,
        institution: Organisation | None,
    ) -> None:
        """Raise InvalidRegisterRow for a stranger of another institution in the file of one institution."""
        names_other = bool(entry.institution or entry.registration_number)
        if names_other and not self._is_own(institution.id if institution else None):
            raise InvalidRegisterRow(
                "institution",
                "不是本机构的医师",
                "请只导出主要执业机构为本机构的医师。",
            )

    def _require_disclosable(self) -> None:
        """Raise InvalidRegisterRow if it was told too often in this hour that a number is on another list."""
        if self.disclosure.is_exhausted():
            raise InvalidRegisterRow(
                "number",
                f"本机构一小时内提示“在另一机构的名单中”已达{self.disclosure.limit}次，此行未比对",
                "请一小时后重新比对，或请省级管理员比对。",
            )

    def _compare_known(self, entry: RegisterEntry, doctor: Doctor) -> None:
        """Compare somebody who is on a list of the province; that it is another list than the one compared
        counts as disclosed. Raises InvalidRegisterRow for somebody on another list whom the register has at
        another institution, too, and if disclosures are used up."""
        details = register_rows.differences(entry, doctor)
        institutions = self._institutions_of(entry)
        is_own = self._is_own(doctor.organisation_id)
        if not is_own:
            self._require_own_row(entry, next(iter(institutions), None))
            self._require_disclosable()
            self.disclosure.record_disclosure()
            self._add(
                "moved",
                entry,
                "",
                doctor,
                None,
                [[INSTITUTION_LABEL, "本省另一机构", "本机构"]],
            )
        elif self._has_moved(entry, doctor, institutions):
            listed = self.listed[doctor.organisation_id].name
            there = entry.institution or entry.registration_number
            moved = [INSTITUTION_LABEL, listed, there]
            self._add(
                "moved",
                entry,
                "",
                doctor,
                self.listed[doctor.organisation_id],
                [moved, *details],
            )
        elif details:
            self._add(
                "changed",
                entry,
                "",
                doctor,
                self.listed[doctor.organisation_id],
                details,
            )
        else:
            self.report.unchanged += 1

    @staticmethod
    def _has_moved(
        entry: RegisterEntry,
        doctor: Doctor,
        institutions: Sequence[Organisation],
    ) -> bool:
        """Whether the register has the doctor at another institution than the list."""
        if not entry.institution and not entry.registration_number:
            return False
        return doctor.organisation_id not in {institution.id for institution in institutions}

    def _add(
        self,
        kind: str,
        entry: RegisterEntry,
        number: str,
        doctor: Doctor | None,
        organisation: Organisation | None,
        details: list[list[str]],
    ) -> None:
        """Note a difference. `number`: that of a new person, as a key of the entry's indices, else "";
        `organisation`: the institution that it is counted for (None: none); `details`: [label, value of the
        list, value of the register] for each value that differs. It is written later (`run`). A person on
        another institution's list appears without the doctor, so that nothing of that list is shown."""
        is_listed = doctor is not None and self._is_own(doctor.organisation_id)
        index = bytes(doctor.number_index) if doctor else entry.indices[number]
        number_text = number or next(iter(entry.indices))
        self.differences.append(
            {
                "kind": kind,
                "number_index": index,
                "number_masked": identity_numbers.mask_number(number_text),
                "name": doctor.name if doctor and is_listed else entry.name,
                "doctor_id": doctor.id if doctor and is_listed else None,
                "organisation_id": organisation.id if organisation else None,
                "division": organisation.division if organisation else "",
                "register_institution": entry.institution or entry.registration_number,
                "details": details,
            }
        )


def compare_batch(
    comparison: RegisterComparison,
    rows: Sequence[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Compare a part of the file and add to `report`, and to the counts of `comparison` (locked), what
    happened: people compared, those who are the same, refused rows; lines below the table are left out.
    `seen`: the keys of the people so far, to which those of this part are added. Disclosures are counted at
    once (`DisclosureLimit`). Flushes. Raises arrays.TooManyValues for more than 2,500 rows, each of which may
    name two numbers."""
    data_rows = [row for row in rows if not row.is_footer("name", "number")]
    doctors = _find_doctors(data_rows)
    own = comparison.organisation_id
    batch = _BatchComparison(
        comparison,
        report,
        seen,
        doctors,
        _find_institutions(data_rows),
        organisations_by_id(doctor.organisation_id for doctor in doctors.values()),
        DisclosureLimit.for_institution(own) if own else UNLIMITED,
    )
    refused_before, accepted_before, same_before = (
        len(report.errors),
        report.accepted,
        report.unchanged,
    )
    batch.run(data_rows)
    comparison.refused_count += len(report.errors) - refused_before
    comparison.register_count += report.accepted - accepted_before
    comparison.same_count += report.unchanged - same_before
    db.session.flush()


def _find_doctors(
    rows: Iterable[ImportRow],
) -> dict[bytes, Doctor]:
    """Number index → doctor, of all institutions of the province, for the numbers that the rows name."""
    indices = set(chain.from_iterable(map(register_rows.row_keys, rows)))
    query = select(Doctor).where(in_array(Doctor.number_index, indices))
    return {bytes(doctor.number_index): doctor for doctor in db.session.scalars(query)}


def _find_institutions(
    rows: Iterable[ImportRow],
) -> dict[str, list[Organisation]]:
    """机构登记号 or folded name → the institutions of the province that the rows name."""
    numbers, names = set[str](), set[str]()
    for row in rows:
        numbers.add(normalise_text(row.text("registration_number")))
        names.add(row.text("institution"))
    by_number = organisations_by_number(numbers - {""})
    return organisations_by_name(names) | {number: [numbered] for number, numbered in by_number.items()}


def _insert_sightings(comparison: RegisterComparison, doctor_ids: Iterable[UUID]) -> None:
    """Remember which doctors were seen in the file."""
    sightings = [
        {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "comparison_id": comparison.id,
            "doctor_id": doctor_id,
        }
        for doctor_id in sorted(doctor_ids)
    ]
    if sightings:
        db.session.execute(
            insert(RegisterSighting).on_conflict_do_nothing(),
            sightings,
        )


def find_gone(comparison: RegisterComparison, last_id: UUID) -> UUID | None:
    """Write as differences, and count, those of the next GONE_BATCH_SIZE doctors of the list, by id after
    `last_id`, who were not seen in the file. To be called once for each batch, when all parts of the file
    were compared. Returns the id of the last one looked at; None after the end."""
    query = select(Doctor.id).where(Doctor.id > last_id)
    if comparison.organisation_id:
        query = query.where(Doctor.organisation_id == comparison.organisation_id)
    ids = list(db.session.scalars(query.order_by(Doctor.id).limit(GONE_BATCH_SIZE)))
    was_seen = exists().where(
        and_(
            RegisterSighting.tenant_id == Doctor.tenant_id,
            RegisterSighting.comparison_id == comparison.id,
            RegisterSighting.doctor_id == Doctor.id,
        )
    )
    gone = db.session.scalars(select(Doctor).where(in_array(Doctor.id, ids), ~was_seen)).all()
    listed = organisations_by_id(doctor.organisation_id for doctor in gone)
    insert_differences(
        comparison,
        [
            {
                "kind": "gone",
                "number_index": bytes(doctor.number_index),
                "number_masked": doctor.number_masked,
                "name": doctor.name,
                "doctor_id": doctor.id,
                "organisation_id": doctor.organisation_id,
                "division": listed[doctor.organisation_id].division,
                "register_institution": "",
                "details": [],
            }
            for doctor in gone
        ],
    )
    return ids[-1] if len(ids) == GONE_BATCH_SIZE else None
