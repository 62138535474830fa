"""A member of staff of the test, whom the tests of acts on accounts and of unused accounts share."""

import uuid
from datetime import timedelta

import pyotp
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import authentication, passwords, sign_in_sessions
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, Organisation
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import sample_data
from tests.blueprints.signed_in_client import post_form

SLUG, CODE = "hebei", 13
PASSWORD = "yanzhao-taihang-2026"
HOSPITAL = sample_data.registration_number(CODE, 1)


class StaffMember:
    """An account of staff of the test, with a password and a live session of its own."""

    def __init__(self, application, in_province, role="auditor", place=None, *, second_factor=False):
        self.application, self.in_province = application, in_province
        with in_province(SLUG):
            organisation = (
                db.session.scalar(select(Organisation).where(Organisation.registration_number == place))
                if place
                else None
            )
            account = create_staff(
                f"p-{uuid.uuid4().hex[:10]}", "王某人", [(role, organisation)], by=TERMINAL_ACTOR
            )
            account.state, account.password_hash = "active", passwords.hash_password(PASSWORD)
            self.secret = pyotp.random_base32()
            if second_factor:
                account.second_factor_sealed = current_vault().encrypt(
                    SecretLocation("account", "second_factor", account.id), self.secret
                )
            token = sign_in_sessions.start_session(account)
            self.id, self.user_name = account.id, account.user_name
            db.session.commit()
        self.client = application.test_client()
        self.client.set_cookie(f"dk-{SLUG}", token)

    def row(self):
        return db.session.scalars(select(Account).where(Account.id == self.id)).one()

    def roles(self):
        with self.in_province(SLUG):
            return {membership.role: membership.id for membership in authentication.memberships_of(self.id)}

    def signed_in(self):
        return self.client.get(f"/{SLUG}/start").location != f"/{SLUG}/login"

    def sign_in(self, password=PASSWORD):
        client = self.application.test_client()
        answer = post_form(client, f"/{SLUG}/login?staff=1", account=self.user_name, password=password)
        return client, answer

    def verbs(self):
        with self.in_province(SLUG):
            assert invalid_entries(self.id) == []
            return db.session.scalars(
                select(JournalEntry.verb).where(JournalEntry.subject_id == self.id).order_by(JournalEntry.id)
            ).all()

    def set(self, **columns):
        with self.in_province(SLUG):
            db.session.execute(update(Account).where(Account.id == self.id).values(**columns))
            db.session.commit()

    def act(self, client, what, **data):
        """Post one of the acts on this account's page."""
        return post_form(
            client, f"/{SLUG}/office/staff/{self.id}/{what}", page=f"/{SLUG}/office/staff", **data
        )


def text(answer):
    return answer.get_data(as_text=True)


def ago(**span):
    return clock.now() - timedelta(**span)
