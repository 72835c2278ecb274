"""The virtual environment and where its packages come from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from launch.install import LISTS, Environment, for_uv

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


def test_uv_is_told_what_pip_is_configured_with() -> None:
    configuration = "\n".join(
        (
            "global.index-url='https://mirror.example/simple'",
            "global.extra-index-url='https://one.example/simple\\nfile:///two'",
            "global.find-links='/wheels /more'",
            "global.cert='/common.pem'",
            "install.cert='/special.pem'",
            "global.trusted-host='mirror.example'",
            "list.format='columns'",
        )
    )
    environment, options = for_uv(configuration, {"PATH": "/bin"})
    assert environment == {
        "PATH": "/bin",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://one.example/simple file:///two",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "mirror.example",
        "SSL_CERT_FILE": "/special.pem",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert options == []


def test_a_machine_without_an_index_stays_without() -> None:
    assert for_uv(":env:.no-index='1'", {})[1] == ["--no-index"]


def test_what_is_set_for_uv_is_left_alone() -> None:
    assert for_uv("global.index-url='https://pip.example'", {"UV_DEFAULT_INDEX": "https://uv.example"})[0][
        "UV_DEFAULT_INDEX"
    ] == ("https://uv.example")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment whose installing is only noted."""
    made = Environment(tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("uv.txt", "run.txt", "dev.txt", "weights.txt"):
        (tmp_path / "requirements" / name).write_text(f"# {name}\n")
    made.python.parent.mkdir(parents=True)
    made.python.symlink_to(sys.executable)
    monkeypatch.setattr(Environment, "_usable", lambda self: True)
    monkeypatch.setattr(Environment, "_pip", lambda self, *arguments: True)
    monkeypatch.setattr(Environment, "_install_list", lambda self, name, bare, configuration: self.done.append(name))
    made.done = []  # type: ignore[attr-defined]
    return made


def test_a_second_start_installs_nothing(environment: Environment) -> None:
    environment.bring_up_to_date("up")
    environment.bring_up_to_date("up")
    assert environment.done == ["run.txt", "weights.txt"]  # type: ignore[attr-defined]


def test_a_changed_list_is_installed_again(environment: Environment, tmp_path: Path) -> None:
    environment.bring_up_to_date("up")
    (tmp_path / "requirements" / "run.txt").write_text("# changed\n")
    environment.bring_up_to_date("up")
    assert environment.done == ["run.txt", "weights.txt", "run.txt"]  # type: ignore[attr-defined]


def test_every_package_is_locked_by_its_hash_and_no_list_names_an_index() -> None:
    for name in {"uv.txt", *(name for lists in LISTS.values() for name, _ in lists)}:
        text = (REQUIREMENTS / name).read_text()
        assert "://" not in text
        assert "--index" not in text
        entries = text.replace("\\\n", "").splitlines()
        assert all("--hash=sha256:" in entry for entry in entries if entry and not entry.lstrip().startswith("#"))
