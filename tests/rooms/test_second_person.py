"""Two persons are two: in every act that asks for a second person, nobody is one beside whom they put into
office of late, or beside whoever put them there; not by a role, not by a code, not through a third, and not
by shortening the days."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, Uuid, cast, null, select, update

from dingkao import clock
from dingkao.assessments import assessment_transitions as record_moves
from dingkao.assessments import doctor_codes, exclusions, transfers
from dingkao.assessments.enrolment_changes import ChangeGrants
from dingkao.assessments.models import Assessment, EnrolmentChange
from dingkao.database.arrays import in_array
from dingkao.database.base import Model, db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import Refusal
from dingkao.exams import integrity_cases, key_corrections, paper_scores
from dingkao.exams.models.correction_models import KeyCorrection
from dingkao.exams.models.monitoring_models import IntegrityCase
from dingkao.exams.models.score_import_models import ScoreImport
from dingkao.filings import batch_review
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people import accounts, export_requests, proposed_acts, second_person
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, Appointment, ExportRequest, Organisation, ProposedAct
from dingkao.people.provinces import open_province
from dingkao.people.scopes import WHOLE_PROVINCE
from dingkao.question_banks import question_approval
from dingkao.question_banks.models import QuestionVersion
from dingkao.requests import decision_scope, decisions
from dingkao.requests import request_transitions as request_moves
from dingkao.requests.models import Request
from dingkao.results import pass_lines, publishing, score_changes
from dingkao.results.models import PassLine, Publication
from dingkao.tenants import settings
from dingkao.tenants.models import ProvinceSetting
from tests.tenants.statements import captured_statements, statements_without_tenant

SLUG, CODE = "tianjin", 12
EVERYWHERE = ChangeGrants(WHOLE_PROVINCE, WHOLE_PROVINCE, WHOLE_PROVINCE)
OFFICE = Path(__file__).parents[2] / "dingkao"


@pytest.fixture(scope="module")
def people(in_province):
    """Administrators of long standing, and those whom the first of them put into office just now; by name, as
    actors."""
    with in_province(SLUG) as province:
        open_province(province, by=TERMINAL_ACTOR)
        accounts_by_name = {}

        def make(name, role, by):
            mobile = f"139{new_id().int % 10**8:08d}" if role == "province_admin" else None
            account = create_staff(f"{name}-{new_id().hex[-8:]}", name, [(role, None)], by=by, mobile=mobile)
            account.state = "active"
            db.session.flush()
            accounts_by_name[name] = Actor("staff", account.id, frozenset({role}), name=name)
            return account

        make("first", "province_admin", TERMINAL_ACTOR)
        make("second", "province_admin", TERMINAL_ACTOR)
        for puppet in ("puppet", "sibling"):
            make(puppet, "province_admin", accounts_by_name["first"])
        make("grandchild", "province_admin", accounts_by_name["puppet"])
        make("editor", "question_editor", accounts_by_name["first"])
        coded = make("coded", "question_editor", TERMINAL_ACTOR)
        accounts.issue_code(coded, by=accounts_by_name["first"])
        db.session.commit()
    return accounts_by_name


RELATED = [
    ("first", "puppet"), ("puppet", "first"), ("puppet", "sibling"), ("first", "grandchild"), ("grandchild", "first"), ("grandchild", "sibling"),
    ("editor", "first"), ("first", "editor"), ("coded", "first"), ("first", "coded"), ("editor", "puppet"),
    ("coded", "puppet"),
]  # fmt: skip
UNRELATED = [
    ("first", "second"),
    ("second", "first"),
    ("second", "puppet"),
    ("puppet", "second"),
    ("second", "coded"),
    ("coded", "second"),
]


def proposal(model, earlier, **more):
    return model(id=new_id(), proposed_by=earlier.id, proposed_at=clock.now(), **more)


def line(earlier, by):
    pass_lines.approve_line(
        proposal(
            PassLine, earlier, cycle_id=new_id(), category="clinical", level="physician", line_tenths=600
        ),
        by=by,
    )


def publication(earlier, by):
    publishing.approve_publication(
        proposal(Publication, earlier, cycle_id=new_id(), passed=1, failed=0, digest=b""), by=by
    )


def correction(earlier, by):
    key_corrections.approve_correction(
        proposal(KeyCorrection, earlier, version_id=new_id(), treatment="credited", keys=[], reason="试"),
        by=by,
    )


def published_scores(earlier, by):
    score_changes.decide_changes(
        proposal(KeyCorrection, earlier, version_id=new_id()), [], adopt=True, reason="试", by=by
    )


def score_import(earlier, by):
    paper_scores.approve_import(
        proposal(ScoreImport, earlier, cycle_id=new_id(), scores=1, complete=True), by=by
    )


def case_opened(earlier, by):
    integrity_cases.confirm_dismissal(
        proposal(IntegrityCase, TERMINAL_ACTOR, state="proposed", outcome="none", opened_by=earlier.id),
        by=by,
        opinion="",
    )


def case_proposed(earlier, by):
    integrity_cases.confirm_dismissal(
        proposal(IntegrityCase, earlier, state="proposed", outcome="none", opened_by=new_id()),
        by=by,
        opinion="",
    )


def proposed_act(earlier, by):
    values = {"kind": "sms_account", "subject_id": new_id(), "value": "", "reason": "试"}
    proposed_acts.approve(proposal(ProposedAct, earlier, **values), by=by)


def question(earlier, by):
    question_approval.approve_version(
        QuestionVersion(id=new_id(), question_id=new_id(), state="pending", made_by=earlier.id), by=by
    )


def request_granted(earlier, by):
    request = Request(
        id=new_id(),
        kind="exemption",
        state="second_pending",
        first_by=earlier.id,
        first_side="institution",
        second_side="province",
    )
    request_moves.grant(request, by=by, opinion="同意")


def request_refused(earlier, by):
    request = Request(
        id=new_id(),
        kind="exemption",
        state="second_pending",
        first_by=earlier.id,
        first_side="institution",
        second_side="province",
    )
    request_moves.refuse(request, by=by, opinion="不同意")


def appeal(graded, accepted, by):
    request = Request(
        id=new_id(), kind="appeal", state="first_pending", first_side="province", submitted_at=clock.now()
    )
    desk = decision_scope.DecisionScope("province", (), by.id, can_decide=True, can_decide_second=True)
    decisions.refuse_request(
        request, Assessment(id=new_id(), graded_by=graded, accepted_by=accepted), desk, by=by, opinion=""
    )


def appeal_of_graded(earlier, by):
    appeal(earlier.id, None, by)


def appeal_of_accepted(earlier, by):
    appeal(None, earlier.id, by)


def accepted(earlier, by):
    reviewer = Actor("staff", by.id, frozenset({"organisation_reviewer"}))
    record_moves.accept(
        Assessment(id=new_id(), state="organisation_pending", graded_by=earlier.id, procedure="general"),
        by=reviewer,
    )


def pending_change(kind, **columns):
    return EnrolmentChange(
        id=new_id(), kind=kind, state="pending", institution_id=new_id(), target_id=new_id(), **columns
    )


def transfer(earlier, by):
    change = pending_change("transfer", institution_by=earlier.id)
    transfers.consent(change, "target", EVERYWHERE, by=by)


def exclusion(earlier, by):
    exclusions.approve(pending_change("exclusion", asked_by=earlier.id), EVERYWHERE, by=by)


def list_as_file(earlier, by):
    request = ExportRequest(
        id=new_id(),
        list_code="doctors",
        title="医师",
        asked_by=earlier.id,
        needs_approval=True,
    )
    export_requests.approve(request, by=by)


def code_of_a_doctor(earlier, by):
    account = Account(
        kind="doctor", login_index=new_id().bytes, name="医师", initial_until=clock.now(), state="active"
    )
    db.session.add(account)
    db.session.flush()
    code = doctor_codes.request_code(account, reason="手机遗失", by=earlier)
    doctor_codes.approve_request(Doctor(id=new_id()), account, code.id, by=by)


ACTS = {
    act.__name__: act
    for act in (
        line,
        publication,
        correction,
        published_scores,
        score_import,
        case_opened,
        case_proposed,
        proposed_act,
        question,
        request_granted,
        request_refused,
        appeal_of_graded,
        appeal_of_accepted,
        accepted,
        transfer,
        exclusion,
        code_of_a_doctor,
        list_as_file,
    )
}
TABLES = {
    "pass_line": "line", "publication": "publication", "key_correction": "correction", "score_import": "score_import", "integrity_case": "case_opened",
    "proposed_act": "proposed_act", "question_version": "question", "request": "request_granted",
    "enrolment_change": "transfer", "export_request": "list_as_file",
}  # fmt: skip


def refused(act, earlier, by):
    """Whether the act is refused because these two are not two persons, whatever roles they hold besides."""
    try:
        act(earlier, replace(by, roles=by.roles | {"province_admin"}))
    except Refusal as refusal:
        return "任命关系" in refusal.message
    finally:
        db.session.rollback()
    return False


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nobody_is_a_second_person_beside_whom_they_put_into_office(in_province, people, act):
    with in_province(SLUG):
        for first_name, second_name in RELATED:
            assert refused(act, people[first_name], people[second_name]), (first_name, second_name)
        for first_name, second_name in UNRELATED:
            assert not refused(act, people[first_name], people[second_name]), (first_name, second_name)


def test_what_waits_is_counted_by_the_same_rule(in_province, people):
    with in_province(SLUG):
        ids = [account.id for account in people.values()]
        for person in people.values():
            free = {
                account_id
                for account_id in ids
                if account_id != person.id and second_person.recusal_reason(person.id, account_id) is None
            }
            query = select(Account.id).where(
                in_array(Account.id, ids), second_person.second_person_condition(person.id, Account.id)
            )
            with captured_statements(db.engine) as statements:
                assert set(db.session.scalars(query)) == free, person.name
            assert statements_without_tenant(statements) == []
        nobody = second_person.second_person_condition(people["first"].id, cast(null(), Uuid))
        assert len(
            db.session.scalars(select(Account.id).where(in_array(Account.id, ids), nobody)).all()
        ) == len(ids)


def test_every_table_of_two_persons_has_its_act_above():
    names = {
        table.name
        for table in Model.metadata.tables.values()
        if any(
            isinstance(constraint, CheckConstraint) and str(constraint.name).endswith("_two_persons_ck")
            for constraint in table.constraints
        )
    }
    assert names == set(TABLES)
    assert set(TABLES.values()) <= set(ACTS)


def test_second_persons_are_judged_in_one_place():
    """A comparison of who acts with who acted before stands nowhere but where it only chooses words or shows
    less, or says what is one's own."""
    compared = re.compile(r"\w+_by\s*(==|!=)\s*(by\.id|decider_id)|\bby\.id\s*(==|!=|in)\s*[\w(.]*_by")
    known_counts = {
        "assessments/doctor_codes.py": 2,
        "assessments/office_notices.py": 1,
        "certificates/admission_tickets.py": 1,
        "people/export_requests.py": 1,
        "people/job_repeats.py": 1,
        "question_banks/question_approval.py": 2,
        "assessments/review_transitions.py": 1,
        "filings/review.py": 1,
        "filings/recall.py": 1,
        "filings/review_batches.py": 3,
        "filings/batch_review.py": 1,
        "requests/earlier_deciders.py": 1,
    }
    found_counts = {}
    for path in sorted(OFFICE.rglob("*.py")):
        number = len(compared.findall(path.read_text()))
        if number:
            found_counts[str(path.relative_to(OFFICE))] = number
    assert found_counts == known_counts


