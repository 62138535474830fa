"""The page of a job: for whoever asked, in words, looking again by itself until it is over."""

import re
from uuid import UUID

import pytest
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.people.models import SignInSession
from dingkao.people.signing_in import session_of
from tests.blueprints.signed_in import client_of


@pytest.fixture
def asker(application, provinces, in_province, monkeypatch):
    """A member of staff with a job, and a way to change its row."""
    monkeypatch.setattr(asking, "enqueue", lambda *_given: True)
    client = client_of(application, in_province, "henan", "auditor")
    with in_province("henan"):
        session, account = session_of(client.get_cookie("dk-henan").value)
        assert isinstance(session, SignInSession)
        job_id = asking.ask("trial", "导入名单 名单.xlsx", {}, by=account.id).id
        db.session.commit()

    def become(**columns):
        with in_province("henan"):
            row = db.session.scalars(select(Job).where(Job.id == job_id)).one()
            for name, value in columns.items():
                setattr(row, name, value)
            db.session.commit()
        return client.get(f"/henan/office/work/{job_id}")

    yield client, job_id, become
    become(state="done")


def text(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True).split('id="main"')[1]).split())


def test_each_state_has_its_words_and_the_page_looks_again_until_it_is_over(asker):
    _, _, become = asker
    for columns, said, again in (
        ({"state": "waiting"}, "等待处理", True),
        ({"state": "running", "done": 1000}, "正在处理:1000", True),
        ({"state": "running", "done": 3, "total": 7}, "正在处理:3/7", True),
        ({"state": "waiting", "sentence": performing.WAITS}, performing.WAITS, True),
        ({"state": "failed", "sentence": "缺少列:姓名。"}, "缺少列:姓名。", False),
        ({"state": "done", "sentence": None, "result": {"accepted": 5, "refused": 0}}, "已完成 新增 5, 拒绝 0 。", False),
    ):
        answer = become(**columns)
        assert said.replace(" ", "") in text(answer).replace(" ", "")
        assert ("Refresh" in answer.headers) is again, columns
        assert ("<progress" in answer.get_data(as_text=True)) is again


def test_the_faults_of_a_roster_stand_row_by_row(asker):
    _, _, become = asker
    fault = {"row": 7, "column": "证件号码", "reason": "校验位不符", "remedy": "请<核对>。"}
    answer = become(state="done", result={"refused": 1, "report": True, "errors": [fault]})
    assert "7 证件号码 校验位不符 请&lt;核对&gt;。" in text(answer)
    assert "report.xlsx" in answer.get_data(as_text=True)


def test_nobody_else_sees_it_and_without_a_report_there_is_none(asker, application, in_province):
    client, job_id, become = asker
    become(state="done", result={})
    for slug, role in (("henan", "province_admin"), ("shanxi", "province_admin")):
        other = client_of(application, in_province, slug, role)
        assert other.get(f"/{slug}/office/work/{job_id}").status_code == 404
        assert other.get(f"/{slug}/office/work/{job_id}/report.xlsx").status_code == 404
    assert client.get(f"/henan/office/work/{job_id}/report.xlsx").status_code == 404
    assert client.get(f"/henan/office/work/{UUID(int=1)}").status_code == 404
