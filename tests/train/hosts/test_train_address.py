"""Where the first process listens is looked at before JAX is, which may crash there."""

from __future__ import annotations

import socket

import pytest

from train.errors import TryAgainError, UsageError
from train.hosts.address import require_free, unresolved
from train.hosts.devices import require_even
from train.hosts.place import ADDRESS, RANK, SIZE, place_of


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_port_that_is_taken(host):
    with socket.socket() as taken:
        taken.bind((host, 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TryAgainError) as caught:
            require_free(address)
    assert str(caught.value).startswith(f"port {address.partition(':')[2]} of this host is taken")
    assert f"are to meet at {address}." in str(caught.value)
    require_free(address)


def test_a_port_whose_last_owner_has_just_gone():
    """A training that is started again at once; the kernel keeps its connections for a minute."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as JAX's
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        with socket.create_connection(address):
            connection, _ = listener.accept()
            connection.close()  # first: so it is this side that waits
    require_free(f"127.0.0.1:{address[1]}")


def test_a_name_that_is_not_known():
    assert unresolved("127.0.0.1:1") == ""
    assert unresolved("nowhere.invalid:1") == " The name nowhere.invalid is not known here."
    assert unresolved(f"{'x' * 70}.invalid:1") != ""  # too long for a label of DNS


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_cannot_be(port):
    with pytest.raises(UsageError) as caught:
        place_of({RANK: "0", SIZE: "2", ADDRESS: f"h:{port}"})
    assert str(caught.value) == (
        f"{ADDRESS} must be HOST:PORT of the first process, got 'h:{port}'."
    )


def test_unequal_processes_are_told_of_that_first(monkeypatch):
    """No size of a batch would help them."""
    monkeypatch.setattr("train.hosts.devices.num_devices", lambda: 3)
    require_even("--batch-size", 64, processes=2)
    with pytest.raises(UsageError):
        require_even("--batch-size", 64, processes=3)
