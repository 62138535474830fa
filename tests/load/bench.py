"""`make bench`: those of budgets.md that one machine can measure, one JSON line each: name, value, unit, bar,
ok.

Server and load generator are pinned to different cores; CPU is utime + stime of all server processes over a
phase; ratios are taken inside one run.
"""

import argparse
import base64
import gzip
import json
import os
import re
import secrets
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import segno
from sqlalchemy import select
from weasyprint import HTML

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates import official_seals
from dingkao.database.base import db
from dingkao.demonstration.sample_portraits import draw_portrait
from dingkao.doctors.models import Doctor
from dingkao.embedded import postgres
from dingkao.exams import answer_saving, sittings
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.papers import papers_for
from dingkao.filings.user_notice import confirm_notice
from dingkao.integrations.pdf import rendering
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.people import passwords, sign_in_sessions
from dingkao.people.models import Account, Organisation
from dingkao.people.provinces import open_province
from tests import actors, conftest
from tests.load import exam, name_search, synthetic
from tests.load.bench_stack import (
    REQUESTS,
    Bench,
    Cost,
    RawHttpConnection,
    report_at_least,
    report_at_most,
    report_cost,
    report_result,
)
from tests.load.cheap_hashing import HASHER
from tests.load.list_growth import ListGrowth
from tests.load.plans import load_every_state
from tests.plan_walk import PlanWalk

SMALL, LARGE = 4_460, 446_000
CLIENTS = 8
COUNTED_SECONDS = 11  # a backend tells what it has counted at most ten seconds after it has gone idle
SECONDS = 6
SAVE_COST, DOCTOR_PAGE_COST, SIGN_IN_COST = 0.95, 8.07, 7.6
"""Bars in yardsticks."""


def prepare(bench: Bench, doctors: int) -> dict[str, Any]:
    """A province in which fifty sittings are open; a small one and one of real size, both in every state."""
    opened: dict[str, Any] = {"shanxi": {"ids": _load_not_included(bench)}}
    for slug, number in (("hebei", SMALL), ("henan", doctors)):
        opened[slug] = {"ids": load_every_state(bench, slug, number)[0]}
    with bench.superuser() as connection:
        # What was loaded is neither tidied up nor written back in the middle of a figure.
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")
    actors.demonstration_bank(bench.inside, "shanxi")
    opened["sittings"], opened["doctor"] = _sittings(bench, opened["shanxi"]["ids"][:100])
    opened["filer"] = _filer(bench, opened["shanxi"]["ids"][600])
    return opened


def _load_not_included(bench: Bench) -> list[UUID]:
    """山西 with SMALL doctors who are not on the list yet; their ids."""
    with bench.inside("shanxi") as province:
        open_province(province, by=TERMINAL_ACTOR)
        db.session.add(
            Organisation(
                name="起始医院",
                registration_number=f"START{province.code}",
                division=f"{province.code}0100",
                category="医疗机构",
                health_authority="卫健委",
            )
        )
        db.session.flush()
        cycle = actors.get_or_open_cycle()
        db.session.commit()
        with bench.superuser() as connection:
            return synthetic.load(connection, cycle.id, SMALL)


def _filer(bench: Bench, doctor_id: UUID) -> str:
    """The cookie of a doctor who is on the list and has read the notice."""
    with bench.inside("shanxi"):
        doctor = db.session.get_one(Doctor, (14, doctor_id))
        record = db.session.scalars(
            select(Assessment).where(Assessment.doctor_id == doctor_id).with_for_update()
        ).one()
        record.state, account = "included", db.session.get_one(Account, (14, doctor.account_id))
        account.state = "active"
        confirm_notice(doctor, actors.get_or_open_cycle(), by=Actor("doctor", account.id))
        cookie = f"dk-shanxi={sign_in_sessions.start_session(account)}"
        db.session.commit()
    return cookie


