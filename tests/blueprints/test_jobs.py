"""The page of a job: for whoever asked, in words, looking again by itself until it is over."""

import re
from uuid import UUID

import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, ChunkedWork
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.people.models import SignInSession
from dingkao.people.sign_in_sessions import load_session
from tests.blueprints.signed_in_client import post_form, signed_in_client


@pytest.fixture(params=["auditor"])
def asker(application, provinces, in_province, monkeypatch, request):
    """A member of staff with a job, and a way to change its row."""
    monkeypatch.setattr(enqueueing, "push_to_queue", lambda *_given: True)
    client = signed_in_client(application, in_province, "henan", request.param)
    with in_province("henan"):
        session, account = load_session(client.get_cookie("dk-henan").value)
        assert isinstance(session, SignInSession)
        job_id = enqueueing.enqueue("trial", "导入名单 名单.xlsx", {}, by=account.id).id
        db.session.commit()

    def become(**columns):
        with in_province("henan"):
            job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
            for name, value in columns.items():
                setattr(job, name, value)
            db.session.commit()
        return client.get(f"/henan/office/work/{job_id}")

    yield client, job_id, become
    become(state="done")


def text(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True).split('id="main"')[1]).split())


def test_each_state_has_its_words_and_the_page_looks_again_until_it_is_over(asker):
    _, _, become = asker
    for columns, expected_text, refreshes in (
        ({"state": "waiting"}, "等待处理", True),
        ({"state": "running", "done": 1000}, "正在处理：1,000", True),
        ({"state": "running", "done": 3, "total": 7}, "正在处理：3 / 7（42.9%）", True),
        ({"state": "waiting", "sentence": worker.RETRYING_MESSAGE}, worker.RETRYING_MESSAGE, True),
        ({"state": "failed", "sentence": "缺少列:姓名。"}, "缺少列:姓名。", False),
        (
            {"state": "done", "sentence": None, "result": {"accepted": 5, "refused": 0}},
            "已完成 新增 5，拒绝 0 。",
            False,
        ),
    ):
        answer = become(**columns)
        assert expected_text.replace(" ", "") in text(answer).replace(" ", "")
        assert ("Refresh" in answer.headers) is refreshes, columns
        assert ("<progress" in answer.get_data(as_text=True)) is refreshes


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
        other_client = signed_in_client(application, in_province, slug, role)
        assert other_client.get(f"/{slug}/office/work/{job_id}").status_code == 404
        assert other_client.get(f"/{slug}/office/work/{job_id}/report.xlsx").status_code == 404
    assert client.get(f"/henan/office/work/{job_id}/report.xlsx").status_code == 404
    assert client.get(f"/henan/office/work/{UUID(int=1)}").status_code == 404


@pytest.fixture
def steps(monkeypatch):
    """The job «trial» as one of chunks."""
    monkeypatch.setitem(
        worker.REGISTERED_JOBS, "trial", ChunkedWork(lambda _job, _cursor: Chunk(None, done=1))
    )


def test_a_job_of_chunks_is_paused_gone_on_with_and_cancelled_from_its_page(
    asker, steps, application, in_province
):
    client, job_id, become = asker
    place = f"/henan/office/work/{job_id}"

    def shows(*wanted):
        text = client.get(place).get_data(as_text=True)
        offered = {act for act in ("pause", "resume", "cancel") if f"{place}/{act}" in text}
        assert offered == set(wanted)
        assert text.count("data-confirm") == len(wanted)
        return text

    assert "3 / 7" in become(state="running", done=3, total=7).get_data(as_text=True)
    shows("pause", "cancel")
    assert post_form(client, f"{place}/pause", page=place).status_code == 303
    assert "当前一批办完后暂停" in shows("resume", "cancel")
    become(state="paused", requested=None)
    assert "已暂停" in shows("resume", "cancel")
    post_form(client, f"{place}/resume", page=place)
    shows("pause", "cancel")
    post_form(client, f"{place}/cancel", page=place)
    shows()
    answer = client.post(
        f"{place}/pause",
        data={
            "csrf_token": re.search(
                r'name="csrf_token" value="([^"]+)"', client.get(place).get_data(as_text=True)
            )[1]
        },
    )
    assert "任务已结束或正在取消" in client.get(answer.location).get_data(as_text=True)
    with in_province("henan"):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == job_id).order_by(JournalEntry.id)
        ).all()
    assert verbs == ["pause_asked", "resume_asked", "cancel_asked"]
    become(state="failed", requested=None, sentence="中途停下。")
    shows("resume")
    become(state="done")
    shows()


@pytest.mark.parametrize("asker", ["province_admin"], indirect=True)
def test_administrators_see_and_steer_what_concerns_the_province_but_not_its_names(
    asker, steps, application, in_province
):
    client, job_id, become = asker
    result = {
        "included": 3,
        "names": [["王小明", "原因"]],
        "report": True,
        "document": True,
        "reasons": {"不行": 1},
    }
    become(state="running", done=3, total=7, result=result)
    assert "王小明" in client.get(f"/henan/office/work/{job_id}").get_data(as_text=True)
    admin = signed_in_client(application, in_province, "henan", "province_admin")
    text = admin.get(f"/henan/office/work/{job_id}").get_data(as_text=True)
    assert "已纳入 3" in text
    assert "1人未办理" in text
    assert "/pause" in text
    for hidden in ("王小明", "report.xlsx", "document.pdf"):
        assert hidden not in text
    assert admin.get(f"/henan/office/work/{job_id}/report.xlsx").status_code == 404
    assert "导入名单 名单.xlsx" in admin.get("/henan/office/work?all=1").get_data(as_text=True)
    assert "导入名单 名单.xlsx" not in admin.get("/henan/office/work").get_data(as_text=True), "one's own"
    assert (
        post_form(
            admin, f"/henan/office/work/{job_id}/pause", page=f"/henan/office/work/{job_id}"
        ).status_code
        == 303
    )
    for slug, role in (("shanxi", "province_admin"), ("henan", "auditor")):
        other_client = signed_in_client(application, in_province, slug, role)
        assert other_client.get(f"/{slug}/office/work/{job_id}").status_code == 404
        assert str(job_id) not in other_client.get(f"/{slug}/office/work?all=1").get_data(as_text=True)


def test_what_others_than_administrators_ask_for_is_theirs_alone(asker, steps, application, in_province):
    _, job_id, become = asker
    become(state="running", done=3, total=7)
    admin = signed_in_client(application, in_province, "henan", "province_admin")
    assert admin.get(f"/henan/office/work/{job_id}").status_code == 404
    assert str(job_id) not in admin.get("/henan/office/work?all=1").get_data(as_text=True)


@pytest.mark.parametrize("asker", ["province_admin"], indirect=True)
def test_work_that_is_soon_done_is_for_its_asker_alone_and_cannot_be_paused(asker, application, in_province):
    client, job_id, become = asker
    assert "/pause" not in become(state="running").get_data(as_text=True)
    assert "导入名单 名单.xlsx" in client.get("/henan/office/work").get_data(as_text=True)
    admin = signed_in_client(application, in_province, "henan", "province_admin")
    assert admin.get(f"/henan/office/work/{job_id}").status_code == 404
    assert str(job_id) not in admin.get("/henan/office/work?all=1").get_data(as_text=True)
