"""The end of a sitting that was interrupted: who handed in, what came too late and is offered again, time added,
the phone that goes on."""

import json
import re

from sqlalchemy import update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import sitting_completion
from dingkao.tenants.context import in_tenant
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import by_slug
from dingkao.web import known_devices
from tests import actors
from tests.blueprints.exam_phone import (
    CODE,
    SLUG,
    text,
)
from tests.blueprints.signed_in_client import post_form

OFFICE = f"/{SLUG}/office"


def add_time(client, exam_phone, minutes="10"):
    form = {"minutes": minutes, "reason": "本考点断网十分钟", "sitting": str(exam_phone.id)}
    answer = post_form(
        client, f"{OFFICE}/watching/time?view=handed_in", page=f"{OFFICE}/watching?view=handed_in", **form
    )
    return text(client.get(answer.location) if answer.status_code == 303 else answer)


def test_who_handed_in_is_one_of_three_and_only_the_doctor_is_held_to_it(phone, staff, in_province, cache):
    by_doctor, by_page, by_system = phone(), phone(), phone()
    by_doctor.hand_in(automatic=False)
    for exam_phone in (by_page, by_system):
        exam_phone.ends(-1 if exam_phone is by_page else -70)
    assert by_page.hand_in().status_code == 200
    with in_province(SLUG):
        sitting_completion.close_overdue()
    assert [exam_phone.row().handed_in_by for exam_phone in (by_doctor, by_page, by_system)] == [
        "doctor",
        "page",
        "system",
    ]
    clerk = staff()
    for exam_phone, console_text, doctor_text in (
        (by_doctor, "（医师交卷）", "您已交卷"),
        (by_page, "（到时由作答页面交卷）", "到时自动交卷"),
        (by_system, "（到时由系统交卷）", "到时自动交卷"),
    ):
        assert console_text in text(clerk.get(f"{OFFICE}/watching/{exam_phone.id}"))
        assert doctor_text in exam_phone.doctor.get(f"{exam_phone.place}/end")
    assert "医师已自行交卷，不能补时" in add_time(clerk, by_doctor)
    for exam_phone in (by_page, by_system):
        assert "已为1场作答补时10分钟" in add_time(clerk, exam_phone)
        assert exam_phone.row().handed_in_at is None


def test_an_answer_refused_as_late_is_offered_again_and_counts_where_time_is_added(phone, staff, cache):
    exam_phone, clerk = phone(), staff()
    assert exam_phone.send(exam_phone.answer(0, "A", 1)).get_json()["kept"] == "saved"
    exam_phone.ends(-72)
    late = [exam_phone.answer(1, "B", 2, seconds=-80), exam_phone.answer(2, "C", 3, seconds=-74)]
    refused = exam_phone.send(late[0])
    assert (refused.status_code, refused.get_json()["refused"]) == (409, "closed")
    assert exam_phone.hand_in(*late).get_json() == {"end": f"/{SLUG}{exam_phone.place}/end", "late": 2}
    assert exam_phone.hand_in(*late).get_json()["late"] == 2
    assert exam_phone.send(late[0]).get_json()["refused"] == "handed_in"
    assert exam_phone.kept() == {0: "A"}
    ended = exam_phone.doctor.get(f"{exam_phone.place}/end")
    payload = json.loads(re.search(r'id="waiting">(.*?)</script>', ended, re.DOTALL)[1])
    assert (payload["sequences"], payload["published"], payload["by_doctor"]) == ({"0": 1}, False, False)
    assert exam_phone.standing()["open"] is False

    assert "已为1场作答补时10分钟" in add_time(clerk, exam_phone)
    assert exam_phone.pulse() == {"look": True}
    status = exam_phone.standing()
    assert (status["open"], status["mine"]) == (True, True)
    assert exam_phone.send(late[0]).get_json()["refused"] == "superseded"
    for answer in late:
        assert exam_phone.send(answer, status["token"]).get_json()["kept"] == "saved"
    assert exam_phone.kept() == {0: "A", 1: "B", 2: "C"}
    exam_phone.load()  # the page itself, which asks about no other device
    assert exam_phone.hand_in(automatic=False).status_code == 200
    assert exam_phone.row().handed_in_by == "doctor"


def test_time_is_added_to_one_whose_other_paper_was_missed_meanwhile(phone, staff, in_province, cache):
    exam_phone, clerk = phone(), staff()
    exam_phone.ends(-70)
    exam_phone.hand_in()
    with in_province(SLUG):
        db.session.execute(
            update(Assessment)
            .where(Assessment.id == exam_phone.doctor.record_id)
            .values(state="absent", competence="fail")
        )
        db.session.commit()
    assert "已为1场作答补时10分钟" in add_time(clerk, exam_phone)
    assert actors.record_state(in_province, SLUG, exam_phone.doctor.record_id) == "testing"
    exam_phone.hand_in(automatic=False)
    assert actors.record_state(in_province, SLUG, exam_phone.doctor.record_id) == "scored"


def test_a_phone_that_is_alone_is_not_asked_about_another_one(application, phone, in_province, cache):
    name = f"dk-{SLUG}"

    def mark_of(device):
        with (
            application.test_request_context(environ_overrides={PROVINCE_KEY: by_slug(SLUG)}),
            in_tenant(CODE),
        ):
            return known_devices._device_cookie_signer().dumps([device, []])

    mark = mark_of("feedfeedfeedfeed")
    exam_phone = phone(device=mark)
    assert exam_phone.row().device == "feedfeedfeedfeed"

    def opened(**cookies):
        client = application.test_client()
        for kind, value in {"": exam_phone.doctor.client.get_cookie(name).value, **cookies}.items():
            client.set_cookie(f"{name}-{kind}".rstrip("-"), value)
        return text(client.get(f"/{SLUG}{exam_phone.place}"))

    assert 'id="data"' in opened(device=mark)  # signed in again, and all else of its session gone
    assert 'id="data"' in opened(form=exam_phone.doctor.client.get_cookie(f"{name}-form").value)
    assert "您已在另一台设备或浏览器上开始作答，或者清除过这台手机的浏览器数据" in opened()
    assert "您已在另一台设备或浏览器上开始作答。" in opened(device=mark_of("beefbeefbeefbeef"))
    epoch = exam_phone.row().epoch
    exam_phone.doctor.post(f"{exam_phone.place}/take-over", page="/home")
    assert exam_phone.row().epoch == epoch
