"""The filing's rules: what is missing of a whole filing is said, what is doubtful is told before it is
submitted."""

from datetime import date

import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.filings import presentation, procedure_choice, saving
from dingkao.filings.completeness import missing_items
from dingkao.filings.dossier import ENCRYPTED_FIELDS, Dossier, dossier_of
from dingkao.filings.field_values import missing_fields
from dingkao.filings.models import Filing
from dingkao.journal.entries import Actor
from dingkao.tenants import settings as province_settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors


@pytest.fixture
def draft(application, in_province):
    """A dossier that is complete, in a unit of work that is undone."""
    doctor = actors.signed_in_doctor(application, in_province, "hebei", 494)
    doctor.file()
    with in_province("hebei"):
        person = db.session.scalars(select(Doctor).where(Doctor.id == doctor.doctor_id)).one()
        yield dossier_of(person, actors.get_or_open_cycle())
        db.session.rollback()


def change(draft: Dossier, part: str, **values) -> None:
    assert isinstance(draft.filing, Filing)
    setattr(
        draft.filing,
        part,
        {name: value for name, value in (getattr(draft.filing, part) | values).items() if value is not None},
    )


def test_each_needed_field_that_is_empty_is_named_at_its_step(draft):
    assert missing_items(draft) == []
    for step, part in ((1, "basic"), (2, "practice"), (4, "performance"), (5, "procedure")):
        for field in draft.fields(step):
            if field.required and field.name not in ENCRYPTED_FIELDS:
                step_values = getattr(draft.filing, part)
                change(draft, part, **{field.name: None})
                assert [(lack.step, lack.anchor) for lack in missing_items(draft)] == [(step, field.name)]
                assert missing_fields(
                    draft.fields(step),
                    getattr(draft.filing, part) | dict.fromkeys(ENCRYPTED_FIELDS, "x"),
                ) == [field]
                setattr(draft.filing, part, step_values)
    for kind in ("education", "practice"):
        step_values = draft.filing.experience
        change(draft, "experience", **{kind: []})
        assert [(lack.step, lack.anchor) for lack in missing_items(draft)] == [(3, kind)]
        draft.filing.experience = step_values
    draft.filing.photo_id = None
    draft.filing.qualification_sealed = None
    assert [lack.anchor for lack in missing_items(draft)] == ["photo", "qualification"]


def test_what_one_answers_with_yes_has_to_be_told(draft):
    change(draft, "performance", good_record="yes", direct_fail="yes")
    assert {lack.anchor for lack in missing_items(draft)} == {
        "good_records",
        "direct_fail_which",
        "direct_fail_note",
    }
    change(
        draft,
        "performance",
        good_records=[{"id": "1", "when": f"{clock.today():%Y-%m}", "name": "表彰"}],
        direct_fail_which=["01"],
        direct_fail_note="已处理",
    )
    assert missing_items(draft) == []


def test_what_hangs_on_an_answer_is_shown_with_that_answer_alone(draft):
    records = [{"id": "1", "when": "2020-01", "name": "表彰"}]
    change(
        draft,
        "performance",
        good_record="yes",
        good_records=records,
        direct_fail="yes",
        direct_fail_which=["03"],
        direct_fail_note="情况说明",
    )
    change(draft, "procedure", procedure="simple", ground="clean", report="述职的内容")
    everything = str(presentation.display_sections(draft))
    change(draft, "performance", good_record="no", direct_fail="no")
    change(draft, "procedure", procedure="general")
    remaining_text = str(presentation.display_sections(draft))
    for words_of in ("表彰", "跨执业类别进行执业活动的", "情况说明", "执业12年以上", "述职的内容"):
        assert words_of in everything
        assert words_of not in remaining_text


def test_lacks_stand_in_the_order_of_the_page(draft):
    change(draft, "procedure", procedure="simple", promise=None, ground=None, report=None)
    assert [lack.anchor for lack in missing_items(draft)] == ["ground", "report", "promise"]


@pytest.mark.parametrize(
    ("years", "good", "bad", "grounds"),
    [
        (4, "yes", "no", set()),
        (5, "yes", "no", {"good"}),
        (5, "no", "no", set()),
        (5, "yes", "yes", {"good"}),
        (11, "no", "no", set()),
        (12, "no", "no", {"clean"}),
        (12, "yes", "no", {"good", "clean"}),
        (12, "no", "yes", set()),
    ],
)
def test_who_may_choose_the_simple_procedure(draft, years, good, bad, grounds):
    ends = draft.cycle.ends_on
    change(draft, "practice", registered=date(ends.year - years, ends.month, min(ends.day, 28)).isoformat())
    change(draft, "performance", good_record=good, bad_record=bad)
    assert procedure_choice.choosable_grounds(draft) == grounds


