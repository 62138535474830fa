"""A province of real size (domain.md §7), made up and loaded by COPY: institutions, staff, accounts, doctors,
and their records of one cycle with whatever belongs to them. One generator for everything that needs many
people: `iter_people` makes them, `load` writes them, chunk by chunk, in bounded memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from random import Random
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from dingkao.assessments import record_counts
from dingkao.database.base import db
from dingkao.doctors import search_indexing
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.number_indices import name_sort_key
from dingkao.doctors.search_keys import DEPARTMENT, search_keys
from dingkao.people import organisation_search
from dingkao.people.accounts import doctor_login_index
from dingkao.people.identity_numbers import mask_number
from dingkao.people.name_grams import fold_for_search
from dingkao.people.organisation_search import organisation_key_rows
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests.load.synthetic_institutions import (
    MEMBERSHIP_COLUMNS,
    ORGANISATION_COLUMNS,
    STAFF_COLUMNS,
    Institution,
    iter_membership_cells,
    iter_staff_cells,
    make_institutions,
    organisation_cells,
)
from tests.load.synthetic_people import Person, iter_people, sample_id
from tests.load.synthetic_records import (
    ASSESSMENT_COLUMNS,
    EVERY_STATE,
    RECORD_TABLES,
    Record,
    RecordGround,
    RecordPlace,
    assessment_cells,
    draw_record,
)

BATCH_SIZE, WRITERS = 5_000, 2
"""People written at once; processes that write them."""
PEOPLE_TABLES = ("account", "doctor", "assessment", "doctor_search_key")
"""Tables of which every person has rows."""
_WITHOUT_TRIGGERS = "SET session_replication_role = replica"
Cells = tuple[Any, ...]
_MAX_NAMES = 200_000
"""Names of which the readings are remembered: half of all people bear one that others bear."""
_name_key = lru_cache(_MAX_NAMES)(name_sort_key)


@lru_cache(_MAX_NAMES)
def _keys_of_name(name: str) -> tuple[str, ...]:
    """The keys by which the name of a doctor is found."""
    return tuple(search_keys(name, None))


@lru_cache
def _key_of_department(department: str) -> str:
    """The key by which the doctors of a department are found."""
    return DEPARTMENT + fold_for_search(department)


ACCOUNT_COLUMNS = (
    "tenant_id",
    "id",
    "kind",
    "login_index",
    "name",
    "state",
    "initial_until",
    "second_factor_counter",
    "created_at",
)
DOCTOR_COLUMNS = (
    "tenant_id", "id", "account_id", "organisation_id", "name", "name_key", "sex", "birth_date", "document_type", "number_sealed",
    "number_index", "tail_index", "number_masked", "level", "category", "scope", "ethnicity", "education", "title", "department",
    "mobile_sealed", "first_registered", "created_at",
)  # fmt: skip


def load(
    connection: psycopg.Connection[Any],
    cycle: UUID,
    doctors: int,
    *,
    state: str = "not_included",
    graded: bool = False,
    assessor: UUID | None = None,
    seed: int = 0,
) -> list[UUID]:
    """Load `doctors` doctors into the province entered, each with an account and a record of `cycle` in
    `state`; gives their ids. In EVERY_STATE the institutions have staff and assessment organisations, and the
    records filings, tickets, scores, certificates and requests, by the state they are in. `graded`: with
    three verdicts, of which each twentieth fails; `assessor`: the assessment organisation of their
    institutions. `connection` is the superuser's: COPY is refused to a role that policies hold, and that
    rows refer to what is there, because both are made together, is a matter of a test and not looked up for
    each of them."""
    tenant, now = current_tenant(), datetime.now(UTC)
    connection.execute(_WITHOUT_TRIGGERS)
    institutions = make_institutions(
        tenant, doctors, seed=seed, assessor=assessor, with_staff=state == EVERY_STATE
    )
    _copy_institutions(connection, tenant, institutions, now)
    ground = _prepare_ground(connection, cycle, state=state, graded=graded, now=now)
    connection.commit()
    people = _PeopleToWrite(ground, doctors, seed, _record_places(institutions))
    if doctors <= BATCH_SIZE:
        people.write(connection)
    else:
        with _without_indexes(connection):
            _write_by_processes(connection, people)
    connection.execute("analyze")
    connection.commit()
    record_counts.recount()
    db.session.commit()
    ids = connection.execute(
        "select id from doctor where tenant_id = %s and created_at = %s order by id", (tenant, now)
    ).fetchall()
    return [doctor_id for (doctor_id,) in ids]


@dataclass(frozen=True)
class _PeopleToWrite:
    """All people of a load, and where they are."""

    ground: RecordGround
    count: int
    seed: int
    places: list[RecordPlace]

    def write(self, connection: psycopg.Connection[Any], writer: int = 0, writers: int = 1) -> None:
        """Write the batches of writer number `writer` of so many."""
        for start in range(writer * BATCH_SIZE, self.count, writers * BATCH_SIZE):
            people = islice(
                iter_people(self.ground.tenant, self.count, seed=self.seed, first=start), BATCH_SIZE
            )
            _copy_people(connection, self.ground, tuple(people), self.places)
            connection.commit()


@contextmanager
def _without_indexes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """In the block the tables of people have no indexes but those of keys that other tables refer to; after
    it these are built at once, which costs a fraction of entering each row into each of them."""
    tables = [*PEOPLE_TABLES, *(table.name for table in RECORD_TABLES)]
    keys = connection.execute(_KEYS_QUERY, (tables,)).fetchall()
    for table, name, _ in keys:
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name))
        )
    indexes = connection.execute(_INDEXES_QUERY, (tables,)).fetchall()
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    connection.commit()
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for table, name, definition in keys:
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                sql.Identifier(table), sql.Identifier(name), sql.SQL(definition)
            )
        )
    for _, definition in indexes:
        connection.execute(definition)
    connection.commit()


_KEYS_QUERY = """
select own.conrelid::regclass::text, own.conname, pg_get_constraintdef(own.oid) from pg_constraint own
where own.conrelid = any(%s::text[]::regclass[]) and own.contype in ('p', 'u')
    and not exists (select from pg_constraint other where other.contype = 'f' and other.conindid = own.conindid)
