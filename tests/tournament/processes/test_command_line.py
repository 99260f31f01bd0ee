"""The command line: what makes a supervisor, and where it listens."""

import argparse
import socket
from pathlib import Path

import pytest

from testbed.processes import free_port
from tournament.processes.command_line import MAX_PROCESSES, Mode, read_mode, run
from tournament.processes.listening import CannotListen, Listeners, describe

APPLICATION = "tournament.asgi:application"


def options(**given: object) -> argparse.Namespace:
    """Return options of where to listen."""
    return argparse.Namespace(**{"host": None, "port": None, "unix_socket": None, "file_descriptor": None, **given})


@pytest.mark.parametrize("arguments", [[], ["--processes", "1"], ["-p", "8001"], ["--processes=2", "--help"]])
def test_a_single_worker(arguments: list[str]) -> None:
    """Without the option, with 1, or only to print something, there is no supervisor."""
    assert not read_mode([*arguments, APPLICATION]).is_supervisor


def test_a_supervisor_passes_the_other_options_on() -> None:
    """In their order, without its own."""
    mode = read_mode(["-b", "::", "--processes", "3", "-v", "1", "--port=8001", APPLICATION])
    assert mode == Mode(3, None, ["-b", "::", "-v", "1", "--port=8001", APPLICATION])
    assert mode.is_supervisor


def test_a_worker_of_a_supervisor_knows_its_link() -> None:
    """And is no supervisor itself."""
    mode = read_mode(["--connections-from", "7", "-p", "8001", APPLICATION])
    assert mode == Mode(1, 7, ["-p", "8001", APPLICATION])
    assert not mode.is_supervisor


@pytest.mark.parametrize("number", ["0", "-1", "x", str(MAX_PROCESSES + 1)])
def test_an_invalid_number_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2, as other options."""
    with pytest.raises(SystemExit, match="2"):
        read_mode([f"--processes={number}", APPLICATION])
    assert "argument --processes" in capsys.readouterr().err


def test_endpoints_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what to use instead."""
    with pytest.raises(SystemExit, match="2"):
        run(read_mode(["--processes=2", "-e", "ssl:8001:privateKey=key.pem", APPLICATION]))
    assert "not with --processes: use -b and -p, -u or --fd, and a proxy for TLS" in capsys.readouterr().err


def test_it_listens_where_daphne_does_by_default() -> None:
    """On 127.0.0.1:8000; a port alone is on 127.0.0.1."""
    port = free_port()
    listeners = Listeners(options(port=port))
    assert [one.getsockname() for one in listeners.sockets] == [("127.0.0.1", port)]
    assert describe(listeners.sockets[0]) == f"http://127.0.0.1:{port}/clock/"
    listeners.close()
    assert listeners.sockets == []


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_ipv6(host: str) -> None:
    """With or without brackets."""
    listeners = Listeners(options(host=host, port=free_port()))
    assert listeners.sockets[0].family == socket.AF_INET6
    assert describe(listeners.sockets[0]).startswith("http://[::1]:")
    listeners.close()


def test_it_listens_on_a_path_and_a_descriptor(tmp_path: Path) -> None:
    """A path that a dead process has left is taken over; at the end it is removed."""
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as inherited, socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.close()
        descriptor = inherited.detach()
        listeners = Listeners(options(unix_socket=path, file_descriptor=descriptor))
        assert [one.family for one in listeners.sockets] == [socket.AF_UNIX, socket.AF_INET]
        assert describe(listeners.sockets[0]) == path
        assert Path(path).stat().st_mode & 0o777 == 0o666
        with pytest.raises(CannotListen, match="Address already in use"):
            Listeners(options(unix_socket=path))
        listeners.close()
    assert not Path(path).exists()


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 8001), ("127.0.0.1", 70_000), ("no.invalid", 8001)])
def test_an_unavailable_address_is_named(host: str, port: int) -> None:
    """In the error."""
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:{port}: "):
        Listeners(options(host=host, port=port))


def test_a_port_in_use_is_reported() -> None:
    """With the system's own words."""
    first = Listeners(options(port=0))
    port = first.sockets[0].getsockname()[1]
    with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: .*Address already in use"):
        Listeners(options(port=port))
    first.close()
