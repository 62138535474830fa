"""`python -m tests.mutants`: puts each mutant of the catalogue into a copy of the tree and sees that a test
fails by it.

First the known tests run without any mutant, for a test that fails anyway tells nothing. A mutant that none
of its known tests notices is held to all that come by its lines, where that was recorded (`--record`), else
to the other tests of the known ones' files.
"""

import argparse
import json
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from os import cpu_count
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.scratch import (
    FAILED,
    PASSED,
    RECORDS_FOLDER,
    Scratch,
    Unfit,
    anchored,
    copied,
    covering,
    known_tests,
    record,
)

KILLED, SURVIVED, UNFIT = "killed", "survived", "unfit"
LONGEST = 120


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: killed, survived or unfit; by which test and what it told, or why it is unfit;
    in how many seconds."""

    mutant: str
    behaviour: str
    outcome: str
    by: str
    seconds: float
    why: str = ""


def further_tests(mutant: Mutant, known: Sequence[str]) -> list[str]:
    """What a mutant that the known tests don't notice is held to next."""
    return [
        test
        for test in covering(mutant) or {test.partition("::")[0]: None for test in known}
        if test not in known
    ]


def outcome_of(mutant: Mutant, scratch: Scratch) -> Outcome:
    """Put the mutant into the copy and run tests until one fails."""
    seconds = 0.0
    try:
        tests_of_mutant = known_tests(mutant, scratch.path)
        with scratch.having(mutant):
            for tests in (tests_of_mutant, further_tests(mutant, tests_of_mutant)):
                if not tests:
                    continue
                run = scratch.run(tests)
                seconds += run.seconds
                if run.status == FAILED:
                    return Outcome(
                        mutant.name, mutant.behaviour, KILLED, run.failed, seconds, run.why[:LONGEST]
                    )
                if run.status != PASSED:
                    raise Unfit(f"pytest ended with status {run.status}: {run.output.strip()[-300:]}")
    except Unfit as reason:
        return Outcome(mutant.name, mutant.behaviour, UNFIT, str(reason), seconds)
    return Outcome(mutant.name, mutant.behaviour, SURVIVED, "", seconds)


class Results:
    """Outcomes, each written to a file as it comes."""

    def __init__(self, file: Path, *, resume: bool) -> None:
        self.file, self._lock = file, threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            file.write_text("")
        lines = file.read_text().splitlines() if file.is_file() else []
        self.outcomes = {fields["mutant"]: Outcome(**fields) for fields in map(json.loads, lines)}

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome, and tell it."""
        with self._lock:
            self.outcomes[outcome.mutant] = outcome
            with self.file.open("a") as lines:
                lines.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
            print(row_of(outcome), flush=True)  # noqa: T201


def row_of(outcome: Outcome) -> str:
    """An outcome as a row of the table."""
    ending = (
        f"{outcome.by} {outcome.why}" if outcome.outcome == KILLED else f"**{outcome.outcome}** {outcome.by}"
    )
    ending = " ".join(ending.replace("|", "¦").split())
    return f"| {outcome.mutant} | {outcome.behaviour} | {ending} | {outcome.seconds:.0f} |"


def chosen(only: Sequence[str], first: str | None) -> list[Mutant]:
    """The mutants whose names hold one of `only`, from the one named `first` on."""
    names = [mutant.name for mutant in MUTANTS]
    if first is not None and first not in names:
        sys.exit(f"no mutant is named {first}")
    candidates = MUTANTS[names.index(first) :] if first else MUTANTS
    return [mutant for mutant in candidates if not only or any(part in mutant.name for part in only)]


def unmutated(mutants: Iterable[Mutant], scratch: Scratch, workers: int) -> str:
    """Run the known tests of mutants as the tree stands; what failed, empty where all passed."""
    tests: dict[str, None] = {}
    for mutant in mutants:
        try:
            tests |= dict.fromkeys(known_tests(mutant, scratch.path))
        except Unfit:
            continue  # it is told with the mutant itself
    if not tests:
        return ""
    run = scratch.run(list(tests), "-n", str(workers), "--dist", "loadfile")
    return "" if run.status == PASSED else run.failed or run.output[-2000:]


def run_all(mutants: Sequence[Mutant], results: Results, workers: int, *, unmutated_first: bool) -> None:
    """Run mutants, so many at a time, each worker in a copy of its own. Ends the program where a test fails
    without any."""
    with ExitStack() as copies:
        scratches = SimpleQueue[Scratch]()
        for scratch in [copies.enter_context(copied()) for _ in range(workers)]:
            scratches.put(scratch)
        if unmutated_first:
            scratch = scratches.get()
            failed = unmutated(mutants, scratch, workers)
            scratches.put(scratch)
            if failed:
                sys.exit(f"fails without any mutant: {failed}")

        def run(mutant: Mutant) -> None:
            scratch = scratches.get()
            try:
                results.add(outcome_of(mutant, scratch))
            finally:
                scratches.put(scratch)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, mutants))


def unanchored() -> list[str]:
    """What is wrong with the catalogue: names that two mutants have, pieces that aren't there once."""
    names = [mutant.name for mutant in MUTANTS]
    faults = [f"{name}: named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    for mutant in MUTANTS:
        try:
            anchored(mutant)
            known_tests(mutant)
        except Unfit as reason:
            faults.append(str(reason))
    return faults


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="mutants with one of these words in their names"
    )
    parser.add_argument("--from", dest="first", metavar="NAME", help="from this one on")
    parser.add_argument("--resume", action="store_true", help="leave what the results have as killed")
    parser.add_argument("--results", type=Path, default=RECORDS_FOLDER / "results.jsonl")
    parser.add_argument("--workers", type=int, default=cpu_count() or 1)
    parser.add_argument(
        "--no-unmutated",
        dest="unmutated",
        action="store_false",
        help="don't run the tests without any mutant first",
    )
    parser.add_argument(
        "--anchors", action="store_true", help="see only that every piece is found, and run nothing"
    )
    parser.add_argument(
        "--record",
        nargs="*",
        metavar="PATH",
        help="run these tests, or all, and record which lines each comes by",
    )
    arguments = parser.parse_args()
    if arguments.record is not None:
        return record(arguments.record, arguments.workers)
    faults = unanchored()
    if arguments.anchors or faults:
        print("\n".join(faults) or f"{len(MUTANTS)} mutants")  # noqa: T201
        return 1 if faults else 0
    results = Results(arguments.results, resume=arguments.resume)
    mutants = chosen(arguments.only, arguments.first)
    killed_names = {name for name, outcome in results.outcomes.items() if outcome.outcome == KILLED}
    print("| mutant | behaviour | killed by | seconds |\n|---|---|---|---|")  # noqa: T201
    for mutant in mutants:
        if mutant.name in killed_names:
            print(row_of(results.outcomes[mutant.name]))  # noqa: T201
    to_run = [mutant for mutant in mutants if mutant.name not in killed_names]
    if to_run:
        run_all(to_run, results, arguments.workers, unmutated_first=arguments.unmutated)
    survivors = [mutant.name for mutant in mutants if results.outcomes[mutant.name].outcome != KILLED]
    print(  # noqa: T201
        f"\n{len(mutants) - len(survivors)} of {len(mutants)} killed{': not ' + ', '.join(survivors) if survivors else ''}"
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
