"""Which procedure a doctor may choose: each ground holds exactly where its rule says so, says why with the doctor's figures, and cites its source."""

import inspect
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.filings import fields, procedure
from dingkao.filings.fields import Terms
from dingkao.filings.procedure import Facts, grounds_of, written, years_of_practice

ENDS = date(2027, 6, 30)
ANSWERS = st.sampled_from([None, "yes", "no"])
DAYS = st.one_of(st.none(), st.dates(date(1960, 1, 1), date(2027, 12, 31)))


@given(DAYS, ANSWERS, ANSWERS, st.integers(0, 60), st.integers(0, 60))
def test_a_ground_holds_exactly_where_its_rule_says_so(registered, good, bad, good_years, clean_years):
    first, second = grounds_of(Facts(registered, ENDS, good, bad), Terms(good_years, clean_years))
    years = years_of_practice(Facts(registered, ENDS))
    assert first.holds == (registered is not None and years >= good_years and good == "yes")
    assert second.holds == (registered is not None and years >= clean_years and bad == "no")


@given(DAYS, ANSWERS, ANSWERS)
def test_more_practice_never_takes_a_ground_away(registered, good, bad):
    if registered is None or registered.year == 1960:
        return
    earlier = registered.replace(year=registered.year - 1, day=min(registered.day, 28))
    for now, before in zip(grounds_of(Facts(registered, ENDS, good, bad), Terms()), grounds_of(Facts(earlier, ENDS, good, bad), Terms()), strict=True):
        assert before.holds or not now.holds


@given(DAYS, ANSWERS, ANSWERS)
def test_why_names_the_doctors_own_figures(registered, good, bad):
    for ground in grounds_of(Facts(registered, ENDS, good, bad), Terms()):
        if registered is None:
            assert "还没有在第2步填写首次注册时间" in ground.why
        else:
            assert f"{registered.year}年{registered.month:02d}月{registered.day:02d}日" in ground.why
            assert f"满{years_of_practice(Facts(registered, ENDS))}年" in ground.why


def test_the_day_on_which_the_years_are_full_counts():
    assert grounds_of(Facts(date(2022, 6, 30), ENDS, "yes", "no"), Terms())[0].holds
    assert not grounds_of(Facts(date(2022, 7, 1), ENDS, "yes", "no"), Terms())[0].holds


def test_cases_of_the_province_are_for_the_institution_to_tell():
    *_, case = grounds_of(Facts(None, ENDS), Terms(other_cases=("援外医疗队员|派出证明",)))
    assert (case.code, case.text, case.holds, case.proof) == ("援外医疗队员", "援外医疗队员", None, "派出证明")


@given(st.text(max_size=200))
def test_blanks_don_t_make_a_report_longer(text):
    assert written(text) == written(" ".join(text)) == len([one for one in text if not one.isspace()])


@pytest.mark.parametrize(
    "rule",
    [procedure.with_good_record, procedure.without_bad_record, procedure.other_case, procedure.grounds_of, procedure.years_of_practice,
     procedure.written, fields.fields_of, fields.judge, fields.doubts, fields.odd_dates, fields.overlaps],
)  # fmt: skip
def test_every_rule_cites_its_source(rule):
    assert "domain.md §" in inspect.getdoc(rule)
