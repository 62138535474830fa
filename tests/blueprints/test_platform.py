"""Operators by HTTP: signing in with two factors, opening a province whose administrator then gets in, stopping and resuming it."""

import io
import re

import psycopg
import pyotp
import pytest
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid
from dingkao.exams import banks, sharing
from dingkao.exams.models import Question, QuestionBank
from dingkao.journal.writing import SYSTEM
from dingkao.operators import signing_in
from dingkao.tenants.context import NoProvince
from tests.blueprints import signed_in
from tests.blueprints.signed_in import client_of

PASSWORD = "pingtai-yunying-2026"


def post(client, path, page=None, **data):
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(f"/platform{page or path}", follow_redirects=True).get_data(as_text=True))[1]
    return client.post(f"/platform{path}", data={"csrf_token": token} | data)


@pytest.fixture
def operator(application, stack, request):
    """A client of a fresh operator, both factors shown."""
    name = f"op-{sum(map(ord, request.node.name))}"
    with application.app_context():
        code = signing_in.add(name, "测试运营")
    client = application.test_client()
    assert post(client, "/sign-in", user_name=name, password=code).location.endswith("/platform/first")
    assert post(client, "/first", user_name=name, code=code, new_password=PASSWORD, again=PASSWORD).status_code == 303
    assert client.get("/platform/").location.endswith("/second-factor")
    page = client.get("/platform/second-factor").get_data(as_text=True)
    offer = re.search(r'name="offer"[^>]*value="([^"]+)"', page)[1]
    secret = re.search(r'id="secret">([A-Z2-7]+)<', page)[1]
    assert post(client, "/second-factor", code="000000", offer=offer).status_code == 422
    assert post(client, "/second-factor", code=pyotp.TOTP(secret).now(), offer=offer).status_code == 303
    client.secret, client.name = secret, name
    return client


def test_an_operator_opens_a_province_and_its_administrator_gets_in(application, operator):
    page = operator.get("/platform/").get_data(as_text=True)
    assert "黑龙江省" in page
    assert "未开通" in page
    opened = post(operator, "/provinces/heilongjiang/open", page="/").get_data(as_text=True)
    code = re.search(r'<strong class="code">([2-9A-Z]{5}-[2-9A-Z]{5})', opened)[1]
    admin = application.test_client()
    login = admin.get("/heilongjiang/login?staff=1")
    assert login.status_code == 200
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', login.get_data(as_text=True))[1]
    answer = admin.post("/heilongjiang/login?staff=1", data={"csrf_token": token, "account": "admin", "password": code})
    assert answer.location.endswith("/password/first")
    assert "开通省份" in operator.get("/platform/").get_data(as_text=True)
    assert post(operator, "/provinces/heilongjiang/closed", page="/").status_code == 303
    assert "已停用" in operator.get("/platform/").get_data(as_text=True)
    post(operator, "/provinces/heilongjiang/resumed", page="/")
    assert post(operator, "/provinces/nowhere/open", page="/").status_code == 404


def test_nobody_else_comes_in(application, operator, provinces):
    stranger = application.test_client()
    for path in ("/platform/", "/platform/second-factor"):
        assert stranger.get(path).location.endswith("/platform/sign-in")
    for name in (operator.name, "niemand"):
        refused = post(stranger, "/sign-in", user_name=name, password="falsch-falsch-1")
        assert refused.status_code == 422
        assert "账号或密码不正确" in refused.get_data(as_text=True)
    with application.app_context(), pytest.raises(Invalid):
        signing_in.add(operator.name, "again")


def test_a_code_is_good_once_and_a_session_ends(application, operator):
    used = pyotp.TOTP(operator.secret).now()
    client = application.test_client()
    post(client, "/sign-in", user_name=operator.name, password=PASSWORD)
    assert post(client, "/second-factor", code=used).status_code == 422
    post(operator, "/sign-out", page="/")
    assert operator.get("/platform/").location.endswith("/platform/sign-in")


def test_the_platforms_engine_sees_no_province(application, provinces):
    with application.app_context():
        with pytest.raises(NoProvince):
            db.session.scalars(select(Doctor)).all()
        with db.engines["platform"].connect() as connection, pytest.raises(Exception, match="permission denied") as caught:
            connection.exec_driver_sql("select count(*) from doctor")
        assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege)


def test_a_shared_bank_is_brought_and_a_province_takes_it_over_seeing_what_changes(application, operator, in_province, provinces):
    sheet = "题型,题干,选项,答案,科目\nA1,共享甲?,A 一\\nB 二,A,公共知识\nTF,共享乙。,,对,公共知识\nX,共享丙?,A 一\\nB 二,Q,公共知识\n"

    def bring(text, **more):
        return post(operator, "/banks", bank="全国题库", file=(io.BytesIO(text.encode()), "x.csv"), **more).get_data(as_text=True)

    assert "新增 2,更新 0,未变 0,拒绝 1" in bring(sheet)
    editor = client_of(application, in_province, "shanxi", "question_editor")
    place = re.search(r"/shanxi/office/banks/shared/[0-9a-f-]{36}", editor.get("/shanxi/office/banks/shared").get_data(as_text=True))[0]
    assert "新增2题" in editor.get(place).get_data(as_text=True)
    assert signed_in.post(editor, place).status_code == 303
    assert "查看题目" in editor.get("/shanxi/office/banks/shared").get_data(as_text=True)
    with in_province("shanxi"):
        bank = db.session.scalars(select(QuestionBank).where(QuestionBank.name == "全国题库")).one()
        assert (bank.shared_edition, len(db.session.scalars(select(Question).where(Question.bank_id == bank.id, Question.approved_at.is_(None))).all())) == (1, 2)
        banks.approve_these([row.id for row in db.session.scalars(select(Question).where(Question.bank_id == bank.id))], by=SYSTEM)
        db.session.commit()
    with in_province("henan"):
        assert db.session.scalar(select(QuestionBank).where(QuestionBank.name == "全国题库")) is None
    assert "新增 0,更新 2" in bring("题型,题干,选项,答案,科目\nA1,共享甲?,A 一\\nB 二,B,公共知识\n", whole="y")
    page = editor.get(place).get_data(as_text=True)
    assert "更新1题,不变0题,撤下1题" in page
    signed_in.post(editor, place)
    with in_province("shanxi"):
        rows = {row.kind: row for row in db.session.scalars(select(Question).where(Question.bank_id == bank.id))}
        assert rows["TF"].retired_at
        assert (rows["A1"].retired_at, rows["A1"].proposed_version is None) == (None, False)
    [shared] = [one for one in sharing_listed(application) if one.name == "全国题库"]
    assert (shared.edition, shared.size) == (2, 1)
    assert post(operator, f"/banks/{shared.id}/export", page="/banks").data.startswith(b"PK")
    assert operator.get("/platform/banks").status_code == 200
    assert application.test_client().get("/platform/banks").status_code == 302


def sharing_listed(application):
    with application.app_context():
        return sharing.listed()
