"""A crowd at the door: two thousand sign in within a minute, with the hash as it is; part of `make
bench-full`.

JSON lines: how many were refused (bar 0), the waiting times, and the memory of the web's processes.
"""

import argparse
import os
import random
import re
import secrets
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from dingkao.database.arrays import split_into_batches
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.people import passwords
from dingkao.people.models import Account
from tests import actors, conftest
from tests.load.bench import SMALL, prepare
from tests.load.bench_stack import Bench, RawHttpConnection, report_at_most, report_result

SLUG, CODE, PASSWORD = "shanxi", 14, "xing-chen-da-hai-9"
PEOPLE, SECONDS, AT_ONCE = 2_000, 60.0, 64


def accounts(bench: Bench, ids: list[Any]) -> list[str]:
    """Open the accounts of doctors, all with one password; their login names."""
    hashed = passwords.hash_password(PASSWORD)
    names = []
    with bench.inside(SLUG):
        for chunk in split_into_batches(ids):
            for doctor in db.session.query(Doctor).filter(Doctor.id.in_(chunk)):
                account = db.session.get_one(Account, (CODE, doctor.account_id))
                account.state, account.password_hash = "active", hashed
                names.append(actors.number_of(doctor))
        db.session.commit()
    return names


def crowd(bench: Bench, names: list[str]) -> None:
    """Have all of them sign in at moments of chance within the time, each from an address of one's own, and
    tell how it went."""
    cookie, token = _form(bench)
    chance = random.Random(1)  # noqa: S311 - when people come
    began = time.monotonic()

    def sign_in(which: int, moment: float) -> tuple[bool, float]:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        body = urlencode({"csrf_token": token, "account": names[which], "password": PASSWORD})
        head = (
            f"POST /{SLUG}/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
            "application/x-www-form-urlencoded\r\n"
            f"Cookie: dk-{SLUG}-form={cookie}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        pressed = time.monotonic()
        wire = RawHttpConnection(bench.stack.port, f"127.9.{which // 250}.{which % 250 + 1}")
        try:
            wire.ask((head + body).encode(), (b"302", b"303"))
        except AssertionError:
            return False, time.monotonic() - pressed
        finally:
            wire.socket.close()
        return True, time.monotonic() - pressed

    moments = sorted(chance.uniform(0, SECONDS) for _ in names)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(sign_in, range(len(names)), moments))
    durations = sorted(seconds * 1000 for _, seconds in results)
    report_at_most("sign_in_crowd_refused", sum(not succeeded for succeeded, _ in results), "people", 0)
    report_at_most("sign_in_crowd_seconds", time.monotonic() - began, "s", SECONDS + 5)
    for part in (50, 95, 99):
        report_result(f"sign_in_crowd_p{part}", durations[len(durations) * part // 100], "ms", None, None)
    report_result("sign_in_crowd_memory", bench.memory(), "MB", None, None)


def _form(bench: Bench) -> tuple[str, str]:
    """The cookie and the token of the sign-in form."""
    wire = RawHttpConnection(bench.stack.port)
    wire.socket.sendall(f"GET /{SLUG}/login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    page = b""
    while b"</html>" not in page:
        page += wire.socket.recv(65536)
    wire.socket.close()
    cookie = re.search(rb"dk-shanxi-form=([^;]+)", page)
    token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert cookie
    assert token
    return cookie[1].decode(), token[1].decode()


def main() -> None:
    """A stack on every core, a province, the crowd."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=PEOPLE)
    args = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    all_cores = os.sched_getaffinity(0)
    os.environ["WEB_WORKERS"] = str(len(all_cores))
    with tempfile.TemporaryDirectory(prefix="dingkao-crowd-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            opened = prepare(bench, SMALL)
            names = accounts(bench, opened[SLUG]["ids"][100 : 100 + args.people])
            bench.pin(all_cores)
            os.sched_setaffinity(0, all_cores)
            crowd(bench, names)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
