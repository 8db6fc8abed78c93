"""Hadoop's settings: where they are found, and which NameNodes an address stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from xml.etree import ElementTree

from convert.errors import UsageError

FILES = ("core-site.xml", "hdfs-site.xml")
DEFAULT_PORT = 8020  # of a NameNode that an address names without one

Address = tuple[str, int]


def read_settings() -> dict[str, str]:
    """Reads the settings of this machine, as Hadoop's own tools find them.

    Returns:
        {name: value} of `$HADOOP_CONF_DIR`, or of `$HADOOP_HOME/etc/hadoop`; none without these.

    Raises:
        UsageError: A file is not valid XML.
    """
    folder = os.environ.get("HADOOP_CONF_DIR")
    if folder is None and "HADOOP_HOME" in os.environ:
        folder = os.path.join(os.environ["HADOOP_HOME"], "etc", "hadoop")
    settings: dict[str, str] = {}
    for name in FILES if folder else ():
        path = os.path.join(folder or "", name)
        try:
            root = ElementTree.parse(path).getroot()
        except FileNotFoundError:
            continue
        except (OSError, ElementTree.ParseError) as error:
            raise UsageError(f"{path}: cannot be read as Hadoop's settings: {error}.") from error
        for entry in root.iter("property"):
            key, value = entry.findtext("name"), entry.findtext("value")
            if key and value is not None:
                settings[key.strip()] = value.strip()
    return settings


def default_authority(settings: Mapping[str, str]) -> str:
    """Returns the file system that `hdfs:///` means.

    Args:
        settings: {name: value}.

    Raises:
        UsageError: None is set.
    """
    value = settings.get("fs.defaultFS", "")
    if not value.startswith("hdfs://"):
        raise UsageError(
            "hdfs:/// needs `fs.defaultFS` in HADOOP_CONF_DIR. "
            "Set HADOOP_CONF_DIR, or name the NameNode: hdfs://HOST:PORT/..."
        )
    return value.removeprefix("hdfs://").split("/")[0]


def namenodes(authority: str, settings: Mapping[str, str]) -> list[Address]:
    """Returns the NameNodes that may answer for an address; several where there is a standby.

    Args:
        authority: `host`, `host:port` or the name of a group of NameNodes (`dfs.nameservices`).
        settings: {name: value}.
    """
    names = settings.get(f"dfs.ha.namenodes.{authority}", "")
    found = [
        settings.get(f"dfs.namenode.rpc-address.{authority}.{name.strip()}", "")
        for name in names.split(",")
        if name.strip()
    ]
    return [_address(text) for text in found if text] or [_address(authority)]


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, DEFAULT_PORT
    if not port.isdecimal():
        raise UsageError(f"hdfs://{text}: {port!r} is no port. Write hdfs://HOST:PORT/...")
    return host, int(port)
