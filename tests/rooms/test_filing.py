"""The filing's fields and rules: whatever is typed is kept or told about, never a fault; what is kept is sound; what is missing is said."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao import clock
from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES, LEVELS, SCOPES
from dingkao.doctors.models import Doctor
from dingkao.filings import dossier as dossiers
from dingkao.filings.dossier import Dossier, dossier_of, lacks, merge, plain_name
from dingkao.filings.fields import (
    DIRECT_FAIL,
    ETHNICITIES,
    LISTS,
    STEPS,
    Terms,
    doubts,
    fields_of,
    judge,
    mark_of,
    missing,
    odd_dates,
    overlaps,
    words,
)
from dingkao.filings.models import Filing
from dingkao.filings.procedure import years_between
from dingkao.tenants.settings import MAY_BE_LEFT, MAY_BE_NEEDED
from tests import people

BORN = date(1980, 1, 2)
SETS = [fields_of(step, telling=False) for step in STEPS] + [list(of.fields) for of in LISTS.values()]
HINTS = ["2010-07", "2010-07-01", "2010年7月", "0000-01", "9999-12-31", "2010-13", "2010-02-30", "٢٠١٠-٠١", "1200", "-1", "1e5", "good", "yes",
         "01", "14", "11", "a@b.c", "a\x00b", "\u2028", "2010-07-01"]  # fmt: skip
TYPED = st.one_of(st.text(max_size=40), st.sampled_from(HINTS), st.sampled_from(ETHNICITIES))


@st.composite
def forms(draw):
    fields = draw(st.sampled_from(SETS))
    names = [field.name for field in fields] + ["unknown"]
    return fields, draw(st.dictionaries(st.sampled_from(names), st.lists(TYPED, max_size=4)))


def as_typed(field, value):
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


@settings(max_examples=400, deadline=None)
@given(forms())
def test_whatever_is_typed_is_kept_or_told_about_and_what_is_kept_stays_what_it_is(form):
    fields, typed = form
    kept, faults = judge(fields, typed, born=BORN)
    known = {field.name: field for field in fields}
    assert set(kept) <= set(known)
    assert set(faults) <= set(known)
    for sentence in faults.values():
        assert any("一" <= character <= "鿿" for character in sentence), sentence
    for name, field in known.items():
        if any(one.strip() and one.isprintable() for one in typed.get(name, [])):
            assert name in kept or name in faults
        assert "\x00" not in words(field, kept.get(name))
    again, _ = judge(fields, {name: as_typed(known[name], value) for name, value in kept.items()}, born=BORN)
    assert again == kept


@given(st.text(max_size=300))
def test_a_files_name_is_shown_without_what_nobody_sees(name):
    shown = plain_name(name)
    assert shown
    assert shown.isprintable()
    assert len(shown) <= 100
    assert "/" not in shown


def test_a_files_name_loses_its_folders():
    assert plain_name("C:\\文件\\证明.pdf") == plain_name("/tmp/证明.pdf") == "证明.pdf"  # noqa: S108


@pytest.mark.parametrize(
    ("step", "name", "typed", "sentence"),
    [
        (1, "graduated", "1979-12", "早于您的出生日期"), (1, "graduated", "2999-01", "不能晚于今天"), (1, "graduated", "0000-01", "如2010-07"),
        (1, "ethnicity", "火星族", "请从列表中选择"), (1, "email", "x", "电子邮箱的格式不对"), (1, "school", "山" * 101, "不要超过100字"),
        (2, "registered", "1979-01-01", "早于您的出生日期"), (2, "registered", "2010-02-30", "如2010-07-01"), (2, "specialty_years", "81", "不能超过80年"),
        (2, "specialty_years", "十", "请填写整数"), (2, "scope", "31", "请从列表中选择"), (2, "qualification", "编码!", "只能由数字和字母组成"),
        (4, "patients", "-3", "请填写整数"), (4, "quantity", "优秀", "请从列表中选择"),
    ],
)  # fmt: skip
def test_each_unsound_value_is_told_in_words(step, name, typed, sentence):
    kept, faults = judge(fields_of(step), {name: [typed]}, born=BORN)
    assert sentence in faults[name]
    assert kept == {}


def test_full_width_and_other_ways_to_write_are_mended():
    kept, faults = judge(fields_of(2), {"registered": ["2010年7月1日"], "practice": ["１１０１４０４０００１２３４５"], "specialty_years": ["1,2"], "department": ["  内 科\t一区 "]})
    assert faults == {}
    assert kept == {"registered": "2010-07-01", "practice": "110140400012345", "specialty_years": 12, "department": "内 科 一区"}


def test_days_in_order_are_wanted():
    _, faults = judge(fields_of(2), {"qualified": ["2010-01-02"], "registered": ["2010-01-01"]})
    assert "registered" in faults
    _, none = judge(fields_of(2), {"qualified": ["2010-01-01"], "registered": ["2010-01-01"]})
    assert none == {}


def test_a_second_place_of_practice_may_end_in_days_to_come():
    later = (clock.today() + timedelta(days=400)).isoformat()
    _, faults = judge(LISTS["registrations"].fields, {"name": ["乙院"], "since": ["2020-01-01"], "until": [later]})
    assert faults == {}
    _, faults = judge(LISTS["registrations"].fields, {"name": ["乙院"], "since": [later]})
    assert "不能晚于今天" in faults["since"]


def test_the_lists_are_the_nations():
    assert len(ETHNICITIES) == len(set(ETHNICITIES)) == 57
    assert ETHNICITIES[-1] == "其他"
    assert len(DIRECT_FAIL) == 14


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("level", LEVELS)
def test_scopes_and_titles_are_those_of_category_and_level(category, level):
    fields = {field.name: field for field in fields_of(2, level=level, category=category)}
    assert "省级规定的其他" in fields["scope"].choices.values()
    assert ("内科" in fields["scope"].choices.values()) == (category == "clinical")
    assert ("主治医师" in fields["title"].choices) == (level == "physician")


def test_units_follow_the_cycles_length():
    assert {field.unit for field in fields_of(4, years=2)} >= {"人次/二年"}
    assert {field.unit for field in fields_of(4)} >= {"人次/三年", "例/三年", "次/三年"}


def test_sex_and_birth_are_asked_where_the_number_does_not_tell():
    assert {"sex", "birth_date"} <= {field.name for field in fields_of(1, telling=False) if field.needed}
    assert not {"sex", "birth_date"} & {field.name for field in fields_of(1)}


@pytest.mark.parametrize(
    ("kept", "field"),
    [
        ({"qualification": "123"}, "qualification"), ({"qualification": "200314110140105198001020099"}, "qualification"),
        ({"qualification": "209914110140105198001020018"}, "qualification"), ({"practice": "12"}, "practice"),
        ({"practice": "210140400012345"}, "practice"), ({"practice": "120140400012345"}, "practice"),
    ],
)  # fmt: skip
def test_odd_certificate_numbers_are_doubted(kept, field):
    assert field in doubts(kept, "140105198001020018", level="physician", category="clinical")


def test_sound_certificate_numbers_are_not_doubted():
    sound = {"qualification": "200314110140105198001020018", "practice": "110140400012345"}
    assert doubts(sound, "140105198001020018", level="physician", category="clinical") == {}


@given(st.dates(date(1950, 1, 1), date(2050, 1, 1)), st.integers(0, 60))
def test_years_are_whole(day, years):
    later = date(day.year + years, day.month, min(day.day, 28))
    assert years_between(day.replace(day=min(day.day, 28)), later) == years
    assert years_between(day.replace(day=min(day.day, 28)), later - timedelta(days=1)) == years - 1


@given(st.sampled_from(list(CATEGORIES)), st.sampled_from(list(LEVELS)), st.sampled_from([*SCOPES, "00", "内科"]), st.sampled_from(["主任医师", "医士", "其他", "教授"]))
def test_a_code_is_kept_exactly_where_its_list_has_it(category, level, scope, title):
    kept, faults = judge(fields_of(2, level=level, category=category), {"scope": [scope], "title": [title]})
    assert ("scope" in kept) == (scope in SCOPES and SCOPES[scope][0] in (category, "any"))
    assert ("title" in kept) == (title == "其他" or (level == "physician") == (title == "主任医师") and title in ("主任医师", "医士"))
    assert set(faults) == {"scope", "title"} - set(kept)


DAYS = st.dates(date(1940, 1, 1), date(2030, 12, 31))


@given(DAYS, DAYS, DAYS, st.sampled_from([(), ("qualified",), ("registered",), ("qualified", "registered")]))
def test_days_that_are_kept_without_a_fault_stand_in_order_after_childhood_and_not_in_days_to_come(born, qualified, registered, changed):
    kept, faults = judge(fields_of(2), {"qualified": [qualified.isoformat()], "registered": [registered.isoformat()]}, born=born, changed=changed)
    if not faults:
        assert born.year + 15 <= qualified.year
        assert qualified <= registered <= clock.today()
    elif set(kept) == {"qualified", "registered"}:
        assert registered < qualified
        assert list(faults) == (["qualified"] if changed == ("qualified",) else ["registered"])


@given(st.dates(date(2015, 1, 1), date(2026, 11, 1)), st.dates(date(2018, 1, 1), date(2020, 1, 1)), st.integers(0, 2000))
def test_records_lie_within_the_cycle(when, starts, days):
    ends = starts + timedelta(days=days)
    for kind in ("good_records", "bad_records"):
        _, faults = judge(LISTS[kind].fields, {"when": [f"{when:%Y-%m}"]}, within=(starts, ends))
        assert ("when" in faults) == (not (starts.year, starts.month) <= (when.year, when.month) <= (ends.year, ends.month))


MONTHS = st.dates(date(1990, 1, 1), date(2026, 11, 1)).map(lambda day: f"{day:%Y-%m}")


@given(st.lists(st.tuples(MONTHS, st.one_of(st.none(), MONTHS)), max_size=6))
def test_overlaps_are_told_of_each_pair_once_whatever_their_order(spans):
    entries = [{"name": str(n), "since": since, "until": until} for n, (since, until) in enumerate(spans) if not until or since < until]
    pairs = overlaps(entries)
    assert len(pairs) == len({frozenset(pair) for pair in pairs})
    assert {frozenset(pair) for pair in pairs} == {frozenset(pair) for pair in overlaps(entries[::-1])}
    for one in entries:
        for other in entries:
            apart = (one["until"] or "9999") <= other["since"] or (other["until"] or "9999") <= one["since"]
            assert (frozenset((one["name"], other["name"])) in {frozenset(pair) for pair in pairs}) == (one is not other and not apart)


def test_dates_that_are_seldom_so_are_doubted_and_kept():
    odd = {"graduated": "2010-07", "working_since": "2003-08", "titled": "1995-01", "qualified": "1999-09-01"}
    assert set(odd_dates(odd)) == {"graduated", "titled"}
    assert odd_dates({"graduated": "2003-07", "working_since": "2003-08", "titled": "2001-01", "qualified": "1999-09-01"}) == {}


PAGES = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(["school", "major"]), st.sampled_from(["", "甲", "乙", "丙"]), st.booleans()), max_size=25)


@given(PAGES)
def test_two_pages_never_overwrite_each_other_unseen(sends):
    """`kept` is the server's; `seen` what each page was told last; an answer may get lost on its way."""
    fields, kept, pens, seen = fields_of(1), {}, {}, ({}, {})
    for page, name, value, answered in sends:
        pen, before, knew = f"pen{page}", kept.get(name, ""), seen[page].get(name, "")
        merged = merge(fields, kept, {name: [value]}, {name: mark_of(knew)}, pens=pens, pen=pen)
        by_another = before != knew and pens.get(name) != pen
        if by_another and value not in (before, knew):
            assert merged.conflicts == {name: kept.get(name)}
            assert merged.values == kept
        elif by_another and value == knew:
            assert merged.values == kept
        else:
            assert merged.values.get(name, "") == value
            assert merged.conflicts == {}
        assert {one: text for one, text in merged.values.items() if one != name} == {one: text for one, text in kept.items() if one != name}
        if merged.changed:
            pens = pens | {name: pen}
        kept = merged.values
        if answered:
            seen[page][name] = kept.get(name, "")


