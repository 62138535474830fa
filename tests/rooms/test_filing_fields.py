"""The filing's fields: whatever is typed is kept or told about, never a fault; what is kept is sound; two
pages never overwrite each other unseen."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dingkao import clock
from dingkao.doctors.code_lists import CATEGORIES, LEVELS, SCOPES
from dingkao.filings.entry_list_fields import ENTRY_LISTS
from dingkao.filings.field_choices import DEFAULT_DIRECT_FAIL_TEXTS, ETHNICITIES
from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import display_value, etag_of
from dingkao.filings.field_warnings import certificate_number_warnings, date_warnings, overlapping_entries
from dingkao.filings.fields import STEPS, ProvinceTerms, fields_of
from dingkao.filings.filing_documents import clean_file_name
from dingkao.filings.merging import merge_values
from dingkao.filings.presentation import mask_certificate_number
from dingkao.filings.procedure_grounds import years_between
from dingkao.tenants.settings import SETTINGS

BORN = date(1980, 1, 2)
SETS = [fields_of(step, with_hints=False) for step in STEPS] + [
    list(entry_list.fields) for entry_list in ENTRY_LISTS.values()
]
HINTS = ["2010-07", "2010-07-01", "2010年7月", "0000-01", "9999-12-31", "2010-13", "2010-02-30", "٢٠١٠-٠١", "1200", "-1", "1e5", "good", "yes",
         "01", "14", "11", "a@b.c", "a\x00b", "\u2028", "2010-07-01"]  # fmt: skip
TYPED_TEXT = st.one_of(st.text(max_size=40), st.sampled_from(HINTS), st.sampled_from(ETHNICITIES))


@st.composite
def forms(draw):
    fields = draw(st.sampled_from(SETS))
    names = [field.name for field in fields] + ["unknown"]
    return fields, draw(st.dictionaries(st.sampled_from(names), st.lists(TYPED_TEXT, max_size=4)))


def as_typed(field, value):
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


@settings(max_examples=400, deadline=None)
@given(forms())
def test_whatever_is_typed_is_kept_or_told_about_and_what_is_kept_stays_what_it_is(form):
    fields, form_values = form
    values, faults = validate_fields(fields, form_values, birth_date=BORN)
    fields_by_name = {field.name: field for field in fields}
    assert set(values) <= set(fields_by_name)
    assert set(faults) <= set(fields_by_name)
    for sentence in faults.values():
        assert any("一" <= character <= "鿿" for character in sentence), sentence
    for name, field in fields_by_name.items():
        if any(text.strip() and text.isprintable() for text in form_values.get(name, [])):
            assert name in values or name in faults
        assert "\x00" not in display_value(field, values.get(name))
    validated_again, _ = validate_fields(
        fields,
        {name: as_typed(fields_by_name[name], value) for name, value in values.items()},
        birth_date=BORN,
    )
    assert validated_again == values


@given(st.text(max_size=300))
def test_a_files_name_is_shown_without_what_nobody_sees(name):
    file_name = clean_file_name(name)
    assert file_name
    assert file_name.isprintable()
    assert len(file_name) <= 100
    assert "/" not in file_name


def test_a_files_name_loses_its_folders():
    assert clean_file_name("C:\\文件\\证明.pdf") == clean_file_name("/tmp/证明.pdf") == "证明.pdf"  # noqa: S108


@pytest.mark.parametrize(
    ("step", "name", "typed", "sentence"),
    [
        (1, "graduated", "1979-12", "早于您的出生日期"),
        (1, "graduated", "2999-01", "不能晚于今天"),
        (1, "graduated", "0000-01", "如2010-07"),
        (1, "ethnicity", "火星族", "请从列表中选择"),
        (1, "email", "x", "电子邮箱的格式不对"),
        (1, "school", "山" * 101, "不要超过100字"),
        (2, "registered", "1979-01-01", "早于您的出生日期"),
        (2, "registered", "2010-02-30", "如2010-07-01"),
        (2, "specialty_years", "81", "不能超过80年"),
        (2, "specialty_years", "十", "请填写整数"),
        (2, "scope", "31", "请从列表中选择"),
        (2, "qualification", "编码!", "只能由数字和字母组成"),
        (4, "patients", "-3", "请填写整数"),
        (4, "quantity", "优秀", "请从列表中选择"),
    ],
)
def test_each_unsound_value_is_told_in_words(step, name, typed, sentence):
    values, faults = validate_fields(fields_of(step), {name: [typed]}, birth_date=BORN)
    assert sentence in faults[name]
    assert values == {}


def test_full_width_and_other_ways_to_write_are_mended():
    values, faults = validate_fields(
        fields_of(2),
        {
            "registered": ["2010年7月1日"],
            "practice": ["１１０１４０４０００１２３４５"],
            "specialty_years": ["1,2"],
            "department": ["  内 科\t一区 "],
        },
    )
    assert faults == {}
    assert values == {
        "registered": "2010-07-01",
        "practice": "110140400012345",
        "specialty_years": 12,
        "department": "内 科 一区",
    }


def test_days_in_order_are_wanted():
    _, faults = validate_fields(fields_of(2), {"qualified": ["2010-01-02"], "registered": ["2010-01-01"]})
    assert "registered" in faults
    _, none = validate_fields(fields_of(2), {"qualified": ["2010-01-01"], "registered": ["2010-01-01"]})
    assert none == {}


def test_a_second_place_of_practice_may_end_in_days_to_come():
    future_day = (clock.today() + timedelta(days=400)).isoformat()
    _, faults = validate_fields(
        ENTRY_LISTS["registrations"].fields,
        {"name": ["乙院"], "since": ["2020-01-01"], "until": [future_day]},
    )
    assert faults == {}
    _, faults = validate_fields(
        ENTRY_LISTS["registrations"].fields, {"name": ["乙院"], "since": [future_day]}
    )
    assert "不能晚于今天" in faults["since"]


def test_the_lists_are_the_nations():
    assert len(ETHNICITIES) == len(set(ETHNICITIES)) == 57
    assert ETHNICITIES[-1] == "其他"
    assert len(DEFAULT_DIRECT_FAIL_TEXTS) == 14


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
    assert {"sex", "birth_date"} <= {field.name for field in fields_of(1, with_hints=False) if field.required}
    assert not {"sex", "birth_date"} & {field.name for field in fields_of(1)}


@pytest.mark.parametrize(
    ("kept", "field"),
    [
        ({"qualification": "123"}, "qualification"),
        ({"qualification": "200314110140105198001020099"}, "qualification"),
        ({"qualification": "209914110140105198001020018"}, "qualification"),
        ({"practice": "12"}, "practice"),
        ({"practice": "210140400012345"}, "practice"),
        ({"practice": "120140400012345"}, "practice"),
    ],
)
def test_odd_certificate_numbers_are_doubted(kept, field):
    assert field in certificate_number_warnings(
        kept, "140105198001020018", level="physician", category="clinical"
    )


def test_sound_certificate_numbers_are_not_doubted():
    sound = {"qualification": "200314110140105198001020018", "practice": "110140400012345"}
    assert (
        certificate_number_warnings(sound, "140105198001020018", level="physician", category="clinical") == {}
    )


@given(st.dates(date(1950, 1, 1), date(2050, 1, 1)), st.integers(0, 60))
def test_years_are_whole(day, years):
    later_day = date(day.year + years, day.month, min(day.day, 28))
    assert years_between(day.replace(day=min(day.day, 28)), later_day) == years
    assert years_between(day.replace(day=min(day.day, 28)), later_day - timedelta(days=1)) == years - 1


@given(
    st.sampled_from(list(CATEGORIES)),
    st.sampled_from(list(LEVELS)),
    st.sampled_from([*SCOPES, "00", "内科"]),
    st.sampled_from(["主任医师", "医士", "其他", "教授"]),
)
def test_a_code_is_kept_exactly_where_its_list_has_it(category, level, scope, title):
    values, faults = validate_fields(
        fields_of(2, level=level, category=category), {"scope": [scope], "title": [title]}
    )
    assert ("scope" in values) == (scope in SCOPES and SCOPES[scope][0] in (category, "any"))
    assert ("title" in values) == (
        title == "其他" or (level == "physician") == (title == "主任医师") and title in ("主任医师", "医士")
    )
    assert set(faults) == {"scope", "title"} - set(values)


DAYS = st.dates(date(1940, 1, 1), date(2030, 12, 31))


@given(DAYS, DAYS, DAYS, st.sampled_from([(), ("qualified",), ("registered",), ("qualified", "registered")]))
def test_days_that_are_kept_without_a_fault_stand_in_order_after_childhood_and_not_in_days_to_come(
    born, qualified, registered, changed
):
    values, faults = validate_fields(
        fields_of(2),
        {"qualified": [qualified.isoformat()], "registered": [registered.isoformat()]},
        birth_date=born,
        changed=changed,
    )
    if not faults:
        assert born.year + 15 <= qualified.year
        assert qualified <= registered <= clock.today()
    elif set(values) == {"qualified", "registered"}:
        assert registered < qualified
        assert list(faults) == (["qualified"] if changed == ("qualified",) else ["registered"])


@given(
    st.dates(date(2015, 1, 1), date(2026, 11, 1)),
    st.dates(date(2018, 1, 1), date(2020, 1, 1)),
    st.integers(0, 2000),
)
def test_records_lie_within_the_cycle(when, starts, days):
    ends = starts + timedelta(days=days)
    for kind in ("good_records", "bad_records"):
        _, faults = validate_fields(
            ENTRY_LISTS[kind].fields, {"when": [f"{when:%Y-%m}"]}, date_range=(starts, ends)
        )
        assert ("when" in faults) == (
            not (starts.year, starts.month) <= (when.year, when.month) <= (ends.year, ends.month)
        )


MONTHS = st.dates(date(1990, 1, 1), date(2026, 11, 1)).map(lambda day: f"{day:%Y-%m}")


@given(st.lists(st.tuples(MONTHS, st.one_of(st.none(), MONTHS)), max_size=6))
def test_overlaps_are_told_of_each_pair_once_whatever_their_order(spans):
    entries = [
        {"name": str(n), "since": start, "until": end}
        for n, (start, end) in enumerate(spans)
        if not end or start < end
    ]
    pairs = overlapping_entries(entries)
    assert len(pairs) == len({frozenset(pair) for pair in pairs})
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in overlapping_entries(entries[::-1])
    }
    for entry in entries:
        for other_entry in entries:
            apart = (entry["until"] or "9999") <= other_entry["since"] or (
                other_entry["until"] or "9999"
            ) <= entry["since"]
            assert (
                frozenset((entry["name"], other_entry["name"])) in {frozenset(pair) for pair in pairs}
            ) == (entry is not other_entry and not apart)


def test_dates_that_are_seldom_so_are_doubted_and_kept():
    odd = {"graduated": "2010-07", "working_since": "2003-08", "titled": "1995-01", "qualified": "1999-09-01"}
    assert set(date_warnings(odd)) == {"graduated", "titled"}
    assert (
        date_warnings(
            {
                "graduated": "2003-07",
                "working_since": "2003-08",
                "titled": "2001-01",
                "qualified": "1999-09-01",
            }
        )
        == {}
    )


PAGES = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.sampled_from(["school", "major"]),
        st.sampled_from(["", "甲", "乙", "丙"]),
        st.booleans(),
    ),
    max_size=25,
)


@given(PAGES)
def test_two_pages_never_overwrite_each_other_unseen(sends):
    """`kept` is the server's; `seen` what each page was told last; an answer may get lost on its way."""
    fields, stored, pens, known_values = fields_of(1), {}, {}, ({}, {})
    for page, name, value, answered in sends:
        pen, stored_value, knew = f"pen{page}", stored.get(name, ""), known_values[page].get(name, "")
        merged = merge_values(
            fields, stored, {name: [value]}, {name: etag_of(knew)}, client_ids=pens, client_id=pen
        )
        by_another = stored_value != knew and pens.get(name) != pen
        if by_another and value not in (stored_value, knew):
            assert merged.conflicts == {name: stored.get(name)}
            assert merged.values == stored
        elif by_another and value == knew:
            assert merged.values == stored
        else:
            assert merged.values.get(name, "") == value
            assert merged.conflicts == {}
        assert {field_name: text for field_name, text in merged.values.items() if field_name != name} == {
            field_name: text for field_name, text in stored.items() if field_name != name
        }
        if merged.changed:
            pens = pens | {name: pen}
        stored = merged.values
        if answered:
            known_values[page][name] = stored.get(name, "")