def test_a_bank_let_in_as_a_whole_leaves_what_these_two_share(in_province, people):
    with in_province(SLUG):
        for maker, reviewer, why in (
            ("editor", "first", "任命关系"),
            ("first", "first", "自己编写"),
            ("coded", "second", None),
        ):
            version = QuestionVersion(made_by=people[maker].id)
            refusal = question_approval.approval_refusal_reason(version, people[reviewer])
            assert (refusal is None) if why is None else (why in refusal)


def test_many_filings_at_once_leave_out_what_these_two_share(in_province, people):
    with in_province(SLUG):
        values = {
            "state": "organisation_pending",
            "procedure": "general",
            "performance": "pass",
            "ethics": "pass",
        }
        record = Assessment(id=new_id(), graded_by=people["first"].id, **values)
        assert "任命关系" in batch_review._acceptance_refusal_reason(record, people["puppet"])
        assert batch_review._acceptance_refusal_reason(record, people["second"]) is None
        assert "由您评定" in batch_review._acceptance_refusal_reason(record, people["first"])


def test_it_is_over_after_seven_days_that_begin_when_the_account_is_opened(in_province, people):
    with in_province(SLUG):
        puppet_appointments = update(Appointment).where(Appointment.account_id == people["puppet"].id)
        db.session.execute(puppet_appointments.values(at=clock.now() - timedelta(days=7, minutes=1)))
        assert not refused_now(people, "first", "puppet")
        second_person.record_account_opened(people["puppet"].id)
        assert refused_now(people, "first", "puppet")
        db.session.execute(puppet_appointments.values(at=clock.now() - timedelta(days=6, hours=23)))
        assert refused_now(people, "first", "puppet")
        reason = second_person.recusal_reason(people["puppet"].id, people["first"].id)
        assert f"{clock.to_beijing(clock.now() + timedelta(days=1, hours=1)):%Y年%m月%d日}前" in reason
        db.session.rollback()


