"""The virtual environment: made once, brought up to date when a list of requirements changes, otherwise left alone.

Runs with any supported Python and the standard library alone. Every list is locked by hashes and names no index; where
packages come from is the machine's own configuration of pip, which is handed on to uv.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REQUIREMENTS = Path("requirements")
#: What a purpose needs: the lists, and whether their packages' own requirements are left out.
LISTS = {
    "up": (("run.txt", False), ("weights.txt", True)),
    "test": (("run.txt", False), ("dev.txt", False), ("weights.txt", True)),
}
_UV = "uv.txt"


class InstallFailed(Exception):
    """The virtual environment could not be made or filled."""


class Environment:
    """A virtual environment in `folder` (absolute), filled from the lists of `checkout`."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.folder = checkout / ".venv"
        self.python = self.folder / "bin" / "python"
        self._stamp = self.folder / ".installed.json"
        self._lock = self.folder / ".installing"  # not `.lock`, which is uv's

    def bring_up_to_date(self, purpose: str) -> None:
        """Installs what is missing; costs a few file reads when nothing is."""
        if self._lacks(purpose):
            with self._alone():
                lacking = self._lacks(purpose)  # another start may have installed it while we waited
                if lacking:
                    self._install(lacking)

    def _lacks(self, purpose: str) -> list[tuple[str, bool]]:
        try:
            installed = json.loads(self._stamp.read_text())
        except (OSError, ValueError):
            installed = {}
        if not self._usable():
            installed = {}
        return [(name, bare) for name, bare in LISTS[purpose] if installed.get(name) != self._fingerprint(name)]

    def _usable(self) -> bool:
        return Path(sys.prefix) == self.folder or _works(self.python)

    def _fingerprint(self, name: str) -> str:
        return hashlib.sha256((self.checkout / REQUIREMENTS / name).read_bytes()).hexdigest()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / ".customhouse-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _install(self, lists: list[tuple[str, bool]]) -> None:
        if not self._usable():
            self._make()
        print("Installing packages; a first start takes a minute or two.", flush=True)
        uv = self._pip("install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS / _UV))
        configuration = self._pip_configuration() if uv else ""
        for name, bare in lists:
            self._install_list(name, bare, configuration if uv else None)
            self._note(name)

    def _make(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name != ".customhouse-lock":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        made = subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=False)
        if made.returncode != 0 or not _works(self.python):
            raise InstallFailed(
                f"{sys.executable} could not make a virtual environment: "
                "on Debian and Ubuntu install the package python3-venv (or python3.11-venv)."
            )

    def _install_list(self, name: str, bare: bool, configuration: str | None) -> None:
        options = ["--quiet", "--require-hashes", *(["--no-deps"] if bare else []), "-r", str(REQUIREMENTS / name)]
        if configuration is not None:
            environment, more = for_uv(configuration, os.environ)
            arguments = [str(self.python), "-m", "uv", "pip", "install", "--python", str(self.python), *more, *options]
            if subprocess.run(arguments, cwd=self.checkout, env=environment, check=False).returncode == 0:
                return
            print("uv could not install them; trying pip, which takes longer.", flush=True)
        if not self._pip("install", *options):
            raise InstallFailed(f"The packages of requirements/{name} could not be installed (see above).")

    def _pip(self, *arguments: str) -> bool:
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]
        return subprocess.run(command, cwd=self.checkout, check=False).returncode == 0

    def _pip_configuration(self) -> str:
        command = [str(self.python), "-m", "pip", "config", "list"]
        return subprocess.run(command, cwd=self.checkout, check=False, capture_output=True, text=True).stdout

    def _note(self, name: str) -> None:
        try:
            installed = json.loads(self._stamp.read_text())
        except (OSError, ValueError):
            installed = {}
        fresh = self._stamp.with_suffix(".new")
        fresh.write_text(json.dumps(installed | {name: self._fingerprint(name)}, indent=1) + "\n")
        fresh.replace(self._stamp)


def for_uv(configuration: str, environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Environment and options for uv that say what `pip config list` says. What is set for uv already stays."""
    found = _read(configuration)
    several = {name: found[name].split() for name in ("extra-index-url", "find-links", "trusted-host") if name in found}
    said = {
        "UV_DEFAULT_INDEX": found.get("index-url"),
        "UV_INDEX": " ".join(several.get("extra-index-url", [])),
        "UV_FIND_LINKS": ",".join(several.get("find-links", [])),
        "UV_INSECURE_HOST": " ".join(several.get("trusted-host", [])),
        "UV_HTTP_TIMEOUT": found.get("timeout") or found.get("default-timeout"),
        "SSL_CERT_FILE": found.get("cert"),
        "SSL_CLIENT_CERT": found.get("client-cert"),
        "HTTPS_PROXY": found.get("proxy"),
        # pip takes a package from any index that has it; with every file pinned by its hash that is safe.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    options = ["--no-index"] if found.get("no-index", "").lower() in ("1", "true", "yes", "on") else []
    return {name: value for name, value in said.items() if value} | dict(environment), options


def _read(configuration: str) -> dict[str, str]:
    """Names and values of `pip config list`, as pip weighs them: environment, the command's, the common ones."""
    weight = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for line in configuration.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in weight and weight[section] >= found.get(name, (0, ""))[0]:
            found[name] = (weight[section], str(ast.literal_eval(value)))
    return {name: value for name, (_, value) in found.items()}


def _works(python: Path) -> bool:
    try:
        return subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def main() -> int:
    """`python -m launch.install up|test`."""
    purpose = sys.argv[1] if len(sys.argv) > 1 else ""
    if purpose not in LISTS:
        print(f"usage: python -m launch.install {'|'.join(LISTS)}", file=sys.stderr)
        return 2
    try:
        Environment(Path(__file__).resolve().parent.parent).bring_up_to_date(purpose)
    except InstallFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
