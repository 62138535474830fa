"""Planted cases (domain.md §1.3, §1.7, §11 nos. 8 and 10): whatever must keep a record out of a batch does so at
the desk of the institution and at that of the assessment organisation, by HTTP: it is named in the preview, and
a form that names the record all the same decides nothing."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.conduct_models import ConductRecord
from dingkao.doctors.models import Doctor
from dingkao.filings.models import Filing, GradingDraft
from dingkao.people.models import Account, Appointment
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors, sample_data
from tests.blueprints import review_steps
from tests.blueprints.signed_in_client import signed_in_client

SLUG, CODE = "xinjiang", 65
FIRST = sample_data.registration_number(CODE, 1)
SIDES = {"institution": "institution_pending", "organisation": "organisation_pending"}
"""Side → the state in which a record waits for it."""
_serial = actors.unused_serials(SLUG)


@dataclass
class Desk:
    """A sound record that waits for `side`, with its doctor and filing; its reviewer, and a colleague there."""

    side: str
    number: str
    record: Assessment
    doctor: Doctor
    filing: Filing
    reviewer: Account
    colleague: Account
    patch: pytest.MonkeyPatch

    def seal(self, name, number):
        """Put another certificate number into the filing."""
        location = SecretLocation("filing", name, self.filing.id)
        setattr(self.filing, f"{name}_sealed", current_vault().encrypt(location, number))

    def answer(self, step, **values):
        """Put other answers into a step."""
        setattr(self.filing, step, getattr(self.filing, step) | values)

    def choose_simple(self, ground, registered="2005-03-01"):
        """Have 简易程序 chosen."""
        self.record.procedure = "simple"
        self.answer("procedure", procedure="simple", ground=ground)
        self.answer("practice", registered=registered)

    def know(self, kind, **values):
        """Have a conduct record imported of the year before this one."""
        year = clock.today().year - 1
        db.session.add(
            ConductRecord(doctor_id=self.doctor.id, kind=kind, record_key=uuid4().bytes, year=year, **values)
        )

    def set_value(self, setting, value):
        """Have the province set a value."""
        original = settings.value
        self.patch.setattr(settings, "value", lambda name: value if name == setting else original(name))


@pytest.fixture(scope="module")
def sound(application, in_province):
    """A doctor whose filing nothing speaks against, and what its rows say; a reviewer of either side and a
    colleague."""
    doctor = review_steps.submit_filing(
        actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    )
    clients = {
        side: signed_in_client(application, in_province, SLUG, f"{side}_reviewer", FIRST) for side in SIDES
    }
    for side, client in clients.items():
        page = client.get(f"/{SLUG}/office/review/phrases?side={side}").get_data(as_text=True)
        client.csrf_token = actors.TOKEN.search(page)[1]
    colleague = signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
    with in_province(SLUG):
        for client, name in ((colleague, "邻座同事"), *((client, "审核人员") for client in clients.values())):
            db.session.execute(update(Account).where(Account.id == client.account_id).values(name=name))
        db.session.commit()
        values = {model: columns_of(entity_of(model, doctor)) for model in (Assessment, Doctor, Filing)}
    return doctor, clients, colleague, values


def entity_of(model, doctor):
    """The doctor's row of a table, in the province entered."""
    is_own = model.id == doctor.doctor_id if model is Doctor else model.doctor_id == doctor.doctor_id
    return db.session.scalars(select(model).where(is_own)).one()


def columns_of(entity):
    """Column → value."""
    return {column.key: getattr(entity, column.key) for column in type(entity).__mapper__.column_attrs}


