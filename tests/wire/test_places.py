"""A place keeps its ports, and finds others where it must."""

import json
import socket
from dataclasses import asdict

import pytest

from local.place import Place, free_ports


def test_new_place_has_ports_of_its_own_and_keeps_them(tmp_path):
    place = Place.open(tmp_path)

    assert len(set(asdict(place.ports).values())) == len(asdict(place.ports))
    assert Place.open(tmp_path).ports == place.ports
    assert place.ports.of_model("qwen-edit") == place.ports.qwen_edit


def test_place_of_an_older_checkout_keeps_what_is_still_asked_for_and_gets_the_rest(tmp_path):
    first, second = free_ports(str(tmp_path), 2)
    (tmp_path / "ports.json").write_text(json.dumps({"emulator": second, "front_door": first, "model_server": 1}))
    ports = asdict(Place.open(tmp_path).ports)

    assert (ports["emulator"], ports["front_door"]) == (second, first)
    assert "model_server" not in ports
    assert len(set(ports.values())) == len(ports)


@pytest.mark.parametrize("runs", [False, True])
def test_port_that_somebody_took_is_changed_unless_something_of_ours_runs(tmp_path, runs):
    before = Place.open(tmp_path).ports
    if runs:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "ministack.pid").write_text("")
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", before.flux))
        somebody.listen()
        after = Place.open(tmp_path).ports
    assert (after == before) is runs
