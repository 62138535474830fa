"""Behind a pooler, which hands a connection to another process after each transaction, everybody gets the
statement they asked for."""

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Integer, bindparam, cast, literal_column, make_url, select

from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database import libpq
from dingkao.database.base import db
from dingkao.embedded.unprivileged_user import UnprivilegedUser
from dingkao.errors import NotFound
from dingkao.exams import answer_saving
from dingkao.tenants.context import in_tenant
from dingkao.tenants.models import ProvinceSetting
from dingkao.tenants.prepared_statements import TENANT_PARAM, PreparedStatement
from tests.conftest import free_port

CODE = 14
CONFIGURATION = """
[databases]
{database} = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = options, extra_float_digits
unix_socket_dir =
"""


@pytest.fixture(scope="module")
def pooled(stack, tmp_path_factory):
    """The address of the application's database by way of a pooler of two connections."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer on this machine")
    url, pooler_port, folder = (
        make_url(stack.environment["DATABASE_URL"]),
        free_port(),
        tmp_path_factory.mktemp("pooled"),
    )
    (folder / "users").write_text(f'"{url.username}" "{url.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            database=url.database, host=url.host, port=url.port, own=pooler_port, folder="/proc/self/cwd"
        )
    )
    user = UnprivilegedUser.for_folder(Path("/nowhere"))
    if user:
        for path in (folder, *folder.iterdir()):
            user.take_ownership(path)
    running = subprocess.Popen(  # noqa: S603
        [program, "/proc/self/cwd/pgbouncer.ini"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **(user.subprocess_arguments() if user else {}),
    )
    address = url.set(port=pooler_port).render_as_string(hide_password=False)
    try:
        for _ in range(100):
            with suppress(psycopg.OperationalError), psycopg.connect(address.replace("+psycopg", "")):
                break
            time.sleep(0.1)
        yield address
    finally:
        running.terminate()
        running.wait()


def asked(number):
    """A statement that gives `number` and the value it is asked with."""
    return PreparedStatement(
        lambda: select(literal_column(str(number)), cast(bindparam("value", type_=Integer), Integer)).where(
            ~select(ProvinceSetting.id)
            .where(ProvinceSetting.tenant_id == TENANT_PARAM, ProvinceSetting.name == "nobody's")
            .exists()
        )
    )


def test_everybody_gets_the_statement_they_asked_for(pooled, stack, provinces):
    settings = replace(AppConfig.from_environment(stack.environment), database_url=pooled)
    statements = [asked(number) for number in range(8)]

    def ask(application, first):
        answers = []
        for index in range(first, first + 40):
            with application.app_context(), in_tenant(CODE):
                answers.append((index % 8, index, *statements[index % 8].fetch_rows(value=index)[0]))
                db.session.rollback()
        return answers

    applications = [create_app(settings) for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        all_answers = [
            answer for answers in threads.map(ask, applications * 4, range(8)) for answer in answers
        ]
    assert len(all_answers) == 320
    assert [answer for answer in all_answers if answer[:2] != answer[2:]] == []


def test_an_answer_is_saved_through_a_pooler(pooled):
    with ThreadPoolExecutor(4) as threads:

        def save(_):
            with pytest.raises(NotFound):
                answer_saving.save_answer(
                    pooled,
                    answer_saving.SaveToken(CODE, uuid4(), 1),
                    {"position": 0, "letters": "A", "sequence": 1, "tapped": None},
                )

        assert list(threads.map(save, range(40))) == [None] * 40


def test_a_statement_has_the_same_name_in_every_process_and_another_has_another():
    code = "from dingkao.database import libpq; print(libpq.statement_name(b'select $1', (23,)).decode())"
    other_name = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other_name == libpq.statement_name(b"select $1", (23,)).decode()
    names = {
        libpq.statement_name(text, types)
        for text in (b"select $1", b"select $1 ")
        for types in ((), (23,), (25,), (23, 25))
    }
    assert len(names) == 8
