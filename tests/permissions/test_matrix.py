"""The table of permissions, asked of the application: each action as each role, and each kind of record in
one's own scope, in a child's, in a sibling's, in a parent's and in another province. What is expected stands
in docs/domain.md §12, and nowhere in the code that is tested."""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.exams.models.hall_models import Hall
from dingkao.exams.models.monitoring_models import IntegrityCase, Outage
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.score_import_models import ScoreImport
from dingkao.exams.models.sitting_models import Sitting
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import institution_imports, organisations, sign_in_sessions
from dingkao.people.models import Account, Organisation
from dingkao.people.permissions import ACTIONS, ROLES
from dingkao.people.provinces import open_province
from dingkao.people.scopes import Grant, in_scope, scope_condition
from dingkao.requests.models import Request
from dingkao.web import error_handlers
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client

PAPER = Path(__file__).resolve().parents[2] / "docs" / "domain.md"
COLUMNS = {
    "D": "doctor", "IC": "institution_clerk", "IR": "institution_reviewer",
    "IL": "department_liaison", "IH": "personnel_officer", "IE": "ethics_officer", "OC": "organisation_clerk", "OR": "organisation_reviewer",
    "P": "province_admin", "E": "question_editor", "A": "auditor",
}  # fmt: skip
"""Who signs in at a province, by the column of the table."""
HOME, CODE, FOREIGN, FOREIGN_CODE = "shanxi", 14, "henan", 41
PLACES = {"ward": 1, "clinic": 2, "hospital": 3, "rival": 4}
"""Institutions of the province by number: the hospital assesses the ward, the clinic and itself; the rival
itself."""
REACHED = {
    "institution": {"ward"},
    "organisation": {"ward", "clinic", "hospital"},
    "province": {"ward", "clinic", "hospital", "rival"},
}
"""Whose records one reaches: at the ward as an institution, which has the clinic for a sibling and the
hospital for a parent; at the hospital as an assessment organisation, which has the ward for a child and the
rival for a sibling; in the province's office."""
DEPARTMENT = "内科"
"""That of every doctor here: the liaison's at the ward."""
SEATS = {"institution": 1, "organisation": 3, "province": None}
SOME_ID = "01a20d6d-6950-77af-8da9-61ade7289f87"


def paper_table() -> dict[str, dict[str, str]]:
    """Action → column → ✓, ◔ or –, as the paper has it."""
    lines = PAPER.read_text().split("## 12. ")[1].split("## 13. ")[0].splitlines()
    table_rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")
    ]
    names = table_rows[0][2:]
    return {cells[0].strip("`"): dict(zip(names, cells[2:], strict=True)) for cells in table_rows[2:]}


TABLE = paper_table()


def may(column: str, action: str) -> bool:
    """Whether the paper grants an action to a role; what it grants to all staff counts for each of them."""
    granted = TABLE[action]
    return granted[column] != "–" or (column != "D" and granted["S"] != "–")


def level(column: str) -> str:
    """Where a role is held: institution, organisation or province."""
    return {"I": "institution", "O": "organisation"}.get(column[0], "province")


@dataclass
class Rows:
    """One of everything that belongs to one institution, by id."""

    name: str
    doctor: UUID
    record: UUID
    request: UUID
    hall: UUID
    sitting: UUID
    case: UUID
    outage: UUID
    score_import: UUID


def rows_of(place: Organisation, doctor: Doctor, paper: Paper, by: UUID) -> Rows:
    """One of everything at an institution; what an assessment organisation keeps is its assessor's."""
    record = db.session.scalars(select(Assessment).where(Assessment.doctor_id == doctor.id)).one()
    record.state, record.assessor_id = "grading", place.assessment_organisation_id
    record.procedure = "general"
    now = clock.now()
    of_assessor = {"organisation_id": place.assessment_organisation_id}
    request = Request(
        id=new_id(),
        assessment_id=record.id,
        institution_id=record.institution_id,
        assessor_id=record.assessor_id,
        kind="deferral",
        state="first_pending",
        first_side="organisation",
        second_side="province",
        submitted_at=now,
    )
    hall = Hall(id=new_id(), name=f"考场{doctor.name}", address="一楼", seats=30, **of_assessor)
    sitting = Sitting(
        id=new_id(),
        assessment_id=record.id,
        paper_id=paper.id,
        assessor_id=record.assessor_id,
        seed=1,
        layout=[],
        closes_at=now + timedelta(hours=1),
    )
    case = IntegrityCase(
        id=new_id(),
        sitting_id=sitting.id,
        assessment_id=record.id,
        reason="巡考发现",
        opened_by=by,
        heard_until=now,
    )
    outage = Outage(
        id=new_id(),
        began_at=now - timedelta(hours=2),
        ended_at=now - timedelta(hours=1),
        registered_by=by,
        **of_assessor,
    )
    score_import = ScoreImport(id=new_id(), cycle_id=record.cycle_id, scores=0, proposed_by=by, **of_assessor)
    for entity in (request, hall, sitting, case, outage, score_import):
        db.session.add(entity)
        db.session.flush()
    ids = (entity.id for entity in (doctor, record, request, hall, sitting, case, outage, score_import))
    return Rows(doctor.name, *ids)


