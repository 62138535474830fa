"""Practice and the console's papers by HTTP."""

import io
import re

import pytest
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.exams.models import Paper, PracticeRun, QuestionVersion
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "sichuan", 51
_serial = iter(range(100, 400))


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.doctor(application, in_province, SLUG, next(_serial))
    people.bank(in_province, SLUG)


@pytest.fixture
def doctor(application, in_province, ground):
    doctor = people.doctor(application, in_province, SLUG, next(_serial))
    doctor.post("/filing/notice")
    return doctor


def test_practice_opens_when_ready(doctor, in_province):
    assert "审核通过、进入待测评状态后开放" in doctor.get("/practice")
    people.bring_to(in_province, doctor, "ready")
    page = doctor.get("/practice")
    assert page.index("业务水平") < page.index("公共知识")
    assert page.index("professional:clinical") < page.index("professional:dental")
    place = doctor.post("/practice", bank="professional:clinical").location
    shown = doctor.get(place.removeprefix(f"/{SLUG}"))
    assert "练习 1/12" in shown
    assert "正确答案" not in shown


def test_the_right_answer_is_shown_after_ones_own_and_the_first_stands(doctor, in_province):
    people.bring_to(in_province, doctor, "ready")
    place = doctor.post("/practice", bank="professional:clinical").location.removeprefix(f"/{SLUG}")
    run_id = place.split("/")[2]
    with in_province(SLUG):
        run = db.session.scalars(select(PracticeRun).where(PracticeRun.assessment_id == doctor.record_id)).one()
        asked = db.session.scalars(select(QuestionVersion).where(QuestionVersion.id == run.layout[0])).one()
    wrong = next(letter for letter, _ in asked.options if letter not in asked.answer)
    doctor.post(place, letter=wrong)
    doctor.post(place, letter=asked.answer[0])
    shown = doctor.get(place)
    assert f"正确答案: {asked.answer}" in shown
    assert "option false" in shown
    doctor.post(place, star="1")
    sheet = doctor.get(f"/practice/{run_id}")
    assert "1/12" in sheet
    assert "1★" in sheet
    assert "没有做完的练习" in doctor.get("/practice")


def test_another_doctors_run_is_not_found(doctor, application, in_province):
    people.bring_to(in_province, doctor, "ready")
    place = doctor.post("/practice", bank="common:clinical").location
    other = people.doctor(application, in_province, SLUG, next(_serial))
    people.bring_to(in_province, other, "ready")
    assert other.client.get(place).status_code == 404


def test_banks_and_papers_in_the_console(application, in_province, ground):
    admin = client_of(application, in_province, SLUG, "province_admin")
    sheet = "题干,选项,答案\n甲?,A 一\\nB 二,A\n乙?,A 一\\nB 二,Z\n".encode()
    report = post(admin, f"/{SLUG}/office/banks/import", page=f"/{SLUG}/office/banks", bank="新题库", file=(io.BytesIO(sheet), "x.csv")).get_data(as_text=True)
    assert "新增 1,更新 0,未变 0,拒绝 1" in report
    page = admin.get(f"/{SLUG}/office/banks").get_data(as_text=True)
    bank = re.search(r'/office/banks/([0-9a-f-]{36})">新题库', page)[1]
    shown = admin.get(f"/{SLUG}/office/banks/{bank}").get_data(as_text=True)
    question = re.search(r"/office/questions/([0-9a-f-]{36})/retire", shown)[1]
    post(admin, f"/{SLUG}/office/questions/{question}/retire", page=f"/{SLUG}/office/banks/{bank}")
    assert "已停用" in admin.get(f"/{SLUG}/office/banks/{bank}").get_data(as_text=True)
    window = {"minutes": "60", "opens_at": "2026-11-01T09:00", "closes_at": "2027-11-30T17:00"}
    answer = post(admin, f"/{SLUG}/office/papers", **window)
    assert answer.status_code == 303
    assert "已生成16份试卷" in admin.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    with in_province(SLUG):
        rows = db.session.scalars(select(Paper)).all()
        assert len(rows) == 16
        assert {row.opens_at.isoformat() for row in rows} == {"2026-11-01T01:00:00+00:00"}
    assert "样卷" in admin.get(f"/{SLUG}/office/papers/{rows[0].id}/preview").get_data(as_text=True)
    one = f"/{SLUG}/office/papers/professional/clinical/physician"
    refused = post(admin, one, **window | {"A1": "200"})
    assert refused.status_code == 422
    assert "题库中可用于考试的A1型题只有" in refused.get_data(as_text=True)
    assert 'value="200"' in refused.get_data(as_text=True)
    assert post(admin, one, **window | {"A1": "5"}).status_code == 303
    reader = client_of(application, in_province, SLUG, "organisation_clerk", material.registration_number(CODE, 1))
    assert "尚未安排" not in reader.get(f"/{SLUG}/office/papers").get_data(as_text=True)
    assert reader.get(one).status_code == 403
