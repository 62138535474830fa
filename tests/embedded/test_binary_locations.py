"""The engines start wherever the clone stands and whoever starts them: where only root may enter, and as an
ordinary user from a clone that can't be written to, under a path of blanks, Chinese and other characters. As whoever runs the tests they start under such a path for every run (tests/conftest.py)."""

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from dingkao.config import ROOT
from tests import conftest
from tests.ordinary_users import find_ordinary_user, link_environment, subprocess_identity

BEGIN = """
import json, sys
from pathlib import Path
from dingkao.embedded.stack import Stack
said = []
stack = Stack(Path(sys.argv[1]), int(sys.argv[2]), said.append)
try:
    stack.start_engines()
    print(json.dumps({"environment": stack.environment, "said": said}), flush=True)
    sys.stdin.read()
finally:
    stack.stop()
"""
PATIENCE = 90


@dataclass(frozen=True)
class Place:
    """A clone, the home its data belong in, and the user who starts it (None is ourselves)."""

    clone: Path
    home: Path
    user: pwd.struct_passwd | None = None

    def run(self, *arguments, **told):
        """A program of the clone's environment, started there."""
        environment = (
            {name: value for name, value in os.environ.items() if name not in conftest.FROM_OUTSIDE}
            | {"DINGKAO_HOME": str(self.home)}
            | told
        )
        return subprocess.Popen(  # noqa: S603
            [str(self.clone / "deploy" / "python"), *arguments],
            cwd=self.clone,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **subprocess_identity(self.user),
        )


@pytest.fixture
def folder():
    """An empty folder that every user may enter."""
    path = Path(tempfile.mkdtemp(prefix="dingkao-places-"))
    path.chmod(0o755)
    yield path
    for below, _, _ in os.walk(path):
        Path(below).chmod(0o755)  # an ordinary user deletes nothing from a folder made read-only
    shutil.rmtree(path)


def cloned(to, user=None):
    """A clone in `to`: its own files with what was compiled of them, and our environment by links, so that its path is the clone's, run by
    an interpreter that `user` may run."""
    to.mkdir(parents=True)
    for name in ("dingkao", "deploy", "migrations", "templates"):
        shutil.copytree(ROOT / name, to / name)
    for name in ("wsgi.py", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, to)
    environment = to / ".venv"
    link_environment(environment, user)
    for program in (Path(sys.prefix) / "bin").glob("swift-*-server"):
        (environment / "bin" / program.name).symlink_to(program)
    lock_digest = hashlib.sha256(
        (to / "requirements.lock").read_bytes() + (to / "pyproject.toml").read_bytes()
    ).hexdigest()
    (environment / "prepared").write_text(f"{lock_digest}  -\n")
    return to


def given_to(user, *paths):
    """Make files and folders theirs."""
    for path in paths:
        for entry in (path, *path.rglob("*")):
            os.chown(entry, user.pw_uid, user.pw_gid, follow_symlinks=False)


def only_root_may_enter(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can start what only root may enter")
    folder.chmod(0o700)
    return Place(cloned(folder / "clone"), folder / "clone" / "var")


def read_only_in_an_odd_path(folder):
    """For an ordinary user, whose home stands in an odd path too."""
    user = find_ordinary_user()
    folder = folder / conftest.ODD
    clone = cloned(folder / "clone", user)
    for entry in (clone, *clone.rglob("*")):
        if not entry.is_symlink():
            entry.chmod(0o555 if entry.is_dir() or os.access(entry, os.X_OK) else 0o444)
    (folder / "home").mkdir()
    if user:
        given_to(user, folder / "home")
    return Place(clone, folder / "home", user)


@pytest.mark.parametrize("place_in", [only_root_may_enter, read_only_in_an_odd_path])
def test_the_engines_start_and_keep_their_data_in_their_home(place_in, folder):
    place = place_in(folder)
    running = place.run("-c", BEGIN, str(place.home), str(conftest.free_port()))
    try:
        line = running.stdout.readline()
        assert line, running.communicate()[1]
        payload = json.loads(line)
        assert str(place.home) in payload["said"][0]
        with conftest.superuser_connection(place.home) as connection:
            assert connection.execute("select count(*) from platform.province").fetchone() == (0,)
        environment = payload["environment"]
        store = boto3.client(
            "s3",
            endpoint_url=environment["S3_ENDPOINT_URL"],
            aws_access_key_id=environment["S3_ACCESS_KEY"],
            aws_secret_access_key=environment["S3_SECRET_KEY"],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        store.put_object(Bucket=environment["S3_BUCKET"], Key="t/14/photo/x", Body=b"kept in the home")
        assert [file.read_bytes() for file in (place.home / "swift" / "d1" / "objects").rglob("*.data")] == [
            b"kept in the home"
        ]
        assert (place.home / "postgres" / "PG_VERSION").exists()
        assert list((place.home / "valkey").rglob("*.aof"))
    finally:
        running.stdin.close()
        try:
            running.wait(PATIENCE)
        finally:
            running.kill()
            running.stdout.close()
            running.stderr.close()


def test_a_clone_that_cannot_be_written_to_asks_for_a_home(folder):
    place = read_only_in_an_odd_path(folder)
    (place.clone / ".venv").chmod(0o755)
    (place.clone / ".venv" / "prepared").unlink()
    refused_start = place.run("-c", "", DINGKAO_HOME="")
    _, error_output = refused_start.communicate(timeout=PATIENCE)
    assert refused_start.returncode
    assert "不可写入" in error_output
    assert "DINGKAO_HOME" in error_output
    assert ".venv" not in error_output, "it went on all the same"
    elsewhere = place.run("-c", "", DINGKAO_HOME=f"{place.home}/made/for it")
    _, error_output = elsewhere.communicate(timeout=PATIENCE)
    assert elsewhere.returncode
    assert f"{place.home}/made/for it/.venv/bin/python" in error_output


PACKAGE_MANAGERS = {
    "python": "exit 0",
    "uv": 'echo "uv ${UV_NO_CACHE:-}"',
    "npm": 'echo "npm ${npm_config_cache:-}"; exit 1',
}
"""Programs in place of those that fetch packages: what they do is tell where they keep them."""


@pytest.mark.parametrize(("home", "keeps"), [("/dev/null/home", False), ("", True)])
def test_packages_are_fetched_without_a_home_to_keep_them_in(folder, home, keeps):
    clone = folder / "clone"
    shutil.copytree(ROOT / "deploy", clone / "deploy")
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, clone)
    (programs := clone / ".venv" / "bin").mkdir(parents=True)
    for name, act in PACKAGE_MANAGERS.items():
        (programs / name).write_text(f"#!/bin/sh\n{act}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": home or str(folder)}
    outputs = [
        subprocess.run(  # noqa: S603
            clone / "deploy" / name, env=environment, capture_output=True, text=True, check=False
        ).stdout
        for name in ("prepare", "frontend/copy")
    ]
    told = "".join(outputs).split("\n")
    assert ("uv " in told, "npm " in told) == (keeps, keeps), told
    assert ("uv 1" in told) is not keeps
