"""Who walks the console so that the plans of its statements are read: staff of every role, at the largest
organisation of a province made up by `tests.load.synthetic`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from dingkao.people.permissions import PROVINCE_ROLES
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.console_walk import ConsoleWalk
from tests.load.synthetic_institutions import make_institutions
from tests.load.synthetic_people import iter_people
from tests.plan_reading import PlanCollector

QUEUES = {"institution_reviewer": "institution", "organisation_reviewer": "organisation"}
"""Roles that take the next filing of a queue → the side whose queue it is."""


@dataclass(frozen=True)
class PlanWalk:
    """The walks through a made-up province `slug` of so many doctors. `inside`: what gives a unit of work in
    a province."""

    app: Flask
    inside: Any
    slug: str
    province: int
    doctors: int
    examples: int = 2
    most: int = 200
    is_covering: bool = False

    def searched(self) -> tuple[str, ...]:
        """What is typed into fields for text: a doctor's name, a part of it, pinyin, initials, the number and
        its end, an institution's name."""
        person = next(iter_people(self.province, self.doctors))
        place = self._largest()
        return (person.name, person.name[:2], "zhangwei", "zw", person.number, person.number[-4:], place.name)

    def _largest(self) -> Any:
        return make_institutions(self.province, self.doctors, seed=0, assessor=None, with_staff=True)[0]

    def sign_in(self, role: str) -> FlaskClient:
        """A new member of staff with that role: in the province's office, or at the largest institution,
        which is the largest assessment organisation too."""
        of_province = role in PROVINCE_ROLES
        registration = None if of_province else self._largest().registration_number
        return signed_in_client(self.app, self.inside, self.slug, role, registration)

    def walk(self, collector: PlanCollector, roles: tuple[str, ...]) -> Iterator[tuple[str, Counter[str]]]:
        """Walk as each of the roles; gives how often each page was looked at."""
        console = ConsoleWalk(
            self.app, self.slug, self.searched(), self.examples, self.most, self.is_covering
        )
        for role in roles:
            client = self.sign_in(role)

            def before_page(address: str, role: str = role) -> None:
                collector.page = f"{role} {address}"

            yield role, console.run(client, before_page)
            if side := QUEUES.get(role):
                queue = f"/{self.slug}/office/review"
                before_page(f"{queue}/next")
                assert post_form(client, f"{queue}/next", queue, side=side).status_code == 303
