"""What the console asks of the database is bounded: every page of it, with each filter, order and search, is
looked at by staff of several roles in a province of thousands, and the plans of its statements are read.
`tests.load.plans` does the same with 446,000."""

import sys

import pytest
from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.provinces import open_province
from dingkao.tenants.rls import plans_by_value
from tests import actors
from tests.engines import superuser_connection
from tests.load import synthetic
from tests.load.synthetic_records import EVERY_STATE
from tests.plan_reading import PlanLimits, collected_plans, plan_problems
from tests.plan_walk import PlanWalk
from tests.tenants.foreign_keys import dangling_references

DOCTORS, COUNTED = 3_000, 100
CAPS = ("MAX_COUNTED", "COUNTED_ROWS", "SAMPLED_ROWS", "MAX_SORTED", "MAX_LOOKED_AT", "MAX_PRINTED")
"""The names of how far pages count and sort: here to COUNTED, so that what has no cap stands out among thousands."""
LIMITS = PlanLimits(read=500, removed=500, sorted=500)
"""A page shows 50 rows, and here counts COUNTED: what reads more grows with the province. An index
over everything is no better than a table read one row after another, which these sessions don't do."""
LIKE_LARGE_TABLES = {"enable_hashjoin": "off"}
"""What makes PostgreSQL choose for thousands of rows as it does for hundreds of thousands: of these it looks
fifty up one by one, where it would read all of three thousand to join them."""
ROLES = ("province_admin", "institution_clerk", "organisation_reviewer")


def every_cap():
    """The modules that know one of CAPS, each with its name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("dingkao.")]
    return [(module, name) for module in modules for name in CAPS if hasattr(module, name)]


@pytest.fixture(scope="module")
def superuser(stack):
    """The superuser's connection, which commits by itself."""
    connection = superuser_connection(stack.home)
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def plan_walk(application, in_province, superuser):
    """A walk through 山西 with DOCTORS made-up doctors in every state."""
    with in_province("shanxi") as province:
        open_province(province, by=TERMINAL_ACTOR)
        cycle = actors.open_cycle_today()
        db.session.commit()
        synthetic.load(superuser, cycle.id, DOCTORS, state=EVERY_STATE)
    superuser.execute("vacuum (analyze)")
    return PlanWalk(application, in_province, "shanxi", 14, DOCTORS, examples=1, most=20, is_covering=True)


@pytest.fixture(scope="module")
def engine(application):
    """What the application asks its database by."""
    with application.app_context():
        return db.engine


@pytest.fixture(scope="module")
def collected(engine, plan_walk, superuser):
    """The statements of all pages with their plans, and how often each page was looked at, by role."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in every_cap():
            patch.setattr(module, name, COUNTED)
        with collected_plans(engine, superuser, **LIKE_LARGE_TABLES) as collector:
            pages = dict(plan_walk.walk(collector, ROLES))
    return collector.statements, pages


def test_no_page_of_the_console_reads_or_sorts_a_whole_province(collected):
    statements, _ = collected
    problems = plan_problems(statements, LIMITS)
    assert [str(problem) for problem in problems] == []


def test_what_was_loaded_refers_to_what_is_there(plan_walk, superuser):
    assert dangling_references(superuser) == []


def test_every_list_of_the_console_was_looked_at(collected):
    statements, pages = collected
    assert len(statements) > 300
    for endpoint in ("doctors.list_doctors", "enrolment.inclusion", "certificates.list_certificates"):
        assert pages["province_admin"][endpoint], endpoint
    assert pages["organisation_reviewer"]["filing_review.pending_records"] > 1


def test_a_statement_that_reads_everybody_is_noticed(engine, plan_walk, superuser, in_province):
    with (
        collected_plans(engine, superuser, **LIKE_LARGE_TABLES) as collector,
        plans_by_value(),
        in_province("shanxi"),
    ):
        db.session.scalar(select(func.count()).select_from(Doctor).where(Doctor.sex == "male"))
        db.session.scalars(select(Doctor.id).order_by(Doctor.title)).all()
    sentences = [problem.sentence for problem in plan_problems(collector.statements, LIMITS)]
    assert any("a filter throws" in sentence for sentence in sentences)
    assert any(sentence.startswith("sorts") for sentence in sentences)
