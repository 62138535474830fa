"""What a WSGI server loads: `wsgi:application`. A worker of a server of several processes ends with that
server."""

import multiprocessing

from dingkao.processes import (
    deferred_garbage_collection,
    terminate_with_parent,
)

if (server := multiprocessing.parent_process()) is not None and server.pid is not None:
    terminate_with_parent(server.pid)

with deferred_garbage_collection():
    from dingkao.app import create_app
    from dingkao.config import AppConfig
    from dingkao.database import clock_skew
    from dingkao.integrations.sandbox import runner

    application = create_app(AppConfig.from_environment())

clock_skew.start_monitor(application)
runner.preload(
    "dingkao.integrations.images.images",
    "dingkao.integrations.spreadsheets.sheet_reader",
)  # else the first file would wait for them
