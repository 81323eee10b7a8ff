"""`python -m fault.launch serve|worker|sweep`: the processes of Atomic, with failpoints."""

import os
import sys

from atomic_worker.cli import main
from atomic_worker.commands.console import Toolbox
from fault.failpoints import watched_production

GUNICORN = ("-m", "gunicorn", "-c", "python:atomic_web.server.gunicorn_conf", "fault.wsgi:app")

if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        # As `atomic serve` does it, with another application.
        os.execv(sys.executable, [sys.executable, *GUNICORN])  # noqa: S606
    main(obj=Toolbox(build=watched_production), prog_name="atomic")
