"""How much memory there is: told by a made-up machine with control groups of both versions."""

from __future__ import annotations

import pytest

from train.memory import available_bytes, window_warning

GIB = 1 << 30
NO_LIMIT = "9223372036854771712"  # what version 1 says where there is none


@pytest.fixture
def machine(tmp_path):
    """Makes a machine of 8 GiB from what its files hold."""

    def make(cgroup: str = "0::/", limits: dict[str, str] | None = None, gibibytes: int = 8):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        kibibytes = gibibytes * GIB // 1024
        (tmp_path / "proc" / "meminfo").write_text(
            f"MemTotal:       {kibibytes} kB\nMemFree:         5 kB\n"
        )
        (tmp_path / "proc" / "self" / "cgroup").write_text(cgroup + "\n")
        for name, limit in (limits or {}).items():
            path = tmp_path / "sys" / "fs" / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(limit + "\n")
        return {"proc": tmp_path / "proc", "sys": tmp_path / "sys"}

    return make


@pytest.mark.parametrize(
    ("cgroup", "limits", "gibibytes"),
    [
        ("0::/", {}, 8),  # no limit told: the machine's memory
        ("0::/", {"memory.max": "max"}, 8),
        ("0::/", {"memory.max": str(2 * GIB)}, 2),  # a container sees its own cgroup as the root
        ("0::/", {"memory.max": str(20 * GIB)}, 8),  # more than the machine has
        ("0::/user/job", {"user/job/memory.max": str(3 * GIB)}, 3),
        ("0::/user/job", {"user/job/memory.max": "max", "user/memory.max": str(GIB)}, 1),
        ("0::/user/job", {"user/job/memory.max": str(GIB), "user/memory.max": str(2 * GIB)}, 1),
        ("0::/host/abc", {"memory.max": str(2 * GIB)}, 2),  # the host's path, not mounted here
        ("0::/../job", {"memory.max": str(2 * GIB), "job/memory.max": "max"}, 2),
        ("0::/user", {"other/memory.max": str(GIB)}, 8),  # somebody else's limit
        ("0::/a:b", {"a:b/memory.max": str(GIB)}, 1),  # a name may hold colons
        ("4:memory:/job", {"memory/job/memory.limit_in_bytes": str(5 * GIB)}, 5),
        ("4:cpu,memory:/job", {"memory/memory.limit_in_bytes": str(5 * GIB)}, 5),
        ("4:memory:/job", {"memory/job/memory.limit_in_bytes": NO_LIMIT}, 8),
        ("4:cpu:/job", {"memory/job/memory.limit_in_bytes": str(GIB)}, 8),  # not its memory's path
        (
            "4:memory:/job\n0::/",  # both mounted: version 1 limits memory
            {"memory/job/memory.limit_in_bytes": str(GIB), "memory.max": "max"},
            1,
        ),
    ],
)
def test_available(machine, cgroup, limits, gibibytes):
    assert available_bytes(**machine(cgroup, limits)) == gibibytes * GIB


def test_available_is_unknown(tmp_path):
    assert available_bytes(proc=tmp_path / "proc", sys=tmp_path / "sys") is None
    assert window_warning(10**9, 10**9, proc=tmp_path / "proc", sys=tmp_path / "sys") is None


def test_available_here():
    """Whatever this machine is, where there is a /proc it has some memory."""
    available = available_bytes()
    assert available is None or available > 1 << 20


def test_a_window_that_fits(machine):
    roots = machine()
    assert window_warning(2 * GIB // 1000, 1000, **roots) is None
    assert window_warning(2 * GIB // 1024, 1024, **roots) is None  # a quarter to the byte


def test_a_window_that_is_too_large(machine):
    roots = machine(limits={"memory.max": str(6_000_000_000)})
    assert window_warning(346_955, 12_379, **roots) == (
        "a window of 346,955 records takes 4.3 GB, more than a quarter of the 6.0 GB of memory: "
        "the disk may slow training down. --window 121172 would fit."
    )
    assert window_warning(121_172, 12_379, **roots) is None
    assert window_warning(121_173, 12_379, **roots) is not None


def test_a_window_of_one_is_the_least(machine):
    warning = window_warning(5, 4 * GIB, **machine())
    assert warning is not None
    assert warning.endswith(" --window 1 would fit.")