def _sittings(bench: Bench, ids: list[UUID]) -> tuple[list[tuple[UUID, str, int]], str]:
    """Fifty sittings of fifty questions (as far as the bank has them), and the cookie of a doctor among
    them."""
    with bench.inside("shanxi"):
        cycle, cookie, sitting_list = actors.get_or_open_cycle(), "", []
        assessor = db.session.scalars(
            select(Organisation).where(Organisation.registration_number == "START14")
        ).one()
        window = {"opens_at": clock.now() - timedelta(days=1), "closes_at": clock.now() + timedelta(days=9)}
        for subject in ("common", "professional"):
            save_paper(
                cycle,
                subject=subject,
                category="clinical",
                level="physician",
                counts={"A1": 12, "A2": 4},
                minutes=600,
                by=TERMINAL_ACTOR,
                **window,
            )
        for doctor_id in ids:
            doctor = db.session.get_one(Doctor, (14, doctor_id))
            if (doctor.category, doctor.level) != ("clinical", "physician") or len(sitting_list) == 50:
                continue
            record = db.session.scalars(
                select(Assessment).where(Assessment.doctor_id == doctor_id).with_for_update()
            ).one()
            actor = Actor("doctor", doctor.account_id)
            record.state, record.assessor_id, record.procedure, record.performance, record.ethics = (
                "ready",
                assessor.id,
                "general",
                "pass",
                "pass",
            )
            sitting = sittings.open_sitting(record, papers_for(record)[0], by=actor)
            sitting_list.append(
                (
                    sitting.id,
                    answer_saving.make_token(sitting, str(bench.application.secret_key)),
                    len(sitting.layout),
                )
            )
            if not cookie:
                account = db.session.get_one(Account, (14, doctor.account_id))
                account.state = "active"
                confirm_notice(doctor, cycle, by=actor)
                cookie = f"dk-shanxi={sign_in_sessions.start_session(account)}"
        db.session.commit()
    return sitting_list, cookie


