"""What becomes of scores by HTTP: the analysis of a paper; those of a test on paper, named by an organisation,
confirmed by another person, read by a job where the sheet is long."""

import io
from uuid import UUID

import pytest
from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.exams import item_analysis_jobs, paper_scores, score_imports
from dingkao.exams.models.paper_models import AdmissionTicket, Paper, PaperAnalysis
from dingkao.exams.models.score_import_models import ScoreImport
from dingkao.exams.models.sitting_models import Sitting
from dingkao.integrations.spreadsheets import sheet_reader, xlsx_writer
from dingkao.jobs import chunks
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.people import spreadsheet_imports
from dingkao.results import pass_lines
from tests import actors, sample_data
from tests.blueprints.scoring_steps import (
    CODE,
    SLUG,
    publish,
    score,
    verdict,
)
from tests.blueprints.signed_in_client import post_form, signed_in_client


def test_the_analysis_of_a_paper(application, in_province, admins, scored, line):
    for wrong in ((), (0, 1), (0,)):
        scored(wrong=wrong)
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
        count = db.session.scalar(
            select(func.count())
            .select_from(Sitting)
            .where(Sitting.paper_id == paper.id, Sitting.handed_in_at.is_not(None))
        )
    page = f"/{SLUG}/office/analyses/{paper.id}"
    assert "还没有做过项目分析" in admins[0].get(page).get_data(as_text=True)
    assert admins[0].get(f"{page}/analysis.xlsx").status_code == 404
    assert post_form(admins[0], page, page=f"/{SLUG}/office/analyses").status_code == 303
    assert admins[0].get(page).headers["Refresh"]
    actors.run_pending_jobs(application, in_province, SLUG)
    text = admins[0].get(page).get_data(as_text=True)
    assert f"{count}人" in text
    assert "每份作答抽题不同" in text
    assert "成绩分布图" in text
    assert "合格线 95" in text
    for order in ("p", "r", "flags"):
        assert admins[0].get(f"{page}?order={order}").status_code == 200
    sheet = admins[0].get(f"{page}/analysis.xlsx").data
    sheet_rows = list(
        sheet_reader.read_rows(
            sheet, {"number": ("序号",), "n": ("作答人数",), "p": ("难度",)}, ("number", "n", "p")
        )
    )
    assert sum(int(sheet_row.text("n")) for sheet_row in sheet_rows) == 10 * count
    assert all(0 <= float(sheet_row.text("p")) <= 1 for sheet_row in sheet_rows)


def test_an_analysis_in_chunks_is_the_same_as_in_one(application, in_province, admins, scored, monkeypatch):
    for wrong in ((), (0, 1), (2,)):
        scored(wrong=wrong)
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
    page, analyses = f"/{SLUG}/office/analyses/{paper.id}", []
    work_out, broken = item_analysis_jobs._compute_bucket, []

    def breaks(*given):
        broken.append(1)
        if len(broken) == 2:
            raise ZeroDivisionError
        return work_out(*given)

    with in_province(SLUG):
        in_three_parts = 1 + item_analysis_jobs.handed_in_count(paper) // 3
    for at_once in (2_000, in_three_parts):
        monkeypatch.setattr(item_analysis_jobs, "BATCH_SIZE", at_once)
        post_form(admins[0], page, page=f"/{SLUG}/office/analyses")
        actors.run_pending_jobs(application, in_province, SLUG)
        with in_province(SLUG):
            analyses.append(db.session.get_one(PaperAnalysis, (CODE, paper.id)))
            job = item_analysis_jobs.latest_job_of(paper)
            assert job.state == "done"
            assert job.done == job.total == analyses[-1].sittings
        monkeypatch.setattr(item_analysis_jobs, "_compute_bucket", breaks)
    assert analyses[0].content == analyses[1].content
    assert len(broken) > 2
    with in_province(SLUG), pytest.raises(NotFound):
        item_analysis_jobs.job_parts.load_part(job.id, item_analysis_jobs.ITEMS_SERIES, 0)


# --- scores from paper


def sheet_of(*rows, heads=("准考证号", "姓名", "科目", "成绩")):
    return xlsx_writer.write_xlsx(heads, rows)


