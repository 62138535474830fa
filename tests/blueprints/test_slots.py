"""Slots by HTTP: places in a hall, what a doctor's slot does to 「进入考试」, lists that would be long."""

import io
import re
from datetime import timedelta
from functools import partial

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import slots
from dingkao.exams.models.hall_models import Hall, Slot, SlotPlace
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Organisation
from dingkao.people.organisations import InstitutionValues, add_institution
from tests import actors
from tests.blueprints.exam_hall import CODE, FIRST, SECOND, SERIALS, SLUG, local, notices, places, sitting_of
from tests.blueprints.list_export_steps import ask_for_file
from tests.blueprints.racing import begun, held, is_waiting
from tests.blueprints.signed_in_client import post_form


def test_a_full_hall_takes_no_more_and_says_for_whom(application, clerk, slot, candidate, in_province):
    slot_id, doctors = slot(seats=2), [candidate() for _ in range(3)]
    answer = post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=[str(doctor.record_id) for doctor in doctors],
    )
    assert answer.status_code == 303
    text = clerk.get(answer.location).get_data(as_text=True)
    assert "已编排2人。1人未编排：考场2座已满" in text
    assert list(places(in_province, slot_id)) == [1, 2]
    assert "座位1号" in notices(in_province, doctors[0])[-1]
    second_answer = post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=str(doctors[0].record_id),
    )
    assert "已编入其他场次" in clerk.get(second_answer.location).get_data(as_text=True)
    assert (
        post_form(
            clerk, f"/{SLUG}/office/slots/{slot_id}/remove", page=f"/{SLUG}/office/slots/{slot_id}"
        ).status_code
        == 303
    )
    assert places(in_province, slot_id)
    sheet = clerk.get(f"/{SLUG}/office/slots/{slot_id}/list.xlsx")
    sheet_rows = CalamineWorkbook.from_filelike(io.BytesIO(sheet.data)).get_sheet_by_index(0).to_python()
    assert sheet_rows[0][:4] == ["座位号", "姓名", "证件号码", "准考证号"]
    assert [sheet_row[0] for sheet_row in sheet_rows[1:]] == [1, 2]
    assert all("****" in sheet_row[2] for sheet_row in sheet_rows[1:])
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places/remove",
        page=f"/{SLUG}/office/slots/{slot_id}",
        placed=str(doctors[0].record_id),
    )
    assert list(places(in_province, slot_id)) == [2]
    assert "已取消" in notices(in_province, doctors[0])[-1]
    post_form(
        clerk, f"/{SLUG}/office/slots/{slot_id}/places", page=f"/{SLUG}/office/slots/{slot_id}", all="1"
    )
    assert list(places(in_province, slot_id)) == [1, 2]
    with in_province(SLUG):
        hall_id = db.session.scalars(select(Slot.hall_id).where(Slot.id == slot_id)).one()
    for place in (f"slot-{slot_id}", f"hall-{hall_id}"):
        page = clerk.get(f"/{SLUG}/office/seats?place={place}").get_data(as_text=True)
        assert re.findall(r">(\d)</td>\s*<td[^>]*>\d{4}年\d\d月\d\d日 ", page) == ["1", "2"]
    job = ask_for_file(clerk, f"/{SLUG}/office/seats?place=hall-{hall_id}", file_format="csv").location
    actors.run_pending_jobs(application, in_province, SLUG)
    content = clerk.get(f"{job}/sheet.xlsx").get_data(as_text=True)
    assert re.findall(r"^(\d),", content, re.MULTILINE) == ["1", "2"], "by seat, though the first came last"
    assert "请在“考场与场次”中选择" in clerk.get(f"/{SLUG}/office/seats").get_data(as_text=True)


