"""Marking and after by HTTP: a key corrected by two persons before and after publication,
one's own answers."""

import re
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from dingkao.assessments.models import Assessment
from dingkao.certificates.models import Certificate
from dingkao.database.base import db
from dingkao.exams import effective_keys, sitting_completion, sittings
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.correction_models import ScoreChange
from dingkao.exams.papers import papers_for
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.jobs import worker
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.results import pass_lines
from dingkao.tenants.context import in_tenant
from tests import actors
from tests.blueprints.list_export_steps import ask_for_file
from tests.blueprints.scoring_steps import (
    CODE,
    SLUG,
    changes,
    corrected,
    drawn_version,
    listed,
    proposed,
    publish,
    sat,
    score,
    verdict,
)
from tests.blueprints.signed_in_client import post_form, signed_in_client


@pytest.fixture(autouse=True)
def own_keys(in_province, exam_ground):
    yield
    actors.revoke_corrections(in_province, SLUG)


def test_before_publication_the_new_score_stands_and_the_line_is_applied_anew(
    application, in_province, admins, reviewer, line, scored
):
    doctor, other_doctor = scored(), scored()
    with in_province(SLUG):
        pass_lines.apply_approved_lines()
    post_form(reviewer, f"/{SLUG}/office/conclusions", all="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "confirming"
    sitting_id, score_before, versions, answers = sat(in_province, doctor)
    assert score_before == 1000
    with in_province(SLUG):
        new_key = actors.wrong_letter(db.session.get_one(QuestionVersion, (CODE, versions[0])))
    page = proposed(application, in_province, admins[0], versions[0], keys=new_key)
    text = admins[1].get(page).get_data(as_text=True)
    assert "业务水平评定变化" in text
    assert score(in_province, doctor) == 1000
    refused = post_form(admins[0], f"{page}/approve", page=page)
    assert refused.status_code == 403
    assert "提出人与确认人不能是同一人" in refused.get_data(as_text=True)
    for _ in range(2):
        assert post_form(admins[1], f"{page}/approve", page=page).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    assert score(in_province, doctor) == 900
    assert changes(in_province, sitting_id) == [(1000, 900, "applied")]
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "grading"
    assert verdict(in_province, doctor) == "fail"
    with in_province(SLUG):
        drew = db.session.scalars(
            select(ScoreChange.sitting_id).where(ScoreChange.correction_id == UUID(page.rsplit("/", 1)[1]))
        ).all()
        assert (
            db.session.scalars(
                select(JournalEntry.verb)
                .where(JournalEntry.subject_id == sitting_id)
                .order_by(JournalEntry.id)
            ).all()[-1]
            == "remarked"
        )
    untouched = sat(in_province, other_doctor)
    assert (untouched[0] in drew) is (versions[0] in untouched[2])
    text = admins[1].get(page).get_data(as_text=True)
    assert "100 → 90" in text
    assert "合格 → 不合格" in text
    job_page = ask_for_file(admins[1], page).location
    actors.run_pending_jobs(application, in_province, SLUG)
    sheet = admins[1].get(f"{job_page}/sheet.xlsx").data
    change_rows = list(
        sheet_reader.read_rows(
            sheet,
            {"name": ("姓名",), "before": ("原成绩",), "after": ("新成绩",)},
            ("name", "before", "after"),
        )
    )
    assert (change_rows[0].text("before"), change_rows[0].text("after")) == ("100", "90")
    # marked again by a worker that begins anew, nothing changes twice
    with in_province(SLUG):
        job = db.session.scalars(
            select(Job).where(Job.name == "remark").order_by(Job.id.desc()).limit(1)
        ).one()
        job.state, job.tries = "waiting", 0
        db.session.commit()
        job_id = job.id
    with application.app_context(), in_tenant(CODE):
        worker.run_turn(job_id)
    assert score(in_province, doctor) == 900
    assert changes(in_province, sitting_id) == [(1000, 900, "applied")]
    # corrected back, all is as it was
    with in_province(SLUG):
        key = db.session.get_one(QuestionVersion, (CODE, versions[0])).answer
    corrected(application, in_province, admins, versions[0], keys=key)
    assert score(in_province, doctor) == 1000
    assert verdict(in_province, doctor) == "pass"


def test_while_a_list_is_published_marking_again_waits_and_then_leaves_it_to_the_province(
    application, in_province, admins, reviewer, line, scored
):
    doctor = scored()
    place = listed(application, in_province, admins, reviewer)
    sitting, _, versions, _ = sat(in_province, doctor)
    with in_province(SLUG):
        new_key = actors.wrong_letter(db.session.get_one(QuestionVersion, (CODE, versions[0])))
    page = proposed(application, in_province, admins[0], versions[0], keys=new_key)
    assert post_form(admins[1], f"{place}/approve", page=place).status_code == 303
    assert post_form(admins[1], f"{page}/approve", page=page).status_code == 303
    with in_province(SLUG):
        job_id = db.session.scalars(
            select(Job.id).where(Job.name == "remark").order_by(Job.id.desc()).limit(1)
        ).one()
        worker.run_turn(job_id)
        job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        assert (job.state, job.sentence, job.tries) == (
            "waiting",
            "考核结果正在发布，发布完成后自动继续。",
            0,
        )
    assert changes(in_province, sitting) == []
    assert "考核结果正在发布" in admins[1].get(page).get_data(as_text=True)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "passed"
    assert changes(in_province, sitting) == [(1000, 900, "waiting")]
    assert verdict(in_province, doctor) == "pass"


def test_a_list_that_marking_again_has_changed_is_refused_at_once(
    application, in_province, admins, reviewer, line, scored
):
    doctor = scored()
    place = listed(application, in_province, admins, reviewer)
    _, _, versions, _ = sat(in_province, doctor)
    with in_province(SLUG):
        new_key = actors.wrong_letter(db.session.get_one(QuestionVersion, (CODE, versions[0])))
    corrected(application, in_province, admins, versions[0], keys=new_key)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "grading"
    assert "请撤回本清单" in admins[1].get(place).get_data(as_text=True)
    assert post_form(admins[1], f"{place}/approve", page=place).status_code == 409
    assert post_form(admins[0], f"{place}/withdraw", page=place).status_code == 303


def test_a_published_result_waits_for_the_province(application, in_province, admins, reviewer, line, scored):
    failing, passing = scored(wrong=(0,)), scored()
    publish(application, in_province, admins, reviewer)
    assert actors.record_state(in_province, SLUG, failing.record_id) == "failed"
    assert actors.record_state(in_province, SLUG, passing.record_id) == "passed"
    sitting_id, score_before, versions, answers = sat(in_province, failing)
    assert score_before == 900
    with in_province(SLUG):
        key = db.session.get_one(QuestionVersion, (CODE, versions[0])).answer
    page = corrected(application, in_province, admins, versions[0], keys=f"{key},{answers[0]}")
    assert score(in_province, failing) == 900
    assert actors.record_state(in_province, SLUG, failing.record_id) == "failed"
    assert changes(in_province, sitting_id) == [(900, 1000, "waiting")]
    assert "90 → 100" in admins[1].get(f"{page}?state=waiting").get_data(as_text=True)
    refused = post_form(
        admins[0], f"{page}/decide", page=page, change=str(sitting_id), decision="adopt", reason="同意"
    )
    assert refused.status_code == 403
    long = "答案有误" * 200
    refused = post_form(
        admins[1],
        f"{page}/decide?state=waiting",
        page=page,
        change=str(sitting_id),
        decision="adopt",
        reason=long,
    ).get_data(as_text=True)
    assert (f'value="{long}"' in refused, bool(re.search(f'value="{sitting_id}"[^>]* checked', refused))) == (
        True,
        True,
    )
    assert score(in_province, failing) == 900
    for _ in range(2):
        post_form(
            admins[1],
            f"{page}/decide",
            page=f"{page}?state=waiting",
            change=str(sitting_id),
            decision="adopt",
            reason="答案有误",
        )
    actors.run_pending_jobs(application, in_province, SLUG)
    assert score(in_province, failing) == 1000
    assert actors.record_state(in_province, SLUG, failing.record_id) == "passed"
    with in_province(SLUG):
        assert (
            db.session.scalar(
                select(func.count())
                .select_from(Certificate)
                .where(Certificate.assessment_id == failing.record_id)
            )
            == 1
        )
        account = actors.account_of(failing.record_id)
        assert db.session.scalars(
            select(Notice.title).where(Notice.account_id == account, Notice.title == "考核结果已更正为合格")
        ).all() == ["考核结果已更正为合格"]
    # what was passed is not taken away
    passing_sitting_id, _, versions, _ = sat(in_province, passing)
    with in_province(SLUG):
        new_key = actors.wrong_letter(db.session.get_one(QuestionVersion, (CODE, versions[1])))
    page = corrected(application, in_province, admins, versions[1], keys=new_key)
    assert (1000, 900, "waiting") in changes(in_province, passing_sitting_id)
    post_form(
        admins[1],
        f"{page}/decide",
        page=page,
        change=str(passing_sitting_id),
        decision="adopt",
        reason="答案有误",
    )
    assert "不因更正答案改为不合格" in admins[1].get(page).get_data(as_text=True)
    assert score(in_province, passing) == 1000
    post_form(
        admins[1],
        f"{page}/decide",
        page=page,
        change=str(passing_sitting_id),
        decision="keep",
        reason="结果已发布",
    )
    assert (1000, 900, "kept") in changes(in_province, passing_sitting_id)
    assert actors.record_state(in_province, SLUG, passing.record_id) == "passed"


def test_who_hands_in_later_is_marked_by_the_corrected_key(application, in_province, admins, ready):
    doctor = ready()
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
        ).one()
        sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor", uuid4()))
        versions = [item.version for item in load_layout(sitting.layout)]
        db.session.commit()
    page = corrected(application, in_province, admins, versions[2], treatment="credited")
    corrected(application, in_province, admins, versions[3], treatment="excluded")
    assert "正在作答" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
        ).one()
        open_sitting = next(iter(sittings.sittings_by_paper(record).values()))
        sitting_completion.hand_in_sitting(record, open_sitting, by=Actor("doctor", uuid4()))
        assert open_sitting.score_tenths == 111  # one of nine that count
        assert [item.treatment for item in effective_keys.scored_items(open_sitting)][2:4] == [
            "credited",
            "excluded",
        ]