def test_a_province_says_which_fields_are_needed_and_what_fails():
    terms = ProvinceTerms(
        extra_required=frozenset({"email"}),
        optional=frozenset({"degree"}),
        direct_fail={"01": "01 甲", "15": "15 乙"},
        min_report_length=800,
    )
    first = {field.name: field.required for field in fields_of(1, terms=terms)}
    assert first["email"]
    assert not first["degree"]
    assert first["education"]
    assert next(
        field for field in fields_of(4, terms=terms) if field.name == "direct_fail_which"
    ).choices == {"01": "01 甲", "15": "15 乙"}
    assert next(field for field in fields_of(5, terms=terms) if field.name == "report").hint.endswith(
        "不少于800字"
    )


def test_what_a_province_may_ask_for_or_leave_are_fields_as_they_stand():
    fields = [field for step in STEPS for field in fields_of(step)]
    labels = {field.name: field.label for field in fields}
    needed = {field.name: field.required for field in fields}
    assert len(needed) == len(fields), "a name says which field is meant"
    may_be_required = SETTINGS["filing_also_needed"].choices
    may_be_optional = SETTINGS["filing_not_needed"].choices
    assert set(may_be_required) == {"major", "email", "address", "post", "titled", "patients", "rounds"}
    assert set(may_be_optional) == {
        "degree",
        "school",
        "graduated",
        "working_since",
        "qualified",
        "department",
        "employment",
        "specialty_years",
    }
    for name, label in (may_be_required | may_be_optional).items():
        assert labels[name] == label
    assert not any(needed[name] for name in may_be_required)
    assert all(needed[name] for name in may_be_optional)


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("", ""),
        ("110460000012345", "1104*******2345"),
        ("110460000012", "1104****0012"),
        ("1104600000", "11******00"),
        ("12345", "1***5"),
    ],
)
def test_a_masked_certificate_number_hides_most_of_itself(number, masked):
    assert mask_certificate_number(number) == masked
