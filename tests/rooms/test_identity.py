"""Numbers that identify people: right ones are taken however they are typed, wrong ones never pass for
another's."""

from datetime import date, timedelta

import pytest
from freezegun import freeze_time
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum.cn import ric

from dingkao.people.identity_numbers import (
    InvalidNumber,
    birth_date_of,
    mask_number,
    normalise_login_number,
    normalise_number,
    number_warning,
    parse_document,
    parse_mobile,
    region_of_identity_card,
)

FULL_WIDTH = {ord(character): ord(character) + 0xFEE0 for character in "0123456789Xx"}
BLANKS = " \t\n\u3000\u00a0\u2003"


@st.composite
def residents(draw):
    """A valid resident ID number, and what it says of its holder."""
    area = draw(st.integers(110000, 829999))
    birth = draw(st.dates(date(1900, 1, 1), date(2026, 11, 1)))
    sequence = draw(st.integers(0, 999))
    body = f"{area}{birth:%Y%m%d}{sequence:03d}"
    return body + ric.calc_check_digit(body + "0"), birth, "male" if sequence % 2 else "female"


@st.composite
def typed(draw, number):
    """`number` as people type it: full-width here and there, blanks anywhere, a small x."""
    pieces = [draw(st.text(BLANKS, max_size=2))]
    for character in number:
        character = draw(st.sampled_from([character, character.lower(), character.translate(FULL_WIDTH)]))
        pieces += [character, draw(st.text(BLANKS, max_size=1))]
    return "".join(pieces)


@given(residents(), st.data())
def test_a_right_number_is_taken_however_it_is_typed(resident, data):
    number, birth, sex = resident
    document = parse_document("resident", data.draw(typed(number)))
    assert (document.number, document.birth_date, document.sex) == (number, birth, sex)
    assert normalise_login_number(data.draw(typed(number))) == number


@given(residents())
def test_every_change_of_one_character_is_refused(resident):
    number = resident[0]
    for position in range(18):
        for replacement in "0123456789X":
            if replacement != number[position]:
                with pytest.raises(InvalidNumber):
                    parse_document("resident", number[:position] + replacement + number[position + 1 :])


@given(residents())
def test_two_neighbours_exchanged_are_refused(resident):
    number = resident[0]
    for position in range(17):
        if number[position] != number[position + 1]:
            with pytest.raises(InvalidNumber):
                parse_document(
                    "resident",
                    number[:position] + number[position + 1] + number[position] + number[position + 2 :],
                )


@given(residents())
def test_a_number_cut_short_or_run_on_is_refused(resident):
    number = resident[0]
    for wrong in (number[:17], number[1:], number[:14], number + "0", number * 2):
        with pytest.raises(InvalidNumber):
            parse_document("resident", wrong)


@given(st.integers(110000, 829999), st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 999))
def test_fifteen_digits_are_the_same_person_as_the_eighteen(area, birth, sequence):
    text = f"{area}{birth:%y%m%d}{sequence:03d}"
    document = parse_document("resident", text)
    assert document.birth_date == birth
    assert document.number == normalise_login_number(text)
    assert parse_document("resident", document.number) == document


@given(st.text())
def test_any_text_is_a_number_or_is_refused_with_reason_and_remedy(text):
    numbers = []
    for kind in ("resident", "passport"):
        try:
            numbers.append(parse_document(kind, text).number)
        except InvalidNumber as refused:
            numbers += [refused.reason, refused.remedy]
    assert all(numbers)
    normalise_login_number(text)


@pytest.mark.parametrize("day", ["19900230", "19901301", "19900001", "18991231", "20261125", "99990101"])
@freeze_time("2026-11-24 12:00:00")
def test_a_birth_date_that_is_none_is_refused_though_the_check_digit_is_right(day):
    body = f"110101{day}001"
    with pytest.raises(InvalidNumber, match="出生日期"):
        parse_document("resident", body + ric.calc_check_digit(body + "0"))


