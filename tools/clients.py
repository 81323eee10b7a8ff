"""Build the TypeScript client with strict types; run the shop of each client, and the Postman
collection, on `atomic dev`.

Needs Node.js 20 or newer and, for the compiler, the npm registry.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from atomic_adapters.environ import read_env_file

CLIENTS: Final = Path(__file__).parents[1] / "clients"

# Exact versions: a newer one may have further rules.
DEVELOPMENT_PACKAGES: Final = ("typescript@5.9.3", "@types/node@20.19.0", "newman@6.2.2")
COLLECTION: Final = CLIENTS.parent / "docs/atomic.postman_collection.json"

START_SECONDS: Final = 300
SHOP_SECONDS: Final = 300


def main() -> int:
    orders = sys.argv[1] if len(sys.argv) > 1 else "200"
    if shutil.which("npm") is None:
        sys.stderr.write("make clients needs Node.js 20 or newer, with npm on PATH.\n")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = build_typescript(folder / "typescript")
        environ, server = start_system(folder)
        try:
            python_path = {**environ, "PYTHONPATH": str(CLIENTS / "python")}
            run_shop(
                "Python", [sys.executable, CLIENTS / "python/examples/shop.py"], python_path, orders
            )
            run_shop("TypeScript", ["node", build / "dist/shop.js"], environ, orders)
            run_collection(build / "node_modules/.bin/newman", environ)
        finally:
            server.terminate()
            server.wait()
    return 0


def build_typescript(folder: Path) -> Path:
    """Compile the client and its shop in a copy, so that no packages are left in the repository."""
    shutil.copytree(CLIENTS / "typescript", folder)
    install = ["npm", "install", "--no-save", "--no-audit", "--no-fund", *DEVELOPMENT_PACKAGES]
    subprocess.run(install, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    compiler = folder / "node_modules/.bin/tsc"
    for project in ("tsconfig.json", "tsconfig.examples.json"):
        subprocess.run([compiler, "--project", project], cwd=folder, check=True)
    # The shop imports the client by its name.
    (folder / "node_modules/atomic-payments").symlink_to(folder)
    return folder


def start_system(folder: Path) -> tuple[dict[str, str], subprocess.Popen[bytes]]:
    """`atomic dev` without any setting but a free port; the variables that it writes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    paths = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    log = folder / "dev.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "atomic_worker", "dev"],
            cwd=folder,
            env={**paths, "PORT": port},
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + START_SECONDS
    while b"Ctrl-C stops everything" not in log.read_bytes():
        if server.poll() is not None or time.monotonic() > deadline:
            server.terminate()
            sys.exit(f"atomic dev did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)
    return {**paths, **read_env_file(folder / ".atomic/dev.env")}, server


def run_shop(name: str, command: list[str | Path], environ: dict[str, str], orders: str) -> None:
    print(f"{name}:", flush=True)  # noqa: T201 - the output of this tool
    subprocess.run([*command, orders], env=environ, check=True, timeout=SHOP_SECONDS)


def run_collection(newman: Path, environ: dict[str, str]) -> None:
    """Fails if a request has another status than its test says."""
    variables = [f"{name}={environ[name]}" for name in ("BASE_URL", "API_KEY")]
    options = [option for variable in variables for option in ("--env-var", variable)]
    command = [newman, "run", COLLECTION, "--bail", "--reporter-cli-no-banner", *options]
    subprocess.run(command, env=environ, check=True, timeout=SHOP_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
