"""Walks the console by HTTP as somebody signed in would: every page of the menu, every list, each filter,
order and search that its forms and links offer, the next page, some of the rows."""

import html
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from dingkao.database.listing.list_states import COLUMNS

_CODE_PATTERN = re.compile(r"[a-z][a-z_]{0,30}|[01]?")
"""Values of a query that are codes of a choice; others (ids, cursors, what was typed) are of one kind."""
_FILE_PATTERN = re.compile(r"\.(xlsx|csv|pdf|png|jpg|svg|docx|zip)$")
MAX_OPTIONS = 30


@dataclass
class Form:
    """A form that is sent by GET: where to, its fields with their values, the other values of choices, the
    names of fields for text."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    options: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


_TAG_PATTERN = re.compile(r"<(/form|a|form|select|option|input)\b((?:[^>\"]|\"[^\"]*\")*)>")
_ATTRIBUTE_PATTERN = re.compile(r"([a-z-]+)(?:=\"([^\"]*)\")?")


class PageReader:
    """What a page leads to: its links, and its forms that are sent by GET. It reads our own templates, whose
    attributes stand in double quotes, by a pattern: a parser of any HTML takes as long as the page itself."""

    def __init__(self, address: str) -> None:
        self.address, self.links, self.forms = address, list[str](), list[Form]()
        self._form: Form | None = None
        self._choice = ""

    def feed(self, page: str) -> None:
        """Read a page."""
        for tag, attributes in _TAG_PATTERN.findall(page):
            self._read_tag(
                tag, {name: html.unescape(value) for name, value in _ATTRIBUTE_PATTERN.findall(attributes)}
            )

    def _read_tag(self, tag: str, values: dict[str, str]) -> None:
        if tag == "a" and "href" in values:
            self.links.append(urljoin(self.address, values["href"]))
        elif tag == "form":
            is_get = values.get("method", "get").lower() == "get"
            self._form = Form(urljoin(self.address, values.get("action", ""))) if is_get else None
            self.forms += [self._form] if self._form else []
        elif tag == "/form":
            self._form = None
        elif self._form is not None:
            self._read_field(self._form, tag, values)

    def _read_field(self, form: Form, tag: str, values: dict[str, str]) -> None:
        name, kind = values.get("name", ""), values.get("type", "text")
        if tag == "select":
            self._choice = name
        elif tag == "option" and self._choice:
            form.options.append((self._choice, values.get("value", "")))
        elif tag == "input" and name and kind in ("radio", "checkbox"):
            form.options.append((name, values.get("value", "on")))
        elif tag == "input" and name and kind in ("text", "search"):
            form.texts.append(name)
        elif tag == "input" and name:
            form.values[name] = values.get("value", "")


@dataclass(frozen=True)
class ConsoleWalk:
    """A walk through the console of `slug`. `searched`: what is typed into fields for text; `examples`: how
    many pages of one kind are looked at; `most`: how many pages of one view, those with the fewest conditions
    first, for each filter goes with each order. `is_covering`: a page is looked at only if it has a condition
    (a value of a filter, an order, a text in a field) that no page of its view had before it."""

    app: Flask
    slug: str
    searched: tuple[str, ...] = ()
    examples: int = 2
    most: int = 200
    is_covering: bool = False

    def run(self, client: FlaskClient, before_page: Callable[[str], None]) -> Counter[str]:
        """Walk; `before_page` is told each address before it is asked for. Gives how many pages of each
        endpoint answered 200. Raises AssertionError for a server's fault."""
        waiting, visited, kinds, pages = deque(self._starts()), set[str](), Counter[str](), Counter[str]()
        conditions = set[tuple[str, str]]()
        while waiting:
            address = waiting.popleft()
            kind = None if address in visited else self._kind(address)
            if kind is None or kinds[kind] >= self.examples or pages[kind.split("?")[0]] >= self.most:
                continue
            if self.is_covering and conditions.issuperset(_conditions(kind)):
                continue
            visited.add(address)
            kinds[kind] += 1
            conditions.update(_conditions(kind))
            before_page(address)
            answer = client.get(address)
            assert answer.status_code < 500, (address, answer.status_code)
            if answer.status_code == 200 and answer.mimetype == "text/html":
                pages[kind.split("?")[0]] += 1
                waiting.extend(self._onward(address, answer.get_data(as_text=True)))
        return pages

    def _starts(self) -> Iterator[str]:
        """Every page of the console whose address names no row."""
        for rule in self.app.url_map.iter_rules():
            if rule.rule.startswith("/office") and "GET" in (rule.methods or ()) and not rule.arguments:
                yield f"/{self.slug}{rule.rule}"

    def _kind(self, address: str) -> str | None:
        """The endpoint with the names and codes of the query, of a search the text; None for what is no page of the
        console."""
        parts = urlsplit(address)
        path = parts.path.removeprefix(f"/{self.slug}")
        if parts.netloc or not path.startswith("/office") or _FILE_PATTERN.search(path):
            return None
        try:
            endpoint, _ = self.app.url_map.bind("localhost").match(path, "GET")
        except (HTTPException, RequestRedirect):
            return None
        query = parse_qsl(parts.query)
        is_search = any(value in self.searched for _, value in query)
        codes = {
            (name, "*" if name == COLUMNS else self._kind_of_value(value, is_search=is_search))
            for name, value in query
        }
        return f"{endpoint}?{urlencode(sorted(codes))}"

    def _kind_of_value(self, value: str, *, is_search: bool) -> str:
        """A code as it is, unless it goes with a search; of all else that it is something."""
        if value in self.searched:
            return value
        return value if _CODE_PATTERN.fullmatch(value) and not is_search else "*"

    def _onward(self, address: str, page: str) -> Iterator[str]:
        """Where a page leads: its links; its forms sent as they stand, with each other choice, with each text
        that is searched for."""
        reader = PageReader(address)
        reader.feed(page)
        yield from (link.partition("#")[0] for link in reader.links)
        for form in reader.forms:
            changes = [{}, *({name: value} for name, value in form.options[:MAX_OPTIONS])]
            changes += [{name: text} for name in form.texts for text in self.searched]
            yield from (
                f"{form.action.partition('?')[0]}?{urlencode(form.values | change)}" for change in changes
            )


def _conditions(kind: str) -> set[tuple[str, str]]:
    """The conditions of a page of that kind, each with its view; of one without any, that it has none."""
    endpoint, _, query = kind.partition("?")
    return {(endpoint, condition) for condition in query.split("&")}
