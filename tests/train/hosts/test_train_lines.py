"""Lines of other hosts reach the one that started them; those of strangers do not."""

from __future__ import annotations

import threading
from dataclasses import replace

from train.hosts.lines import LineSender, LineServer

PATIENCE = 60.0


class Heard:
    """Lines that a server has received."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def wait_for(self, count: int) -> list[str]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.lines) >= count, PATIENCE)
        return self.lines


def test_lines_arrive_in_order() -> None:
    heard = Heard()
    with LineServer("127.0.0.1", "127.0.0.1", heard) as server:
        with LineSender(server.address) as sender:
            assert all([sender.send("one"), sender.send("zwei €"), sender.send("")])
        assert heard.wait_for(3) == ["one", "zwei €", ""]


def test_whoever_does_not_know_the_secret_is_not_heard() -> None:
    heard = Heard()
    with LineServer("127.0.0.1", "127.0.0.1", heard) as server:
        with LineSender(replace(server.address, secret="guess")) as stranger:
            stranger.send("train: error: all is lost")
        with LineSender(server.address) as sender:
            sender.send("ours")
        assert heard.wait_for(1) == ["ours"]


def test_where_nobody_listens_lines_are_dropped() -> None:
    with LineServer("127.0.0.1", "127.0.0.1", print) as server:
        address = server.address
    with LineSender(address) as sender:
        assert not sender.send("one")
