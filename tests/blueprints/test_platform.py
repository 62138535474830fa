"""Operators by HTTP: signing in with two factors, opening a province whose administrator then gets in,
stopping and resuming it."""

import io
import json
import re

import psycopg
import pyotp
import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select

from dingkao import cli, clock
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput
from dingkao.journal.entries import SYSTEM_ACTOR
from dingkao.operators import operator_accounts
from dingkao.operators.models import ActVerification
from dingkao.operators.operator_authentication import WRONG_CODE_MESSAGE
from dingkao.people import passwords
from dingkao.question_banks import question_approval, shared_bank_copies, shared_banks
from dingkao.question_banks.models import Question, QuestionBank
from dingkao.tenants.context import NoProvince
from tests import actors
from tests.blueprints import signed_in_client as blueprint_signed_in_client
from tests.blueprints.sign_in_account import crowd
from tests.blueprints.signed_in_client import signed_in_client

PASSWORD = "pingtai-yunying-2026"


def post(client, path, page=None, **data):
    token = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"',
        client.get(f"/platform{page or path}", follow_redirects=True).get_data(as_text=True),
    )[1]
    return client.post(f"/platform{path}", data={"csrf_token": token} | data)


@pytest.fixture
def operator(application, stack, request):
    """A client of a fresh operator, both factors shown."""
    name = f"op-{sum(map(ord, request.node.name))}"
    with application.app_context():
        code = operator_accounts.create_operator(name, "测试运营")
    client = application.test_client()
    assert post(client, "/sign-in", user_name=name, password=code).location.endswith("/platform/first")
    assert (
        post(client, "/first", user_name=name, code=code, new_password=PASSWORD, again=PASSWORD).status_code
        == 303
    )
    assert client.get("/platform/").location.endswith("/second-factor")
    page = client.get("/platform/second-factor").get_data(as_text=True)
    offer = re.search(r'name="offer"[^>]*value="([^"]+)"', page)[1]
    secret = re.search(r'id="secret">([A-Z2-7]+)<', page)[1]
    assert post(client, "/second-factor", code="000000", offer=offer).status_code == 422
    assert post(client, "/second-factor", code=pyotp.TOTP(secret).now(), offer=offer).status_code == 303
    client.secret, client.name, client.code = secret, name, code
    return client


def test_an_operator_opens_a_province_and_its_administrators_get_in(application, operator, in_province):
    page = operator.get("/platform/").get_data(as_text=True)
    assert "黑龙江省" in page
    assert "未开通" in page
    place = "/provinces/heilongjiang/administrators"
    assert post(operator, "/provinces/heilongjiang/open", page="/").location == f"/platform{place}"
    assert "请任命两位" in operator.get(f"/platform{place}").get_data(as_text=True)
    for name, mobile in (("王卫国", "13900230001"), ("李敏", "13900230002")):
        answer = post(operator, place, name=name, mobile=mobile)
        assert answer.status_code == 303
        link = actors.setup_link_of(application, in_province, "heilongjiang", mobile)
        assert link.rsplit("/", 1)[1] not in operator.get(f"/platform{place}").get_data(as_text=True)
        admin = application.test_client()
        answer, _secret = actors.complete_setup(admin, link, "heilong-jiangpan-26x")
        assert answer.location == "/heilongjiang/start"
        assert admin.get("/heilongjiang/office").status_code == 200
    text = operator.get(f"/platform{place}").get_data(as_text=True)
    assert "wangweiguo" in text
    assert "139****0001" in text
    assert "13900230001" not in text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)[1]
    third = operator.post(
        f"/platform{place}", data={"csrf_token": token, "name": "赵三", "mobile": "13900230003"}
    )
    assert third.status_code == 422
    assert "已有两位管理员" in third.get_data(as_text=True)
    acts = operator.get("/platform/").get_data(as_text=True)
    assert "开通省份" in acts
    assert "任命省级管理员" in acts
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
    with application.app_context(), pytest.raises(InvalidInput):
        operator_accounts.create_operator(operator.name, "again")


@pytest.mark.parametrize("name", ["op", "o" * 41, "op one", "op\none", "op_one", "运营一"])
def test_a_user_name_has_letters_digits_and_hyphens_only(application, name):
    with application.app_context(), pytest.raises(InvalidInput, match="字母、数字或短横线"):
        operator_accounts.create_operator(name, "测试运营")


def test_the_list_parts_a_long_user_name_from_the_persons_name(application, stack):
    name = "op-" + "long" * 5
    with application.app_context():
        operator_accounts.create_operator(name.upper(), "测试运营")
    result = CliRunner().invoke(cli.main, ["operators", "list"], env=stack.environment)
    assert f"{name} 测试运营  " in result.output


