"""What tests on HDFS share: one NameNode and one DataNode, and a folder for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import pytest
from hadoop import Hadoop
from hadoop_jars import HadoopMissingError

_numbers = count()


@pytest.fixture(scope="session")
def hadoop(tmp_path_factory) -> Iterator[Hadoop]:
    """HDFS, which tests may kill: `hdfs` brings it up again for the next."""
    try:
        hadoop = Hadoop(tmp_path_factory.mktemp("hadoop"))
    except HadoopMissingError as error:
        pytest.skip(str(error))
    with hadoop:
        yield hadoop


@pytest.fixture
def hdfs(hadoop, request) -> str:
    """The URL of this test's own folder, which does not exist yet, on a running HDFS."""
    hadoop.start()
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    return f"{hadoop.url}/tests/{next(_numbers)}-{name}"
