"""The S3-compatible store of the stack: OpenStack Swift, one proxy and one server of each kind, all on loopback."""

import contextlib
import os
import pwd
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from dingkao.embedded.children import Child, WouldNotStart

ACCOUNT = "dingkao"
USER = "files"
ACCESS_KEY = f"{ACCOUNT}:{USER}"
KINDS = ("account", "container", "object")


def children(data: Path, ports: dict[str, int], secret: str, logs: Path) -> list[Child]:
    """The four servers; `ports` has one each for account, container, object and proxy."""
    _need_extended_attributes(data)
    _rings(data, ports)
    _configure(data, ports, secret)
    return [
        Child(
            f"Swift {kind}",
            [sys.executable, str(Path(sys.executable).parent / f"swift-{kind}-server"), str(data / f"{kind}.conf")],
            logs / f"swift-{kind}.log",
            _answers(ports[kind]),
        )
        for kind in (*KINDS, "proxy")
    ]


def _need_extended_attributes(data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    probe = data / "xattr"
    probe.touch()
    try:
        os.setxattr(probe, "user.dingkao", b"1")
    except OSError as fault:
        raise WouldNotStart(
            f"The store needs a file system with extended attributes; {data} has none. Set DINGKAO_HOME to a folder on ext4 or xfs."
        ) from fault
    finally:
        probe.unlink()


def _rings(data: Path, ports: dict[str, int]) -> None:
    """Rings name hosts and ports, so they are made again at each start; partitions are few because there is one device."""
    from swift.common.ring import RingBuilder  # noqa: PLC0415 - slow to import and needed here alone

    (data / "d1").mkdir(exist_ok=True)
    for kind in KINDS:
        builder = RingBuilder(4, 1, 1)
        builder.add_dev({
            "id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": ports[kind], "device": "d1", "weight": 1.0,
            "replication_ip": "127.0.0.1", "replication_port": ports[kind], "meta": "",
        })  # fmt: skip
        builder.rebalance(seed=1)
        builder.get_ring().save(str(data / f"{kind}.ring.gz"))


def _configure(data: Path, ports: dict[str, int], secret: str) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    common = f"bind_ip = 127.0.0.1\nworkers = 0\nuser = {user}\nswift_dir = {data}\nlog_level = WARNING\nlog_address = {data}/no-syslog\n"
    (data / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = dingkao\nswift_hash_path_prefix = dingkao\n\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    for kind in KINDS:
        (data / f"{kind}.conf").write_text(
            f"[DEFAULT]\n{common}bind_port = {ports[kind]}\ndevices = {data}\nmount_check = false\nfallocate_reserve = 0\n\n"
            f"[pipeline:main]\npipeline = healthcheck {kind}-server\n\n"
            "[filter:healthcheck]\nuse = egg:swift#healthcheck\n\n"
            f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
        )
    proxy = data / "proxy.conf"
    proxy.touch(mode=0o600)
    proxy.write_text(
        f"[DEFAULT]\n{common}bind_port = {ports['proxy']}\n\n"
        "[pipeline:main]\npipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth slo dlo "
        "versioned_writes symlink proxy-server\n\n"
        "[filter:catch_errors]\nuse = egg:swift#catch_errors\n\n[filter:gatekeeper]\nuse = egg:swift#gatekeeper\n\n"
        "[filter:healthcheck]\nuse = egg:swift#healthcheck\n\n[filter:listing_formats]\nuse = egg:swift#listing_formats\n\n"
        "[filter:bulk]\nuse = egg:swift#bulk\n\n[filter:slo]\nuse = egg:swift#slo\n\n[filter:dlo]\nuse = egg:swift#dlo\n\n"
        "[filter:versioned_writes]\nuse = egg:swift#versioned_writes\nallow_versioned_writes = true\n"
        "allow_object_versioning = true\n\n[filter:symlink]\nuse = egg:swift#symlink\n\n"
        "[filter:s3api]\nuse = egg:swift#s3api\ns3_acl = false\ndns_compliant_bucket_names = true\nmin_segment_size = 5242880\n\n"
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_{ACCOUNT}_{USER} = {secret} .admin\n\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\nallow_account_management = true\n"
    )


def _answers(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=2) as answer:
            return answer.status == 200
        return False

    return ready
