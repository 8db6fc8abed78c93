"""Hadoop's settings for a cluster of one NameNode and one DataNode on loopback."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from xml.sax.saxutils import escape

NAMESERVICE = "testns"
_REPLICATION = {"dfs.replication": "1"}
# Below those that Linux gives to outgoing connections: nobody takes the port of a killed daemon,
# and a client that knocks there cannot reach itself.
_PORTS = range(20_000, 32_000)
_LOGGING = """\
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
"""


def free_ports(count: int) -> list[int]:
    """Returns ports of loopback on which nobody listens."""
    ports: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            break
    return ports


def write_configuration(servers: Path, clients: Path, data: Path, ports: list[int]) -> None:
    """Writes core-site.xml and hdfs-site.xml, for the daemons and for clients.

    Args:
        servers: The daemons' folder.
        clients: The clients' folder, for HADOOP_CONF_DIR.
        data: Where the daemons keep what they store.
        ports: Of the NameNode, of the DataNode's data and of its calls, and one that stays closed.
    """
    namenode, datanode, datanode_calls, closed = (f"127.0.0.1:{port}" for port in ports)
    core = {"fs.defaultFS": f"hdfs://{namenode}"}
    hdfs = {
        "dfs.namenode.http-address": "127.0.0.1:0",
        "dfs.datanode.address": datanode,
        "dfs.datanode.ipc.address": datanode_calls,
        "dfs.datanode.http.address": "127.0.0.1:0",
        "dfs.datanode.hostname": "127.0.0.1",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        # Tests want small files of several blocks.
        "dfs.namenode.fs-limits.min-block-size": "1024",
        # Daemons are killed and started often: what waits for them asks soon again.
        "dfs.namenode.safemode.extension": "0",
        "dfs.heartbeat.interval": "1",
        "dfs.namenode.heartbeat.recheck-interval": "500",
        "dfs.namenode.lease-recheck-interval-ms": "500",
        "ipc.client.connect.retry.interval": "100",
    }
    for folder in (servers, clients):
        folder.mkdir(parents=True)
    _write(servers / "core-site.xml", core | {"hadoop.tmp.dir": str(data)})
    _write(servers / "hdfs-site.xml", _REPLICATION | hdfs)
    (servers / "log4j.properties").write_text(_LOGGING)
    _write(clients / "core-site.xml", core)
    _write(clients / "hdfs-site.xml", _REPLICATION | _two_namenodes(namenode, closed))


def _two_namenodes(namenode: str, closed: str) -> dict[str, str]:
    """A name for the NameNode and a stand-by that is down. The NameNode itself knows no stand-by.

    Its daemon would not start: both addresses are those of this machine.
    """
    provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    return {
        "dfs.nameservices": NAMESERVICE,
        f"dfs.ha.namenodes.{NAMESERVICE}": "nn1,nn2",
        f"dfs.namenode.rpc-address.{NAMESERVICE}.nn1": namenode,
        f"dfs.namenode.rpc-address.{NAMESERVICE}.nn2": closed,
        f"dfs.client.failover.proxy.provider.{NAMESERVICE}": provider,
    }


def _write(path: Path, settings: dict[str, str]) -> None:
    properties = "".join(
        f"  <property><name>{name}</name><value>{escape(value)}</value></property>\n"
        for name, value in settings.items()
    )
    path.write_text(f"<configuration>\n{properties}</configuration>\n")
