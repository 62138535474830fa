"""Grants: by the roles alone that grant an action, wherever else somebody holds what."""

from pathlib import Path
from uuid import uuid4

import pytest

from dingkao.people.models import Membership
from dingkao.people.permissions import ROLES, grants, roles_for
from dingkao.people.scopes import Grant, grant_for, in_scope

ROOT = Path(__file__).resolve().parents[2]
FIRST_PLACE, SECOND_PLACE = uuid4(), uuid4()


def member(role, place=None):
    """A membership of a role, at an organisation or in the province's office."""
    return Membership(account_id=uuid4(), organisation_id=place, role=role)


def test_who_is_clerk_here_and_reviewer_there_concludes_only_there():
    memberships = [member("organisation_clerk", FIRST_PLACE), member("organisation_reviewer", SECOND_PLACE)]
    assert grant_for("conclusions.view", memberships).assessor_ids == (FIRST_PLACE, SECOND_PLACE)
    assert grant_for("conclusions.decide", memberships).assessor_ids == (SECOND_PLACE,)


def test_an_auditor_who_is_a_clerk_acts_as_a_clerk():
    memberships = [member("auditor"), member("institution_clerk", FIRST_PLACE)]
    assert grant_for("doctors.view", memberships).is_province
    assert grant_for("doctors.issue_code", memberships) == Grant(institution_ids=(FIRST_PLACE,))


def test_one_role_held_twice_at_a_place_reaches_it_once():
    memberships = [member("institution_clerk", FIRST_PLACE), member("institution_reviewer", FIRST_PLACE)]
    assert grant_for("filings.review", memberships).organisation_ids == (FIRST_PLACE,)


def test_a_doctor_reaches_their_own_record_and_nobody_without_the_action_anything():
    account = uuid4()
    doctor_grant = grant_for("filing.edit", [], doctor_account_id=account)
    assert in_scope(doctor_grant, account_id=account)
    assert not in_scope(doctor_grant, account_id=uuid4())
    nobody = grant_for("doctors.view", [member("question_editor")], doctor_account_id=account)
    assert nobody == Grant()
    assert not in_scope(
        nobody, institution_id=FIRST_PLACE, assessor_id=FIRST_PLACE, account_id=account, division="140100"
    )


def test_an_action_that_is_not_in_the_table_is_nobodys():
    for ask in (
        roles_for,
        lambda action: grants(action, ["province_admin"]),
        lambda action: grant_for(action, []),
    ):
        with pytest.raises(KeyError):
            ask("doctors.forge")


def test_no_role_is_named_outside_the_table():
    """But for the administrator, whose account is bound by other rules (`people/accounts`), and who the
    demonstration invites."""
    apart = {"dingkao/people/permissions.py"}
    files = [*ROOT.glob("dingkao/**/*.py"), *ROOT.glob("templates/**/*.html")]
    mentions = [
        (path, role.code)
        for file in files
        if not (path := file.relative_to(ROOT).as_posix()).startswith("dingkao/demonstration/")
        and path not in apart
        for role in ROLES
        if f'"{role.code}"' in (text := file.read_text()) or f"'{role.code}'" in text
    ]
    assert mentions == [("dingkao/people/accounts.py", "province_admin")]
