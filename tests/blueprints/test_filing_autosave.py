"""A step that saves itself: field by field, beside other pages and devices; lists in order; what was returned
is marked until it is mended."""

import json
import re
from datetime import date

import pytest
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.filings.field_choices import DEFAULT_DIRECT_FAIL_TEXTS
from dingkao.filings.models import Filing
from dingkao.journal.models import JournalEntry
from dingkao.tenants import settings
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "hubei", 42
FIRST = sample_data.registration_number(CODE, 1)
SERIALS = actors.unused_serials(SLUG)
ASKS = {"Accept": "application/json", "X-Keeping": "1"}


@pytest.fixture
def doctor(application, in_province):
    """A doctor of this test's own who has read the notice."""
    serial = next(SERIALS)
    number = sample_data.resident_number(serial, sex="男" if serial % 2 else "女", birth=date(1979, 3, 4))
    someone = actors.signed_in_doctor(application, in_province, SLUG, serial, 证件号码=number)
    someone.post("/filing/notice")
    return someone


class Page:
    """A page of a step as its script has it: the token, what it was shown, a pen of its own."""

    def __init__(self, doctor, step, pen):
        self.doctor, self.step, self.pen = doctor, step, pen
        page = doctor.get(f"/filing/{step}")
        self.token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        self.known = json.loads(re.search(r'name="known" value="([^"]+)"', page)[1].replace("&#34;", '"'))

    def keep(self, *, heard=True, **given):
        body = {
            "csrf_token": self.token,
            "pen": self.pen,
            "known": json.dumps({name: self.known[name] for name in given}),
        } | given
        answer = self.doctor.client.post(f"/{SLUG}/filing/{self.step}/keep", data=body, headers=ASKS)
        payload = answer.get_json()
        for name, field in payload.get("fields", {}).items():
            if heard and not field["fault"] and "theirs" not in field:
                self.known[name] = field["mark"]
        return payload

    def press(self, **given):
        body = {
            "csrf_token": self.token,
            "pen": self.pen,
            "revision": "0",
            "known": json.dumps(self.known),
        } | given
        return self.doctor.client.post(f"/{SLUG}/filing/{self.step}", data=body)


def kept(in_province, doctor, part="basic"):
    with in_province(SLUG):
        filing = db.session.scalar(select(Filing).where(Filing.doctor_id == doctor.doctor_id))
        return dict(getattr(filing, part)) if filing else {}


def test_each_field_is_kept_for_itself_and_a_bad_line_holds_none_up(doctor, in_province):
    page = Page(doctor, 1, "a")
    reply = page.keep(school="山西医科大学", email="不是邮箱")
    assert "电子邮箱的格式不对" in reply["fields"]["email"]["fault"]
    assert reply["fields"]["school"]["fault"] is None
    assert re.fullmatch(r"\d\d:\d\d", reply["saved"])
    assert 1 in reply["lacking"]
    assert kept(in_province, doctor)["school"] == "山西医科大学"
    assert "email" not in kept(in_province, doctor)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "draft"


def test_drafts_that_save_themselves_stay_out_of_the_journal(doctor, in_province):
    page = Page(doctor, 1, "a")
    for school in ("甲", "乙", "丙"):
        page.keep(school=school)
    with in_province(SLUG):
        filing = db.session.scalars(select(Filing).where(Filing.doctor_id == doctor.doctor_id)).one()
        assert filing.revision == 3
        assert (
            db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == filing.id)).all() == []
        )


def test_a_page_that_kept_nothing_new_begins_nothing(doctor, in_province):
    assert Page(doctor, 1, "a").keep() == {
        "fields": {},
        "saved": Page(doctor, 1, "a").keep()["saved"],
        "doubts": {},
        "lacking": [1, 2, 3, 4, 5],
    }
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "included"


def test_another_page_is_told_and_overwrites_nothing_until_the_person_chooses(doctor, in_province):
    page, two = Page(doctor, 1, "a"), Page(doctor, 1, "b")
    page.keep(school="甲大学")
    fields = two.keep(school="乙大学", major="临床医学")["fields"]
    assert (fields["school"]["theirs"], fields["school"]["words"]) == (["甲大学"], "甲大学")
    assert kept(in_province, doctor)["school"] == "甲大学"
    assert kept(in_province, doctor)["major"] == "临床医学"
    two.known["school"] = fields["school"]["mark"]
    two.keep(school="乙大学")
    assert kept(in_province, doctor)["school"] == "乙大学"


