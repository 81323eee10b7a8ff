"""An nginx that runs deploy/nginx.conf in front of an API under test."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from processes import find_free_port, wait_until
from raw_http import Wire

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx.conf"
PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Nginx:
    port: int
    folder: Path

    @property
    def wire(self) -> Wire:
        return Wire(self.port)

    @staticmethod
    @contextmanager
    def start(api_port: int, folder: Path, replacements: Mapping[str, str]) -> "Iterator[Nginx]":
        """Runs the deployed configuration with ports and paths of this machine, and with the text
        of `replacements`."""
        if PROGRAM is None:
            pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
        folder.mkdir()
        port = find_free_port()
        text = CONFIGURATION.read_text()
        local_replacements = {
            "server api:3000;": f"server 127.0.0.1:{api_port};",
            "listen 8080;": f"listen 127.0.0.1:{port};",
            "listen [::]:8080;": "",
            "/tmp/": f"{folder}/",  # noqa: S108
            "/dev/stdout": str(folder / "access.log"),
            "/dev/stderr": str(folder / "error.log"),
            "worker_processes auto;": "worker_processes 1;",
        }
        for old, new in {**local_replacements, **replacements}.items():
            assert old in text, f"deploy/nginx.conf does not contain: {old}"
            text = text.replace(old, new)
        configuration = folder / "nginx.conf"
        configuration.write_text(text)
        command = [PROGRAM, "-c", str(configuration), "-e", str(folder / "error.log")]
        process = subprocess.Popen([*command, "-g", "daemon off;"])
        nginx = Nginx(port, folder)
        try:
            wait_until(nginx._is_listening, 60, "nginx listens")
            yield nginx
        finally:
            process.terminate()
            process.wait(60)

    @property
    def log(self) -> str:
        """The access log and the error log."""
        logs = sorted(self.folder.glob("*.log"))
        return "".join(log.read_text(errors="replace") for log in logs)

    def _is_listening(self) -> bool:
        try:
            self.wire.connect().close()
        except OSError:
            return False
        return True
