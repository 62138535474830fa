"""A province of real size (domain.md §7), made up and loaded by COPY: institutions, accounts, doctors,
records of one cycle."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from dingkao.assessments import record_counts
from dingkao.database.base import db, new_id
from dingkao.doctors.number_indices import name_sort_key
from dingkao.people.accounts import doctor_login_index
from dingkao.people.identity_numbers import mask_number
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests.load import synthetic_search_keys

DOCTORS_AN_INSTITUTION = 10
SHARES = (("clinical", 76), ("chinese", 15), ("dental", 7), ("public_health", 2))
SURNAMES, GIVEN_NAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗",
    "伟芳娜敏静丽强磊军洋勇艳杰涛明超秀霞平刚桂英华玉兰",
)


def load(
    connection: psycopg.Connection[Any],
    cycle: UUID,
    doctors: int,
    *,
    state: str = "not_included",
    graded: bool = False,
    assessor: UUID | None = None,
) -> list[UUID]:
    """Load `doctors` doctors into the province entered, each with an account and a record of `cycle` in
    `state`; gives their ids. `graded`: with three verdicts, of which each twentieth fails; `assessor`: the
    assessment organisation of their institutions. `connection` is the migrator's: COPY is refused to a role
    that policies hold."""
    chance, tenant, now = random.Random(current_tenant()), current_tenant(), datetime.now(UTC)  # noqa: S311 - for names
    places = [new_id() for _ in range(max(doctors // DOCTORS_AN_INSTITUTION, 1))]
    people, people_cells = [], []
    categories = [name for name, share in SHARES for _ in range(share)]
    keys: dict[str, str] = {}
    for serial in range(doctors):
        doctor, account = new_id(), new_id()
        name = chance.choice(SURNAMES) + chance.choice(GIVEN_NAMES) + chance.choice(GIVEN_NAMES)
        born = date(1960, 1, 1) + timedelta(days=serial % 14000)
        number = f"{tenant:02d}0{serial // 14000:03d}{born:%Y%m%d}{serial % 1000:03d}X"
        key = keys.setdefault(name, name_sort_key(name))
        people.append((doctor, account))
        people_cells.append(
            (
                tenant,
                doctor,
                account,
                places[serial % len(places)],
                name,
                key,
                "male",
                born,
                "resident",
                current_vault().encrypt(SecretLocation("doctor", "number", doctor), number),
                current_vault().blind_index("number", number),
                current_vault().blind_index("number-tail", number[-4:]),
                mask_number(number),
                "physician",
                chance.choice(categories),
                now,
            )
        )
    _copy(
        connection,
        "organisation",
        (
            "tenant_id",
            "id",
            "name",
            "registration_number",
            "division",
            "category",
            "health_authority",
            "assesses",
            "assessment_organisation_id",
            "created_at",
        ),
        [
            (
                tenant,
                place,
                f"第{serial}医院",
                f"SYN{tenant}{serial:08d}",
                f"{tenant}0100",
                "医疗机构",
                "卫生健康委员会",
                False,
                assessor,
                now,
            )
            for serial, place in enumerate(places)
        ],
    )
    numbers = [
        f"{tenant:02d}0{serial // 14000:03d}{date(1960, 1, 1) + timedelta(days=serial % 14000):%Y%m%d}{serial % 1000:03d}X"
        for serial in range(doctors)
    ]
    _copy(
        connection,
        "account",
        (
            "tenant_id",
            "id",
            "kind",
            "login_index",
            "name",
            "state",
            "initial_until",
            "second_factor_counter",
            "created_at",
        ),
        [
            (tenant, account, "doctor", doctor_login_index(number), cells[4], "initial", now, 0, now)
            for (_, account), cells, number in zip(people, people_cells, numbers, strict=True)
        ],
    )
    _copy(
        connection,
        "doctor",
        (
            "tenant_id",
            "id",
            "account_id",
            "organisation_id",
            "name",
            "name_key",
            "sex",
            "birth_date",
            "document_type",
            "number_sealed",
            "number_index",
            "tail_index",
            "number_masked",
            "level",
            "category",
            "created_at",
        ),
        people_cells,
    )
    _copy(
        connection,
        "assessment",
        (
            "tenant_id",
            "id",
            "doctor_id",
            "cycle_id",
            "round",
            "institution_id",
            "assessor_id",
            "state",
            "changed_at",
            "exempted",
            "procedure",
            "performance",
            "ethics",
            "competence",
        ),
        [
            (
                tenant,
                new_id(),
                cells[1],
                cycle,
                "first",
                cells[3],
                assessor if graded else None,
                state,
                now,
                False,
                *(("general", "pass", "pass", "pass" if serial % 20 else "fail") if graded else (None,) * 4),
            )
            for serial, cells in enumerate(people_cells)
        ],
    )
    connection.commit()
    record_counts.recount()
    db.session.commit()
    connection.execute("analyze organisation, account, doctor, assessment, record_total")
    connection.commit()
    synthetic_search_keys.load(connection)
    return [doctor for doctor, _ in people]


def _copy(
    connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(statement) as copy:
        for cells in rows:
            copy.write_row(cells)