def test_a_province_says_which_fields_are_needed_and_what_fails():
    terms = Terms(also_needed=frozenset({"电子邮箱"}), not_needed=frozenset({"最高学位"}), direct_fail={"01": "01 甲", "15": "15 乙"}, report_least=800)
    first = {field.name: field.needed for field in fields_of(1, terms=terms)}
    assert first["email"]
    assert not first["degree"]
    assert first["education"]
    assert next(field for field in fields_of(4, terms=terms) if field.name == "direct_fail_which").choices == {"01": "01 甲", "15": "15 乙"}
    assert next(field for field in fields_of(5, terms=terms) if field.name == "report").hint.endswith("不少于800字")


def test_what_a_province_may_ask_for_or_leave_are_fields_as_they_stand():
    needed = {field.label: field.needed for step in STEPS for field in fields_of(step)}
    assert all(not needed[label] for label in MAY_BE_NEEDED)
    assert all(needed[label] for label in MAY_BE_LEFT)


@pytest.fixture
def draft(application, in_province):
    """A dossier that is complete, in a unit of work that is undone."""
    doctor = people.doctor(application, in_province, "hebei", 494)
    doctor.file()
    with in_province("hebei"):
        person = db.session.scalars(select(Doctor).where(Doctor.id == doctor.doctor_id)).one()
        yield dossier_of(person, people.running_cycle())
        db.session.rollback()