@pytest.fixture
def plant(in_province, sound, monkeypatch):
    """Have the sound record wait for a side, and plant something; nothing of earlier cases is left. Gives the
    client of the side's reviewer."""
    doctor, clients, colleague, sound_values = sound

    def planted(side, change):
        with in_province(SLUG):
            for model in (ConductRecord, GradingDraft, Appointment):
                db.session.execute(delete(model))
            entities = [entity_of(model, doctor) for model in sound_values]
            for entity, values in zip(entities, sound_values.values(), strict=True):
                for name, value in values.items():
                    setattr(entity, name, value)
            reviewer, neighbour = (
                db.session.get_one(Account, (CODE, client.account_id))
                for client in (clients[side], colleague)
            )
            reviewer.name, reviewer.user_name = "审核人员", f"reviewer-{side}"
            desk = Desk(side, doctor.number, *entities, reviewer, neighbour, monkeypatch)
            desk.record.state = SIDES[side]
            if side == "organisation":
                desk.record.performance = desk.record.ethics = "pass"
            change(desk)
            db.session.commit()
        return clients[side]

    return planted


def conduct_cases():
    """What is declared or imported of the doctor's conduct (§1.3, §1.7), and what is missing."""
    day = clock.today() - timedelta(days=30)
    yield (
        "a case of direct failure",
        lambda desk: desk.answer("performance", direct_fail="yes"),
        "申报有直接认定为不合格的情形",
    )
    yield "a bad record", lambda desk: desk.answer("performance", bad_record="yes"), "申报有不良执业行为记录"
    for name, label in (
        ("quantity", "完成工作数量"),
        ("quality", "完成工作质量"),
        ("ordered_tasks", "完成政府指令性工作情况"),
    ):
        yield (
            f"{name} not done",
            lambda desk, name=name: desk.answer("performance", **{name: "fail"}),
            f"自评“{label}”为不合格",
        )
    yield "a failed appraisal", lambda desk: desk.know("annual_appraisal", grade="failed"), "年度考核为不合格"
    yield "poor ethics", lambda desk: desk.know("ethics_grading", grade="poor"), "医德考评为较差"
    yield (
        "an imported bad record",
        lambda desk: desk.know("bad_record", occurred_on=day, matter="投诉"),
        "有不良行为记录或行政处罚",
    )
    yield (
        "a penalty",
        lambda desk: desk.know("penalty", occurred_on=day, matter="警告"),
        "有不良行为记录或行政处罚",
    )
    for kind, label in (("annual_appraisal", "年度考核"), ("ethics_grading", "医德考评")):
        yield f"no {kind}", lambda desk, kind=kind: desk.set_value(f"requires_{kind}", True), f"{label}结果"


def doubtful_cases():
    """What is doubtful in the filing (§11 no. 8)."""
    other = sample_data.resident_number(477, sex="男", area="650102")
    yield (
        "another's number",
        lambda desk: desk.seal("qualification", f"200365110{other}"),
        "与本人证件号码不一致",
    )
    yield "another level", lambda desk: desk.seal("practice", "210650400012345"), "第1位与医师级别不一致"
    yield "unlike the roster", unlike_the_roster, "执业证书编码与名单中的不一致"
    yield (
        "qualified too late",
        lambda desk: desk.answer("practice", qualified="2006-01-01"),
        "资格证书取得时间晚于首次注册时间",
    )
    yield (
        "graduated while working",
        lambda desk: desk.answer("basic", graduated="2004-07"),
        "毕业时间晚于参加工作时间",
    )
    yield "registered on another day", lambda desk: desk.choose_simple("clean"), "首次注册时间与名单中的"
    yield "a condition not met", lambda desk: desk.choose_simple("clean", "2020-03-01"), "不符合所选适用条件"
    yield "a condition to be verified", to_be_verified, "须由机构核实"


def unlike_the_roster(desk):
    location = SecretLocation("doctor", "practice", desk.doctor.id)
    desk.doctor.practice_sealed = current_vault().encrypt(location, "110650400099999")


def to_be_verified(desk):
    desk.doctor.first_registered = date(2005, 3, 1)
    desk.set_value("simple_other_cases", ["援疆一年以上"])
    desk.choose_simple("援疆一年以上")