def refused_now(people, earlier, by):
    db.session().info.pop(second_person.CACHE_KEY, None)
    return second_person.recusal_reason(people[by].id, people[earlier].id) is not None


def test_a_chain_lapses_with_its_oldest_appointment(in_province, people):
    with in_province(SLUG):
        puppet, grandchild = people["puppet"].id, people["grandchild"].id
        db.session.execute(
            update(Appointment)
            .where(Appointment.account_id == puppet)
            .values(at=clock.now() - timedelta(days=8))
        )
        assert not refused_now(people, "first", "grandchild")
        assert refused_now(people, "puppet", "grandchild")
        db.session.execute(
            update(Appointment)
            .where(Appointment.account_id == puppet)
            .values(at=clock.now() - timedelta(days=6))
        )
        assert refused_now(people, "first", "grandchild")
        bound_until = second_person.bound_until(grandchild, [people["first"].id])[people["first"].id]
        assert (bound_until - clock.now()).days == 0, "the older of the two appointments lapses first"
        db.session.rollback()


def test_reviewers_of_organisations_whom_the_same_administrator_invited_are_two(in_province, people):
    with in_province(SLUG):
        place = Organisation(
            name="医院",
            registration_number=f"T{new_id().hex[-10:]}",
            division="120100",
            category="医疗机构",
            health_authority="局",
        )
        db.session.add(place)
        db.session.flush()
        pair = [
            create_staff(f"r-{new_id().hex[-8:]}", "审核", [(role, place)], by=people["first"])
            for role in ("institution_reviewer", "organisation_reviewer")
        ]
        db.session.flush()
        assert second_person.recusal_reason(pair[0].id, pair[1].id) is None
        assert second_person.recusal_reason(pair[0].id, people["first"].id) is not None
        db.session.rollback()