def province_rows(slug: str, in_province: Any, names: dict[str, int]) -> dict[str, Rows]:
    """A province with institutions, a doctor at each, and one of everything for each of them."""
    with in_province(slug) as province:
        open_province(province, by=TERMINAL_ACTOR)
        institution_imports.import_institutions(
            sample_data.institutions_csv(province.code, 4), by=TERMINAL_ACTOR
        )
        places = list(db.session.scalars(select(Organisation).order_by(Organisation.registration_number)))
        for assessor, assessed in ((places[2], places[:3]), (places[3], places[3:])):
            organisations.appoint_assessor(assessor, by=TERMINAL_ACTOR)
            for place in assessed:
                organisations.assign_assessor(place, assessor, by=TERMINAL_ACTOR)
        places[1].division = f"{province.code}0203"
        roster_rows = [
            sample_data.roster_row(
                province.code, number, at=number, 科室=DEPARTMENT, 姓名=f"某{slug[0]}{name}".upper()
            )
            for name, number in names.items()
        ]
        cells = [
            roster_cells | {"姓名": "医师" + "甲乙丙丁"[index] + "东西"[slug != HOME]}
            for index, roster_cells in enumerate(roster_rows)
        ]
        actors.put_on_roster(*cells)
        cycle = actors.get_or_open_cycle()
        enrol(cycle)
        now = clock.now()
        paper = Paper(
            id=new_id(),
            cycle_id=cycle.id,
            subject="common",
            category="clinical",
            level="physician",
            title="公共知识",
            counts={},
            minutes=60,
            opens_at=now - timedelta(days=1),
            closes_at=now + timedelta(days=1),
        )
        db.session.add(paper)
        db.session.flush()
        doctors = {doctor.organisation_id: doctor for doctor in db.session.scalars(select(Doctor))}
        account_id = db.session.scalars(select(Account.id).limit(1)).one()
        rows_by_place = {
            name: rows_of(places[number - 1], doctors[places[number - 1].id], paper, account_id)
            for name, number in names.items()
        }
        db.session.commit()
    return rows_by_place


@pytest.fixture(scope="module")
def places(application: Flask, in_province: Any) -> dict[str, Rows]:
    """One of everything at each institution of the province, and at one of another province."""
    foreign = province_rows(FOREIGN, in_province, {"foreign": 1})
    return province_rows(HOME, in_province, PLACES) | foreign


@pytest.fixture(scope="module")
def clients(application: Flask, in_province: Any, places: dict[str, Rows]) -> dict[str, FlaskClient]:
    """Somebody of each role, signed in; of each column of the table."""
    signed_in = {}
    for column, role in COLUMNS.items():
        if column == "D":
            continue
        seat = SEATS[level(column)]
        number = sample_data.registration_number(CODE, seat) if seat else None
        department = DEPARTMENT if column == "IL" else ""
        signed_in[column] = signed_in_client(
            application, in_province, HOME, role, number, department=department
        )
    with in_province(HOME):
        doctor = db.session.scalars(select(Doctor).where(Doctor.id == places["ward"].doctor)).one()
        account = db.session.scalars(select(Account).where(Account.id == doctor.account_id)).one()
        account.state = "active"
        token = sign_in_sessions.start_session(account)
        db.session.commit()
    signed_in["D"] = application.test_client()
    signed_in["D"].set_cookie(f"dk-{HOME}", token)
    return signed_in


def representative(application: Flask, action: str) -> tuple[str, str] | None:
    """A method and an address by which an action is asked for: a page where it has one. None for an action
    that no view names, because a transition or another view's action comes before it."""
    rules = [
        rule
        for rule in application.url_map.iter_rules()
        if application.view_functions[rule.endpoint].action == action
    ]
    if not rules:
        return None
    rule = min(rules, key=lambda rule: ("GET" not in rule.methods, len(rule.arguments), rule.rule))
    examples = {"uuid": SOME_ID, "int": "1", "string": "some", None: "some"}
    address = re.sub(r"<(?:(\w+)(?:\(.*?\))?:)?\w+>", lambda part: examples[part[1]], rule.rule)
    return ("GET" if "GET" in rule.methods else "POST"), f"/{HOME}{address}"