def test_what_nobody_of_the_platform_did_is_listed_too(application, operator):
    name = f"{operator.name}-next"
    with application.app_context():
        operator_accounts.create_operator(name, "另一人")
        operator_accounts.close_operator(name)
    post(application.test_client(), "/sign-in", user_name="nobodys-name", password="falsch-falsch-1")
    latest_acts = operator.get("/platform/").get_data(as_text=True).rsplit("最近操作", 1)[1]
    act_cells = [re.findall(r"<td[^>]*>([^<]*)</td>", part)[1:3] for part in latest_acts.split("<tr>")[2:6]]
    assert act_cells == [
        ["未知用户名", "登录失败"],
        ["系统/终端", f"停用平台运营人员：{name}"],
        ["系统/终端", f"发放一次性代码：{name}"],
        ["系统/终端", f"添加平台运营人员：{name}"],
    ]


def test_a_code_is_good_once_and_a_session_ends(application, operator):
    used = pyotp.TOTP(operator.secret).now()
    client = application.test_client()
    post(client, "/sign-in", user_name=operator.name, password=PASSWORD)
    assert post(client, "/second-factor", code=used).status_code == 422
    post(operator, "/sign-out", page="/")
    assert operator.get("/platform/").location.endswith("/platform/sign-in")


def test_a_one_time_code_sets_one_password(application, operator):
    client, text = application.test_client(), "pingtai-yunying-2027"
    answer = post(
        client, "/first", user_name=operator.name, code=operator.code, new_password=text, again=text
    )
    assert answer.status_code == 422
    assert "一次性代码" in answer.get_data(as_text=True)
    assert post(client, "/sign-in", user_name=operator.name, password=operator.code).status_code == 422
    assert post(client, "/sign-in", user_name=operator.name, password=PASSWORD).status_code == 303


def test_a_wrong_one_time_code_is_named_at_its_field_and_the_password_is_no_other_mistake(
    application, operator
):
    client = application.test_client()
    typed = {"new_password": "pingtai-yunying-2027", "again": "pingtai-yunying-2027"}
    sentences = set()
    for name, code in ((operator.name, "WRONG-CODE"), (operator.name, PASSWORD), ("niemand", "WRONG-CODE")):
        answer = post(client, "/first", user_name=name, code=code, **typed)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert "在密码处输入" not in page
        sentences.add(re.search(r'id="code-said">([^<]*)<', page)[1].strip())
    assert sentences == {WRONG_CODE_MESSAGE}
    answers = [post(client, "/first", user_name=operator.name, code=PASSWORD, **typed) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [422] * 3 + [429], "it counts as wrong"


def test_in_a_crowd_a_first_password_is_asked_for_again_and_the_code_stays_good(application):
    with application.app_context():
        code = operator_accounts.create_operator("op-in-a-crowd", "测试运营")
    client = application.test_client()
    typed = {"user_name": "op-in-a-crowd", "code": code, "new_password": PASSWORD, "again": PASSWORD}
    with crowd():
        answer = post(client, "/first", **typed)
    page = answer.get_data(as_text=True)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert passwords.BUSY_MESSAGE in page
    assert 'value="op-in-a-crowd"' in page, "the name that was typed stays"
    assert code not in page
    assert post(client, "/first", **typed).status_code == 303


def test_what_the_night_found_of_their_acts_stands_above_all_else(application, operator, owner_connection):
    def verified(*sentences, entries=()):
        findings = {
            "entries": list(entries),
            "files": list(sentences),
            "faults": len(sentences) + len(entries),
        }
        values = {
            "id": new_id(),
            "at": clock.now(),
            "checked": 7,
            "uncovered": 0,
            "number": 1,
            "found": json.dumps(findings),
        }
        with db.engines["platform"].begin() as connection:
            connection.execute(insert(ActVerification).values(values))

    with application.app_context():
        verified()
        assert "核对7条，全部一致" in operator.get("/platform/").get_data(as_text=True)
        verified("第2号封存记录缺失", entries=[{"what": "missing", "entry": "01a2"}])
    page = operator.get("/platform/").get_data(as_text=True)
    owner_connection.execute("delete from platform.act_verification where checked = 7")
    owner_connection.commit()
    assert (
        page.index("发现异常2处")
        < page.index("第2号封存记录缺失")
        < page.index("记录 01a2：已被删除")
        < page.index("<table")
    )
    assert "全部一致" not in page


def test_the_platforms_engine_sees_no_province(application, provinces):
    with application.app_context():
        with pytest.raises(NoProvince):
            db.session.scalars(select(Doctor)).all()
        with (
            db.engines["platform"].connect() as connection,
            pytest.raises(Exception, match="permission denied") as caught,
        ):
            connection.exec_driver_sql("select count(*) from doctor")
        assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege)