def test_a_corrected_key_is_mended_in_the_bank_by_two_persons(application, in_province, admins, scored):
    scored(wrong=(0,))
    version, key = drawn_version(in_province)
    page = corrected(application, in_province, admins, version, keys=key)
    text = admins[0].get(page).get_data(as_text=True)
    assert "题库中这道题仍是原来的答案" in text
    for _ in range(2):
        assert post_form(admins[0], f"{page}/bank", page=page).status_code == 303
    assert "待另一人审核" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        question = db.session.scalars(select(Question).where(Question.current_version == version)).one()
        waiting = db.session.get_one(QuestionVersion, (CODE, question.proposed_version))
        question_version = db.session.get_one(QuestionVersion, (CODE, version))
        assert (waiting.answer, waiting.stem, waiting.options, waiting.explanation) == (
            key,
            question_version.stem,
            question_version.options,
            question_version.explanation,
        )
        assert (
            db.session.scalar(select(func.count()).where(QuestionVersion.question_id == question.id))
            == waiting.number
        )
        bank = f"/{SLUG}/office/banks/{question.bank_id}"
    post_form(admins[0], f"{bank}/approve", page=bank, question=[str(question.id)])
    assert "待另一人审核" in admins[0].get(page).get_data(as_text=True)
    post_form(admins[1], f"{bank}/approve", page=bank, question=[str(question.id)])
    assert "已与更正一致" in admins[0].get(page).get_data(as_text=True)
    post_form(admins[0], f"{page}/bank", page=page)
    assert "题库中的答案已与这次更正一致，无需再提出。" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        assert db.session.get_one(Question, (CODE, question.id)).current_version == waiting.id