def person(in_province, doctor):
    with in_province(SLUG):
        ticket = db.session.scalars(
            select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == doctor.record_id)
        ).one()
    return ticket, "医师" + "甲乙丙丁戊己庚辛壬癸"[(int(doctor.number[14:17]) // 2) % 10]


def hand_up(client, content, **more):
    return post_form(
        client, f"/{SLUG}/office/offline-scores", file=(io.BytesIO(content), "scores.xlsx"), **more
    )


def checked(application, in_province, client, content):
    """The page of the job that checks a sheet."""
    place = hand_up(client, content, check="1").location
    actors.run_pending_jobs(application, in_province, SLUG)
    return client.get(place).get_data(as_text=True)


def test_scores_from_paper_are_confirmed_by_another_and_go_the_way_of_any_other(
    application, in_province, reviewer, admins, ready, line
):
    clerk = signed_in_client(
        application, in_province, SLUG, "organisation_clerk", sample_data.registration_number(CODE, 1)
    )
    doctor = ready()
    ticket, name = person(in_province, doctor)
    content = sheet_of([ticket, name, "公共知识", "96.5"], [ticket, name, "业务水平", 88])
    report = checked(application, in_province, clerk, content)
    assert "检查结果（没有写入）" in report
    assert "新增 2" in report
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(ScoreImport)) == 0
    place = hand_up(clerk, content).location
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "ready"
    assert post_form(clerk, f"{place}/approve", page=place).status_code == 403
    assert doctor.number not in reviewer.get(place).get_data(as_text=True)
    for _ in range(2):
        assert post_form(reviewer, f"{place}/approve", page=place).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "scored"
    assert score(in_province, doctor) == 965
    assert "已登记" in clerk.get(place).get_data(as_text=True)
    # a mistake on the sheet is mended the same way
    location = hand_up(
        clerk, sheet_of([ticket, name, "业务水平", 98.5], [ticket, name, "公共知识", 96.5])
    ).location
    post_form(reviewer, f"{location}/approve", page=location)
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        assert sorted(
            db.session.scalars(select(Sitting.score_tenths).where(Sitting.assessment_id == doctor.record_id))
        ) == [965, 985]
        pass_lines.apply_approved_lines()
    assert verdict(in_province, doctor) == "pass"
    assert doctor.client.get(f"/{SLUG}/sitting").status_code == 200
    refused = hand_up(clerk, sheet_of([ticket, name, "业务水平", 99])).get_data(as_text=True)
    assert "不能更改线下成绩" in refused
    publish(application, in_province, admins, reviewer)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "passed"
    assert "98.5分" in doctor.get("/result")


def test_rows_that_are_not_sound_are_named(application, in_province, reviewer, ready, scored):
    doctor, scored_doctor = ready(), scored()
    ticket, name = person(in_province, doctor)
    scored_ticket, scored_name = person(in_province, scored_doctor)
    text = checked(
        application,
        in_province,
        reviewer,
        sheet_of(
            ["999999999999", name, "公共知识", 80],
            [ticket, "别人", "公共知识", 80],
            [ticket, name, "体育", 80],
            [ticket, name, "公共知识", "缺考"],
            [ticket, name, "公共知识", "1E9999999"],
            [ticket, name, "公共知识", 101],
            [ticket, name, "公共知识", 80.55],
            [scored_ticket, scored_name, "公共知识", 80],
            ["", name, "公共知识", 80],
            [ticket, name, "公共知识", 80],
            [ticket, name, "公共知识", 81],
        ),
    )
    for sentence in (
        "没有这个号码",
        "姓名与号码不是同一人",
        "不认识的科目",
        "不是数字",
        "不合规定",
        "已有线上作答",
        "都未填写",
        "与本文件前面的行重复",
    ):
        assert sentence in text, sentence
    assert "新增 1" in text
    assert "拒绝 10" in text
    by_number = sheet_of([doctor.number, name, "公共知识", 80], heads=("证件号码", "姓名", "科目", "成绩"))
    assert "新增 1" in checked(application, in_province, reviewer, by_number)
    assert (
        hand_up(reviewer, sheet_of([name, "公共知识", 80], heads=("姓名", "科目", "成绩"))).status_code == 422
    )
    with in_province(SLUG):
        assert (
            db.session.scalar(
                select(func.count()).select_from(Sitting).where(Sitting.assessment_id == doctor.record_id)
            )
            == 0
        )


def test_a_large_sheet_is_judged_by_a_job_and_waits_for_another_when_it_is_complete(
    application, in_province, reviewer, admins, ready, monkeypatch
):
    monkeypatch.setattr(paper_scores, "MAX_INLINE_ROWS", 2)
    monkeypatch.setattr(spreadsheet_imports, "ROWS_PER_CHUNK", 2)
    doctor = ready()
    ticket, name = person(in_province, doctor)
    clerk = signed_in_client(
        application, in_province, SLUG, "organisation_clerk", sample_data.registration_number(CODE, 1)
    )
    content = sheet_of(
        [ticket, name, "公共知识", 91],
        [ticket, "别人", "业务水平", 80],
        [ticket, name, "公共知识", 92],
        [ticket, name, "业务水平", 82],
    )
    checking = hand_up(clerk, content, check="1")
    assert "/office/work/" in checking.location
    importing = hand_up(clerk, content)
    with in_province(SLUG):
        job = db.session.scalars(
            select(Job).where(Job.name == "import_scores").order_by(Job.id.desc()).limit(1)
        ).one()
        import_id = UUID(job.arguments["import"])
        for _ in range(2):  # read, and the first part
            chunk = score_imports.SCORE_IMPORT.step(job, dict(job.cursor or {}))
            chunks.apply_chunk(job, chunk)
        db.session.commit()
    place = f"/{SLUG}/office/offline-scores/{import_id}"
    assert "文件还没有读完" in reviewer.get(place).get_data(as_text=True)
    assert post_form(reviewer, f"{place}/approve", page=place).status_code == 409
    actors.run_pending_jobs(application, in_province, SLUG)
    for page in (checking.location, importing.location):
        text = clerk.get(page).get_data(as_text=True)
        assert ("新增 2" in text, "拒绝 2" in text) == (True, True)
    report = clerk.get(f"{importing.location}/report.xlsx").data
    report_rows = list(sheet_reader.read_rows(report, {"reason": ("原因",), "name": ("姓名",)}, ("reason",)))
    assert [report_row.text("reason") for report_row in report_rows] == [
        "姓名与号码不是同一人",
        "与本文件前面的行重复",
    ]
    assert post_form(reviewer, f"{place}/approve", page=place).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "scored"
    assert score(in_province, doctor) == 910


def test_a_form_that_is_too_large_is_refused_with_the_size_that_it_may_have(
    application, reviewer, monkeypatch
):
    monkeypatch.setitem(application.config, "MAX_CONTENT_LENGTH", 1024 * 1024)
    refused = hand_up(reviewer, b"x" * 1_100_000)
    assert refused.status_code == 413
    assert "提交的内容过大，一次最多1 MB。" in refused.get_data(as_text=True)


@pytest.mark.parametrize("is_import_withdrawn", [False, True])
def test_a_large_sheet_that_is_cancelled_leaves_nothing_to_be_confirmed(
    application, in_province, reviewer, admins, ready, monkeypatch, is_import_withdrawn
):
    monkeypatch.setattr(paper_scores, "MAX_INLINE_ROWS", 0)
    doctor = ready()
    ticket, name = person(in_province, doctor)
    clerk = signed_in_client(
        application, in_province, SLUG, "organisation_clerk", sample_data.registration_number(CODE, 1)
    )
    page = hand_up(clerk, sheet_of([ticket, name, "公共知识", 91])).location
    with in_province(SLUG):
        job = db.session.scalars(
            select(Job).where(Job.name == "import_scores").order_by(Job.id.desc()).limit(1)
        ).one()
        for _ in range(2):
            chunks.apply_chunk(job, score_imports.SCORE_IMPORT.step(job, dict(job.cursor or {})))
        import_id = UUID(job.arguments["import"])
        db.session.commit()
    place = f"/{SLUG}/office/offline-scores/{import_id}"
    withdrawn_page, act = (place, "withdraw") if is_import_withdrawn else (page, "cancel")
    assert post_form(clerk, f"{withdrawn_page}/{act}", page=withdrawn_page).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == import_id)
        ).all()
        assert "withdrawn" in verbs
        assert "proposed" not in verbs
    assert "已撤回" in reviewer.get(place).get_data(as_text=True)
    assert post_form(reviewer, f"{place}/approve", page=place).status_code == 409