def change(draft: Dossier, part: str, **values) -> None:
    assert isinstance(draft.filing, Filing)
    setattr(draft.filing, part, {name: value for name, value in (getattr(draft.filing, part) | values).items() if value is not None})


def test_each_needed_field_that_is_empty_is_named_at_its_step(draft):
    assert lacks(draft) == []
    for step, part in ((1, "basic"), (2, "practice"), (4, "performance"), (5, "procedure")):
        for field in draft.fields(step):
            if field.needed and field.name not in dossiers.SEALED:
                kept = getattr(draft.filing, part)
                change(draft, part, **{field.name: None})
                assert [(lack.step, lack.anchor) for lack in lacks(draft)] == [(step, field.name)]
                assert missing(draft.fields(step), getattr(draft.filing, part) | dict.fromkeys(dossiers.SEALED, "x")) == [field]
                setattr(draft.filing, part, kept)
    for kind in ("education", "practice"):
        kept = draft.filing.experience
        change(draft, "experience", **{kind: []})
        assert [(lack.step, lack.anchor) for lack in lacks(draft)] == [(3, kind)]
        draft.filing.experience = kept
    draft.filing.photo_id = None
    draft.filing.qualification_sealed = None
    assert [lack.anchor for lack in lacks(draft)] == ["photo", "qualification"]


