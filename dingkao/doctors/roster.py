"""Imports the roster (医师名单): rows are validated one by one and written in batches.

Valid rows are written, the others are reported with row, column, reason and remedy. The key is the document
number: importing the same file again changes nothing."""

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from dingkao import clock
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.doctors.disclosure_limits import (
    UNLIMITED,
    DisclosureLimit,
)
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import candidate_number_indices
from dingkao.doctors.optional_cells import WarnCallback
from dingkao.doctors.roster_accounts import (
    build_account_and_doctor,
    changed_values,
    doctor_row_values,
    row_digest,
)
from dingkao.doctors.roster_columns import COLUMN_HEADINGS
from dingkao.doctors.roster_rows import (
    InvalidRosterRow,
    RosterRow,
    is_footer_or_empty,
    read_rows,
    validate_row,
)
from dingkao.doctors.search_indexing import insert_search_keys, update_search_keys
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.departments import add_departments
from dingkao.people.models import Account, Organisation
from dingkao.people.organisation_queries import organisations_by_number
from dingkao.people.organisations import lock_open
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import normalise_text

MAX_NUMBERS_NAMED = 5
INLINE_BATCH_SIZE = 1000
"""Rows that an import without a job (the terminal's) validates and writes at once. A job's chunk has
`people.spreadsheet_imports.ROWS_PER_CHUNK`."""


