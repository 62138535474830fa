"""Who may ask for 免考: the rules by themselves."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dingkao.requests.eligibility import OTHER, Facts, Standing, age, exemptions

ALL = {"residency", "promotion", "retired", "registered"}
SINCE, TODAY = date(2023, 7, 1), date(2026, 6, 30)
months = st.dates(date(1990, 1, 1), date(2030, 1, 1)).map(lambda day: f"{day:%Y-%m}")
facts = st.builds(
    Facts, level=st.sampled_from(["physician", "assistant"]), since=st.just(SINCE), today=st.just(TODAY), born=st.none() | st.dates(date(1930, 1, 1), date(2005, 1, 1)),
    employment=st.sampled_from([None, "在职", "返聘"]), titled=st.none() | months, title=st.none() | st.just("主治医师"), qualified=st.none() | st.dates(date(1990, 1, 1), TODAY),
    trainings=st.dictionaries(st.sampled_from(["住院医师规范化培训", "全科转岗培训", "进修"]), st.none() | months),
)  # fmt: skip


def of(code: str, facts: Facts) -> Standing:
    return next(one for one in exemptions(facts, ALL, []) if one.code == code)


@given(facts, st.sets(st.sampled_from(sorted(ALL))), st.lists(st.text(min_size=1), max_size=3))
def test_what_the_province_accepts_is_told_and_nothing_else(known, accepted, others):
    told = exemptions(known, accepted, others)
    assert [one.code for one in told if not one.code.startswith(OTHER)] == [code for code in ("residency", "promotion", "retired", "registered") if code in accepted]
    assert [one.label for one in told if one.code.startswith(OTHER)] == others
    assert all(one.why and one.proof for one in told)


@given(facts)
def test_who_is_under_sixty_or_still_employed_is_not_retired(known):
    standing = of("retired", known)
    if known.born is None:
        assert standing.holds is None
    else:
        assert standing.holds == (age(known.born, TODAY) >= 60 and known.employment != "在职")


@given(facts)
def test_a_title_counts_within_the_cycle_alone(known):
    standing = of("promotion", known)
    assert standing.holds == (None if known.titled is None else "2023-07" <= known.titled <= "2026-06")


@given(facts)
def test_retraining_is_no_residency_and_one_before_the_cycle_does_not_count(known):
    standing, until = of("residency", known), known.trainings.get("住院医师规范化培训")
    if until is None:
        assert standing.holds is None
    elif until < "2023-07":
        assert standing.holds is False
    else:
        assert standing.holds == (True if until <= "2026-06" else None)


@given(facts)
def test_an_assistant_has_not_become_a_physician(known):
    standing = of("registered", known)
    if known.level == "assistant":
        assert standing.holds is False
    else:
        assert standing.holds == (None if known.qualified is None else SINCE <= known.qualified <= TODAY)


@given(st.dates(date(1930, 1, 1), date(2000, 1, 1)))
def test_age_turns_on_the_birthday(born):
    for years in (18, 60):
        try:
            birthday = born.replace(year=born.year + years)
        except ValueError:
            continue
        assert age(born, birthday) == years
        assert age(born, birthday - timedelta(days=1)) == years - 1