def test_a_shared_bank_is_brought_and_a_province_takes_it_over_seeing_what_changes(
    application, operator, in_province, provinces, monkeypatch
):
    sheet = (
        "题型,题干,选项,答案,科目\nA1,共享甲?,A 一\\nB 二,A,公共知识\nTF,共享乙。"
        ",,对,公共知识\nX,共享丙?,A 一\\nB 二,Q,公共知识\n"
    )

    def bring(text, **more):
        return post(
            operator, "/banks", bank="全国题库", file=(io.BytesIO(text.encode()), "x.csv"), **more
        ).get_data(as_text=True)

    assert "新增 2，更新 0，未变 0，拒绝 1" in bring(sheet)
    assert "业务水平的题没有执业类别" in bring("题干,选项,答案\n共享丁?,A 一\\nB 二,A\n"), (
        "no paper would ever draw it"
    )
    editor = signed_in_client(application, in_province, "shanxi", "question_editor")
    place = re.search(
        r"/shanxi/office/banks/shared/[0-9a-f-]{36}",
        editor.get("/shanxi/office/banks/shared").get_data(as_text=True),
    )[0]
    assert "新增2题" in editor.get(place).get_data(as_text=True)
    assert blueprint_signed_in_client.post_form(editor, place).status_code == 303
    assert "查看题目" in editor.get("/shanxi/office/banks/shared").get_data(as_text=True)
    with in_province("shanxi"):
        bank = db.session.scalars(select(QuestionBank).where(QuestionBank.name == "全国题库")).one()
        assert (
            bank.shared_edition,
            len(
                db.session.scalars(
                    select(Question).where(Question.bank_id == bank.id, Question.approved_at.is_(None))
                ).all()
            ),
        ) == (1, 2)
        question_approval.approve_questions(
            [
                question.id
                for question in db.session.scalars(select(Question).where(Question.bank_id == bank.id))
            ],
            by=SYSTEM_ACTOR,
        )
        db.session.commit()
    with in_province("henan"):
        assert db.session.scalar(select(QuestionBank).where(QuestionBank.name == "全国题库")) is None
    assert "新增 0，更新 2" in bring(
        "题型,题干,选项,答案,科目\nA1,共享甲?,A 一\\nB 二,B,公共知识\n", whole="y"
    )
    page = editor.get(place).get_data(as_text=True)
    assert "更新1题，不变0题，撤下1题" in page
    monkeypatch.setattr(shared_banks, "MAX_INLINE_QUESTIONS", 0)  # as if it were large
    work = blueprint_signed_in_client.post_form(editor, place).location
    actors.run_pending_jobs(application, in_province, "shanxi")
    assert "更新 1，未变 0" in editor.get(work).get_data(as_text=True)
    with in_province("shanxi"):
        questions_by_kind = {
            question.kind: question
            for question in db.session.scalars(select(Question).where(Question.bank_id == bank.id))
        }
        assert questions_by_kind["TF"].retired_at
        assert (questions_by_kind["A1"].retired_at, questions_by_kind["A1"].proposed_version is None) == (
            None,
            False,
        )
    [shared] = [shared_bank for shared_bank in sharing_listed(application) if shared_bank.name == "全国题库"]
    assert (shared.edition, shared.question_count) == (2, 1)
    assert post(operator, f"/banks/{shared.id}/export", page="/banks").data.startswith(b"PK")
    assert operator.get("/platform/banks").status_code == 200
    assert application.test_client().get("/platform/banks").status_code == 302