def save_requests(opened: dict[str, Any], sequence: int) -> Callable[[int], bytes]:
    """The bytes of the n-th save."""
    sittings = opened["sittings"]

    def request(number: int) -> bytes:
        sitting, token, size = sittings[number % len(sittings)]
        body = json.dumps(
            {
                "position": number // len(sittings) % size,
                "letters": "ABCDE"[number % 5],
                "sequence": sequence + number,
                "tapped": None,
            }
        )
        return (
            f"POST /shanxi/sitting/{sitting}/answer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
            f"application/json\r\nX-Sitting: {token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    return request


def save_cost(bench: Bench, opened: dict[str, Any]) -> None:
    """CPU of saving an answer."""
    wire, request = RawHttpConnection(bench.stack.port), save_requests(opened, 1)
    cost = bench.cost(lambda number: wire.ask(request(number)) and None, 2 * REQUESTS)
    report_cost("save", cost, SAVE_COST)


def saving_figures(bench: Bench, opened: dict[str, Any]) -> None:
    """Saving an answer: CPU, rate beside pgbench, round trips, rows, WAL."""
    save_cost(bench, opened)
    wire = RawHttpConnection(bench.stack.port)
    with bench.gunicorn() as port:
        raw_http_connection, request = RawHttpConnection(port), save_requests(opened, 10**5)
        report_result(
            "save_cpu_ms_gunicorn",
            bench.each(lambda number: raw_http_connection.ask(request(number)) and None),
            "ms",
            None,
            None,
        )
    with bench.superuser() as connection:
        connection.execute("checkpoint")
        request = save_requests(opened, 10**6)
        for number in range(REQUESTS):
            wire.ask(request(number))
        time.sleep(COUNTED_SECONDS)
        counts_before, wal = _written(connection), _wal(connection)
        for number in range(REQUESTS, 2 * REQUESTS):
            wire.ask(request(number))
        wal = _wal(connection) - wal
        time.sleep(COUNTED_SECONDS)
        counts_after = _written(connection)
    report_at_most(
        "save_transactions", (counts_after["commits"] - counts_before["commits"]) / REQUESTS, "per save", 1.1
    )
    report_at_most("save_rows", (counts_after["rows"] - counts_before["rows"]) / REQUESTS, "rows", 2)
    report_at_most("save_wal_bytes", wal / REQUESTS, "bytes", 600)
    rate = _rate(bench, opened)
    report_result("save_rate", rate, "per second", None, None)
    script = (
        "\\set position random(0, 15)\n\\set seq random(1, 1000000000)\n"
        "INSERT INTO bench_answer VALUES (14, :position, 'A', :seq, now()) ON CONFLICT (tenant_id, "
        "position) DO UPDATE SET letters = 'B', sequence = :seq, received_at = now();\n"
    )
    with bench.superuser() as connection:
        connection.execute(
            "create table if not exists bench_answer (tenant_id int, position int, letters text, "
            "sequence int, received_at timestamptz, primary key (tenant_id, position))"
        )
        connection.execute("grant all on bench_answer to dingkao_app")
    upserts = _pgbench(bench, "app", script.replace("random(0, 15)", "random(0, 100000)"))
    report_result("upsert_rate", upserts, "per second", None, None)
    report_at_least("save_rate_vs_upsert", rate / upserts, "ratio", 0.167)
    with bench.superuser() as connection:
        connection.execute("drop table bench_answer")


def _written(connection: psycopg.Connection[Any]) -> dict[str, float]:
    counters = connection.execute(
        "select (select xact_commit from pg_stat_database where datname = current_database()), "
        "(select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables)"
    ).fetchone()
    assert counters
    return {"commits": float(counters[0]), "rows": float(counters[1])}


def _wal(connection: psycopg.Connection[Any]) -> float:
    position = connection.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
    assert position
    return float(position[0])


def _rate(bench: Bench, opened: dict[str, Any]) -> float:
    counts, stop = [0] * CLIENTS, threading.Event()

    def client(which: int) -> None:
        wire, request, number = (
            RawHttpConnection(bench.stack.port),
            save_requests(opened, 10**7 * (which + 2)),
            0,
        )
        while not stop.is_set():
            wire.ask(request(number * CLIENTS + which))
            number += 1
            counts[which] = number

    threads = [threading.Thread(target=client, args=(index,)) for index in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    bench.pin()
    total, began = sum(counts), time.monotonic()
    time.sleep(SECONDS)
    rate = (sum(counts) - total) / (time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()
    return rate


def _pgbench(bench: Bench, role: str, script: str, clients: int = CLIENTS) -> float:
    """Transactions a second of a script by pgbench on the generator's core, the server on its own."""
    address = bench.stack.environment["DATABASE_URL" if role == "app" else "MIGRATOR_DATABASE_URL"].replace(
        "+psycopg", ""
    )
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        threading.Timer(0.7, bench.pin).start()
        completed = subprocess.run(  # noqa: S603
            [
                str(postgres.binaries_dir(None) / "pgbench"),
                "-n",
                "-M",
                "prepared",
                "-c",
                str(clients),
                "-j",
                "1",
                "-T",
                str(SECONDS),
                "-f",
                file.name,
                address,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    match = re.search(r"tps = ([\d.]+)", completed.stdout)
    assert match, completed.stdout
    return float(match[1])


def rls_figures(bench: Bench, opened: dict[str, Any]) -> None:
    """The same statements with policies, and without as the migrator; three rounds each, the worst ratio
    counts."""
    with bench.inside("henan"):
        doctor = db.session.get_one(Doctor, (41, opened["henan"]["ids"][777]))
        index, place = bytes(doctor.number_index).hex(), doctor.organisation_id
    sitting = opened["sittings"][0][0]
    queries = {  # built of our own ids
        "point": (
            41,
            (
                "SELECT id, name FROM doctor WHERE tenant_id = 41 "  # noqa: S608
                f"AND number_index = decode('{index}', "
                "'hex');"
            ),
        ),
        "list": (
            41,
            (
                "SELECT id, name, number_masked FROM doctor "  # noqa: S608
                "WHERE tenant_id = 41 AND organisation_id = "
                f"'{place}' ORDER BY name_key, id LIMIT 50;"
            ),
        ),
        "upsert": (
            14,
            (
                f"INSERT INTO sitting_answer VALUES (14, '{sitting}', :position, "  # noqa: S608
                "'A', 1, NULL, now()) ON "
                "CONFLICT (tenant_id, sitting_id, position) DO UPDATE SET letters = 'B', received_at = "
                "now();"
            ),
        ),
    }
    worst = 9.0
    for name, (tenant, query) in queries.items():
        script = (
            "\\set position random(0, 15)\nBEGIN;\nSET LOCAL dingkao.tenant = "
            f"'{tenant}';\n{query}\nCOMMIT;\n"
        )
        ratios = [
            _pgbench(bench, "app", script, 2) / _pgbench(bench, "migrator", script, 2) for _ in range(2)
        ]
        report_result(f"rls_{name}_ratio", max(ratios), "ratio", None, None)
        worst = min(worst, max(ratios))
    report_at_least("rls_rate_ratio", worst, "ratio", 0.9)


def page_costs(bench: Bench, opened: dict[str, Any], *, question: Cost) -> None:
    """CPU of a doctor's dearest page (`question`: what the question page costs), and of signing in."""
    pages = {"home": "/shanxi/home", "notices": "/shanxi/notices", "papers": "/shanxi/sitting"}
    costs = {name: bench.cost(bench.get(path, opened["doctor"])) for name, path in pages.items()}
    costs |= {
        f"filing_{step}": bench.cost(bench.get(f"/shanxi/filing/{step}", opened["filer"]))
        for step in range(1, 6)
    }
    for name, cost in costs.items():
        report_result(f"doctor_{name}_cpu_ms", cost.milliseconds, "ms", None, None)
    dearest = max([question, *costs.values()], key=lambda cost: cost.multiple)
    report_cost("doctor_page", dearest, DOCTOR_PAGE_COST)
    with bench.cheap_hashing() as port:
        report_cost("sign_in", _sign_in(bench, opened, port), SIGN_IN_COST)


def cost_figures(bench: Bench, opened: dict[str, Any]) -> None:
    """What is told in yardsticks, and nothing else."""
    save_cost(bench, opened)
    page_costs(bench, opened, question=exam.figures(bench, crowds=False))


def page_figures(bench: Bench, opened: dict[str, Any], *, question: Cost) -> None:
    """A doctor's pages, the console's pages at two sizes, signing in, the bytes of the first page."""
    page_costs(bench, opened, question=question)
    ListGrowth(
        bench,
        PlanWalk(bench.application, bench.inside, "hebei", 13, SMALL),
        PlanWalk(bench.application, bench.inside, "henan", 41, len(opened["henan"]["ids"])),
    ).measure()
    report_at_most("sign_in_hash_cpu_ms", _hash_cost(), "ms", 30)
    wire = RawHttpConnection(bench.stack.port)
    html = wire.ask(b"GET /shanxi/login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    total = len(gzip.compress(html, 6))
    for asset in set(re.findall(rb'(?:href|src)="(/static/[^"]+)"', html)):
        total += len(
            wire.ask(b"GET " + asset + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: br, gzip\r\n\r\n")
        )
    report_at_most("login_page_kb", total / 1024, "kB", 25)
    home = wire.ask(
        f"GET /shanxi/home HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {opened['doctor']}\r\n\r\n".encode()
    )
    report_at_most("later_page_kb", len(gzip.compress(home, 6)) / 1024, "kB", 15)


def _sign_in(bench: Bench, opened: dict[str, Any], port: int) -> Cost:
    """Signing in without what argon2 takes, at a server with hashes of the least cost. Each account once,
    each from an address of its own."""
    number, hashed = 400, HASHER.hash("xing-chen-da-hai-9")
    with bench.inside("shanxi"):
        names = []
        for doctor in db.session.scalars(
            select(Doctor).where(Doctor.id.in_(opened["shanxi"]["ids"][100 : 100 + number]))
        ):
            account = db.session.get_one(Account, (14, doctor.account_id))
            account.state, account.password_hash = "active", hashed
            names.append(actors.number_of(doctor))
        db.session.commit()
    first = RawHttpConnection(port)
    first.socket.sendall(b"GET /shanxi/login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    page = b""
    while b"</html>" not in page:
        page += first.socket.recv(65536)
    cookie = re.search(rb"dk-shanxi-form=([^;]+)", page)
    token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert cookie
    assert token

    def sign_in(which: int) -> None:
        body = (
            b"csrf_token="
            + token[1]
            + f"&account={names[which % number]}&password=xing-chen-da-hai-9".encode()
        )
        wire = RawHttpConnection(port, f"127.9.{which // 250}.{which % 250 + 1}")
        wire.ask(
            b"POST /shanxi/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nCookie: dk-shanxi-form="
            + cookie[1]
            + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body,
            (b"302", b"303"),
        )
        wire.socket.close()

    accounts = iter(range(number))
    return bench.cost(lambda _number: sign_in(next(accounts)), number - exam.WARM_UP)


def _hash_cost() -> float:
    """CPU of checking one password against its hash, in milliseconds."""
    password_hash, checks = passwords.hash_password("xing-chen-da-hai-9"), 20
    started_at = time.process_time()
    for _ in range(checks):
        assert passwords.verify_password(password_hash, "xing-chen-da-hai-9")
    return (time.process_time() - started_at) * 1000 / checks


def certificate_figures() -> None:
    """A certificate, warm, against WeasyPrint as a tutorial would do it; neither is signed yet."""
    photo = "data:image/jpeg;base64," + base64.b64encode(draw_portrait(uuid4())).decode()
    stamp = (
        "data:image/svg+xml;base64,"
        + base64.b64encode(official_seals.sample_seal_svg("山西省卫生健康委员会").encode()).decode()
    )
    content = {
        "number": "142026KH123456789",
        "serial": "142026KH123456789",
        "name": "钱庆逸",
        "sex": "女",
        "sex_english": "Female",
        "id_number": "140105198001020021",
        "qualification": "200314110140105198001020021",
        "practice": "110140400012345",
        "category": "临床",
        "category_english": "Clinical Medicine",
        "scopes": "内科",
        "scopes_english": "Internal Medicine",
        "institution": "长治市医院",
        "issuer": "山西省卫生健康委员会",
        "photo": photo,
        "seal": stamp,
        "sample": True,
        "foot": "本通知书加盖发证机关公章后方可生效。",
        "qr": segno.make("http://127.0.0.1/verify/142026KH123456789").svg_data_uri(scale=4),
        "day": "2026年11月24日",
        "day_english": "November 24, 2026",
        "cycle": "2024年07月-2026年06月",
        "cycle_english": "July 2024 to June 2026",
    }
    ours = _median(lambda: rendering.render_pdf("certificate", **content))
    page = rendering._template_environment().get_template("certificate.html").render(**content)
    style = (rendering.TEMPLATES_DIR / "certificate.css").read_text()
    naive = _median(
        lambda: HTML(string=page.replace("</head>", f"<style>{style}</style></head>")).write_pdf()
    )
    document = rendering.render_pdf("certificate", **content)
    report_result("certificate_ms", ours, "ms", None, None)
    report_result("certificate_png_ms", _median(lambda: rendering.first_page_png(document)), "ms", None, None)
    report_at_most("certificate_vs_naive", ours / naive, "ratio", 0.4)


def _median(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(9):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times)


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--doctors", type=int, default=LARGE, help="doctors of the large province")
    parser.add_argument("--costs", action="store_true", help="only what is told in yardsticks")
    options = parser.parse_args()
    for name in conftest.FROM_OUTSIDE:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="dingkao-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / f"home-{secrets.token_hex(3)}")
        try:
            opened = prepare(bench, options.doctors)
            if options.costs:
                cost_figures(bench, opened)
                return
            saving_figures(bench, opened)
            page_figures(bench, opened, question=exam.figures(bench))
            rls_figures(bench, opened)
            name_search.figures(bench, "henan", opened["henan"]["ids"])
        finally:
            bench.end()
    certificate_figures()


if __name__ == "__main__":
    main()
