"""Exposure: how often each unit of a bank of real size stands in a thousand forms of a paper; part of `make
bench-full`.

One JSON line a type: χ² of the units' exposures against equal ones, its bar the value that chance passes once
in a thousand.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from dingkao import clock
from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.embedded.stack import Stack
from dingkao.exams.drawing import draw_layout
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.question_pool import load_candidates
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.institution_imports import import_institutions
from dingkao.people.provinces import open_province
from dingkao.question_banks.importing.file_import import import_rows
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import by_slug
from tests import actors, conftest, sample_data
from tests.chi_square import chi_square, critical_value
from tests.load.bench_stack import report_at_most

FORMS, SINGLES, GROUPS = 1_000, 500, 100
COUNTS = {"A1": 30, "A3": 8, "B1": 12}
DIFFICULTIES = ("易", "中", "难")


def rows() -> Iterator[ImportRow]:
    """A bank: single questions, and groups of two and of three, of all difficulties."""
    chance = random.Random(5)  # noqa: S311 - a bank made up
    number = 1
    options = {f"option_{letter}": f"选项{letter}" for letter in "ABCDE"}
    for serial in range(SINGLES):
        number += 1
        yield ImportRow(number, _cells("A1", f"单题{serial}", chance) | options)
    for kind in ("A3", "B1"):
        for serial in range(GROUPS):
            shared = {"group": f"{kind}{serial}", "case_stem": f"病例{kind}{serial}" if kind == "A3" else ""}
            own_cells = {name: f"{text}之{kind}{serial}" for name, text in options.items()}
            for place in range(chance.choice((2, 3))):
                number += 1
                yield ImportRow(
                    number, _cells(kind, f"{kind}第{serial}组第{place}题", chance) | shared | own_cells
                )


def _cells(kind: str, stem: str, chance: random.Random) -> dict[str, str]:
    return {
        "kind": kind,
        "stem": stem,
        "answer": "A",
        "subject": "业务水平",
        "category": "临床",
        "difficulty": chance.choice(DIFFICULTIES),
    }


def figures() -> None:
    """Draw the forms in the province entered, and tell each type's χ² and how far apart the forms are in
    hardness."""
    report = import_rows(rows(), bank_name="暴露率", by=TERMINAL_ACTOR, report=ImportReport())
    assert not report.errors, report.errors[:3]
    paper = save_paper(
        actors.get_or_open_cycle(),
        subject="professional",
        category="clinical",
        level="physician",
        counts=COUNTS,
        minutes=60,
        opens_at=clock.now(),
        closes_at=clock.now() + timedelta(days=1),
        by=TERMINAL_ACTOR,
    )
    units = [unit for unit, _ in load_candidates("professional", "clinical").units]
    unit_of = {version: unit for unit in units for version, _ in unit.versions}
    exposures: Counter[str] = Counter()
    hardness = []
    for seed in range(FORMS):
        form = {unit_of[item.version] for item in draw_layout(paper, seed)}
        exposures.update(form)
        hardness.append(sum(unit.difficulty_rank for unit in form))
    for kind in COUNTS:
        matching_units = [unit for unit in units if unit.kind == kind]
        report_at_most(
            f"exposure_chi_square_{kind}",
            chi_square([exposures[unit] for unit in matching_units]),
            "χ²",
            critical_value(len(matching_units) - 1),
        )
        report_at_most(
            f"exposure_never_drawn_{kind}", sum(not exposures[unit] for unit in matching_units), "units", 0
        )
    report_at_most("form_hardness_spread", max(hardness) - min(hardness), "points of 100", 12)


def main() -> None:
    """A stack, a province, a bank, a thousand forms."""
    with tempfile.TemporaryDirectory(prefix="dingkao-exposure-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        stack = Stack(Path(folder) / "home", conftest.free_port(), lambda line: print(line, file=sys.stderr))  # noqa: T201
        try:
            stack.start_engines()
            province = by_slug("shanxi")
            assert province
            with (
                create_app(AppConfig.from_environment(stack.environment)).app_context(),
                in_tenant(province.code),
            ):
                open_province(province, by=TERMINAL_ACTOR)
                import_institutions(sample_data.institutions_csv(province.code), by=TERMINAL_ACTOR)
                figures()
                db.session.rollback()
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