def test_what_is_no_single_key_points_to_the_bank(application, in_province, admins, scored):
    scored(wrong=(0,))
    version, _ = drawn_version(in_province)
    page = corrected(application, in_province, admins, version, treatment="credited", keys="")
    text = admins[0].get(page).get_data(as_text=True)
    assert "请修改或停用题库中的题目" in text
    assert "同时更正题库" not in text
    post_form(admins[0], f"{page}/bank", page=page)
    assert "请到题目页修改" in admins[0].get(page).get_data(as_text=True)


def test_what_cannot_be_a_key_is_refused_at_its_field(application, in_province, admins, ready, exam_ground):
    with in_province(SLUG):
        version = db.session.scalars(
            select(QuestionVersion)
            .where(QuestionVersion.kind == "A1")
            .order_by(QuestionVersion.id.desc())
            .limit(1)
        ).one()
    page = f"/{SLUG}/office/corrections/version/{version.id}"
    for form, sentence in (
        ({"treatment": "marked", "keys": "Z", "reason": "x"}, "不在选项"),
        ({"treatment": "marked", "keys": "AB", "reason": "x"}, "这道题是单项选择"),
        ({"treatment": "marked", "keys": "", "reason": "x"}, "请填写正确答案"),
        ({"treatment": "marked", "keys": version.answer, "reason": "x"}, "无需更正"),
        ({"treatment": "credited", "keys": "", "reason": ""}, "请填写更正理由"),
    ):
        answer = post_form(admins[0], page, **form)
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)
    assert admins[0].get(f"/{SLUG}/office/corrections/version/{uuid4()}").status_code == 404
    # a proposal is taken back, and is then nothing to approve
    editor = signed_in_client(application, in_province, SLUG, "question_editor")
    place = proposed(application, in_province, editor, version.id, treatment="credited")
    assert post_form(admins[0], f"{place}/withdraw", page=place).status_code == 303
    assert post_form(admins[1], f"{place}/approve", page=f"/{SLUG}/office/lines").status_code == 409
    assert "已撤回" in editor.get(f"/{SLUG}/office/corrections").get_data(as_text=True)
    assert post_form(editor, f"{place}/approve", page=page).status_code == 403