def test_an_organisation_names_its_own_alone_and_a_province_may_keep_it_shut(
    application, in_province, admins, ready
):
    doctor = ready()
    ticket, name = person(in_province, doctor)
    stranger = signed_in_client(
        application, in_province, SLUG, "organisation_clerk", sample_data.registration_number(CODE, 2)
    )
    assert "没有这个号码" in hand_up(stranger, sheet_of([ticket, name, "公共知识", 80])).get_data(
        as_text=True
    )
    place = hand_up(admins[0], sheet_of([ticket, name, "公共知识", 80])).location
    assert stranger.get(place).status_code == 404
    page = f"/{SLUG}/office/settings"
    post_form(admins[0], page, offline_scores="no", reason="只用线上测评")
    try:
        assert "不接受线下成绩导入" in admins[0].get(f"/{SLUG}/office/offline-scores").get_data(as_text=True)
        refused = post_form(
            admins[0],
            f"/{SLUG}/office/offline-scores",
            page=page,
            file=(io.BytesIO(sheet_of([ticket, name, "业务水平", 80])), "x.xlsx"),
        )
        assert refused.status_code == 422
    finally:
        post_form(admins[0], page, offline_scores="yes", reason="恢复")
    assert post_form(admins[0], f"{place}/withdraw", page=place).status_code == 303
    assert post_form(admins[1], f"{place}/approve", page=page).status_code == 409
