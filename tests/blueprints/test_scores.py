"""Marking and after by HTTP: a key corrected by two persons before and after publication, item analysis, scores from paper, one's own answers."""

import io
import re
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates.models import Certificate
from dingkao.database.model import db
from dingkao.exams import remarking, sittings
from dingkao.exams.models import (
    AdmissionTicket,
    KeyCorrection,
    Paper,
    Question,
    QuestionVersion,
    ScoreChange,
    ScoreImport,
    Sitting,
    SittingAnswer,
)
from dingkao.exams.papers import papers_for, read
from dingkao.jobs import performing
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.people.models import Notice
from dingkao.results import lines
from dingkao.tenants.context import entered
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "chongqing", 50
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture(scope="module")
def admins(application, in_province, ground):
    return [client_of(application, in_province, SLUG, "province_admin") for _ in range(2)]


@pytest.fixture(scope="module")
def reviewer(application, in_province, ground):
    return client_of(application, in_province, SLUG, "organisation_reviewer", material.registration_number(CODE, 1))


@pytest.fixture(scope="module")
def line(admins):
    """The line of clinical physicians, 95 points: of ten questions every one has to be right."""
    page = f"/{SLUG}/office/lines"
    post(admins[0], page, category="clinical", level="physician", line="95")
    line_id = re.search(r'name="line" value="([0-9a-f-]{36})"', admins[0].get(page).get_data(as_text=True))[1]
    assert post(admins[1], f"{page}/approve", page=page, line=line_id).status_code == 303


@pytest.fixture(autouse=True)
def own_keys(in_province, ground):
    """After each test every version is marked by its own key again, for another test may draw it."""
    yield
    with in_province(SLUG):
        db.session.execute(update(KeyCorrection).where(KeyCorrection.superseded_at.is_(None)).values(superseded_at=clock.now(), withdrawn_at=clock.now()))
        db.session.commit()


@pytest.fixture
def ready(application, in_province, ground):
    def make():
        doctor = people.doctor(application, in_province, SLUG, next(_serial))
        doctor.file()
        with in_province(SLUG):
            db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(state="included"))
            db.session.commit()
        people.bring_to(in_province, doctor, "ready")
        return doctor

    return make


@pytest.fixture
def scored(ready, in_province):
    """A doctor who has sat both papers: everything right but what `wrong` of the first paper, by position, and of it the first of A1."""

    def make(wrong=()):
        doctor = ready()
        with in_province(SLUG):
            own = Actor("doctor", uuid4())
            record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()).one()
            for index, paper in enumerate(papers_for(record)):
                sitting = sittings.open_sitting(record, paper, by=own)
                for position, one in enumerate(read(sitting.layout)):
                    version = db.session.get_one(QuestionVersion, (CODE, one.version))
                    letters = other_than(version) if index == 0 and position in wrong else version.answer
                    db.session.add(SittingAnswer(sitting_id=sitting.id, position=position, letters=letters, sequence=1, tapped_at=None, received_at=clock.now()))
                db.session.flush()
                sittings.hand_in(record, sitting, by=own)
            db.session.commit()
        return doctor

    return make


def other_than(version):
    return next(letter for letter, _ in version.options if letter not in version.answer)


def sat(in_province, doctor):
    """The sitting of the first paper: its id, score, versions by position, the answers."""
    with in_province(SLUG):
        query = select(Sitting).join(Paper, (Paper.tenant_id == Sitting.tenant_id) & (Paper.id == Sitting.paper_id))
        row = db.session.scalars(query.where(Sitting.assessment_id == doctor.record_id, Paper.subject == "common")).one()
        return row.id, row.score_tenths, [one.version for one in read(row.layout)], sittings.answers_of(row)


def score(in_province, doctor):
    return sat(in_province, doctor)[1]