def test_an_answer_lost_on_its_way_is_no_conflict_with_oneself(doctor, in_province):
    page = Page(doctor, 1, "a")
    page.keep(school="甲", heard=False)
    assert "theirs" not in page.keep(school="甲大学")["fields"]["school"]
    assert kept(in_province, doctor)["school"] == "甲大学"


def test_the_whole_form_leaves_alone_what_its_page_did_not_change(doctor, in_province):
    doctor.save(1, actors.BASIC)
    page, two = Page(doctor, 1, "a"), Page(doctor, 1, "b")
    two.keep(school="另一台手机填的学校")
    page.keep(major="临床医学")
    assert page.press(**actors.BASIC | {"major": "临床医学", "address": "长治市"}).status_code == 303
    assert kept(in_province, doctor)["school"] == "另一台手机填的学校"
    assert kept(in_province, doctor)["address"] == "长治市"


def test_the_whole_form_shows_both_where_two_changed_the_same(doctor, in_province):
    doctor.save(1, actors.BASIC)
    page, two = Page(doctor, 1, ""), Page(doctor, 1, "b")
    two.keep(school="乙大学", major="中医学")
    answer = page.press(**actors.BASIC | {"school": "甲大学"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "本页：甲大学" in text
    assert "已保存：乙大学" in text
    assert "已保存：中医学" not in text
    assert 'value="中医学"' in text
    assert kept(in_province, doctor)["school"] == "乙大学"


def test_two_dates_may_be_corrected_one_after_the_other(doctor, in_province):
    doctor.save(2, actors.PRACTICE)
    page = Page(doctor, 2, "a")
    reply = page.keep(qualified="2010-01-01")
    assert "早于资格证书取得时间" in reply["fields"]["qualified"]["fault"]
    reply = page.keep(qualified="2010-01-01", registered="2011-01-01")
    assert [value["fault"] for value in reply["fields"].values()] == [None, None]
    assert kept(in_province, doctor, "practice")["qualified"] == "2010-01-01"


def test_numbers_are_sealed_when_they_save_themselves(doctor, in_province):
    page = Page(doctor, 2, "a")
    page.keep(practice="110420400012345")
    assert "practice" not in kept(in_province, doctor, "practice")
    assert "110420400012345" in doctor.get("/filing/2")
    assert Page(doctor, 2, "b").keep(practice="")["fields"]["practice"]["fault"] is None
    assert "110420400012345" not in doctor.get("/filing/2")


def test_what_can_not_be_saved_any_more_is_said(doctor):
    doctor.file()
    page = Page(doctor, 1, "a")
    doctor.submit()
    assert "信息已提交，不能直接修改" in page.keep(school="x")["error"]


def test_a_script_is_told_that_the_session_is_over(doctor):
    page = Page(doctor, 1, "a")
    doctor.client.delete_cookie(f"dk-{SLUG}")
    assert "/login" in page.keep(school="x")["leads"]


def test_a_step_that_is_none_and_a_pen_that_is_none(doctor, in_province):
    page = Page(doctor, 1, "<b>" * 20)
    assert (
        page.doctor.client.post(
            f"/{SLUG}/filing/9/keep", data={"csrf_token": page.token}, headers=ASKS
        ).status_code
        == 404
    )
    page.keep(school="甲")
    with in_province(SLUG):
        assert (
            db.session.scalars(select(Filing.client_ids).where(Filing.doctor_id == doctor.doctor_id)).one()
            == {}
        )


def names(page, kind):
    part = re.search(rf'id="{kind}">(.*?)(</section>|\(\+\))', page, re.DOTALL)[1]
    return re.findall(rf'/filing/list/{kind}/[0-9a-f]{{32}}">([^<]+)<', part)


def test_entries_are_put_in_order_taken_off_and_put_back(doctor):
    for name in ("甲院", "乙院", "丙院"):
        doctor.post("/filing/list/practice/new", name=name, since="2010-01", until="2011-01")
    page = doctor.get("/filing/3")
    third = re.findall(r"/filing/list/practice/([0-9a-f]{32})", page)[-1]
    for _ in range(2):
        assert doctor.save(3, {"list": f"move/practice/{third}/0"}).status_code == 303
    assert names(doctor.get("/filing/3"), "practice") == ["丙院", "甲院", "乙院"]
    for odd in (
        f"move/practice/{third}/9",
        "move/practice/none/0",
        f"move/practice/{third}/-1",
        f"move/practice/{third}",
        "move/nothing/x/0",
        "",
        "restore/education",
        "x/practice",
    ):
        assert doctor.save(3, {"list": odd}).status_code == 303
    assert names(doctor.get("/filing/3"), "practice") == ["丙院", "甲院", "乙院"]
    doctor.post(f"/filing/list/practice/{third}/remove", page=f"/filing/list/practice/{third}")
    page = doctor.get("/filing/3")
    assert "已删除“丙院”" in page
    assert names(page, "practice") == ["甲院", "乙院"]
    for _ in range(2):
        doctor.save(3, {"list": "restore/practice"})
    assert names(doctor.get("/filing/3"), "practice") == ["丙院", "甲院", "乙院"]


def test_what_no_page_sends_as_known_is_as_if_nothing_was_sent(doctor):
    token = Page(doctor, 1, "a").token
    body = {"csrf_token": token, "known": "[" * 100_000, "school": "山西医科大学"}
    answer = doctor.client.post(f"/{SLUG}/filing/1/keep", data=body, headers=ASKS)
    assert (answer.status_code, answer.get_json()["fields"]) == (200, {})


def test_putting_records_in_order_keeps_what_was_typed_on_the_step(doctor, in_province):
    month = f"{actors.clock.today():%Y-%m}"
    for name in ("表彰一", "表彰二"):
        doctor.post("/filing/list/good_records/new", name=name, when=month)
    second = re.findall(r"/filing/list/good_records/([0-9a-f]{32})", doctor.get("/filing/4"))[-1]
    doctor.save(4, {"good_record": "yes", "patients": "77", "list": f"move/good_records/{second}/0"})
    part = kept(in_province, doctor, "performance")
    assert part["patients"] == 77
    assert [entry["name"] for entry in part["good_records"]] == ["表彰二", "表彰一"]


def test_a_record_outside_the_cycle_is_told_at_the_field(doctor):
    answer = doctor.post("/filing/list/good_records/new", name="旧表彰", when="2001-05")
    assert answer.status_code == 422
    assert "请填写本考核周期内" in answer.get_data(as_text=True)


def test_spans_that_overlap_are_pointed_out(doctor):
    for name, first, last in (
        ("甲大学", "2000-09", "2005-07"),
        ("乙大学", "2004-09", "2007-07"),
        ("丙大学", "2007-07", "2009-07"),
    ):
        doctor.post("/filing/list/education/new", name=name, education="本科", since=first, until=last)
    page = doctor.get("/filing/3")
    assert page.count("的时间有重叠") == 1
    assert "“甲大学”与“乙大学”的时间有重叠" in page


@pytest.fixture
def reviewer(application, in_province, doctor):
    return lambda role: signed_in_client(application, in_province, SLUG, role, FIRST)


def decide(client, doctor, decision, side, **more):
    base = f"/{SLUG}/office/review/{doctor.record_id}"
    post_form(client, f"{base}/open", page=f"/{SLUG}/office/review?side={side}", side=side)
    return post_form(
        client, f"{base}/decide", page=f"{base}?side={side}", side=side, decision=decision, **more
    )


def test_what_was_returned_is_marked_at_its_field_until_it_is_handed_in_again(doctor, reviewer, in_province):
    doctor.file()
    doctor.submit()
    institution = reviewer("institution_reviewer")
    refused = decide(institution, doctor, "return", "institution", **{"mark-1.school": "长" * 101})
    assert refused.status_code == 422
    assert "“毕业院校”的退回说明请不要超过100字" in refused.get_data(as_text=True)
    marks = {
        "mark-1.school": "与毕业证书不一致",
        "marked-1.photo": "1",
        "mark-3.education": "缺硕士阶段",
        "mark-9.nothing": "x",
        "mark-5.proofs": "看不清",
    }
    assert decide(institution, doctor, "return", "institution", **marks).status_code == 303
    assert "退回原因：请修改：照片、毕业院校、教育经历、证明材料。" in doctor.get("/home")
    first, second, third = (doctor.get(f"/filing/{step}") for step in (1, 2, 3))
    assert first.count("与毕业证书不一致") == 2
    assert "毕业院校：与毕业证书不一致" in second
    assert "退回：请核对后修改。" in first
    assert "退回：缺硕士阶段" in third
    assert second.count("待修改") == 3
    assert "已修改" not in first
    doctor.save(1, actors.BASIC | {"school": "山西大学"})
    assert doctor.get("/filing/1").count("已修改") == 2
    assert "已修改" in doctor.get("/filing/check")
    with in_province(SLUG):
        [entry] = db.session.scalars(
            select(JournalEntry).where(
                JournalEntry.subject_id == doctor.record_id, JournalEntry.verb == "marked"
            )
        )
        assert entry.details == {"fields": ["1.photo", "1.school", "3.education", "5.proofs"]}
    doctor.submit()
    with in_province(SLUG):
        assert db.session.get_one(Assessment, (CODE, doctor.record_id)).return_marks is None
    assert "与毕业证书不一致" not in doctor.get("/filing/view")


def test_the_assessment_organisation_marks_fields_too(doctor, reviewer):
    doctor.file()
    doctor.submit()
    grades = {"performance": "pass", "ethics": "pass", "conduct": "none", "text": "同意"}
    marks = {"text": "请核对职称", "mark-2.title": "聘书未见"}
    institution, organisation = reviewer("institution_reviewer"), reviewer("organisation_reviewer")
    assert decide(institution, doctor, "approve", "institution", **grades).status_code == 303
    assert decide(organisation, doctor, "return_doctor", "organisation", **marks).status_code == 303
    page = doctor.get("/filing/2")
    assert "退回原因：请核对职称" in page
    assert "退回：聘书未见" in page


def test_the_grounds_are_told_with_reasons_before_anything_is_uploaded(doctor, in_province):
    page = doctor.get("/filing/5")
    assert "您还没有在第4步填写良好执业行为记录" in page
    assert re.search(r'value="simple"[^>]* disabled', page)
    doctor.save(2, actors.PRACTICE)
    doctor.save(4, actors.WORK)
    page = doctor.get("/filing/5")
    assert "您的首次注册时间为2005年03月01日" in page
    assert "您填写无不良执业行为记录" in page
    assert "需要上传的证明：医师资格证书和医师执业证书的复印件" in page
    assert "简易程序不等于免考" in page
    assert not re.search(r'value="simple"[^>]* disabled', page)


def test_the_reviewer_is_told_whether_the_chosen_ground_holds(doctor, reviewer):
    doctor.file()
    doctor.save(
        5, {"procedure": "simple", "ground": "clean", "report": "在本周期内认真履职。" * 60, "promise": "yes"}
    )
    doctor.submit()
    page = (
        reviewer("institution_reviewer")
        .get(f"/{SLUG}/office/review/{doctor.record_id}")
        .get_data(as_text=True)
    )
    assert "符合 · 执业12年以上，考核周期内无不良行为记录 · 您的首次注册时间为2005年03月01日" in page


def test_a_province_edits_its_lists_on_the_settings_page(application, in_province, doctor):
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    page = f"/{SLUG}/office/settings"
    assert "01 在发生的医疗事故中负有完全或者主要责任的" in admin.get(page).get_data(as_text=True)
    for wrong, sentence in (("没有编号", "每行请以两位编号和空格开头"), ("01 甲\r\n01 乙", "编号不能重复")):
        answer = post_form(admin, page, page=page, direct_fail_list=wrong, reason="试")
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)
    assert "不在可选之列" in post_form(
        admin, page, page=page, filing_also_needed="血型", reason="试"
    ).get_data(as_text=True)
    lines = "\r\n".join((*DEFAULT_DIRECT_FAIL_TEXTS, " 15  本省增加的情形 "))
    assert (
        post_form(
            admin, page, page=page, direct_fail_list=lines, filing_also_needed="电子邮箱", reason="试"
        ).status_code
        == 303
    )
    try:
        assert "15 本省增加的情形" in doctor.get("/filing/4")
        doctor.file()
        assert "请填写电子邮箱。" in doctor.get("/filing/check")
        with in_province(SLUG):
            assert settings.value("filing_also_needed") == ("email",)
            settings.change("filing_also_needed", ["电子邮箱", "职务"], by=None, reason="以前按名称保存")
            db.session.commit()
            assert settings.value("filing_also_needed") == ("email", "post")
        assert ">电子邮箱\n职务</textarea>" in admin.get(page).get_data(as_text=True)
        assert "请填写职务。" in doctor.get("/filing/check")
    finally:
        with in_province(SLUG):
            for name in ("direct_fail_list", "filing_also_needed"):
                settings.change(name, list(settings.SETTINGS[name].default), by=None, reason="复原")
            db.session.commit()