def test_what_one_answers_with_yes_has_to_be_told(draft):
    change(draft, "performance", good_record="yes", direct_fail="yes")
    assert {lack.anchor for lack in lacks(draft)} == {"good_records", "direct_fail_which", "direct_fail_note"}
    change(draft, "performance", good_records=[{"id": "1", "when": f"{clock.today():%Y-%m}", "name": "表彰"}], direct_fail_which=["01"], direct_fail_note="已处理")
    assert lacks(draft) == []


def test_what_hangs_on_an_answer_is_shown_with_that_answer_alone(draft):
    records = [{"id": "1", "when": "2020-01", "name": "表彰"}]
    change(draft, "performance", good_record="yes", good_records=records, direct_fail="yes", direct_fail_which=["03"], direct_fail_note="情况说明")
    change(draft, "procedure", procedure="simple", ground="clean", report="述职的内容")
    everything = str(dossiers.shown(draft))
    change(draft, "performance", good_record="no", direct_fail="no")
    change(draft, "procedure", procedure="general")
    rest = str(dossiers.shown(draft))
    for words_of in ("表彰", "跨执业类别进行执业活动的", "情况说明", "执业12年以上", "述职的内容"):
        assert words_of in everything
        assert words_of not in rest


def test_lacks_stand_in_the_order_of_the_page(draft):
    change(draft, "procedure", procedure="simple", promise=None, ground=None, report=None)
    assert [lack.anchor for lack in lacks(draft)] == ["ground", "report", "promise"]


@pytest.mark.parametrize(
    ("years", "good", "bad", "grounds"),
    [
        (4, "yes", "no", set()), (5, "yes", "no", {"good"}), (5, "no", "no", set()), (5, "yes", "yes", {"good"}), (11, "no", "no", set()),
        (12, "no", "no", {"clean"}), (12, "yes", "no", {"good", "clean"}), (12, "no", "yes", set()),
    ],
)  # fmt: skip
def test_who_may_choose_the_simple_procedure(draft, years, good, bad, grounds):
    ends = draft.cycle.ends_on
    change(draft, "practice", registered=date(ends.year - years, ends.month, min(ends.day, 28)).isoformat())
    change(draft, "performance", good_record=good, bad_record=bad)
    assert dossiers.eligible(draft) == grounds


