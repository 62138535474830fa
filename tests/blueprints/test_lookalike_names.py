"""One person under every look-alike of the name: found in each list, let into the exam, known in a sheet of
scores."""

from urllib.parse import quote

import pytest
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.database.base import db
from dingkao.exams import score_validation
from dingkao.exams.tickets import find_ticket
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.people.models import Account
from tests import actors
from tests.blueprints.signed_in_client import signed_in_client

SLUG, CODE = "bingtuan", 66
NAME = "阿依古丽·买买提马"
TYPED_NAMES = (
    "阿依古丽·买买提马",
    "阿依古丽•买买提⻢",
    "阿依古丽‧买买提⻢",
    "阿依古丽．买买提马",
    "阿依古丽 ・ 买买提马\ufe00",
)


@pytest.fixture(scope="module")
def someone(application, in_province):
    actors.exam_setup(application, in_province, SLUG)
    return actors.ready_doctor(
        application, in_province, SLUG, next(actors.unused_serials(SLUG)), 姓名=TYPED_NAMES[1]
    )


@pytest.fixture(scope="module")
def admin(application, in_province, someone):
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.mark.parametrize("typed", TYPED_NAMES)
def test_whoever_looks_for_a_name_finds_it_however_it_is_typed(admin, someone, typed):
    for page in (
        "doctors?name=",
        "inclusion?state=ready&name=",
        "watching?view=waiting&name=",
        "extra-time?name=",
    ):
        assert NAME in admin.get(f"/{SLUG}/office/{page}{quote(typed)}").get_data(as_text=True), page


def test_another_name_is_not_let_in(someone, in_province):
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, someone.record_id))).number
    assert someone.post("/sitting", name="阿依古丽", number=number, consent="yes").status_code == 422


@pytest.mark.parametrize("typed", TYPED_NAMES)
def test_the_exam_lets_in_whoever_types_the_name_as_it_looks(someone, in_province, typed):
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, someone.record_id))).number
        assert db.session.scalars(select(Account.name).where(Account.name == NAME)).all() == [NAME]
    assert someone.post("/sitting", name=typed, number=number, consent="yes").status_code == 303


@pytest.mark.parametrize("typed", TYPED_NAMES)
def test_a_sheet_of_scores_knows_the_name_however_it_is_typed(someone, in_province, typed):
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, someone.record_id))).number
        content = xlsx_writer.write_xlsx(
            ["准考证号", "姓名", "科目", "成绩"],
            [[number, typed, "公共知识", 80], [number, "阿依古丽", "业务水平", 80]],
        )
        report = ImportReport()
        rows = list(score_validation.read_rows(content, report))
        score_validation.validate_batch(rows, current_cycle(), report, restrict_to=None, seen=set())
        assert (report.accepted, [(fault.row, fault.column) for fault in report.errors]) == (1, [(3, "姓名")])
