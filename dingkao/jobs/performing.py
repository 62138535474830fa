"""The former name of `dingkao.jobs.worker`: jobs queued before the upgrade name it. To be removed with the
next release."""

from dingkao.jobs.worker import run_in_tenant as perform

__all__ = ["perform"]
