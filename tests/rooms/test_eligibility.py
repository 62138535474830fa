"""Who may ask for 免考: the rules by themselves."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dingkao.requests.exemption_eligibility import (
    OTHER_REASON_PREFIX,
    ExemptionFacts,
    ReasonAssessment,
    age_on,
    assess_exemption_reasons,
)

ALL = {"residency", "promotion", "retired", "registered"}
CYCLE_START, TODAY = date(2023, 7, 1), date(2026, 6, 30)
months = st.dates(date(1990, 1, 1), date(2030, 1, 1)).map(lambda day: f"{day:%Y-%m}")
facts = st.builds(
    ExemptionFacts,
    level=st.sampled_from(["physician", "assistant"]),
    cycle_starts_on=st.just(CYCLE_START),
    today=st.just(TODAY),
    birth_date=st.none() | st.dates(date(1930, 1, 1), date(2005, 1, 1)),
    employment=st.sampled_from([None, "在职", "返聘"]),
    title_obtained=st.none() | months,
    title=st.none() | st.just("主治医师"),
    qualified_in=st.none() | st.dates(date(1990, 1, 1), TODAY),
    trainings=st.dictionaries(
        st.sampled_from(["住院医师规范化培训", "全科转岗培训", "进修"]), st.none() | months
    ),
)


def of(code: str, facts: ExemptionFacts) -> ReasonAssessment:
    return next(
        assess_exemption_reason
        for assess_exemption_reason in assess_exemption_reasons(facts, ALL, [])
        if assess_exemption_reason.code == code
    )


@given(facts, st.sets(st.sampled_from(sorted(ALL))), st.lists(st.text(min_size=1), max_size=3))
def test_what_the_province_accepts_is_told_and_nothing_else(known, accepted, others):
    assessments = assess_exemption_reasons(known, accepted, others)
    assert [
        assessment.code for assessment in assessments if not assessment.code.startswith(OTHER_REASON_PREFIX)
    ] == [code for code in ("residency", "promotion", "retired", "registered") if code in accepted]
    assert [
        assessment.label for assessment in assessments if assessment.code.startswith(OTHER_REASON_PREFIX)
    ] == others
    assert all(assessment.explanation and assessment.proof for assessment in assessments)


@given(facts)
def test_who_is_under_sixty_or_still_employed_is_not_retired(known):
    assessment = of("retired", known)
    if known.birth_date is None:
        assert assessment.is_met is None
    else:
        assert assessment.is_met == (age_on(known.birth_date, TODAY) >= 60 and known.employment != "在职")


@given(facts)
def test_a_title_counts_within_the_cycle_alone(known):
    assessment = of("promotion", known)
    assert assessment.is_met == (
        None if known.title_obtained is None else "2023-07" <= known.title_obtained <= "2026-06"
    )


@given(facts)
def test_retraining_is_no_residency_and_one_before_the_cycle_does_not_count(known):
    assessment, completed = of("residency", known), known.trainings.get("住院医师规范化培训")
    if completed is None:
        assert assessment.is_met is None
    elif completed < "2023-07":
        assert assessment.is_met is False
    else:
        assert assessment.is_met == (True if completed <= "2026-06" else None)


@given(facts)
def test_an_assistant_has_not_become_a_physician(known):
    assessment = of("registered", known)
    if known.level == "assistant":
        assert assessment.is_met is False
    else:
        assert assessment.is_met == (
            None if known.qualified_in is None else CYCLE_START <= known.qualified_in <= TODAY
        )


@given(st.dates(date(1930, 1, 1), date(2000, 1, 1)))
def test_age_turns_on_the_birthday(born):
    for years in (18, 60):
        try:
            birthday = born.replace(year=born.year + years)
        except ValueError:
            continue
        assert age_on(born, birthday) == years
        assert age_on(born, birthday - timedelta(days=1)) == years - 1