def test_a_large_shared_bank_is_compared_and_taken_over_in_chunks_whatever_breaks(
    application, operator, in_province, provinces, monkeypatch
):
    def bring(numbers, answer="A", **more):
        lines = [f"A1,大题库第{number}题?,A 一\\nB 二,{answer},公共知识" for number in numbers]
        upload = (io.BytesIO("\n".join(["题型,题干,选项,答案,科目", *lines]).encode()), "x.csv")
        return post(operator, "/banks", bank="大题库", file=upload, **more).get_data(as_text=True)

    def questions(**where):
        with in_province("shanxi"):
            query = select(Question).join(
                QuestionBank,
                (QuestionBank.tenant_id == Question.tenant_id) & (QuestionBank.id == Question.bank_id),
            )
            return list(db.session.scalars(query.where(QuestionBank.name == "大题库").filter_by(**where)))

    monkeypatch.setattr(shared_banks, "MAX_INLINE_QUESTIONS", 0)
    monkeypatch.setattr(shared_banks, "BATCH_SIZE", 2)
    assert "新增 5" in bring(range(5))
    with application.app_context():
        [shared] = [
            shared_bank for shared_bank in shared_banks.list_shared_banks() if shared_bank.name == "大题库"
        ]
    editor, place = (
        signed_in_client(application, in_province, "shanxi", "question_editor"),
        f"/shanxi/office/banks/shared/{shared.id}",
    )
    assert "比较后才显示" in editor.get(place).get_data(as_text=True)
    compared = blueprint_signed_in_client.post_form(editor, f"{place}/compare", page=place)
    assert (compared.location, "Refresh" in editor.get(place).headers) == (place, True)
    actors.run_pending_jobs(application, in_province, "shanxi")
    page = editor.get(place)
    assert "新增5题，更新0题，不变0题，撤下0题" in page.get_data(as_text=True)
    assert "Refresh" not in page.headers
    import_batch, calls = shared_bank_copies.import_batch, []

    def breaks(*given, **more):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return import_batch(*given, **more)

    monkeypatch.setattr(shared_bank_copies, "import_batch", breaks)
    work = blueprint_signed_in_client.post_form(editor, place).location
    actors.run_pending_jobs(application, in_province, "shanxi")
    assert "新增 5，更新 0，未变 0" in editor.get(work).get_data(as_text=True)
    assert (len(questions()), len(calls)) == (5, 4)
    with in_province("shanxi"):
        assert shared_bank_copies.find_province_copy(shared.id).shared_edition == 1
        question_approval.approve_questions([question.id for question in questions()], by=SYSTEM_ACTOR)
        db.session.commit()
    assert "新增 0，更新 5" in bring([0, 1], "B", whole="y"), "three are withdrawn"
    assert "新增5题" not in editor.get(place).get_data(as_text=True), "that was another edition"
    blueprint_signed_in_client.post_form(editor, f"{place}/compare", page=place)
    actors.run_pending_jobs(application, in_province, "shanxi")
    assert "新增0题，更新2题，不变0题，撤下3题" in editor.get(place).get_data(as_text=True)
    work = blueprint_signed_in_client.post_form(editor, place).location
    actors.run_pending_jobs(application, in_province, "shanxi")
    assert "更新 2，未变 0，撤下 3" in editor.get(work).get_data(as_text=True)
    assert (len(questions(retired_at=None)), len(questions(proposed_version=None))) == (2, 3)


def test_an_operators_page_takes_in_and_gives_out_what_a_request_can(application, operator, monkeypatch):
    monkeypatch.setattr(shared_banks, "MAX_QUESTIONS_IN_REQUEST", 1)
    lines = ["题干,选项,答案,科目", *(f"一页第{number}题?,A 一\\nB 二,A,公共知识" for number in range(2))]

    def bring(rows):
        return post(
            operator, "/banks", bank="一页", file=(io.BytesIO("\n".join(rows).encode()), "x.csv")
        ).get_data(as_text=True)

    assert "dingkao questions share" in bring(lines)
    assert "新增 1" in bring(lines[:2])
    assert "新增 1" in bring([lines[0], lines[2]])
    [shared] = [shared_bank for shared_bank in sharing_listed(application) if shared_bank.name == "一页"]
    assert post(operator, f"/banks/{shared.id}/export", page="/banks").status_code == 303
    assert "export-shared" in operator.get("/platform/banks").get_data(as_text=True)


def test_the_terminal_takes_in_what_is_too_large_for_the_page(application, stack, tmp_path):
    file = tmp_path / "全部.csv"
    file.write_text("题型,题干,选项,答案,科目\nA1,终端共享?,A 一\\nB 二,A,公共知识\n")
    result = CliRunner().invoke(
        cli.main, ["questions", "share", "终端题库", str(file), "--whole", "--json"], env=stack.environment
    )
    assert (result.exit_code, json.loads(result.output)["accepted"]) == (0, 1), result.output
    [shared] = [shared_bank for shared_bank in sharing_listed(application) if shared_bank.name == "终端题库"]
    assert (shared.edition, shared.question_count) == (1, 1)
    exported_file = tmp_path / "共享.xlsx"
    result = CliRunner().invoke(
        cli.main, ["questions", "export-shared", "终端题库", str(exported_file)], env=stack.environment
    )
    assert (result.exit_code, exported_file.read_bytes()[:2]) == (0, b"PK"), result.output


def sharing_listed(application):
    with application.app_context():
        return shared_banks.list_shared_banks()
