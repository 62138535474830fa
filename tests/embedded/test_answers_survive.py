"""Fifty doctors answer while web, worker, timetable, database, cache and store are killed -9 under them: what was acknowledged is there.

With five hundred: `make chaos`.
"""

from tests.load import chaos

DOCTORS = 50


def test_every_acknowledged_answer_is_there_after_everything_was_killed(tmp_path):
    with chaos.kept_stack(tmp_path) as (home, port):
        opened = chaos.opened_sittings(home, DOCTORS)
        assert len(opened) == DOCTORS
        found = chaos.killed_one_after_another(home, port, opened, tmp_path / "log", pause=0.1)
    assert found.refused == []
    assert found.sittings == DOCTORS
    assert found.lost == {}
    print(f"{found.acknowledged} saves, {found.answers} answers acknowledged, 0 lost in {len(chaos.ROUNDS)} kills")  # noqa: T201 - the count is what was asked
