"""An administrator of the test, whom the tests of invitations and of a second person share."""

import uuid
from datetime import timedelta

import pyotp
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import passwords, sign_in_sessions
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, SetupLink
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors
from tests.blueprints.signed_in_client import post_form

SLUG, CODE = "jilin", 22
PASSWORD = "songhua-changbai-26x"


def text(answer):
    return answer.get_data(as_text=True)


def number():
    """A mobile number that nobody has."""
    return f"136{uuid.uuid4().int % 10**8:08d}"


def later(in_province, account_id):
    """As if the last link had been sent two minutes ago."""
    with in_province(SLUG):
        db.session.execute(
            update(SetupLink)
            .where(SetupLink.account_id == account_id)
            .values(sent_at=clock.now() - timedelta(minutes=2))
        )
        db.session.commit()


class Administrator:
    """An administrator of the test with a mobile number and both factors, signed in; of long standing, unless
    `client` is given."""

    def __init__(self, application, in_province, mobile=None, *, client=None, user_name=None):
        self.application, self.in_province, self.mobile = application, in_province, mobile or number()
        self.client = client or application.test_client()
        with in_province(SLUG):
            if user_name is None:
                account = create_staff(
                    f"a-{uuid.uuid4().hex[:10]}",
                    "王管理",
                    [("province_admin", None)],
                    by=TERMINAL_ACTOR,
                    mobile=self.mobile,
                )
                account.state, account.password_hash = "active", passwords.hash_password(PASSWORD)
                account.second_factor_sealed = current_vault().encrypt(
                    SecretLocation("account", "second_factor", account.id), pyotp.random_base32()
                )
                self.client.set_cookie(
                    f"dk-{SLUG}", sign_in_sessions.start_session(account, second_factor_shown=True)
                )
            else:
                account = db.session.scalars(select(Account).where(Account.user_name == user_name)).one()
            self.id, self.user_name = account.id, account.user_name
            db.session.commit()

    def row(self):
        return db.session.scalars(select(Account).where(Account.id == self.id)).one()

    def invite(self, mobile, user_name=None, role="province_admin"):
        """Invite someone; the answer and the user name."""
        name = user_name or f"i-{uuid.uuid4().hex[:10]}"
        form = {"user_name": name, "name": "李新任", "role": role, "mobile": mobile}
        return post_form(self.client, f"/{SLUG}/office/staff", **form), name

    def act(self, account, what, **data):
        return post_form(
            self.client, f"/{SLUG}/office/staff/{account}/{what}", page=f"/{SLUG}/office/staff", **data
        )

    def appointed(self):
        """Someone invited by this one, who has opened the account: the puppet of an attack, or just a
        colleague."""
        mobile = number()
        answer, name = self.invite(mobile)
        assert answer.status_code == 200, text(answer)
        client = self.application.test_client()
        opened, _secret = actors.complete_setup(
            client, actors.setup_link_of(self.application, self.in_province, SLUG, mobile), PASSWORD
        )
        assert opened.location == f"/{SLUG}/start"
        return Administrator(self.application, self.in_province, mobile, client=client, user_name=name)

    def alive(self):
        return self.client.get(f"/{SLUG}/office").status_code == 200