def verdict(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(select(Assessment.competence).where(Assessment.id == doctor.record_id)).one()


def changes(in_province, sitting_id):
    with in_province(SLUG):
        return [(row.before_tenths, row.after_tenths, row.state) for row in db.session.scalars(select(ScoreChange).where(ScoreChange.sitting_id == sitting_id))]


def proposed(application, in_province, client, version, **given):
    """Propose a correction and let what it would change be counted; the page's address."""
    answer = post(client, f"/{SLUG}/office/corrections/version/{version}", **({"treatment": "marked", "reason": "命题组复核"} | given))
    assert answer.status_code == 303, answer.get_data(as_text=True)
    people.work_off(application, in_province, SLUG)
    return answer.location


def corrected(application, in_province, admins, version, **given):
    page = proposed(application, in_province, admins[0], version, **given)
    assert post(admins[1], f"{page}/approve", page=page).status_code == 303
    people.work_off(application, in_province, SLUG)
    return page


def publish(application, in_province, admins, reviewer):
    with in_province(SLUG):
        lines.apply_everywhere()
    post(reviewer, f"/{SLUG}/office/conclusions", all="1")
    people.work_off(application, in_province, SLUG)
    place = post(admins[0], f"/{SLUG}/office/publications").location
    assert post(admins[1], f"{place}/approve", page=place).status_code == 303
    people.work_off(application, in_province, SLUG)


def test_before_publication_the_new_score_stands_and_the_line_is_applied_anew(application, in_province, admins, reviewer, line, scored):
    doctor, other = scored(), scored()
    with in_province(SLUG):
        lines.apply_everywhere()
    post(reviewer, f"/{SLUG}/office/conclusions", all="1")
    people.work_off(application, in_province, SLUG)
    assert people.state_of(in_province, SLUG, doctor.record_id) == "confirming"
    sitting, before, versions, answers = sat(in_province, doctor)
    assert before == 1000
    with in_province(SLUG):
        wanted = other_than(db.session.get_one(QuestionVersion, (CODE, versions[0])))
    page = proposed(application, in_province, admins[0], versions[0], keys=wanted)
    shown = admins[1].get(page).get_data(as_text=True)
    assert "业务水平评定变化" in shown
    assert score(in_province, doctor) == 1000
    refused = post(admins[0], f"{page}/approve", page=page)
    assert refused.status_code == 403
    assert "提出人与确认人不能是同一人" in refused.get_data(as_text=True)
    for _ in range(2):
        assert post(admins[1], f"{page}/approve", page=page).status_code == 303
    people.work_off(application, in_province, SLUG)
    assert score(in_province, doctor) == 900
    assert changes(in_province, sitting) == [(1000, 900, "applied")]
    assert people.state_of(in_province, SLUG, doctor.record_id) == "grading"
    assert verdict(in_province, doctor) == "fail"
    with in_province(SLUG):
        drew = db.session.scalars(select(ScoreChange.sitting_id).where(ScoreChange.correction_id == UUID(page.rsplit("/", 1)[1]))).all()
        assert db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == sitting).order_by(JournalEntry.id)).all()[-1] == "remarked"
    untouched = sat(in_province, other)
    assert (untouched[0] in drew) is (versions[0] in untouched[2])
    shown = admins[1].get(page).get_data(as_text=True)
    assert "100 → 90" in shown
    assert "合格 → 不合格" in shown
    sheet = admins[1].get(f"{page}/changes.xlsx").data
    rows = list(sheets.read(sheet, {"name": ("姓名",), "before": ("原成绩",), "after": ("新成绩",)}, ("name", "before", "after")))
    assert (rows[0].text("before"), rows[0].text("after")) == ("100", "90")
    # marked again by a worker that begins anew, nothing changes twice
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.name == "remark").order_by(Job.id.desc()).limit(1)).one()
        job.state, job.tries = "waiting", 0
        db.session.commit()
        job_id = job.id
    with application.app_context(), entered(CODE):
        performing.run(job_id)
    assert score(in_province, doctor) == 900
    assert changes(in_province, sitting) == [(1000, 900, "applied")]
    # corrected back, all is as it was
    with in_province(SLUG):
        key = db.session.get_one(QuestionVersion, (CODE, versions[0])).answer
    corrected(application, in_province, admins, versions[0], keys=key)
    assert score(in_province, doctor) == 1000
    assert verdict(in_province, doctor) == "pass"