def test_one_begins_in_ones_own_slot_only(clerk, slot, candidate, begin, in_province):
    now_, later_candidate = candidate(), candidate()
    for doctor, slot_id in (
        (now_, slot()),
        (later_candidate, slot(opens=timedelta(hours=5), closes=timedelta(hours=8))),
    ):
        post_form(
            clerk,
            f"/{SLUG}/office/slots/{slot_id}/places",
            page=f"/{SLUG}/office/slots/{slot_id}",
            record=str(doctor.record_id),
        )
    page_text = later_candidate.get("/sitting")
    assert "考试场次" in page_text
    assert "长安路1号3楼" in page_text
    assert "尚未开始" in page_text
    refused = begin(later_candidate)
    assert refused.status_code == 409
    assert "请在场次时间内进入" in refused.get_data(as_text=True)
    assert begin(now_).status_code == 303
    sitting = sitting_of(in_province, now_)
    assert sitting.closes_at - sitting.opened_at == timedelta(minutes=60)
    with in_province(SLUG):
        place = db.session.scalars(
            select(SlotPlace).where(SlotPlace.assessment_id == later_candidate.record_id)
        ).one()
        over = {"opens_at": clock.now() - timedelta(hours=3), "closes_at": clock.now() - timedelta(minutes=1)}
        db.session.execute(update(Slot).where(Slot.id == place.slot_id).values(**over))
        db.session.commit()
    refused = begin(later_candidate)
    assert refused.status_code == 409
    assert "另行安排场次" in refused.get_data(as_text=True)
    assert "您的考试场次已结束" in later_candidate.get("/sitting")
    assert actors.record_state(in_province, SLUG, later_candidate.record_id) == "ready"


def test_an_institutions_slot_holds_for_its_doctors_who_have_no_place(
    clerk, in_province, candidate, slot, begin
):
    doctor, placed = candidate(), candidate()
    other_slot_id = slot()
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{other_slot_id}/places",
        page=f"/{SLUG}/office/slots/{other_slot_id}",
        record=str(placed.record_id),
    )
    with in_province(SLUG):
        name = db.session.scalars(
            select(Organisation.name).where(Organisation.registration_number == FIRST)
        ).one()
    slot_id = slot(opens=timedelta(hours=1), institution=name, hall="")
    try:
        assert "请在场次时间内进入" in begin(doctor).get_data(as_text=True)
        assert begin(placed).status_code == 303
    finally:
        assert (
            post_form(
                clerk, f"/{SLUG}/office/slots/{slot_id}/remove", page=f"/{SLUG}/office/slots/{slot_id}"
            ).status_code
            == 303
        )
    assert begin(doctor).status_code == 303


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"closes": -timedelta(hours=2)}, "晚于开始时间"),
        ({"closes": timedelta(days=59)}, "以内"),
        ({"opens_at": ""}, "请选择开始时间"),
        ({"organisation": "x"}, "not a valid choice|选择"),
        ({"hall": "", "institution": ""}, "请选择考场或机构"),
    ],
)
def test_a_slot_that_can_not_be_is_refused_at_its_field(slot, change, sentence):
    with pytest.raises(AssertionError, match=sentence):
        slot(**change)


@pytest.mark.parametrize(
    ("times", "field"),
    [
        ({"closes": timedelta(days=59)}, "closes_at"),
        ({"opens": -timedelta(days=59)}, "opens_at"),
        ({"opens": timedelta(days=50), "closes": timedelta(days=59)}, "opens_at"),
    ],
)
def test_the_time_outside_the_papers_windows_is_the_field_that_is_refused(slot, times, field):
    with pytest.raises(AssertionError, match="以内") as refused:
        slot(**times)
    assert f'id="{field}-said"' in str(refused.value)
    assert str(refused.value).count("is-invalid") == 1


