"""`python -m fault.launch serve|worker|sweep`: the processes of Atomic, with failpoints."""

import os
import sys

GUNICORN = ("-m", "gunicorn", "-c", "python:atomic_web.server.gunicorn_conf", "fault.wsgi:app")

if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        # Like `atomic serve`, with the application of fault.wsgi.
        os.execv(sys.executable, [sys.executable, *GUNICORN])  # noqa: S606
    # Imported here, because gunicorn would import it again.
    from atomic_worker.cli import main
    from atomic_worker.commands.console import CliContext
    from fault.failpoints import build_application_with_failpoints

    main(obj=CliContext(build_application=build_application_with_failpoints), prog_name="atomic")