def test_a_published_result_waits_for_the_province(application, in_province, admins, reviewer, line, scored):
    failing, passing = scored(wrong=(0,)), scored()
    publish(application, in_province, admins, reviewer)
    assert people.state_of(in_province, SLUG, failing.record_id) == "failed"
    assert people.state_of(in_province, SLUG, passing.record_id) == "passed"
    sitting, before, versions, answers = sat(in_province, failing)
    assert before == 900
    with in_province(SLUG):
        key = db.session.get_one(QuestionVersion, (CODE, versions[0])).answer
    page = corrected(application, in_province, admins, versions[0], keys=f"{key},{answers[0]}")
    assert score(in_province, failing) == 900
    assert people.state_of(in_province, SLUG, failing.record_id) == "failed"
    assert changes(in_province, sitting) == [(900, 1000, "waiting")]
    assert "90 → 100" in admins[1].get(f"{page}?state=waiting").get_data(as_text=True)
    refused = post(admins[0], f"{page}/decide", page=page, change=str(sitting), decision="adopt", reason="同意")
    assert refused.status_code == 403
    post(admins[1], f"{page}/decide", page=page, change=str(sitting), decision="adopt", reason="")
    assert score(in_province, failing) == 900
    for _ in range(2):
        post(admins[1], f"{page}/decide", page=f"{page}?state=waiting", change=str(sitting), decision="adopt", reason="答案有误")
    people.work_off(application, in_province, SLUG)
    assert score(in_province, failing) == 1000
    assert people.state_of(in_province, SLUG, failing.record_id) == "passed"
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Certificate).where(Certificate.assessment_id == failing.record_id)) == 1
        account = people.account_of(failing.record_id)
        assert db.session.scalars(select(Notice.title).where(Notice.account_id == account, Notice.title == "考核结果已更正为合格")).all() == ["考核结果已更正为合格"]
    # what was passed is not taken away
    theirs, _, versions, _ = sat(in_province, passing)
    with in_province(SLUG):
        wanted = other_than(db.session.get_one(QuestionVersion, (CODE, versions[1])))
    page = corrected(application, in_province, admins, versions[1], keys=wanted)
    assert (1000, 900, "waiting") in changes(in_province, theirs)
    post(admins[1], f"{page}/decide", page=page, change=str(theirs), decision="adopt", reason="答案有误")
    assert "不因更正答案改为不合格" in admins[1].get(page).get_data(as_text=True)
    assert score(in_province, passing) == 1000
    post(admins[1], f"{page}/decide", page=page, change=str(theirs), decision="keep", reason="结果已发布")
    assert (1000, 900, "kept") in changes(in_province, theirs)
    assert people.state_of(in_province, SLUG, passing.record_id) == "passed"


def test_who_hands_in_later_is_marked_by_the_corrected_key(application, in_province, admins, ready):
    doctor = ready()
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()).one()
        sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor", uuid4()))
        versions = [one.version for one in read(sitting.layout)]
        db.session.commit()
    page = corrected(application, in_province, admins, versions[2], treatment="credited")
    corrected(application, in_province, admins, versions[3], treatment="excluded")
    assert "正在作答" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()).one()
        row = next(iter(sittings.sittings_of(record).values()))
        sittings.hand_in(record, row, by=Actor("doctor", uuid4()))
        assert row.score_tenths == 111  # one of nine that count
        assert [item.treatment for item in remarking.items_of(row)][2:4] == ["credited", "excluded"]