def test_an_institution_is_typed_and_not_chosen_from_thousands(clerk, admin, slot, in_province, candidate):
    candidate()
    with in_province(SLUG):
        for number in range(2):
            twin = InstitutionValues(f"同名医院{number}", f"TWIN{number}", f"{CODE}0100", "医疗机构")
            add_institution(twin, by=TERMINAL_ACTOR)
        names = db.session.scalars(select(Organisation.name).where(Organisation.assesses.is_(False))).all()
        name = db.session.scalars(
            select(Organisation.name).where(Organisation.registration_number == FIRST)
        ).one()
        db.session.commit()
    for page in ("halls", "tickets"):
        text = admin.get(f"/{SLUG}/office/{page}").get_data(as_text=True)
        assert not [name for name in names if f">{name}</option>" in text]
    with pytest.raises(AssertionError, match="请填写机构登记号：同名医院0（TWIN0）、同名医院1（TWIN1）"):
        slot(institution="同名医院")
    with pytest.raises(AssertionError, match="没有找到机构“无此医院”"):
        slot(institution="无此医院")
    page = f"/{SLUG}/office/slots/{slot()}"
    of_one, of_none = (
        clerk.get(page, query_string={"institution": words}).get_data(as_text=True)
        for words in (name, "无此医院")
    )
    assert f"只列出{name}的医师" in of_one
    assert "没有找到机构“无此医院”，请填写完整的机构名称或机构登记号。以下是全部机构的医师。" in of_none


def test_organisations_and_halls_are_typed_where_a_list_would_be_long(
    admin, clerk, slot, in_province, monkeypatch
):
    slot_id, number = slot(), next(SERIALS)
    monkeypatch.setattr("dingkao.web.forms.MAX_CHOICES", 0)
    monkeypatch.setattr("dingkao.blueprints.console.halls.slot_list.MAX_CHOICES", 0)
    monkeypatch.setattr("dingkao.blueprints.console.institutions.MAX_CHOICES", 0)
    with in_province(SLUG):
        hall = db.session.get_one(Hall, (CODE, db.session.get_one(Slot, (CODE, slot_id)).hall_id)).name
        institution = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == SECOND)
        ).one()
    of_slot, of_institution = (
        f"/{SLUG}/office/slots/{slot_id}/change",
        f"/{SLUG}/office/institutions/{institution}",
    )
    for page, chosen_value in (
        (of_slot, FIRST),
        (of_slot, hall),
        (of_institution, FIRST),
        (f"/{SLUG}/office/halls/new", ""),
    ):
        text = admin.get(page).get_data(as_text=True)
        assert f'value="{chosen_value}"' in text
        assert not re.search(r"<option[^>]*>[^<]*(医院|考场)", text)
    when = {"opens_at": local(clock.now()), "closes_at": local(clock.now() + timedelta(hours=1))}

    def changed(**given):
        return post_form(clerk, of_slot, **{"organisation": FIRST, "hall": hall} | when | given)

    assert changed().status_code == 303
    assert "没有名为“无此考场”的在用考场" in changed(hall="无此考场").get_data(as_text=True)
    hall_form, page = (
        {"name": f"第{number}考场", "address": "长安路1号4楼", "seats": "3"},
        f"/{SLUG}/office/halls/new",
    )
    hall_form["csrf_token"] = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"', clerk.get(page).get_data(as_text=True)
    )[1]
    assert "没有找到机构" in clerk.post(page, data=hall_form | {"organisation": SECOND}).get_data(
        as_text=True
    ), "that assesses nobody"
    assert clerk.post(page, data=hall_form | {"organisation": FIRST}).status_code == 303
    list_page = clerk.get(f"/{SLUG}/office/halls", query_string={"hall": hall_form["name"]}).get_data(
        as_text=True
    )
    assert "其余请按名称查找" in list_page
    assert post_form(admin, of_institution, assessor=FIRST).status_code == 303
    assert "没有找到机构" in post_form(admin, of_institution, assessor="无此医院").get_data(as_text=True)


def test_a_hall_that_is_closed_while_a_slot_is_made_by_its_name_gets_none(
    admin, clerk, slot, in_province, monkeypatch
):
    monkeypatch.setattr("dingkao.web.forms.MAX_CHOICES", 0)
    slot_id = slot()
    with in_province(SLUG):
        hall = db.session.get_one(Hall, (CODE, db.session.get_one(Slot, (CODE, slot_id)).hall_id))
        hall_id, name = hall.id, hall.name
    opens_at = clock.now() + timedelta(hours=4)
    form = {
        "organisation": FIRST,
        "opens_at": local(opens_at),
        "closes_at": local(opens_at + timedelta(minutes=30)),
        "hall": name,
    }
    page = f"/{SLUG}/office/halls"
    make = partial(post_form, clerk, f"/{SLUG}/office/slots", page=page, **form)
    close = partial(post_form, admin, f"/{SLUG}/office/halls/{hall_id}/shut", page=page)
    with held(slots, "save_slot", make) as making, begun(close) as closing:
        assert is_waiting(closing)
        assert making.let_go().status_code == 303
    assert closing.result().status_code == 303