def person_cases():
    """Who may not decide, and what somebody else has (§11 no. 8)."""
    soon = clock.now() + timedelta(minutes=20)
    yield (
        "the own record",
        lambda desk: setattr(desk.reviewer, "user_name", desk.number),
        "这是您本人的考核记录",
    )
    yield "a namesake", lambda desk: setattr(desk.reviewer, "name", desk.doctor.name), "与您同名"
    yield "filled in by oneself", filled_in, "您代填过这份材料"
    yield (
        "leased by a colleague",
        lambda desk: hold(desk, leased_by=desk.colleague.id, leased_until=soon),
        "邻座同事正在审核",
    )
    yield "given to a colleague", lambda desk: hold(desk, assigned_to=desk.colleague.id), "已分配给邻座同事"
    yield "in another state", lambda desk: hold(desk, state="ready"), "不需要审核"


def hold(desk, **values):
    for name, value in values.items():
        setattr(desk.record, name, value)


def filled_in(desk):
    mark = {"by": str(desk.reviewer.id), "name": desk.reviewer.name, "at": clock.now().isoformat()}
    desk.filing.assistance = {"steps": {"1": mark}}


def institution_cases():
    """What only the institution looks at by itself."""
    yield "returned to it", lambda desk: hold(desk, state="organisation_returned"), "须逐人核对"
    yield "a drafted fail", drafted_fail, "草拟结论有不合格"


def drafted_fail(desk):
    db.session.add(
        GradingDraft(assessment_id=desk.record.id, performance="fail", ethics="pass", remark="门诊量不足")
    )


def organisation_cases():
    """What only the assessment organisation looks at by itself (§11 no. 10)."""
    for part in ("performance", "ethics"):
        yield f"{part} failed", lambda desk, part=part: hold(desk, **{part: "fail"}), "机构评定有不合格"
    yield "graded by oneself", lambda desk: hold(desk, graded_by=desk.reviewer.id), "由您评定"
    yield "graded by whom one appointed", appointed, "任命关系"
    yield "no test", without_test, "简易程序须逐人评定业务水平"


def appointed(desk):
    desk.record.graded_by = desk.colleague.id
    db.session.add(
        Appointment(account_id=desk.colleague.id, by_account_id=desk.reviewer.id, kind="role", at=clock.now())
    )


def without_test(desk):
    desk.set_value("simple_sits_common_paper", False)
    desk.record.procedure = "simple"


CASES = [
    *(pytest.param(side, *case[1:], id=f"{side}: {case[0]}") for side in SIDES
      for cases in (conduct_cases, doubtful_cases, person_cases) for case in cases()),
    *(pytest.param("institution", *case[1:], id=f"institution: {case[0]}") for case in institution_cases()),
    *(pytest.param("organisation", *case[1:], id=f"organisation: {case[0]}") for case in organisation_cases()),
]  # fmt: skip


def batch(client, side, record_id, **more):
    """Send the form of a batch; the page to which it leads."""
    data = {"csrf_token": client.csrf_token, "side": side, "record": str(record_id)} | more
    answer = client.post(f"/{SLUG}/office/review/batch", data=data, follow_redirects=True)
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("side", SIDES)
def test_a_sound_record_may_be_decided_in_a_batch(plant, sound, side):
    page = batch(plant(side, lambda desk: None), side, sound[0].record_id)
    assert f'name="record" value="{sound[0].record_id}"' in " ".join(page.split())


@pytest.mark.parametrize(("side", "change", "reason"), CASES)
def test_a_planted_case_is_never_decided_in_a_batch(in_province, plant, sound, side, change, reason):
    record_id = sound[0].record_id
    client = plant(side, change)
    before = actors.record_state(in_province, SLUG, record_id)
    preview = batch(client, side, record_id)
    assert "1人不在其中" in preview
    assert str(record_id) not in preview, "can't be ticked"
    assert reason in preview
    assert reason in batch(client, side, record_id, confirmed="1"), "named though it was left out"
    assert actors.record_state(in_province, SLUG, record_id) == before