"""
_INDEXES_QUERY = """
select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i
where i.indrelid = any(%s::text[]::regclass[])
    and not exists (select from pg_constraint where conindid = i.indexrelid)
"""


def _write_by_processes(connection: psycopg.Connection[Any], people: _PeopleToWrite) -> None:
    """Write the people by WRITERS processes, so that some are made while others are written. Raises
    RuntimeError if one fails."""

    def write(writer: int) -> None:
        with psycopg.connect(connection.info.dsn, password=connection.info.password) as own_connection:
            own_connection.execute(_WITHOUT_TRIGGERS)
            people.write(own_connection, writer, WRITERS)

    context = get_context("fork")  # what has been entered, the province and its keys, is entered there too
    processes = [context.Process(target=write, args=(writer,)) for writer in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("people could not be written")


def _copy_institutions(
    connection: psycopg.Connection[Any], tenant: int, institutions: list[Institution], now: datetime
) -> None:
    cells = [organisation_cells(tenant, institution, now) for institution in institutions]
    _copy(connection, "organisation", ORGANISATION_COLUMNS, cells)
    organisation_keys = (
        key_cells
        for institution in institutions
        for key_cells in organisation_key_rows(institution.id, institution.name)
    )
    _copy(connection, "organisation_search_key", organisation_search.COLUMNS, organisation_keys)
    _copy(connection, "account", STAFF_COLUMNS, iter_staff_cells(tenant, institutions, now))
    _copy(connection, "membership", MEMBERSHIP_COLUMNS, iter_membership_cells(tenant, institutions, now))


def _record_places(institutions: list[Institution]) -> list[RecordPlace]:
    """Where a record of each institution is."""
    reviewers = {
        institution.id: institution.account_of("organisation_reviewer") for institution in institutions
    }
    return [
        RecordPlace(
            institution.id,
            institution.name,
            institution.assessor_id,
            institution.account_of("institution_reviewer"),
            reviewers.get(institution.assessor_id) if institution.assessor_id else None,
        )
        for institution in institutions
    ]


def _prepare_ground(
    connection: psycopg.Connection[Any], cycle: UUID, *, state: str, graded: bool, now: datetime
) -> RecordGround:
    """What the records have in common; in EVERY_STATE a paper of each category and level, and a publication,
    are written."""
    tenant, chance = current_tenant(), Random(f"{current_tenant()}/ground")  # noqa: S311 - makes ids up
    papers = {(category, level): sample_id(chance, 0) for category in CATEGORIES for level in LEVELS}
    ground = RecordGround(
        tenant, cycle, "2024年07月-2026年06月", state, graded, papers, sample_id(chance, 0), now
    )
    if state == EVERY_STATE:
        _copy(connection, "paper", _PAPER_COLUMNS, _iter_paper_cells(ground))
        _copy(
            connection,
            "publication",
            ("tenant_id", "id", "cycle_id", "passed", "failed", "digest", "proposed_by", "proposed_at", "gathered_at", "approved_by",
             "approved_at", "published_at", "settled_at"),
            [(tenant, ground.publication_id, cycle, 0, 0, bytes(32), sample_id(chance, 0), now, now, sample_id(chance, 0), now, now, now)],
        )  # fmt: skip
    return ground


_PAPER_COLUMNS = (
    "tenant_id", "id", "cycle_id", "subject", "category", "level", "procedure", "title", "counts", "points", "common_count", "cells",
    "minutes", "opens_at", "closes_at", "made_at",
)  # fmt: skip


def _iter_paper_cells(ground: RecordGround) -> Iterator[Cells]:
    for (category, level), paper_id in ground.papers.items():
        yield (
            ground.tenant, paper_id, ground.cycle_id, "professional", category, level, "any", f"{CATEGORIES[category]}{LEVELS[level]}业务水平",
            "{}", "{}", 0, "[]", 90, ground.now - timedelta(days=3), ground.now + timedelta(days=3), ground.now,
        )  # fmt: skip


def _copy_people(
    connection: psycopg.Connection[Any],
    ground: RecordGround,
    people: tuple[Person, ...],
    places: list[RecordPlace],
) -> None:
    """Write a batch of people, with their records and what belongs to these."""
    chance = Random(f"{ground.tenant}/records/{people[0].serial}")  # noqa: S311 - makes records up
    records = [draw_record(ground, person, places[person.institution], chance) for person in people]
    _copy(connection, "account", ACCOUNT_COLUMNS, (_account_cells(ground, record) for record in records))
    _copy(connection, "doctor", DOCTOR_COLUMNS, (_doctor_cells(ground, record) for record in records))
    _copy(
        connection, "assessment", ASSESSMENT_COLUMNS, (assessment_cells(ground, record) for record in records)
    )
    _copy(connection, "doctor_search_key", search_indexing.COLUMNS, _iter_key_cells(ground, records))
    if ground.state == EVERY_STATE:
        for table in RECORD_TABLES:
            cells = (row_cells for record in records for row_cells in table.cells(ground, record))
            _copy(connection, table.name, table.columns, cells)


def _iter_key_cells(ground: RecordGround, records: list[Record]) -> Iterator[Cells]:
    """The keys by which the doctors are found, in the order of search_indexing.COLUMNS."""
    for record in records:
        person = record.person
        name_key, institution_id = _name_key(person.name), record.place.institution_id
        for key in {*_keys_of_name(person.name), _key_of_department(person.department)}:
            yield ground.tenant, key, name_key, person.doctor_id, institution_id


def _account_cells(ground: RecordGround, record: Record) -> Cells:
    """The account of a doctor: opened by whoever has begun to file."""
    person, now = record.person, ground.now
    is_open = ground.state == EVERY_STATE and record.state not in ("not_included", "included")
    return (
        ground.tenant, person.account_id, "doctor", doctor_login_index(person.number), person.name,
        "active" if is_open else "initial", now + timedelta(days=90), 0, now,
    )  # fmt: skip


def _doctor_cells(ground: RecordGround, record: Record) -> Cells:
    """The row of a doctor, as a roster's import writes it."""
    person, vault = record.person, current_vault()

    def seal(column: str, text: str) -> bytes:
        return vault.encrypt(SecretLocation("doctor", column, person.doctor_id), text)

    return (
        ground.tenant, person.doctor_id, person.account_id, record.place.institution_id, person.name, _name_key(person.name), person.sex, person.birth_date,
        person.document_type, seal("number", person.number), vault.blind_index("number", person.number),
        vault.blind_index("number-tail", person.number[-4:]), mask_number(person.number), person.level, person.category, person.scope,
        person.ethnicity, person.education, person.title, person.department, seal("mobile", person.mobile), person.first_registered, ground.now,
    )  # fmt: skip


def _copy(
    connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], cells: Iterable[Cells]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(statement) as copy:
        for row_cells in cells:
            copy.write_row(row_cells)