# --- one's own answers


def test_ones_own_answers_are_seen_as_far_as_the_province_allows_and_after_publication_alone(
    application, in_province, admins, reviewer, line, scored
):
    doctor = scored(wrong=(0,))
    sitting, _, versions, answers = sat(in_province, doctor)
    publish(application, in_province, admins, reviewer)
    early = scored()
    early_sitting = sat(in_province, early)[0]
    page, address = f"/{SLUG}/office/settings", f"/result/{doctor.record_id}/answers/{sitting}"
    assert "本人作答" not in doctor.get("/result")
    assert doctor.client.get(f"/{SLUG}{address}").status_code == 409
    with in_province(SLUG):
        version = db.session.get_one(QuestionVersion, (CODE, versions[0]))
        stem, explanation = version.stem, version.explanation
    try:
        post_form(admins[0], page, answers_review="verdicts", reason="公开对错")
        assert address in doctor.get("/result")
        response = doctor.get(address)
        assert "答对9题，答错1题" in response
        assert "第1题，答错" in response
        assert stem not in response
        post_form(admins[0], page, answers_review="full", reason="公开题目")
        response = doctor.get(address)
        assert stem in response
        assert f"您的答案：{answers[0]}" in response
        for question in re.split(r'id="q\d+"', response)[1:]:
            letters = re.findall(r"<b>([A-J])\.</b>", question)
            assert letters == sorted(letters), "in the order of the bank's letters, however it was drawn"
        assert not explanation or explanation in response
        assert doctor.client.get(f"/{SLUG}{address}?from=999").status_code == 404
        assert early.client.get(f"/{SLUG}{address}").status_code == 404
        assert (
            early.client.get(f"/{SLUG}/result/{early.record_id}/answers/{early_sitting}").status_code == 409
        )
        corrected(application, in_province, admins, versions[4], treatment="excluded")
        assert "不计分1题" in doctor.get(address)
    finally:
        post_form(admins[0], page, answers_review="closed", reason="恢复")
    assert doctor.client.get(f"/{SLUG}{address}").status_code == 409
