"""Which procedure a doctor may choose: each ground holds exactly where its rule says so, says why with the
doctor's figures, and cites its source."""

import inspect
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.filings import field_readers, field_warnings, fields, procedure_grounds
from dingkao.filings.fields import ProvinceTerms
from dingkao.filings.procedure_grounds import (
    ProcedureFacts,
    all_grounds,
    practice_years,
    report_length,
)

ENDS = date(2027, 6, 30)
ANSWERS = st.sampled_from([None, "yes", "no"])
DAYS = st.one_of(st.none(), st.dates(date(1960, 1, 1), date(2027, 12, 31)))


@given(DAYS, ANSWERS, ANSWERS, st.integers(0, 60), st.integers(0, 60))
def test_a_ground_holds_exactly_where_its_rule_says_so(registered, good, bad, good_years, clean_years):
    first, second = all_grounds(
        ProcedureFacts(registered, ENDS, good, bad), ProvinceTerms(good_years, clean_years)
    )
    years = practice_years(ProcedureFacts(registered, ENDS))
    assert first.is_met == (registered is not None and years >= good_years and good == "yes")
    assert second.is_met == (registered is not None and years >= clean_years and bad == "no")


@given(DAYS, ANSWERS, ANSWERS)
def test_more_practice_never_takes_a_ground_away(registered, good, bad):
    if registered is None or registered.year == 1960:
        return
    registered_earlier = registered.replace(year=registered.year - 1, day=min(registered.day, 28))
    for now, ground in zip(
        all_grounds(ProcedureFacts(registered, ENDS, good, bad), ProvinceTerms()),
        all_grounds(ProcedureFacts(registered_earlier, ENDS, good, bad), ProvinceTerms()),
        strict=True,
    ):
        assert ground.is_met or not now.is_met


@given(DAYS, ANSWERS, ANSWERS)
def test_why_names_the_doctors_own_figures(registered, good, bad):
    for ground in all_grounds(ProcedureFacts(registered, ENDS, good, bad), ProvinceTerms()):
        if registered is None:
            assert "还没有在第2步填写首次注册时间" in ground.explanation
        else:
            assert f"{registered.year}年{registered.month:02d}月{registered.day:02d}日" in ground.explanation
            assert f"满{practice_years(ProcedureFacts(registered, ENDS))}年" in ground.explanation


def test_the_day_on_which_the_years_are_full_counts():
    assert all_grounds(ProcedureFacts(date(2022, 6, 30), ENDS, "yes", "no"), ProvinceTerms())[0].is_met
    assert not all_grounds(ProcedureFacts(date(2022, 7, 1), ENDS, "yes", "no"), ProvinceTerms())[0].is_met


def test_cases_of_the_province_are_for_the_institution_to_tell():
    *_, case = all_grounds(ProcedureFacts(None, ENDS), ProvinceTerms(other_cases=("援外医疗队员|派出证明",)))
    assert (case.code, case.text, case.is_met, case.proof) == (
        "援外医疗队员",
        "援外医疗队员",
        None,
        "派出证明",
    )


@given(st.text(max_size=200))
def test_blanks_don_t_make_a_report_longer(text):
    assert (
        report_length(text)
        == report_length(" ".join(text))
        == len([character for character in text if not character.isspace()])
    )


@pytest.mark.parametrize(
    "rule",
    [
        procedure_grounds.good_record_ground,
        procedure_grounds.clean_record_ground,
        procedure_grounds.province_case_ground,
        procedure_grounds.all_grounds,
        procedure_grounds.practice_years,
        procedure_grounds.report_length,
        fields.fields_of,
        field_readers.validate_fields,
        field_warnings.certificate_number_warnings,
        field_warnings.date_warnings,
        field_warnings.overlapping_entries,
    ],
)
def test_every_rule_cites_its_source(rule):
    assert "domain.md §" in inspect.getdoc(rule)
