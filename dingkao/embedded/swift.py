"""The stack's S3-compatible object store: OpenStack Swift with a proxy and one server of each kind, on
loopback.

The servers get their folder as an open file descriptor, because the library that reads their configuration
gives some characters of paths a meaning.
"""

import contextlib
import os
import pwd
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from dingkao.embedded.startup_errors import StartupError
from dingkao.embedded.supervisor import ManagedProcess

ACCOUNT = "dingkao"
USER = "files"
ACCESS_KEY = f"{ACCOUNT}:{USER}"
SERVER_KINDS = ("account", "container", "object")


def server_processes(data: Path, ports: dict[str, int], secret: str, logs: Path) -> list[ManagedProcess]:
    """Write the configuration, and return the four servers as managed processes that are not started yet, the
    proxy last. `ports`: account, container, object, proxy → port; `secret`: of the S3 user; `logs`: folder of
    the logs. A descriptor of `data` stays open in this process, for them. Raises StartupError."""
    _require_extended_attributes(data)
    _write_rings(data, ports)
    folder = os.open(data, os.O_PATH | os.O_DIRECTORY)
    folder_path = f"/proc/self/fd/{folder}"
    _write_configuration(data, folder_path, ports, secret)
    return [
        ManagedProcess(
            f"Swift {kind}",
            [
                sys.executable,
                str(Path(sys.executable).parent / f"swift-{kind}-server"),
                f"{folder_path}/{kind}.conf",
            ],
            logs / f"swift-{kind}.log",
            _server_responds(ports[kind]),
            descriptors=(folder,),
        )
        for kind in (*SERVER_KINDS, "proxy")
    ]


def _require_extended_attributes(data: Path) -> None:
    """Raises StartupError if the file system of `data` has no extended attributes."""
    data.mkdir(parents=True, exist_ok=True)
    probe = data / "xattr"
    probe.touch()
    try:
        os.setxattr(probe, "user.dingkao", b"1")
    except OSError as fault:
        raise StartupError(
            f"The store needs a file system with extended attributes; {data} has none. Set "
            "DINGKAO_HOME to a folder on ext4 or xfs."
        ) from fault
    finally:
        probe.unlink()


def _write_rings(data: Path, ports: dict[str, int]) -> None:
    """Write the ring files. They contain hosts and ports, so they are written at each start; there are few
    partitions, because there is only one device."""
    from swift.common.ring import RingBuilder

    (data / "d1").mkdir(exist_ok=True)
    for kind in SERVER_KINDS:
        builder = RingBuilder(4, 1, 1)
        builder.add_dev(
            {
                "id": 0,
                "region": 1,
                "zone": 1,
                "ip": "127.0.0.1",
                "port": ports[kind],
                "device": "d1",
                "weight": 1.0,
                "replication_ip": "127.0.0.1",
                "replication_port": ports[kind],
                "meta": "",
            }
        )
        builder.rebalance(seed=1)
        builder.get_ring().save(str(data / f"{kind}.ring.gz"))


def _write_configuration(data: Path, named: str, ports: dict[str, int], secret: str) -> None:
    """Write the servers' configuration; `named` is the path by which they reach the folder `data`. Raises
    StartupError."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as fault:
        raise StartupError(
            f"本机没有编号为 {os.geteuid()} 的用户（/etc/passwd），对象存储无法以它运行。"
            "请用有用户名的账户执行 make run。"
        ) from fault
    common = (
        f"bind_ip = 127.0.0.1\nworkers = 0\nuser = {user}\nswift_dir = {named}\nlog_level = "
        f"WARNING\nlog_address = {named}/no-syslog\n"
    )
    (data / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = dingkao\nswift_hash_path_prefix = dingkao\n\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    for kind in SERVER_KINDS:
        (data / f"{kind}.conf").write_text(
            f"[DEFAULT]\n{common}bind_port = {ports[kind]}\ndevices = {named}\nmount_check = "
            "false\nfallocate_reserve = 0\n\n"
            f"[pipeline:main]\npipeline = healthcheck {kind}-server\n\n"
            "[filter:healthcheck]\nuse = egg:swift#healthcheck\n\n"
            f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
        )
    proxy = data / "proxy.conf"
    proxy.touch(mode=0o600)
    proxy.write_text(
        f"[DEFAULT]\n{common}bind_port = {ports['proxy']}\n\n"
        "[pipeline:main]\npipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempa"
        "uth slo dlo "
        "versioned_writes symlink proxy-server\n\n"
        "[filter:catch_errors]\nuse = egg:swift#catch_errors\n"
        "\n[filter:gatekeeper]\nuse = egg:swift#gatekeeper\n"
        "\n"
        "[filter:healthcheck]\nuse = egg:swift#healthcheck\n"
        "\n[filter:listing_formats]\nuse = egg:swift#listing_formats\n"
        "\n"
        "[filter:bulk]\nuse = egg:swift#bulk\n\n[filter:slo]\n"
        "use = egg:swift#slo\n\n[filter:dlo]\nuse = egg:swift#dlo\n"
        "\n"
        "[filter:versioned_writes]\nuse = egg:swift#versioned_writes\nallow_versioned_writes = true\n"
        "allow_object_versioning = true\n\n[filter:symlink]\nuse = egg:swift#symlink\n\n"
        "[filter:s3api]\nuse = egg:swift#s3api\ns3_acl = false\n"
        "dns_compliant_bucket_names = true\nmin_segment_size = 5242880\n"
        "\n"
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_{ACCOUNT}_{USER} = {secret} .admin\n\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\n"
        "account_autocreate = true\nallow_account_management = true\n"
    )


def _server_responds(port: int) -> Callable[[], bool]:
    """Returns a function that says whether the server on that port responds."""

    def ready() -> bool:
        """Whether /healthcheck answers with 200."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=2) as answer,
        ):
            return answer.status == 200
        return False

    return ready