def test_nobody_is_freed_by_a_shorter_term(in_province, people):
    def set_to(days, on):
        settings.change("recusal_days", days, by=None, reason="试", effective_from=on)

    today = clock.today()
    with in_province(SLUG):
        assert second_person.recusal_days() == 7
        set_to(1, today)
        assert second_person.recusal_days() == 7, "the term of before holds on"
        assert refused_now(people, "first", "puppet")
        db.session.execute(update(ProvinceSetting).values(effective_from=today - timedelta(days=7)))
        settings.computed_values().clear()
        assert second_person.recusal_days() == 1
        set_to(30, today - timedelta(days=3))
        set_to(2, today)
        assert second_person.recusal_days() == 30
        set_to(90, today + timedelta(days=1))
        assert second_person.recusal_days() == 30, "what is to hold later holds later"
        db.session.rollback()
    with in_province(SLUG):
        set_to(90, today)
        set_to(7, today)
        assert second_person.recusal_days() == 7, "what was set by mistake and mended the same day never held"
        set_to(14, today)
        assert second_person.recusal_days() == 14
        db.session.rollback()


def test_what_operators_and_the_terminal_do_binds_nobody(in_province, people):
    with in_province(SLUG):
        operator = Actor("operator", new_id(), name="运营")
        pair = [
            create_staff(f"o-{new_id().hex[-8:]}", "管理员", [("province_admin", None)], by=TERMINAL_ACTOR)
            for _ in range(2)
        ]
        for person in pair:
            second_person.record_appointment(person.id, "role", by=operator)
        db.session.flush()
        assert second_person.recusal_reason(pair[0].id, pair[1].id) is None
        assert db.session.scalars(select(Appointment).where(Appointment.account_id == pair[0].id)).all() == []
        assert db.session.scalars(select(Account.id).where(Account.id == pair[0].id)).one()
        db.session.rollback()