def test_a_corrected_key_is_mended_in_the_bank_by_two_persons(application, in_province, admins, scored):
    scored()
    version, key = drawn_version(in_province)
    page = corrected(application, in_province, admins, version, keys=key)
    shown = admins[0].get(page).get_data(as_text=True)
    assert "题库中这道题仍是原来的答案" in shown
    for _ in range(2):
        assert post(admins[0], f"{page}/bank", page=page).status_code == 303
    assert "待另一人审核" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        row = db.session.scalars(select(Question).where(Question.current_version == version)).one()
        waiting = db.session.get_one(QuestionVersion, (CODE, row.proposed_version))
        before = db.session.get_one(QuestionVersion, (CODE, version))
        assert (waiting.answer, waiting.stem, waiting.options, waiting.explanation) == (key, before.stem, before.options, before.explanation)
        assert db.session.scalar(select(func.count()).where(QuestionVersion.question_id == row.id)) == waiting.number
        bank = f"/{SLUG}/office/banks/{row.bank_id}"
    post(admins[0], f"{bank}/approve", page=bank, question=[str(row.id)])
    assert "待另一人审核" in admins[0].get(page).get_data(as_text=True)
    post(admins[1], f"{bank}/approve", page=bank, question=[str(row.id)])
    assert "已与更正一致" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        assert db.session.get_one(Question, (CODE, row.id)).current_version == waiting.id


def test_what_is_no_single_key_points_to_the_bank(application, in_province, admins, scored):
    scored()
    version, _ = drawn_version(in_province)
    page = corrected(application, in_province, admins, version, treatment="credited", keys="")
    shown = admins[0].get(page).get_data(as_text=True)
    assert "请修改或停用题库中的题目" in shown
    assert "同时更正题库" not in shown
    post(admins[0], f"{page}/bank", page=page)
    assert "请到题目页修改" in admins[0].get(page).get_data(as_text=True)


def drawn_version(in_province):
    """A version of A1 that was drawn and whose question is in use unchanged, and another letter than its key."""
    with in_province(SLUG):
        for layout in db.session.scalars(select(Sitting.layout).order_by(Sitting.id.desc())):
            for one in read(layout):
                version = db.session.get_one(QuestionVersion, (CODE, one.version))
                row = db.session.get_one(Question, (CODE, version.question_id))
                if version.kind == "A1" and (row.current_version, row.proposed_version) == (version.id, None):
                    return version.id, other_than(version)
    raise AssertionError("none was drawn")


def test_what_cannot_be_a_key_is_refused_at_its_field(application, in_province, admins, ready, ground):
    with in_province(SLUG):
        version = db.session.scalars(select(QuestionVersion).where(QuestionVersion.kind == "A1").order_by(QuestionVersion.id.desc()).limit(1)).one()
    page = f"/{SLUG}/office/corrections/version/{version.id}"
    for given, said in (
        ({"treatment": "marked", "keys": "Z", "reason": "x"}, "不在选项"),
        ({"treatment": "marked", "keys": "AB", "reason": "x"}, "这道题是单项选择"),
        ({"treatment": "marked", "keys": "", "reason": "x"}, "请填写正确答案"),
        ({"treatment": "marked", "keys": version.answer, "reason": "x"}, "无需更正"),
        ({"treatment": "credited", "keys": "", "reason": ""}, "请填写更正理由"),
    ):
        answer = post(admins[0], page, **given)
        assert answer.status_code == 422
        assert said in answer.get_data(as_text=True)
    assert admins[0].get(f"/{SLUG}/office/corrections/version/{uuid4()}").status_code == 404
    # a proposal is taken back, and is then nothing to approve
    editor = client_of(application, in_province, SLUG, "question_editor")
    place = proposed(application, in_province, editor, version.id, treatment="credited")
    assert post(admins[0], f"{place}/withdraw", page=place).status_code == 303
    assert post(admins[1], f"{place}/approve", page=f"/{SLUG}/office/lines").status_code == 409
    assert "已撤回" in editor.get(f"/{SLUG}/office/corrections").get_data(as_text=True)
    assert post(editor, f"{place}/approve", page=page).status_code == 403


