"""Moves: none is made from a state that it doesn't name, nor by anyone whose role it doesn't name, whatever
its own guards say."""

from types import SimpleNamespace

import pytest

from dingkao.articles import editing
from dingkao.articles.models import ARTICLE_STATES
from dingkao.assessments import assessment_transitions as of_records
from dingkao.assessments.models import ASSESSMENT_STATES
from dingkao.database.base import new_id
from dingkao.errors import Forbidden, InvalidState
from dingkao.exams import integrity_cases
from dingkao.exams.models.monitoring_models import CASE_STATES
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import TransitionRule, can
from dingkao.people import staff_accounts
from dingkao.people.models import ACCOUNT_STATES
from dingkao.question_banks import question_approval
from dingkao.question_banks.models import VERSION_STATES
from dingkao.requests import request_transitions as of_requests
from dingkao.requests.models import REQUEST_STATES

PLACES = (
    (of_records, ASSESSMENT_STATES),
    (of_requests, REQUEST_STATES),
    (question_approval, VERSION_STATES),
    (integrity_cases, CASE_STATES),
    (staff_accounts, ACCOUNT_STATES),
    (editing, ARTICLE_STATES),
)
MOVES = [
    pytest.param(verb, states, id=f"{module.__name__.split('.')[1]}-{name}")
    for module, states in PLACES
    for name, verb in vars(module).items()
    if isinstance(getattr(verb, "rule", None), TransitionRule)
]


def actor_of(role):
    """Somebody with one role, or of one kind that is none of the staff."""
    kinds = ("doctor", "system", "operator")
    return Actor(role, new_id()) if role in kinds else Actor("staff", new_id(), frozenset({role}))


@pytest.mark.parametrize(("verb", "states"), MOVES)
def test_a_move_starts_only_from_the_states_it_names_and_by_the_roles_it_names(verb, states):
    entitled = actor_of(min(verb.rule.allowed_actors))
    for state in states:
        simple_namespace = SimpleNamespace(
            id=new_id(), state=state, changed_at=None, institution_id=new_id(), assessor_id=None
        )
        for stranger in (actor_of("nobody"), Actor("staff", new_id())):
            with pytest.raises(Forbidden):
                verb(simple_namespace, by=stranger)
            assert not can(simple_namespace, verb, stranger)
        if state not in verb.rule.from_states:
            with pytest.raises(InvalidState, match=states[state]):
                verb(simple_namespace, by=entitled)
        assert can(simple_namespace, verb, entitled) == (state in verb.rule.from_states)
        assert simple_namespace.state == state
