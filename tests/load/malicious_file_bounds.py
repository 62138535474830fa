"""`python -m tests.load.malicious_file_bounds`: twenty bombs of each kind within the bounds of a request and of a
job, a JSON line for each kind."""

import argparse
import json
import random
import sys
from collections import Counter

from dingkao.integrations.sandbox.runner import JOB_LIMITS, MB, REQUEST_LIMITS
from tests import malicious_files

SLACK_SECONDS, MAX_OWN_MB = 5, 200
OF_REQUESTS = ("png", "jpeg", "pdf", "other pictures")
"""What no job takes in."""


def main() -> None:
    """Print what the worst of each kind took; exit status 1 where one went beyond its bounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--kind", default="", help="only kinds with these words")
    parser.add_argument("--bounds", choices=("request", "job"), help="only these")
    args = parser.parse_args()
    beyond = False
    for kind, (_, make) in malicious_files.KINDS.items():
        if args.kind not in kind:
            continue
        in_jobs = not kind.startswith(OF_REQUESTS)
        for name_of_bounds, bounds in (
            ("request", REQUEST_LIMITS),
            *([("job", JOB_LIMITS)] if in_jobs else []),
        ):
            if args.bounds not in (None, name_of_bounds):
                continue
            took = [
                malicious_files.process_file(kind, make(random.Random(seed)), bounds)  # noqa: S311
                for seed in range(args.count)
            ]
            worst = {
                name: round(max(getattr(consumption, name) for consumption in took), 1)
                for name in ("seconds", "processor", "child", "own")
            }
            within_time = (
                worst["processor"] <= bounds.seconds + 1
                and worst["seconds"] <= bounds.wait_seconds + SLACK_SECONDS
            )
            ok = within_time and worst["child"] <= bounds.memory / MB and worst["own"] <= MAX_OWN_MB
            beyond |= not ok
            report = (
                {"kind": kind, "bounds": name_of_bounds}
                | worst
                | {"ends": Counter(consumption.end for consumption in took), "ok": ok}
            )
            print(json.dumps(report), flush=True)  # noqa: T201
    sys.exit(beyond)


if __name__ == "__main__":
    main()