def test_the_analysis_of_a_paper(application, in_province, admins, scored, line):
    for wrong in ((), (0, 1), (0,)):
        scored(wrong=wrong)
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
        count = db.session.scalar(select(func.count()).select_from(Sitting).where(Sitting.paper_id == paper.id, Sitting.handed_in_at.is_not(None)))
    page = f"/{SLUG}/office/analyses/{paper.id}"
    assert "还没有做过项目分析" in admins[0].get(page).get_data(as_text=True)
    assert admins[0].get(f"{page}/analysis.xlsx").status_code == 404
    assert post(admins[0], page, page=f"/{SLUG}/office/analyses").status_code == 303
    assert admins[0].get(page).headers["Refresh"]
    people.work_off(application, in_province, SLUG)
    shown = admins[0].get(page).get_data(as_text=True)
    assert f"{count}人" in shown
    assert "每份作答抽题不同" in shown
    assert "成绩分布图" in shown
    assert "合格线 95" in shown
    for order in ("p", "r", "flags"):
        assert admins[0].get(f"{page}?order={order}").status_code == 200
    sheet = admins[0].get(f"{page}/analysis.xlsx").data
    rows = list(sheets.read(sheet, {"number": ("序号",), "n": ("作答人数",), "p": ("难度",)}, ("number", "n", "p")))
    assert sum(int(row.text("n")) for row in rows) == 10 * count
    assert all(0 <= float(row.text("p")) <= 1 for row in rows)


# --- scores from paper


def sheet_of(*rows, heads=("准考证号", "姓名", "科目", "成绩")):
    return sheets.write(heads, rows)


def person(in_province, doctor):
    with in_province(SLUG):
        ticket = db.session.scalars(select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == doctor.record_id)).one()
    return ticket, "医师" + "甲乙丙丁戊己庚辛壬癸"[(int(doctor.number[14:17]) // 2) % 10]


def hand_up(client, content, **more):
    return post(client, f"/{SLUG}/office/offline-scores", file=(io.BytesIO(content), "scores.xlsx"), **more)


def test_scores_from_paper_are_confirmed_by_another_and_go_the_way_of_any_other(application, in_province, reviewer, admins, ready, line):
    clerk = client_of(application, in_province, SLUG, "organisation_clerk", material.registration_number(CODE, 1))
    doctor = ready()
    ticket, name = person(in_province, doctor)
    content = sheet_of([ticket, name, "公共知识", "96.5"], [ticket, name, "业务水平", 88])
    checked = hand_up(clerk, content, check="1").get_data(as_text=True)
    assert "检查结果(没有导入):新增 2" in checked
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(ScoreImport)) == 0
    place = hand_up(clerk, content).location
    assert people.state_of(in_province, SLUG, doctor.record_id) == "ready"
    assert post(clerk, f"{place}/approve", page=place).status_code == 403
    assert doctor.number not in reviewer.get(place).get_data(as_text=True)
    for _ in range(2):
        assert post(reviewer, f"{place}/approve", page=place).status_code == 303
    people.work_off(application, in_province, SLUG)
    assert people.state_of(in_province, SLUG, doctor.record_id) == "scored"
    assert score(in_province, doctor) == 965
    assert "已登记" in clerk.get(place).get_data(as_text=True)
    # a mistake on the sheet is mended the same way
    again = hand_up(clerk, sheet_of([ticket, name, "业务水平", 98.5], [ticket, name, "公共知识", 96.5])).location
    post(reviewer, f"{again}/approve", page=again)
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        assert sorted(db.session.scalars(select(Sitting.score_tenths).where(Sitting.assessment_id == doctor.record_id))) == [965, 985]
        lines.apply_everywhere()
    assert verdict(in_province, doctor) == "pass"
    assert doctor.client.get(f"/{SLUG}/sitting").status_code == 200
    refused = hand_up(clerk, sheet_of([ticket, name, "业务水平", 99])).get_data(as_text=True)
    assert "不能更改线下成绩" in refused
    publish(application, in_province, admins, reviewer)
    assert people.state_of(in_province, SLUG, doctor.record_id) == "passed"
    assert "98.5分" in doctor.get("/result")


def test_rows_that_are_not_sound_are_named(application, in_province, reviewer, ready, scored):
    doctor, done = ready(), scored()
    ticket, name = person(in_province, doctor)
    theirs, their_name = person(in_province, done)
    shown = hand_up(reviewer, sheet_of(
        ["999999999999", name, "公共知识", 80], [ticket, "别人", "公共知识", 80], [ticket, name, "体育", 80], [ticket, name, "公共知识", "缺考"],
        [ticket, name, "公共知识", 101], [ticket, name, "公共知识", 80.55], [theirs, their_name, "公共知识", 80], ["", name, "公共知识", 80],
        [ticket, name, "公共知识", 80], [ticket, name, "公共知识", 81],
    ), check="1").get_data(as_text=True)  # fmt: skip
    for said in ("没有这个号码", "姓名与号码不是同一人", "不认识的科目", "不是数字", "不合规定", "已有线上作答", "都未填写", "与本文件前面的行重复"):
        assert said in shown, said
    assert "新增 1" in shown
    assert "拒绝 9" in shown
    by_number = sheet_of([doctor.number, name, "公共知识", 80], heads=("证件号码", "姓名", "科目", "成绩"))
    assert "新增 1" in hand_up(reviewer, by_number, check="1").get_data(as_text=True)
    assert hand_up(reviewer, sheet_of([name, "公共知识", 80], heads=("姓名", "科目", "成绩"))).status_code == 422
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Sitting).where(Sitting.assessment_id == doctor.record_id)) == 0