def test_the_provinces_own_years_count_and_are_shown(draft):
    dossiers.settings.change("simple_years_with_good_record", 30, by=None, reason="试")
    db.session.flush()
    change(draft, "performance", good_record="yes")
    assert "good" not in dossiers.eligible(draft)
    ground = next(field for field in draft.fields(5) if field.name == "ground")
    assert ground.choices == {one.code: one.text for one in dossiers.grounds(draft)}
    assert ground.choices["good"].startswith("执业30年以上")


@pytest.mark.parametrize(("characters", "anchors"), [(0, ["report"]), (499, ["report"]), (500, [])])
def test_a_report_counts_its_characters_without_blanks(draft, characters, anchors):
    change(draft, "procedure", procedure="simple", ground="clean", report=" \n".join("字" * characters))
    assert [lack.anchor for lack in lacks(draft)] == anchors


def test_dates_kept_one_by_one_are_looked_at_together_before_submission(draft):
    change(draft, "practice", qualified="2010-01-01", registered="2009-01-01")
    assert [(lack.step, lack.anchor) for lack in lacks(draft)] == [(2, "registered")]


def test_a_code_of_another_category_is_told_before_submission(draft):
    change(draft, "practice", scope=["31"])
    assert [(lack.anchor, lack.sentence) for lack in lacks(draft)] == [("scope", "请从列表中选择执业范围。")]


@pytest.mark.parametrize(("mode", "anchors", "tail"), [("off", [], None), ("warn", [], "不影响提交。"), ("block", ["qualification"], "更正后才能提交。")])
def test_a_province_says_what_an_odd_certificate_number_means(draft, mode, anchors, tail):
    dossiers.settings.change("certificate_number_check", mode, by=None, reason="试")
    draft.filing.practice_sealed = dossiers.vault().seal(dossiers.Place("filing", "practice", draft.filing.id), "110140400012345")
    draft.filing.qualification_sealed = dossiers.vault().seal(dossiers.Place("filing", "qualification", draft.filing.id), "12345")
    assert [lack.anchor for lack in lacks(draft)] == anchors
    told = draft.doubts(2).get("qualification")
    assert told is None if tail is None else told.endswith(tail)


def test_what_fails_directly_keeps_the_words_it_was_chosen_from(draft):
    actor = people.actor("doctor")
    typed = {name: [value] for name, value in people.WORK.items()} | {"direct_fail": ["yes"], "direct_fail_which": ["03"], "direct_fail_note": ["说明"]}
    dossiers.save(draft, 4, typed, draft.filing.revision, by=actor)
    dossiers.settings.change("direct_fail_list", ["01 新的第一条", "03 新的第三条"], by=None, reason="试")
    which = next(field for field in draft.fields(4) if field.name == "direct_fail_which")
    assert which.choices == {"01": "01 新的第一条", "03": "03 跨执业类别进行执业活动的"}
    assert "跨执业类别进行执业活动的" in str(dossiers.shown(draft))
    dossiers.save(draft, 4, typed | {"direct_fail_which": ["01"]}, draft.filing.revision, by=actor)
    assert "新的第一条" in str(dossiers.shown(draft))
    assert next(field for field in draft.fields(4) if field.name == "direct_fail_which").choices["03"] == "03 新的第三条"


def test_where_nothing_speaks_for_it_the_province_says_whether_simple_may_be_chosen(draft):
    change(draft, "performance", bad_record="yes", bad_records=[{"id": "1", "when": f"{clock.today():%Y-%m}", "name": "警告"}])
    change(draft, "procedure", procedure="simple", ground="clean", report="字" * 500)
    assert ["您目前不符合" in lack.sentence for lack in lacks(draft)] == [True]
    dossiers.settings.change("simple_without_ground", "flag", by=None, reason="试")
    assert lacks(draft) == []


def test_a_case_of_the_provinces_own_may_be_chosen_and_is_looked_at_by_the_institution(draft):
    dossiers.settings.change("simple_other_cases", ["援外医疗队员 | 派出证明"], by=None, reason="试")
    change(draft, "procedure", procedure="simple", ground="援外医疗队员", report="字" * 500)
    assert lacks(draft) == []
    own = dossiers.grounds(draft)[-1]
    assert (own.holds, own.text, own.proof) == (None, "援外医疗队员", "派出证明")
