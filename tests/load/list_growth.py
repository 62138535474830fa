"""How much more a page of the console costs in a province of 446,000 doctors than in one of 4,460: every page
of the menu, and lists filtered, searched and taken from, as an administrator and as a reviewer see them."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

from flask.testing import FlaskClient

from dingkao.blueprints.console.navigation import MENU
from tests.load.bench_stack import Bench, RawHttpConnection, report_at_most, report_result
from tests.load.synthetic_people import iter_people
from tests.plan_walk import PlanWalk

REQUESTS_PER_PAGE, ROUNDS = 50, 3
"""Requests for a page in a round, and rounds, of which the cheapest counts: duties of the stack, and
PostgreSQL's own, fall into some of them."""
MAX_GROWTH = 1.3
FILTERED = {
    "province_admin": (
        "/office/inclusion?state=institution_pending", "/office/inclusion?state=not_included",
        "/office/watching?view=handed_in",
    ),
    "organisation_reviewer": ("/office/review?side=organisation", "/office/review?side=institution&state=institution_pending"),
}  # fmt: skip
"""Role → lists with a filter."""
SEARCHED = (
    "/office/doctors?q={}",
    "/office/inclusion?q={}",
    "/office/watching?q={}",
    "/office/staff?q={}",
)


class ListGrowth:
    """Pages of the same name in a small and a large province."""

    def __init__(self, bench: Bench, small: PlanWalk, large: PlanWalk) -> None:
        self.bench, self.small, self.large = bench, small, large
        self.worst = 0.0

    def measure(self) -> None:
        """Measure every page, and report on the one that grows most."""
        for role, filtered in FILTERED.items():
            clients = [walk.sign_in(role) for walk in (self.small, self.large)]
            for page in (*self._menu_pages(clients[1]), *filtered, *self._searches(role)):
                self._compare(page, *(self._getter(client, page) for client in clients))
        self._compare_queues()
        report_at_most("list_page_growth", self.worst, "ratio", MAX_GROWTH)

    def _menu_pages(self, client: FlaskClient) -> list[str]:
        """The pages of the menu that the client's user may open."""
        with self.bench.application.test_request_context():
            addresses = [
                self.bench.application.url_map.bind("").build(entry.endpoint)
                for _, entries in MENU
                for entry in entries
            ]
        return [
            address for address in addresses if client.get(f"/{self.large.slug}{address}").status_code == 200
        ]

    def _searches(self, role: str) -> list[str]:
        """Lists searched for somebody's name, by whoever sees the whole province."""
        if role != "province_admin":
            return []
        name = next(iter_people(self.large.province, self.large.doctors)).name
        return [address.format(urlencode({"": name})[1:]) for address in SEARCHED]

    def _getter(self, client: FlaskClient, page: str) -> Callable[[int], None] | None:
        """What asks for the page as the client does; None where there is no such page."""
        slug = client.slug  # type: ignore[attr-defined]
        if client.get(f"/{slug}{page}").status_code != 200:
            return None
        return self.bench.get(f"/{slug}{page}", _cookie(client))

    def _compare(
        self, page: str, small: Callable[[int], None] | None, large: Callable[[int], None] | None
    ) -> None:
        if small is None or large is None:
            return
        rounds = [[self.bench.each(ask, REQUESTS_PER_PAGE) for ask in (small, large)] for _ in range(ROUNDS)]
        small_milliseconds, milliseconds = map(min, zip(*rounds, strict=True))
        growth = milliseconds / small_milliseconds
        self.worst = max(self.worst, growth)
        report_result(f"page_cpu_ms {page}", milliseconds, "ms", None, None)
        report_result(f"page_growth {page}", growth, "ratio", MAX_GROWTH, growth <= MAX_GROWTH)

    def _compare_queues(self) -> None:
        """Taking the filing that has waited longest, again and again: whoever has one gets the same."""
        takers = []
        for walk in (self.small, self.large):
            client = walk.sign_in("organisation_reviewer")
            queue = f"/{walk.slug}/office/review"
            token = re.search(
                r'name="csrf_token"[^>]*value="([^"]+)"', client.get(queue).get_data(as_text=True)
            )
            assert token
            takers.append(
                self._poster(f"{queue}/next", _cookie(client), csrf_token=token[1], side="organisation")
            )
        self._compare("/office/review/next", *takers)

    def _poster(self, path: str, cookie: str, **form: str) -> Callable[[int], None]:
        """What sends a form again and again, on a kept connection."""
        body = urlencode(form)
        wire = RawHttpConnection(self.bench.stack.port)
        request = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        return lambda _number: wire.ask(request, (b"303",)) and None


def _cookie(client: FlaskClient) -> str:
    """What the client sends as its cookies: of the session and, once it has seen a form, of the form's
    token."""
    name = f"dk-{client.slug}"  # type: ignore[attr-defined]
    session, form = client.get_cookie(name), client.get_cookie(f"{name}-form")
    assert session
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in (session, form) if cookie)
