"""A province of real size (domain.md §7), made up and loaded by COPY: institutions, accounts, doctors, records of one cycle."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from dingkao.database.model import new_id
from dingkao.doctors.roster import name_key
from dingkao.people.accounts import doctor_login_index
from dingkao.people.identity import masked
from dingkao.tenants.context import current_tenant
from dingkao.tenants.secrets import Place, vault

DOCTORS_AN_INSTITUTION = 10
SHARES = (("clinical", 76), ("chinese", 15), ("dental", 7), ("public_health", 2))
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", "伟芳娜敏静丽强磊军洋勇艳杰涛明超秀霞平刚桂英华玉兰"


def load(connection: psycopg.Connection[Any], cycle: UUID, doctors: int, *, state: str = "not_included") -> list[UUID]:
    """Load `doctors` doctors into the province entered, each with an account and a record of `cycle` in `state`; gives their ids.
    `connection` is the migrator's: COPY is refused to a role that policies hold."""
    chance, tenant, now = random.Random(current_tenant()), current_tenant(), datetime.now(UTC)  # noqa: S311 - for names
    places = [new_id() for _ in range(max(doctors // DOCTORS_AN_INSTITUTION, 1))]
    people, rows = [], []
    categories = [name for name, share in SHARES for _ in range(share)]
    keys: dict[str, str] = {}
    for serial in range(doctors):
        doctor, account = new_id(), new_id()
        name = chance.choice(SURNAMES) + chance.choice(GIVEN) + chance.choice(GIVEN)
        born = date(1960, 1, 1) + timedelta(days=serial % 14000)
        number = f"{tenant:02d}0{serial // 14000:03d}{born:%Y%m%d}{serial % 1000:03d}X"
        key = keys.setdefault(name, name_key(name))
        people.append((doctor, account))
        rows.append((
            tenant, doctor, account, places[serial % len(places)], name, key, "male", born, "resident", vault().seal(Place("doctor", "number", doctor), number),
            vault().blind_index("number", number), vault().blind_index("number-tail", number[-4:]), masked(number), "physician", chance.choice(categories), now,
        ))  # fmt: skip
    _copy(connection, "organisation", ("tenant_id", "id", "name", "registration_number", "division", "category", "health_authority", "assesses", "created_at"), [
        (tenant, place, f"第{serial}医院", f"SYN{tenant}{serial:08d}", f"{tenant}0100", "医疗机构", "卫生健康委员会", False, now) for serial, place in enumerate(places)
    ])  # fmt: skip
    numbers = [f"{tenant:02d}0{serial // 14000:03d}{date(1960, 1, 1) + timedelta(days=serial % 14000):%Y%m%d}{serial % 1000:03d}X" for serial in range(doctors)]
    _copy(connection, "account", ("tenant_id", "id", "kind", "login_index", "name", "state", "initial_until", "second_factor_counter", "created_at"), [
        (tenant, account, "doctor", doctor_login_index(number), row[4], "initial", now, 0, now)
        for (_, account), row, number in zip(people, rows, numbers, strict=True)
    ])  # fmt: skip
    _copy(connection, "doctor", (
        "tenant_id", "id", "account_id", "organisation_id", "name", "name_key", "sex", "birth_date", "document_type", "number_sealed", "number_index",
        "tail_index", "number_masked", "level", "category", "created_at",
    ), rows)  # fmt: skip
    _copy(connection, "assessment", ("tenant_id", "id", "doctor_id", "cycle_id", "round", "institution_id", "state", "changed_at", "exempted"), [
        (tenant, new_id(), row[1], cycle, "first", row[3], state, now, False) for row in rows
    ])  # fmt: skip
    connection.commit()
    connection.execute("analyze organisation, account, doctor, assessment")
    connection.commit()
    return [doctor for doctor, _ in people]


def _copy(connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
