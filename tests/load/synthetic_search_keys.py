"""The keys by which people are found (`doctors.search_keys`), for a province that was loaded by COPY."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from dingkao.doctors.search_indexing import COLUMNS, search_key_rows
from dingkao.people import organisation_search
from dingkao.people.organisation_search import organisation_key_rows
from dingkao.tenants.context import current_tenant

BATCH_SIZE = 20_000


def load(connection: psycopg.Connection[Any]) -> None:
    """Write the keys of all doctors and organisations of the province entered that have none. `connection` is
    the migrator's."""
    tenant = current_tenant()
    organisations = connection.execute(
        "select id, name from organisation o where tenant_id = %s and not exists (select from "
        "organisation_search_key k where k.tenant_id = o.tenant_id and k.organisation_id = o.id)",
        (tenant,),
    ).fetchall()
    organisation_keys = (cells for names in organisations for cells in organisation_key_rows(*names))
    _copy(connection, "organisation_search_key", organisation_search.COLUMNS, organisation_keys)
    last_id = UUID(int=0)
    while doctors := _next_doctors(connection, tenant, last_id):
        doctor_keys = (cells for doctor in doctors for cells in search_key_rows(doctor))
        _copy(connection, "doctor_search_key", COLUMNS, doctor_keys)
        last_id = doctors[-1]["id"]
    connection.commit()
    connection.execute("analyze doctor_search_key, organisation_search_key")
    connection.commit()


def _next_doctors(connection: psycopg.Connection[Any], tenant: int, last_id: UUID) -> list[dict[str, Any]]:
    """The columns of the next doctors after an id."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select tenant_id, id, name, name_key, department, organisation_id from doctor where tenant_id "
            "= %s and id > %s order by id limit %s",
            (tenant, last_id, BATCH_SIZE),
        ).fetchall()


def _copy(connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], key_rows: Any) -> None:
    with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for cells in key_rows:
            copy.write_row(cells)