def test_an_organisation_names_its_own_alone_and_a_province_may_keep_it_shut(application, in_province, admins, ready):
    doctor = ready()
    ticket, name = person(in_province, doctor)
    stranger = client_of(application, in_province, SLUG, "organisation_clerk", material.registration_number(CODE, 2))
    assert "没有这个号码" in hand_up(stranger, sheet_of([ticket, name, "公共知识", 80])).get_data(as_text=True)
    place = hand_up(admins[0], sheet_of([ticket, name, "公共知识", 80])).location
    assert stranger.get(place).status_code == 404
    page = f"/{SLUG}/office/settings"
    post(admins[0], page, offline_scores="no", reason="只用线上测评")
    try:
        assert "不接受线下成绩导入" in admins[0].get(f"/{SLUG}/office/offline-scores").get_data(as_text=True)
        refused = post(admins[0], f"/{SLUG}/office/offline-scores", page=page, file=(io.BytesIO(sheet_of([ticket, name, "业务水平", 80])), "x.xlsx"))
        assert refused.status_code == 422
    finally:
        post(admins[0], page, offline_scores="yes", reason="恢复")
    assert post(admins[0], f"{place}/withdraw", page=place).status_code == 303
    assert post(admins[1], f"{place}/approve", page=page).status_code == 409


# --- one's own answers


def test_ones_own_answers_are_seen_as_far_as_the_province_allows_and_after_publication_alone(application, in_province, admins, reviewer, line, scored):
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
        post(admins[0], page, answers_review="verdicts", reason="公开对错")
        assert address in doctor.get("/result")
        shown = doctor.get(address)
        assert "答对9题,答错1题" in shown
        assert "第1题,答错" in shown
        assert stem not in shown
        post(admins[0], page, answers_review="full", reason="公开题目")
        shown = doctor.get(address)
        assert stem in shown
        assert f"您的答案: {answers[0]}" in shown
        assert not explanation or explanation in shown
        assert doctor.client.get(f"/{SLUG}{address}?from=999").status_code == 404
        assert early.client.get(f"/{SLUG}{address}").status_code == 404
        assert early.client.get(f"/{SLUG}/result/{early.record_id}/answers/{early_sitting}").status_code == 409
        corrected(application, in_province, admins, versions[4], treatment="excluded")
        assert "不计分1题" in doctor.get(address)
    finally:
        post(admins[0], page, answers_review="closed", reason="恢复")
    assert doctor.client.get(f"/{SLUG}{address}").status_code == 409