def test_a_slot_of_thousands_is_shown_a_page_at_a_time(clerk, slot, candidate, monkeypatch):
    monkeypatch.setattr("dingkao.blueprints.console.halls.slots.MAX_SHOWN", 2)
    monkeypatch.setattr("dingkao.database.pagination.MAX_COUNTED", 1)
    doctors, slot_id = [candidate() for _ in range(3)], slot(seats=9)
    page = f"/{SLUG}/office/slots/{slot_id}"
    assert "可以编排 1人以上" in clerk.get(page).get_data(as_text=True)
    post_form(clerk, f"{page}/places", page=page, record=[str(doctor.record_id) for doctor in doctors])
    first = clerk.get(page).get_data(as_text=True)
    second = clerk.get(re.search(r'href="([^"]+seat=2)"', first)[1]).get_data(as_text=True)
    placed = [re.findall(r'name="placed" value="([^"]+)"', page_text) for page_text in (first, second)]
    assert placed == [[str(doctor.record_id) for doctor in doctors[:2]], [str(doctors[2].record_id)]]
    assert "3/9人" in second


def test_one_hall_is_in_one_slot_at_a_time(clerk, slot, in_province):
    slot_id = slot()
    with in_province(SLUG):
        slot_row = db.session.get_one(Slot, (CODE, slot_id))
        assert (slot_row.closes_at.second, slot_row.closes_at.microsecond) == (59, 999_999), (
            "the whole of the minute typed belongs to it"
        )
        form = {
            "organisation": str(slot_row.organisation_id),
            "opens_at": local(slot_row.opens_at),
            "closes_at": local(slot_row.closes_at),
            "hall": str(slot_row.hall_id),
        }
    answer = post_form(clerk, f"/{SLUG}/office/slots", page=f"/{SLUG}/office/halls", **form)
    assert answer.status_code == 422
    assert "时间重叠" in answer.get_data(as_text=True)


def test_what_lasts_until_a_minute_lasts_to_the_end_of_it_and_the_next_begins_with_it(
    clerk, slot, in_province
):
    first_minute = clock.minute_of(clock.now())
    first = slot(
        opens=first_minute + timedelta(hours=1) - clock.now(),
        closes=first_minute + timedelta(hours=2) - clock.now(),
    )
    with in_province(SLUG):
        slot_row = db.session.get_one(Slot, (CODE, first))
        assert slot_row.closes_at == first_minute + timedelta(hours=2, seconds=59, microseconds=999_999)
        hall, owner = str(slot_row.hall_id), str(slot_row.organisation_id)
    page = f"/{SLUG}/office/slots/{first}/change"
    assert (
        f'name="closes_at" required type="datetime-local" value="{local(first_minute + timedelta(hours=2))}"'
        in clerk.get(page).get_data(as_text=True)
    )
    form = {
        "organisation": owner,
        "hall": hall,
        "opens_at": local(first_minute + timedelta(hours=2)),
        "closes_at": local(first_minute + timedelta(hours=3)),
    }
    adjacent_answer = post_form(clerk, f"/{SLUG}/office/slots", page=f"/{SLUG}/office/halls", **form)
    assert adjacent_answer.status_code == 303
    for wrong, sentence in (
        ({"opens_at": local(first_minute + timedelta(hours=2, minutes=59))}, "时间重叠"),
        ({"opens_at": form["closes_at"]}, "应晚于开始时间"),
    ):
        answer = post_form(clerk, f"/{SLUG}/office/slots", page=f"/{SLUG}/office/halls", **(form | wrong))
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)


def saved(client, page, form):
    """Save a slot by its form; returns the page that follows."""
    answer = post_form(client, page, **form)
    assert answer.status_code == 303
    return client.get(answer.location).get_data(as_text=True)