def import_roster(
    content: bytes,
    *,
    by: Actor,
    restrict_to: Collection[Organisation] | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Import a roster (xlsx, xls, ods or csv), whose rows and journal entry the caller commits.
    `restrict_to`: the institutions of the clerk who imports; rows of other institutions are refused (None:
    all may be imported). `dry_run` validates and stores no row; disclosures are counted then, too. `progress`
    is called with the number of rows done after each batch, and may commit it; the console imports with a job
    of chunks instead (`assessments/roster_imports`). Wrong rows are noted in the report that is returned;
    raises InvalidInput, TooLarge and Unavailable for the file as a whole, and InvalidState if an institution
    is closed just now."""
    report, seen_numbers, done_count = ImportReport(), set[bytes](), 0
    for batch in split_into_batches(read_rows(content, report), INLINE_BATCH_SIZE):
        import_batch(
            batch,
            report,
            restrict_to=restrict_to,
            seen=seen_numbers,
            dry_run=dry_run,
        )
        done_count += len(batch)
        if progress:
            progress(done_count)
    if not dry_run:
        log_import(
            report.accepted,
            report.changed,
            report.unchanged,
            len(report.errors),
            restrict_to=restrict_to,
            by=by,
        )
    return report


def log_import(
    accepted: int,
    changed: int,
    unchanged: int,
    refused: int,
    *,
    restrict_to: Collection[Organisation] | None,
    by: Actor,
) -> None:
    """Write the journal entry of an import, with the numbers of rows: new, changed, unchanged, refused. Its
    subject is the only institution of `restrict_to`, or the province if the file may have had doctors of
    several."""
    only_one = next(iter(restrict_to)) if restrict_to and len(restrict_to) == 1 else None
    journal.write_entry(
        "organisation" if only_one else "province",
        only_one.id if only_one else UUID(int=current_tenant()),
        "roster_imported",
        by=by,
        accepted=accepted,
        changed=changed,
        unchanged=unchanged,
        refused=refused,
    )


def import_batch(
    rows: Iterable[ImportRow],
    report: ImportReport,
    *,
    restrict_to: Collection[Organisation] | None,
    seen: set[bytes],
    dry_run: bool = False,
) -> list[tuple[UUID, UUID]]:
    """Import a batch of rows and add to `report` what happened; returns the ids of the new doctors, each with
    the id of its institution. `seen`: the indices of the numbers imported from the same file so far; those of
    this batch are added to it; `restrict_to`: the institutions whose doctors are accepted (None: all);
    `dry_run`: nothing is stored, but disclosures are counted at once. The institutions named are locked,
    known doctors are not; new departments are added to their institutions and journalled. The caller journals
    the import (`log_import`) and commits. Raises InvalidState if an institution is closed just now,
    arrays.TooManyValues for more than 2,500 rows. A number that another transaction adds meanwhile ends in an
    IntegrityError."""
    initial_until = clock.now() + timedelta(days=settings.value("initial_days"))
    batch = _BatchImport(report, restrict_to, dry_run, initial_until, seen)
    batch.run([row for row in rows if not is_footer_or_empty(row)])
    return batch.created


def row_number_indices(row: ImportRow) -> list[bytes]:
    """The blind indices of the document numbers that a row may mean; empty if it has no number."""
    number = row.text("number")
    return list(candidate_number_indices(number).values()) if number else []


def _institutions_of(
    rows: Iterable[ImportRow],
) -> dict[str, Organisation]:
    """The institutions that the rows name, by 机构登记号; they are locked, so that they stay open until the
    transaction ends. Raises InvalidState if one is closed just now."""
    numbers = {normalise_text(row.text("registration_number")) for row in rows} - {""}
    organisations = organisations_by_number(numbers)
    lock_open(*(organisation.id for organisation in organisations.values()))
    return organisations


@dataclass(frozen=True)
class _KnownDoctor:
    """A doctor on the roster already; `digest`: of the row imported last (`Doctor.roster_digest`)."""

    id: UUID
    organisation_id: UUID
    digest: bytes | None
    document_type: str


@dataclass
class _BatchImport:
    """The import of one batch. `seen_numbers`: indices of the numbers imported from this file so far;
    `own_numbers`: 机构登记号 of the institutions whose doctors it accepts (None: all);
    `organisations` and `names`: institutions of the batch and their names, by 机构登记号; `known_doctors`: by
    number index; `created`: ids of new doctors with those of their institutions."""

    report: ImportReport
    restrict_to: Collection[Organisation] | None
    dry_run: bool
    initial_until: datetime
    seen_numbers: set[bytes]
    organisations: Mapping[str, Organisation] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    known_doctors: Mapping[bytes, _KnownDoctor] = field(default_factory=dict)
    created: list[tuple[UUID, UUID]] = field(default_factory=list)
    own_numbers: frozenset[str] | None = field(init=False)
    _disclosures: dict[UUID, DisclosureLimit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own_numbers = None
        if self.restrict_to is not None:
            self.own_numbers = frozenset(own.registration_number for own in self.restrict_to)

    def _disclosure_of(self, organisation: Organisation) -> DisclosureLimit:
        """How often an import for this institution may still tell that a number is another's."""
        if self.restrict_to is None:
            return UNLIMITED
        if organisation.id not in self._disclosures:
            self._disclosures[organisation.id] = DisclosureLimit.for_institution(organisation.id)
        return self._disclosures[organisation.id]

    def run(self, rows: list[ImportRow]) -> None:
        """Import the rows. Institutions (locked) and known doctors (not locked) are read with one query each,
        new accounts, doctors and search keys are written with an insert each, changed doctors one by one,
        with the departments that are new to their institutions. Raises InvalidState if an institution is
        closed just now."""
        self.organisations = _institutions_of(rows)
        self.names = {number: organisation.name for number, organisation in self.organisations.items()}
        indices_of_rows = [candidate_number_indices(row.text("number")) for row in rows]
        self.known_doctors = _find_known_doctors(indices_of_rows)
        new_rows: list[RosterRow] = []
        differing_rows: list[tuple[_KnownDoctor, RosterRow]] = []
        for valid_row, index in self._iter_valid_rows(rows, indices_of_rows):
            known_doctor = self.known_doctors.get(index)
            if known_doctor is None:
                new_rows.append(valid_row)
            elif known_doctor.digest == row_digest(valid_row):
                self.report.unchanged += 1
            else:
                differing_rows.append((known_doctor, valid_row))
        self._insert_new(new_rows)
        self._update_existing(differing_rows)

    def _iter_valid_rows(
        self,
        rows: Iterable[ImportRow],
        indices_of_rows: Iterable[Mapping[str, bytes]],
    ) -> Iterator[tuple[RosterRow, bytes]]:
        """Yield the rows that may be imported, each with the index of its document number, which is added to
        `seen_numbers`; the others are added to the report. `indices_of_rows`: of each row, number → index."""
        for row, indices in zip(rows, indices_of_rows, strict=True):
            valid_row = self._validate(row, indices)
            if valid_row is not None:
                index = indices[valid_row.number]
                self.seen_numbers.add(index)
                yield valid_row, index

    def _validate(self, row: ImportRow, indices: Mapping[str, bytes]) -> RosterRow | None:
        """The row in our codes if it is valid and may be imported; else None, after the problem was added to
        the report."""
        try:
            valid_row = validate_row(
                row,
                self.names,
                self._warning_reporter(row),
                self._known_document_type(indices),
            )
            self._require_importable(valid_row, indices[valid_row.number])
        except InvalidRosterRow as error:
            self.report.errors.append(_problem(row, error.column, error.reason, error.remedy))
            return None
        return valid_row

    def _known_document_type(self, indices: Mapping[str, bytes]) -> str:
        """The document type of the known doctor who has one of the `indices`; «resident» if no doctor has."""
        for index in indices.values():
            if index in self.known_doctors:
                return self.known_doctors[index].document_type
        return "resident"

    def _require_importable(self, valid_row: RosterRow, index: bytes) -> None:
        """Raise InvalidRosterRow for a number that occurred in the file before, a doctor of another
        institution than the importing one, or a doctor who is on another institution's roster, which counts
        as disclosed; and for any unknown number if that was disclosed too often in this hour."""
        if index in self.seen_numbers:
            raise InvalidRosterRow(
                "number",
                "证件号码与本文件前面的行重复",
                "请删除重复的行，或更正号码。",
            )
        self._require_own_institution(valid_row)
        known_doctor = self.known_doctors.get(index)
        organisation = self.organisations[valid_row.registration_number]
        if known_doctor is None or known_doctor.organisation_id != organisation.id:
            self._require_not_elsewhere(known_doctor, self._disclosure_of(organisation))

    def _require_own_institution(self, valid_row: RosterRow) -> None:
        """Raise InvalidRosterRow if a clerk's file has a doctor of another institution."""
        if self.own_numbers is not None and valid_row.registration_number not in self.own_numbers:
            numbers = "、".join(sorted(self.own_numbers)[:MAX_NUMBERS_NAMED])
            raise InvalidRosterRow(
                "registration_number",
                "不是本机构的医师",
                f"本机构只能导入登记号为{numbers}的医师。",
            )

    @staticmethod
    def _require_not_elsewhere(known_doctor: _KnownDoctor | None, disclosure: DisclosureLimit) -> None:
        """Raise InvalidRosterRow for a doctor on another institution's roster, and, for any number, if that
        was disclosed too often in this hour."""
        if disclosure.is_exhausted():
            limit = disclosure.limit
            raise InvalidRosterRow(
                "number",
                f"本机构一小时内提示“已在另一机构的名单中”已达{limit}次，此行未处理",
                "请核对名单，一小时后重新导入；这样的医师较多时，请由省级管理员导入。",
            )
        if known_doctor:
            disclosure.record_disclosure()
            raise InvalidRosterRow(
                "number",
                "该医师已在另一机构的名单中",
                "请由原机构和本机构办理转入，不能重复导入。",
            )

    def _warning_reporter(self, row: ImportRow) -> WarnCallback:
        """The callback that adds warnings about `row` to the report."""

        def add_warning(column: str, reason: str, remedy: str) -> None:
            self.report.warnings.append(_problem(row, column, reason, remedy))

        return add_warning

    def _insert_new(self, rows: list[RosterRow]) -> None:
        """Insert the accounts and doctors of new rows, with their search keys and departments, and add the
        doctors to `created`; with `dry_run` only count them. A number that another transaction has added
        meanwhile ends in an IntegrityError."""
        self.report.accepted += len(rows)
        if not rows or self.dry_run:
            return
        accounts, doctors = [], []
        for row in rows:
            organisation = self.organisations[row.registration_number]
            account, doctor = build_account_and_doctor(row, organisation, self.initial_until)
            accounts.append(account)
            doctors.append(doctor)
            self.created.append((doctor["id"], doctor["organisation_id"]))
        db.session.execute(insert(Account), accounts)
        db.session.execute(insert(Doctor), doctors)
        insert_search_keys(doctors)
        self._add_departments((doctor["organisation_id"], doctor.get("department")) for doctor in doctors)

    def _update_existing(self, rows: list[tuple[_KnownDoctor, RosterRow]]) -> None:
        """Compare known doctors with rows that differ from the row imported last, count the changed and the
        unchanged, and store the changes unless `dry_run`, with search keys and departments where name or
        department changed. Flushes."""
        if not rows:
            return
        doctors = _load_doctors([known_doctor.id for known_doctor, _ in rows])
        renamed_ids = []
        for known_doctor, row in rows:
            doctor = doctors[known_doctor.id]
            changes = changed_values(doctor, row)
            if not changes.keys().isdisjoint(("name", "department")):
                renamed_ids.append(doctor.id)
            self.report.changed += bool(changes)
            self.report.unchanged += not changes
            if not self.dry_run:
                _apply_row(doctor, row, changes)
        db.session.flush()
        if not self.dry_run:
            update_search_keys(renamed_ids)
            changed = (doctors[doctor_id] for doctor_id in renamed_ids)
            self._add_departments((doctor.organisation_id, doctor.department) for doctor in changed)

    @staticmethod
    def _add_departments(pairs: Iterable[tuple[UUID, str | None]]) -> None:
        """Add the departments that doctors now have, pairs of institution's id and name (None: no
        department), to those of their institutions; new ones are journalled as the system's act."""
        named = [(institution_id, name) for institution_id, name in pairs if name]
        add_departments(named, by=SYSTEM_ACTOR)


def _problem(row: ImportRow, column: str, reason: str, remedy: str) -> RowProblem:
    """A problem of a cell for the report, with the heading of its column in the file."""
    return RowProblem(
        row.number,
        row.column_label(COLUMN_HEADINGS[column][0]),
        reason,
        remedy,
    )


def _apply_row(doctor: Doctor, row: RosterRow, changes: Mapping[str, Any]) -> None:
    """Store the changed values of a row, a name in the account too, and the digest by which the row is
    recognised next time. The caller updates the search keys."""
    columns = doctor_row_values(changes, doctor.id) | {"roster_digest": row_digest(row)}
    for column, value in columns.items():
        setattr(doctor, column, value)
    if "name" in changes:
        _rename_account(doctor.account_id, changes["name"])


def _rename_account(account_id: UUID, name: str) -> None:
    db.session.execute(update(Account).where(Account.id == account_id).values(name=name))


def _find_known_doctors(
    indices_of_rows: Iterable[Mapping[str, bytes]],
) -> dict[bytes, _KnownDoctor]:
    """The doctors whose document number has one of the indices, at most 5,000, by the index; not locked."""
    columns = (
        Doctor.number_index,
        Doctor.id,
        Doctor.organisation_id,
        Doctor.roster_digest,
        Doctor.document_type,
    )
    indices = list(chain.from_iterable(indices.values() for indices in indices_of_rows))
    rows = db.session.execute(select(*columns).where(in_array(Doctor.number_index, indices)))
    return {
        bytes(index): _KnownDoctor(doctor_id, organisation_id, digest, document_type)
        for index, doctor_id, organisation_id, digest, document_type in rows
    }


def _load_doctors(ids: Collection[UUID]) -> dict[UUID, Doctor]:
    query = select(Doctor).where(in_array(Doctor.id, ids))
    return {doctor.id: doctor for doctor in db.session.scalars(query)}