def test_the_provinces_own_years_count_and_are_shown(draft):
    province_settings.change("simple_years_with_good_record", 30, by=None, reason="试")
    db.session.flush()
    change(draft, "performance", good_record="yes")
    assert "good" not in procedure_choice.choosable_grounds(draft)
    ground = next(field for field in draft.fields(5) if field.name == "ground")
    assert ground.choices == {choice.code: choice.text for choice in procedure_choice.grounds_of(draft)}
    assert ground.choices["good"].startswith("执业30年以上")


@pytest.mark.parametrize(("characters", "anchors"), [(0, ["report"]), (499, ["report"]), (500, [])])
def test_a_report_counts_its_characters_without_blanks(draft, characters, anchors):
    change(draft, "procedure", procedure="simple", ground="clean", report=" \n".join("字" * characters))
    assert [lack.anchor for lack in missing_items(draft)] == anchors


def test_dates_kept_one_by_one_are_looked_at_together_before_submission(draft):
    change(draft, "practice", qualified="2010-01-01", registered="2009-01-01")
    assert [(lack.step, lack.anchor) for lack in missing_items(draft)] == [(2, "registered")]


def test_a_code_of_another_category_is_told_before_submission(draft):
    change(draft, "practice", scope=["31"])
    assert [(lack.anchor, lack.message) for lack in missing_items(draft)] == [
        ("scope", "请从列表中选择执业范围。")
    ]


@pytest.mark.parametrize(
    ("mode", "anchors", "tail"),
    [("off", [], None), ("warn", [], "不影响提交。"), ("block", ["qualification"], "更正后才能提交。")],
)
def test_a_province_says_what_an_odd_certificate_number_means(draft, mode, anchors, tail):
    province_settings.change("certificate_number_check", mode, by=None, reason="试")
    draft.filing.practice_sealed = current_vault().encrypt(
        SecretLocation("filing", "practice", draft.filing.id), "110140400012345"
    )
    draft.filing.qualification_sealed = current_vault().encrypt(
        SecretLocation("filing", "qualification", draft.filing.id), "12345"
    )
    assert [lack.anchor for lack in missing_items(draft)] == anchors
    warning = draft.warnings(2).get("qualification")
    assert warning is None if tail is None else warning.endswith(tail)


def test_what_fails_directly_keeps_the_words_it_was_chosen_from(draft):
    doctor = Actor("doctor", draft.doctor.account_id, frozenset({"doctor"}))
    form_values = {name: [value] for name, value in actors.WORK.items()} | {
        "direct_fail": ["yes"],
        "direct_fail_which": ["03"],
        "direct_fail_note": ["说明"],
    }
    saving.save_step(draft, 4, form_values, draft.filing.revision, by=doctor)
    province_settings.change("direct_fail_list", ["01 新的第一条", "03 新的第三条"], by=None, reason="试")
    reason_field = next(field for field in draft.fields(4) if field.name == "direct_fail_which")
    assert reason_field.choices == {"01": "01 新的第一条", "03": "03 跨执业类别进行执业活动的"}
    assert "跨执业类别进行执业活动的" in str(presentation.display_sections(draft))
    saving.save_step(draft, 4, form_values | {"direct_fail_which": ["01"]}, draft.filing.revision, by=doctor)
    assert "新的第一条" in str(presentation.display_sections(draft))
    assert (
        next(field for field in draft.fields(4) if field.name == "direct_fail_which").choices["03"]
        == "03 新的第三条"
    )


def test_where_nothing_speaks_for_it_the_province_says_whether_simple_may_be_chosen(draft):
    change(
        draft,
        "performance",
        bad_record="yes",
        bad_records=[{"id": "1", "when": f"{clock.today():%Y-%m}", "name": "警告"}],
    )
    change(draft, "procedure", procedure="simple", ground="clean", report="字" * 500)
    assert ["您目前不符合" in lack.message for lack in missing_items(draft)] == [True]
    province_settings.change("simple_without_ground", "flag", by=None, reason="试")
    assert missing_items(draft) == []


def test_a_case_of_the_provinces_own_may_be_chosen_and_is_looked_at_by_the_institution(draft):
    province_settings.change("simple_other_cases", ["援外医疗队员 | 派出证明"], by=None, reason="试")
    change(draft, "procedure", procedure="simple", ground="援外医疗队员", report="字" * 500)
    assert missing_items(draft) == []
    own_ground = procedure_choice.grounds_of(draft)[-1]
    assert (own_ground.is_met, own_ground.text, own_ground.proof) == (None, "援外医疗队员", "派出证明")
