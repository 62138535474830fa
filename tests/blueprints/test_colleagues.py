"""Reviewers invite their own: to their organisation, up to reviewer, one or many by a sheet."""

import io
import re
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.people import authentication
from dingkao.people.models import Account, Appointment, Notice, Organisation
from dingkao.people.notice_catalogue import ROLE_ADDED
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "xizang", 54
PAGE = f"/{SLUG}/office/colleagues"


@pytest.fixture(scope="module")
def reviewer(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, 1)
    number = sample_data.registration_number(CODE, 1)
    return signed_in_client(application, in_province, SLUG, "institution_reviewer", number)


def text(answer):
    return answer.get_data(as_text=True)


def seat(in_province, role, place=1):
    with in_province(SLUG):
        number = sample_data.registration_number(CODE, place)
        query = select(Organisation.id).where(Organisation.registration_number == number)
        return f"{role}:{db.session.scalars(query).one()}"


def roles_of(in_province, user_name):
    with in_province(SLUG):
        account = db.session.scalar(select(Account).where(Account.user_name == user_name))
        return account and [membership.role for membership in authentication.memberships_of(account.id)]


def test_one_is_invited_with_a_code_shown_once(reviewer, in_province):
    page = text(
        post_form(
            reviewer, PAGE, user_name="ks-1", name="李某人", seat=seat(in_province, "institution_clerk")
        )
    )
    assert re.search(r'class="one-time-code">\S+<', page)
    assert "one-time-code" not in text(reviewer.get(PAGE))
    assert "李某人" in text(reviewer.get(PAGE))
    assert roles_of(in_province, "ks-1") == ["institution_clerk"]
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.user_name == "ks-1")).one()
        query = select(Appointment.by_account_id).where(Appointment.account_id == account.id)
        assert reviewer.account_id in db.session.scalars(query).all(), "who invites is no second person"


@pytest.mark.parametrize(
    ("role", "place"),
    [("institution_clerk", 2), ("organisation_reviewer", 1), ("province_admin", 1), ("auditor", 1)],
)
def test_nobody_is_invited_elsewhere_or_higher(reviewer, in_province, role, place):
    answer = post_form(reviewer, PAGE, user_name="zz-9", name="某人", seat=seat(in_province, role, place))
    assert answer.status_code == 422
    assert roles_of(in_province, "zz-9") is None


def test_nobody_is_invited_to_an_organisation_that_is_closed(reviewer, in_province):
    seat_code = seat(in_province, "institution_clerk")
    closing = update(Organisation).where(Organisation.id == UUID(seat_code.partition(":")[2]))
    try:
        with in_province(SLUG):
            db.session.execute(closing.values(closed_at=clock.now()))
            db.session.commit()
        answer = post_form(reviewer, PAGE, user_name="zz-8", name="某人", seat=seat_code)
    finally:
        with in_province(SLUG):
            db.session.execute(closing.values(closed_at=None))
            db.session.commit()
    assert answer.status_code == 422
    assert "已撤销或并入其他机构" in text(answer)
    assert 'value="zz-8"' in text(answer)
    assert roles_of(in_province, "zz-8") is None


def test_a_sheet_invites_many_and_says_who_is_not(reviewer, in_province):
    rows = [
        ("王一", "biao-1", "机构经办人"),
        ("王二", "biao-2", "机构审核人"),
        ("王三", "biao-1", "机构经办人"),
        ("王四", "biao-4", "省级管理员"),
        ("", "biao-5", "机构经办人"),
    ]
    sheet = write_xlsx(("姓名", "用户名", "角色"), rows)
    answer = post_form(reviewer, f"{PAGE}/sheet", page=PAGE, file=(io.BytesIO(sheet), "人员.xlsx"))
    page = text(answer)
    assert page.count('class="one-time-code"') == 2
    assert "用户名“biao-1”已被使用" in page
    assert "角色或机构登记号不在您可以邀请的范围内" in page
    assert "姓名未填写。" in page
    assert roles_of(in_province, "biao-2") == ["institution_reviewer"]
    assert roles_of(in_province, "biao-4") is None


def test_a_check_of_a_sheet_invites_nobody(reviewer, in_province):
    rows = [("赵一", "jian-1", "机构经办人"), ("赵二", "jian-1", "机构经办人")]
    sheet = write_xlsx(("姓名", "用户名", "角色"), rows)
    upload = (io.BytesIO(sheet), "人员.xlsx")
    page = text(post_form(reviewer, f"{PAGE}/sheet", page=PAGE, file=upload, check="1"))
    assert "可以邀请1人，1行有问题" in page
    assert "用户名“jian-1”已被使用" in page
    assert "one-time-code" not in page
    assert roles_of(in_province, "jian-1") is None


def test_an_assessment_organisation_invites_its_own(application, in_province, reviewer):
    number = sample_data.registration_number(CODE, 1)
    chief = signed_in_client(application, in_province, SLUG, "organisation_reviewer", number)
    invited = {"user_name": "kh-1", "name": "孙某", "seat": seat(in_province, "organisation_reviewer")}
    assert post_form(chief, PAGE, **invited).status_code == 200
    assert roles_of(in_province, "kh-1") == ["organisation_reviewer"]
    wrong = invited | {"user_name": "kh-2", "seat": seat(in_province, "institution_reviewer")}
    assert post_form(chief, PAGE, **wrong).status_code == 422


def test_somebody_with_an_account_gets_a_role_besides(application, in_province, reviewer):
    number = sample_data.registration_number(CODE, 2)
    other = signed_in_client(application, in_province, SLUG, "organisation_clerk", number)
    with in_province(SLUG):
        user_name = db.session.get_one(Account, (CODE, other.account_id)).user_name
    wanted = {"user_name": user_name, "name": "测试人员", "seat": seat(in_province, "institution_clerk")}
    assert post_form(reviewer, f"{PAGE}/seat", page=PAGE, **(wanted | {"name": "别人"})).status_code == 422
    assert post_form(reviewer, f"{PAGE}/seat", page=PAGE, **wanted).status_code == 303
    assert sorted(roles_of(in_province, user_name)) == ["institution_clerk", "organisation_clerk"]
    assert post_form(reviewer, f"{PAGE}/seat", page=PAGE, **wanted).status_code == 303, "again"
    assert "对方已有这个角色，没有变更。" in reviewer.get(PAGE).get_data(as_text=True)
    with in_province(SLUG):
        told = select(Notice.id).where(Notice.account_id == other.account_id, Notice.kind == ROLE_ADDED.code)
        assert len(db.session.scalars(told).all()) == 1, "told once"
        own = db.session.get_one(Account, (CODE, reviewer.account_id)).user_name
    assert post_form(reviewer, f"{PAGE}/seat", page=PAGE, **(wanted | {"user_name": own})).status_code == 422


def test_a_clerk_invites_nobody(application, in_province, reviewer):
    number = sample_data.registration_number(CODE, 1)
    clerk = signed_in_client(application, in_province, SLUG, "institution_clerk", number)
    assert clerk.get(PAGE).status_code == 403
