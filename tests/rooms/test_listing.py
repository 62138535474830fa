"""Lists as rooms declare them: every row on one page whichever way one turns them, counts equal to the rows,
an address that gives the same view again and never a larger one."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.database.listing import list_counts, list_pages
from dingkao.database.listing.definitions import ANY_CHOICE, ListViewer, all_definitions, get_definition
from dingkao.database.listing.list_counts import ChipCount, count_list
from dingkao.database.listing.list_pages import fetch_list_page
from dingkao.database.listing.list_states import ListState, parse_address, parse_state
from dingkao.database.listing.selections import count_selected, fetch_selected_ids
from dingkao.doctors.doctor_list import DOCTOR_FILTER, DOCTOR_LIST
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.scopes import WHOLE_PROVINCE, Grant
from dingkao.people.staff_list import STAFF_LIST

VIEWER = ListViewer(WHOLE_PROVINCE, new_id())
SORT_KEYS = [sort.key for sort in DOCTOR_LIST.sorts]


@pytest.fixture
def people(in_province, provinces):
    """山西 with its six doctors, differing in department, level and category."""
    with in_province("shanxi"):
        doctors = db.session.scalars(select(Doctor).order_by(Doctor.id)).all()
        for number, doctor in enumerate(doctors):
            doctor.department = (None, "内科", "外科")[number % 3]
            doctor.level = ("physician", "assistant")[number % 2]
            doctor.category = "clinical" if number else "dental"
        db.session.flush()
        yield doctors


def ids_of(page):
    return [row[0].id for row in page.rows]


@pytest.mark.parametrize("key", SORT_KEYS)
@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize("size", [1, 4, 6, 100])
def test_every_row_is_on_one_page_forwards_and_back(people, key, is_descending, size):
    state = ListState(DOCTOR_LIST).with_sort(key, is_descending=is_descending)
    pages = [fetch_list_page(state, VIEWER, size)]
    while pages[-1].next_cursor:
        pages.append(fetch_list_page(replace(state, after=pages[-1].next_cursor), VIEWER, size))
    ids = [doctor_id for page in pages for doctor_id in ids_of(page)]
    sort = DOCTOR_LIST.sort_by_key(key)
    order = [column.desc() if is_descending else column for column in sort.columns]
    assert ids == list(db.session.scalars(select(Doctor.id).order_by(*order)))
    back = [pages[-1]]
    while back[-1].previous_cursor:
        back.append(fetch_list_page(replace(state, before=back[-1].previous_cursor), VIEWER, size))
    assert [doctor_id for page in reversed(back) for doctor_id in ids_of(page)][-len(people) :] == ids
    assert pages[0].previous_cursor is None


def test_a_page_that_is_gone_is_the_first_page(people):
    state = ListState(DOCTOR_LIST)
    first = fetch_list_page(state, VIEWER, 2)
    for cursor in ("x", "W10=", "WyJ4Il0=", "WzEsMl0="):
        assert ids_of(fetch_list_page(replace(state, after=cursor), VIEWER, 2)) == ids_of(first)
    second = fetch_list_page(replace(state, after=first.next_cursor), VIEWER, 2)
    narrowed = replace(state.with_filter("category", "dental"), after=second.next_cursor)
    assert len(fetch_list_page(narrowed, VIEWER, 2).rows) == 1


def test_only_a_list_that_is_short_enough_is_sorted_without_an_index(people, monkeypatch):
    state = ListState(DOCTOR_LIST).with_sort("department", is_descending=True)
    monkeypatch.setattr(list_pages, "MAX_SORTED", 6)
    assert fetch_list_page(state, VIEWER).sort.key == "department"
    monkeypatch.setattr(list_pages, "MAX_SORTED", 5)
    page = fetch_list_page(state, VIEWER)
    assert (page.sort.key, page.is_descending, page.is_sort_refused) == ("name", False, True)
    assert not fetch_list_page(ListState(DOCTOR_LIST), VIEWER).is_sort_refused


@pytest.mark.parametrize("most", [1, 2, 5, 6, 7])
def test_by_a_filter_without_an_index_a_page_looks_at_so_many_rows(people, monkeypatch, most):
    monkeypatch.setattr(list_pages, "MAX_LOOKED_AT", most)
    state = ListState(DOCTOR_LIST).with_filter("level", "assistant")
    pages = [fetch_list_page(state, VIEWER, 2)]
    while pages[-1].next_cursor:
        pages.append(fetch_list_page(replace(state, after=pages[-1].next_cursor), VIEWER, 2))
    ids = [doctor_id for page in pages for doctor_id in ids_of(page)]
    in_order = select(Doctor.id).order_by(Doctor.name_key, Doctor.id)
    assert ids == list(db.session.scalars(in_order.where(Doctor.level == "assistant")))
    if most in (1, 7):
        assert any(page.is_cut for page in pages) == (most == 1)
    assert [page.is_cut and not page.next_cursor for page in pages] == [False] * len(pages)
    back = fetch_list_page(replace(state, before=pages[-1].previous_cursor), VIEWER, 2)
    assert set(ids_of(back)) <= set(ids)


def test_chips_count_what_each_would_leave(people):
    counts = count_list(ListState(DOCTOR_LIST), VIEWER).choices
    assert {code: count.number for code, count in counts["level"].items()} == {"physician": 3, "assistant": 3}
    state = ListState(DOCTOR_LIST).with_filter("level", "physician").with_filter("category", "dental")
    counts = count_list(state, VIEWER).choices
    assert {code: count.number for code, count in counts["level"].items()} == {"physician": 1, "assistant": 0}
    assert counts["category"]["clinical"].number == 2
    for known in DOCTOR_LIST.filters:
        for code in known.choices:
            page = fetch_list_page(state.with_filter(known.key, code), VIEWER)
            assert counts[known.key][code].number == len(page.rows), (known.key, code)
    assert count_list(state, VIEWER).total == ChipCount(1)
    assert count_list(ListState(DOCTOR_LIST), VIEWER).total.with_unit("人") == "6人"


def test_a_chip_says_how_far_it_was_counted(people, monkeypatch):
    assert [str(ChipCount(number)) for number in (0, 1000, 1001)] == ["0", "1000", "1,000以上"]
    assert str(ChipCount(12_345, is_known=True)) == "12,345"
    monkeypatch.setattr(list_counts, "COUNTED_ROWS", 3)
    monkeypatch.setattr(list_counts, "SAMPLED_ROWS", 3)
    counts = count_list(ListState(DOCTOR_LIST), VIEWER).choices["level"].values()
    assert not any(count.is_complete or count.is_zero for count in counts)
    assert {str(count) for count in counts} <= {"", "1以上", "2以上", "3以上"}


def test_chips_of_all_staff_count_each_account_once(people):
    institution_ids = db.session.scalars(select(Organisation.id).limit(2)).all()
    for number, state in enumerate(("active", "closed", "initial")):
        account = Account(
            kind="staff", login_index=bytes([number]), name="王敏", state=state, initial_until=clock.now()
        )
        db.session.add(account)
        db.session.flush()
        db.session.add_all(
            Membership(account_id=account.id, organisation_id=institution_id, role="institution_clerk")
            for institution_id in institution_ids[: number + 1]
        )
    db.session.flush()
    counts = count_list(ListState(STAFF_LIST), VIEWER)
    assert counts.total.number == len(fetch_list_page(ListState(STAFF_LIST), VIEWER).rows)
    for key in ("state", "role", "used"):
        for code in STAFF_LIST.filter_by_key(key).choices:
            page = fetch_list_page(ListState(STAFF_LIST).with_filter(key, code), VIEWER)
            assert counts.choices[key][code].number == len(page.rows), (key, code)
    assert counts.choices["role"]["institution_clerk"].number >= 3


def test_of_a_view_known_to_be_large_fewer_rows_are_looked_at(people, monkeypatch):
    monkeypatch.setattr(list_counts, "COUNTED_ROWS", 4)
    monkeypatch.setattr(list_counts, "SAMPLED_ROWS", 2)
    for known, most in ((5, 2), (4, 4)):
        numbers = {"level": {ANY_CHOICE: known, "physician": 3, "assistant": 2}}
        definition = replace(DOCTOR_LIST, totals=lambda _state, _viewer, numbers=numbers: numbers)
        counts = count_list(ListState(definition), VIEWER)
        assert counts.total == ChipCount(known, is_known=True)
        assert counts.choices["level"]["physician"] == ChipCount(3, is_known=True)
        assert sum(count.number for count in counts.choices["category"].values()) == most + 1


@pytest.mark.parametrize(("most", "looked_at"), [(4, 3), (5, 3), (6, 6)])
def test_of_a_view_found_to_be_large_fewer_rows_are_looked_at(people, monkeypatch, most, looked_at):
    monkeypatch.setattr(list_counts, "COUNTED_ROWS", most)
    monkeypatch.setattr(list_counts, "SAMPLED_ROWS", 2)
    counts = count_list(ListState(DOCTOR_LIST), VIEWER)
    for numbers in ([counts.total], counts.choices["level"].values(), counts.choices["category"].values()):
        assert sum(count.number for count in numbers) == looked_at
        assert {count.is_complete for count in numbers} == {most == len(people)}


def test_an_address_gives_the_same_view_again(people):
    institution = db.session.scalars(select(Organisation.id)).first()
    state = parse_state(
        DOCTOR_LIST,
        {
            "institution": [str(institution)],
            "level": ["physician"],
            "q": [" 王伟 "],
            "sort": ["department"],
            "dir": ["desc"],
            "columns": ["department", "sex"],
        },
    )
    assert state.search == "王伟"
    assert state.shown_columns == ("name", "sex", "department")
    assert parse_address(DOCTOR_LIST, state.address()) == state
    assert parse_state(DOCTOR_LIST, {"columns": ["name,department"]}).shown_columns == ("name", "department")


def test_what_a_list_has_not_is_left_out_of_a_page_and_refused_for_a_batch(people):
    strange = {
        "level": ["x"],
        "institution": ["太原"],
        "sort": ["x"],
        "dir": ["x"],
        "columns": ["x"],
        "y": ["z"],
    }
    assert parse_state(DOCTOR_LIST, strange) == ListState(DOCTOR_LIST)
    for address in ("level=x", "y=z", "institution=1", "level=physician&level=assistant", "q=" + "王" * 60):
        with pytest.raises(InvalidInput):
            parse_address(DOCTOR_LIST, address)
    assert parse_address(DOCTOR_LIST, "") == ListState(DOCTOR_LIST)


def test_a_preset_holds_until_an_address_says_otherwise():
    presets = {"level": "physician"}
    assert parse_state(DOCTOR_LIST, {}, presets).filters == presets
    unfiltered = parse_state(DOCTOR_LIST, {"level": ["all"]}, presets)
    assert (unfiltered.filters, unfiltered.arguments()) == ({}, {"level": "all"})
    assert parse_state(DOCTOR_LIST, {}, presets).arguments() == {}
    assert parse_state(DOCTOR_LIST, {}, presets).address() == "level=physician"


def test_the_rows_of_a_view_are_selected_within_the_viewers_scope(people):
    state = ListState(DOCTOR_LIST).with_filter("level", "physician")
    wanted = sorted(doctor.id for doctor in people if doctor.level == "physician")
    assert fetch_selected_ids(state, VIEWER, None, 100) == wanted
    assert fetch_selected_ids(state, VIEWER, wanted[0], 1) == wanted[1:2]
    assert count_selected(state, VIEWER) == 3
    clerk = ListViewer(Grant(institution_ids=(people[0].organisation_id,)), new_id())
    own = {doctor.id for doctor in people if doctor.organisation_id == people[0].organisation_id}
    assert set(fetch_selected_ids(ListState(DOCTOR_LIST), clerk, None, 100)) == own
    assert set(ids_of(fetch_list_page(ListState(DOCTOR_LIST), clerk))) == own
    nobody = ListViewer(Grant(), new_id())
    assert fetch_selected_ids(ListState(DOCTOR_LIST), nobody, None, 100) == []


def test_every_list_has_cells_for_its_columns_and_an_order_for_its_headings(people):
    assert {"doctors", "records", "institution_reviews"} <= {known.name for known in all_definitions()}
    for definition in all_definitions():
        sort_keys = {sort.key for sort in definition.sorts}
        assert {column.sort for column in definition.columns if column.sort} <= sort_keys
        assert definition.sorts[0].is_indexed
        names_doctors = definition.name not in ("institutions", "staff", "departments")
        assert definition.search is None or bool(definition.filter_by_key(DOCTOR_FILTER)) is names_doctors
        page = fetch_list_page(ListState(definition), VIEWER)
        for cells in page.cells:
            assert {column.key for column in definition.columns} <= cells.keys()
    with pytest.raises(NotFound):
        get_definition("nothing")


def test_numbers_are_masked_in_cells(people):
    numbers = {cells["number"] for cells in fetch_list_page(ListState(DOCTOR_LIST), VIEWER).cells}
    assert all("********" in number for number in numbers)