def test_those_placed_are_told_when_their_slot_moves(clerk, slot, candidate, in_province):
    doctor, slot_id = candidate(), slot()
    post_form(
        clerk,
        f"/{SLUG}/office/slots/{slot_id}/places",
        page=f"/{SLUG}/office/slots/{slot_id}",
        record=str(doctor.record_id),
    )
    page = f"/{SLUG}/office/slots/{slot_id}/change"
    with in_province(SLUG):
        slot_row = db.session.get_one(Slot, (CODE, slot_id))
        form = {
            "organisation": str(slot_row.organisation_id),
            "opens_at": local(clock.now() + timedelta(hours=2)),
            "closes_at": local(clock.now() + timedelta(hours=4)),
            "hall": str(slot_row.hall_id),
        }
        hall_id = str(slot_row.hall_id)
        values = InstitutionValues("另一机构", f"OTHER{next(SERIALS)}", f"{CODE}0100", "医疗机构")
        other = add_institution(values, by=TERMINAL_ACTOR)
        other.assessment_organisation_id = slot_row.organisation_id
        other_number = other.registration_number
        db.session.commit()
    count = len(notices(in_province, doctor))
    assert "场次已保存，已编排的医师会收到变更消息。" in saved(clerk, page, form)
    assert len(notices(in_province, doctor)) == count + 1
    assert "场次已保存。" in saved(clerk, page, form)
    assert len(notices(in_province, doctor)) == count + 1
    limited = post_form(clerk, page, **(form | {"institution": other_number}))
    assert limited.status_code == 422
    assert "已有其他机构的医师编入这个场次，不能改为只限另一机构。" in limited.get_data(as_text=True)
    with in_province(SLUG):
        entries = select(JournalEntry.details).where(JournalEntry.subject_id == slot_id)
        details = db.session.scalars(entries.order_by(JournalEntry.id.desc())).first()
    assert {name: details[name] for name in ("hall", "institution", "subject")} == {
        "hall": hall_id,
        "institution": None,
        "subject": None,
    }
    unbound = post_form(clerk, page, **(form | {"hall": ""}))
    assert unbound.status_code == 422
    assert "请选择考场或机构" in unbound.get_data(as_text=True)
    assert post_form(clerk, page, **(form | {"hall": "", "invigilated": "1"})).status_code == 303


def test_who_waits_with_the_organisation_before_is_found_there(clerk, slot, candidate, in_province):
    doctor, number = candidate(), f"MOVED{next(SERIALS)}"

    def put_into(institution_id):
        with in_province(SLUG):
            query = update(Assessment).where(Assessment.id == doctor.record_id)
            db.session.execute(query.values(institution_id=institution_id))
            db.session.commit()

    with in_province(SLUG):
        values = InstitutionValues("改派医院", number, f"{CODE}0100", "医疗机构")
        institution = add_institution(values, by=TERMINAL_ACTOR)
        institution.assessment_organisation_id = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == SECOND)
        ).one()
        moved, institution_before = (
            institution.id,
            db.session.get_one(Assessment, (CODE, doctor.record_id)).institution_id,
        )
        db.session.commit()
    put_into(moved)
    page = f"/{SLUG}/office/slots/{slot()}"
    listed = clerk.get(page, query_string={"institution": number}).get_data(as_text=True)
    assert "只列出改派医院的医师" in listed
    assert str(doctor.record_id) in listed
    slot_id = slot(institution=number)
    put_into(institution_before)
    with pytest.raises(AssertionError, match="改派医院不由"):
        slot(institution=number)
    with in_province(SLUG):
        slot_row = db.session.get_one(Slot, (CODE, slot_id))
        form = {
            "organisation": str(slot_row.organisation_id),
            "opens_at": local(clock.now()),
            "closes_at": local(clock.now() + timedelta(hours=5)),
            "hall": str(slot_row.hall_id),
            "institution": number,
        }
    change = f"/{SLUG}/office/slots/{slot_id}/change"
    assert post_form(clerk, change, **form).status_code == 303, "the institution that it has may stay"