@pytest.mark.parametrize(("hour", "taken"), [("2026-11-23 15:59:00", False), ("2026-11-23 16:01:00", True)])
def test_today_is_the_day_in_beijing(hour, taken):
    body = "11010120261124001"
    number = body + ric.calc_check_digit(body + "0")
    with freeze_time(hour):
        if taken:
            assert parse_document("resident", number).birth_date == date(2026, 11, 23) + timedelta(days=1)
        else:
            with pytest.raises(InvalidNumber):
                parse_document("resident", number)


@pytest.mark.parametrize("area", ["810000", "820000", "830000", "999999", "419000"])
def test_the_area_is_not_checked(area):
    body = f"{area}19800102001"
    number = body + ric.calc_check_digit(body + "0")
    assert parse_document("residence_permit", number).number == number


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [
        ("passport", " e1234 5678 ", "E12345678"),
        ("hk_macao_permit", "H12345678", "H12345678"),
        ("officer", "军字第1234567号", "军字第1234567号"),
        ("hong_kong", "A123456(7)", "A123456(7)"),
    ],
)
def test_other_documents_are_kept_as_they_are_and_say_nothing_of_their_holder(kind, text, kept):
    document = parse_document(kind, text)
    assert (document.number, document.sex, document.birth_date) == (kept, None, None)


@pytest.mark.parametrize("text", ["", "1234", "A" * 31, "-----", "军官证号码不详", "\u200b\u200b12 34"])
def test_what_is_no_document_number_is_refused(text):
    with pytest.raises(InvalidNumber):
        parse_document("passport", text)


@pytest.mark.parametrize("text", ["P<1234567", "1/234567/8", "E-12345678", "南字第1234号", "A" * 30, "12345"])
def test_other_documents_have_no_form_of_their_own(text):
    assert parse_document("passport", text).number == text
    assert number_warning("passport", text) is None


FOREIGN = "91112419810803002"


def test_the_new_card_of_foreigners_tells_birth_and_sex_if_its_check_digit_is_right():
    number = FOREIGN + ric.calc_check_digit(FOREIGN + "0")
    document = parse_document("foreign_permanent", number)
    assert (document.birth_date, document.sex) == (date(1981, 8, 3), "female")
    assert number_warning("foreign_permanent", number) is None
    wrong = number[:-1] + ("0" if number[-1] != "0" else "1")
    document = parse_document("foreign_permanent", wrong)
    assert (document.number, document.birth_date, document.sex) == (wrong, None, None)
    assert number_warning("foreign_permanent", wrong)


@pytest.mark.parametrize(
    ("kind", "number", "odd"),
    [
        ("foreign_permanent", "CAN123456789012", False),
        ("foreign_permanent", FOREIGN, True),
        ("taiwan_permit", "01234567", False),
        ("taiwan_permit", "0123456789", False),
        ("taiwan_permit", "0123456701(A)", False),
        ("taiwan_permit", "1234567", True),
        ("hk_macao_permit", "H01234567", False),
        ("hk_macao_permit", "M0123456701", False),
        ("hk_macao_permit", "X01234567", True),
        ("hk_macao_permit", "H1234567(01)", True),
        ("resident", "140105198001020018", False),
    ],
)
def test_a_form_that_is_odd_is_told(kind, number, odd):
    assert (number_warning(kind, number) is not None) is odd


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("A123456(7)", "hong_kong"),
        ("1/234567/8", "macao"),
        ("1234567(8)", "macao"),
        ("A123456789", "taiwan"),
        ("E12345678", None),
        ("无", None),
    ],
)
def test_the_cards_of_three_regions_are_told_apart_by_their_numbers(number, kind):
    assert region_of_identity_card(number) == kind


@given(residents(), st.data())
def test_characters_nobody_sees_make_no_other_number(resident, data):
    number = resident[0]
    unseen = st.text("\u200b\u200e\u202a\u202c\ufeff\x00\x08", max_size=2)
    hidden = "".join(data.draw(unseen) + character for character in number)
    assert parse_document("resident", hidden).number == normalise_login_number(hidden) == number


@given(residents())
def test_a_masked_number_keeps_six_and_four(resident):
    number = resident[0]
    assert mask_number(number) == number[:6] + "********" + number[14:]


