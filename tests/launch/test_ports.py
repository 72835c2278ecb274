"""The port that Customhouse listens on."""

from __future__ import annotations

import pytest

from launch import ports
from launch.errors import BadSetting, PortBusy


def test_a_taken_port_that_was_asked_for_is_refused(taken: int) -> None:
    with pytest.raises(PortBusy, match=f"Port {taken} is taken"):
        ports.listen({"CUSTOMHOUSE_PORT": str(taken)})


def test_a_taken_default_port_is_replaced_and_told(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ports, "DEFAULT", taken)
    with ports.listen({}) as listener:
        port = listener.getsockname()[1]
    assert port > taken
    assert f"Port {taken} is taken" in capsys.readouterr().out


def test_it_listens_for_this_machine_alone() -> None:
    with ports.listen({"CUSTOMHOUSE_PORT": "0"}) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("value", ["eighty", "-1", "65536", "8000 "])
def test_a_port_that_is_none_is_told(value: str) -> None:
    with pytest.raises(BadSetting, match="CUSTOMHOUSE_PORT"):
        ports.listen({"CUSTOMHOUSE_PORT": value})
