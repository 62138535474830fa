"""The states of a login as a machine (security.md 1): whatever is done in whatever order, what opens an
account is what should."""

from datetime import timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import accounts, authentication, passwords, sign_in_sessions
from dingkao.people.models import Account
from tests.property_examples import property_examples

WORDS = ("helan-shanxia-77", "huanghe-rushui-31", "tumen-jiangpan-8")
NEVER = ("", "666666 ", "not-this-one-1", "66666", "AAAAA-AAAAA")


class Login(RuleBasedStateMachine):
    """One account beside what should be true of it. Each machine is one transaction, undone at its end."""

    in_province = None
    now = None

    @initialize()
    def begin(self):
        self.inside = Login.in_province("hainan")
        self.inside.__enter__()
        self.number, self.moment = f"E{new_id().int % 10**8:08d}", clock.now()
        self.account = Account(
            kind="doctor",
            login_index=accounts.doctor_login_index(self.number),
            name="测试",
            initial_until=self.moment + timedelta(days=90),
        )
        db.session.add(self.account)
        db.session.flush()
        self.state, self.word, self.code, self.spent = "initial", None, None, []
        self.lapses, self.code_ends, self.tokens = self.account.initial_until, None, []
        Login.now(self.moment)

    def opens(self, typed):
        """What a password should open now: nothing, the change page, or a session."""
        if self.state == "closed":
            return None
        if self.state == "active" and typed == self.word:
            return "session"
        if self.state == "initial" and typed == passwords.INITIAL_PASSWORD and self.moment < self.lapses:
            return "change"
        return "change" if typed == self.code and self.moment < self.code_ends else None

    @rule(data=st.data())
    def try_to_sign_in(self, data):
        passwords_to_try = [
            passwords.INITIAL_PASSWORD,
            *WORDS,
            *NEVER,
            *self.spent,
            *([self.code] if self.code else []),
        ]
        password = data.draw(st.sampled_from(passwords_to_try))
        try:
            account = authentication.authenticate("doctor", self.number, password)
            opened = "change" if account.must_change_password else "session"
        except InvalidInput:
            opened = None
        assert opened == self.opens(password), (password, self.state)
        if opened == "session":
            self.tokens.append(sign_in_sessions.start_session(self.account))

    @rule(new=st.sampled_from(WORDS))
    def set_a_password_by_the_initial_one(self, new):
        if self.opens(passwords.INITIAL_PASSWORD) == "change":
            authentication.set_password(self.account, new, code=None, mobile=None)
            self.becomes(new)

    @rule(new=st.sampled_from(WORDS))
    def set_a_password_by_the_code(self, new):
        if self.code and self.opens(self.code) == "change":
            one_time_code = authentication.find_one_time_code(self.account, self.code)
            if new == self.word:
                with pytest.raises(InvalidInput):
                    authentication.set_password(self.account, new, code=one_time_code, mobile=None)
                return
            authentication.set_password(self.account, new, code=one_time_code, mobile=None)
            self.spent.append(self.code)
            self.code = None
            self.becomes(new)

    def becomes(self, new):
        self.state, self.word = "active", new
        for token in self.tokens:
            assert sign_in_sessions.load_session(token) is None
        self.tokens.clear()

    @rule()
    def hand_over_a_code(self):
        if self.code:
            self.spent.append(self.code)
        self.code, self.code_ends = (
            accounts.issue_code(self.account, by=TERMINAL_ACTOR),
            self.moment + timedelta(days=accounts.CODE_VALID_DAYS),
        )
        if self.state == "initial":
            self.lapses = self.moment + timedelta(days=90)

    @rule()
    def renew(self):
        try:
            accounts.extend_initial_credential(self.account, by=TERMINAL_ACTOR)
        except InvalidState:
            assert self.state != "initial"
        else:
            assert self.state == "initial"
            self.lapses = self.moment + timedelta(days=90)

    @rule()
    def close(self):
        self.account.state = self.state = "closed"

    @rule(days=st.sampled_from([1, 13, 15, 89, 91]))
    def days_pass(self, days):
        self.moment += timedelta(days=days)
        Login.now(self.moment)
        self.tokens.clear()

    @invariant()
    def sessions_are_those_of_an_open_account(self):
        for token in getattr(self, "tokens", ()):
            assert (sign_in_sessions.load_session(token) is not None) is (self.state == "active")

    @invariant()
    def nothing_of_the_initial_password_is_kept(self):
        if getattr(self, "state", "") == "initial":
            assert self.account.password_hash is None

    def teardown(self):
        if hasattr(self, "inside"):
            db.session.rollback()
            self.inside.__exit__(None, None, None)


@pytest.mark.hypothesis
def test_the_states_of_a_login(in_province, monkeypatch):
    Login.in_province = staticmethod(in_province)
    Login.now = staticmethod(lambda moment: monkeypatch.setattr(clock, "now", lambda: moment))
    run_state_machine_as_test(
        Login,
        settings=hypothesis_settings(
            max_examples=property_examples(40), stateful_step_count=25, deadline=None
        ),
    )