@given(st.text("0123456789ABCDEFGHIJ", min_size=5, max_size=20))
def test_a_masked_number_of_any_kind_hides_something_and_shows_no_more_than_ten(number):
    masked = mask_number(number)
    assert masked != number
    assert "*" in masked
    assert len(masked.replace("*", "")) <= 10


def test_a_masked_mobile_keeps_three_and_four():
    assert mask_number("13812345678") == "138****5678"
    assert mask_number("E12345678") == "******678"


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    st.sampled_from(["", "+86", "86", "0086", "+86 ", "+86-", "(+86)", "\uff08+86\uff09"]),
    st.data(),
)
def test_a_mobile_is_taken_however_it_is_typed(number, prefix, data):
    dashed = f"{number[:3]}{data.draw(st.sampled_from(['', '-', ' ', '–']))}{number[3:]}"
    assert parse_mobile(prefix + data.draw(typed(dashed))) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12812345678",
        "1381234567",
        "138123456789",
        "010-12345678",
        "13812345678/9",
        "138 1234 567O",
        "+1 13812345678",
        "-13812345678",
        "138123456781.0",
    ],
)
def test_what_is_no_mobile_is_refused(text):
    with pytest.raises(InvalidNumber):
        parse_mobile(text)


def test_a_mobile_that_a_program_made_a_number_is_taken():
    assert parse_mobile("13800000001.0") == "13800000001"


def test_digits_of_other_scripts_are_no_digits():
    with pytest.raises(InvalidNumber):
        parse_document(
            "resident",
            "\u0661\u0664\u0660\u0661\u0660\u0665\u0661\u0669\u0668\u0660\u0660\u0661\u0660\u0662\u0660\u0660\u0663"
            + "3",
        )
    with pytest.raises(InvalidNumber):
        parse_mobile("13\u066800000000")


DOCUMENTS = {
    "hong_kong": r"[A-Z]{1,2}[0-9]{6}\([0-9A]\)", "macao": r"[1578]/[0-9]{6}/[0-9]", "taiwan": r"[A-Z][12][0-9]{8}", "taiwan_permit": r"[0-9]{8}|[0-9]{10}\([A-Z]\)",
    "hk_macao_permit": r"[HM][0-9]{8}([0-9]{2})?", "foreign_permanent": r"[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X]", "passport": r"[A-Z]{1,2}-?[0-9]{7,8}",
    "officer": r"[军武南北]字第[0-9]{6,8}号",
}  # fmt: skip


@given(st.data(), st.sampled_from(sorted(DOCUMENTS)))
def test_any_document_is_found_however_it_is_typed(data, kind):
    number = data.draw(st.from_regex(DOCUMENTS[kind], fullmatch=True).filter(str.isprintable))
    parsed_number = parse_document(kind, number).number
    bare = number.translate({ord(mark): None for mark in "()-/"})
    typed_number = data.draw(
        typed(
            data.draw(
                st.sampled_from(
                    [number, bare, number.replace("(", "\uff08").replace(")", "\uff09"), "-".join(bare)]
                )
            )
        )
    )
    assert (
        normalise_login_number(typed_number)
        == normalise_login_number(parsed_number)
        == normalise_login_number(parse_document(kind, parsed_number).number)
    )


@example("0000A\u00b4")
@given(st.text())
def test_a_normalised_number_stays_what_it_is(text):
    once = normalise_login_number(text)
    assert normalise_login_number(once) == once
    assert normalise_number(normalise_number(text)) == normalise_number(text)
    for kind in ("resident", "passport", "hong_kong"):
        try:
            document = parse_document(kind, text)
        except InvalidNumber:
            continue
        assert parse_document(kind, document.number) == document


@given(residents(), residents())
def test_two_people_never_share_a_number(one, other):
    assert (normalise_login_number(one[0]) == normalise_login_number(other[0])) is (one[0] == other[0])


@given(residents())
def test_a_resident_number_says_its_birth_date_and_no_other_text_does(resident):
    number, birth, _ = resident
    assert birth_date_of(number) == birth
    assert (
        birth_date_of(number[:17])
        is birth_date_of(f"{number[:6]}99{number[8:]}")
        is birth_date_of("E12345678")
        is None
    )