def test_the_paper_grants_what_the_table_grants():
    assert {"doctor", *(role.code for role in ROLES)} == set(COLUMNS.values())
    granted = {
        action.code: {
            column
            for column, role in COLUMNS.items()
            for known_role in ROLES
            if known_role.code == role and action.code in known_role.grants
        }
        for action in ACTIONS
    }
    assert {
        action: {column for column in COLUMNS if column != "D" and marks[column] != "–"}
        for action, marks in TABLE.items()
    } == granted
    assert {action for action, marks in TABLE.items() if "◔" in marks.values()} == {
        action.code for action in ACTIONS if action.second_person
    }


def test_each_action_is_for_the_roles_of_the_paper(application, clients, monkeypatch):
    monkeypatch.setattr(
        error_handlers, "log_refused_access", lambda: None
    )  # it is looked at in test_attempts
    tokens = {}
    for column, client in clients.items():
        page = client.get(f"/{HOME}/password").get_data(as_text=True)
        tokens[column] = actors.TOKEN.search(page)[1]
    wrong, count = [], 0
    for action in TABLE:
        representative_route = representative(application, action)
        if representative_route is None or action == "platform.operate":
            continue
        method, address = representative_route
        for column, client in clients.items():
            answer = client.open(
                address, method=method, data={"csrf_token": tokens[column]} if method == "POST" else None
            )
            count += 1
            if answer.status_code >= 500 or (answer.status_code == 403) == may(column, action):
                wrong.append((action, column, method, address, answer.status_code))
    assert wrong == []
    assert count > 8 * 60


PAGES = {
    "gradings.draft": ("/office/gradings/{0.record}",),
    "doctors.view": ("/office/doctors/{0.doctor}",),
    "filings.review": ("/office/review/{0.record}",),
    "requests.view": ("/office/requests/{0.request}",),
    "halls.manage": ("/office/halls/{0.hall}",),
    "monitoring.view": ("/office/watching/{0.sitting}", "/office/outages/{0.outage}"),
    "cases.view": ("/office/cases/{0.case}",),
    "scores.import": ("/office/offline-scores/{0.score_import}",),
}
"""Pages of one record each, by the action that they are for."""
LISTS = {
    "gradings.draft": "/office/gradings",
    "doctors.view": "/office/doctors",
    "enrolment.manage": "/office/inclusion?state=grading",
    "conclusions.view": "/office/conclusions",
    "monitoring.view": "/office/watching?view=lost",
    "halls.manage": "/office/halls",
}
"""Pages that list what one reaches, each by a doctor's name."""
SCOPED_COLUMNS = [column for column in COLUMNS if column != "D"]


@pytest.mark.parametrize("column", SCOPED_COLUMNS)
def test_one_opens_what_is_in_ones_scope_and_nothing_else(clients, places, column):
    wrong = []
    for action, addresses in PAGES.items():
        for address in addresses:
            for name, place in places.items():
                status = clients[column].get(f"/{HOME}{address.format(place)}").status_code
                reached = may(column, action) and name in REACHED[level(column)]
                if status not in ((200,) if reached else (403, 404)):
                    wrong.append((action, address, name, status))
    assert wrong == []


@pytest.mark.parametrize("column", SCOPED_COLUMNS)
def test_one_lists_what_is_in_ones_scope_and_nothing_else(clients, places, column):
    for action, address in LISTS.items():
        if may(column, action):
            page = clients[column].get(f"/{HOME}{address}").get_data(as_text=True)
            listed_places = {name for name, place in places.items() if place.name in page}
            assert listed_places == REACHED[level(column)], (action, address)


def test_an_office_reaches_the_institutions_of_its_division(in_province, places):
    """Grants of a county, a prefecture and a province, for roles that are still to come."""
    reached = {
        "140203": {"clinic"},
        "1402": {"clinic"},
        "1401": {"ward", "hospital", "rival"},
        "14": set(PLACES),
        "15": set(),
    }
    ids = {places[name].doctor: name for name in PLACES}
    with in_province(HOME):
        for division, expected in reached.items():
            grant = Grant(divisions=(division,))
            query = select(Doctor.id).where(scope_condition(grant, institution=Doctor.organisation_id))
            assert {ids[doctor] for doctor in db.session.scalars(query)} == expected, division
            of_place = select(Doctor.id, Organisation.division).join(
                Organisation, Organisation.id == Doctor.organisation_id
            )
            inside = {
                ids[doctor] for doctor, code in db.session.execute(of_place) if in_scope(grant, division=code)
            }
            assert inside == expected, division
