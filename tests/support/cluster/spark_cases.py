"""What tests of the Spark engine share: a real cluster on loopback, whose executors can be hurt.

Start-up is most of what Spark costs here, so one cluster serves all tests of a session.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from fault_injection import faulty
from hadoop import find_java
from hadoop_jars import HadoopMissingError

CLUSTER = "local-cluster[2,1,1024]"

_JAVA_FLAGS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # it lives for a minute only
SETTINGS = {
    "spark.driver.extraJavaOptions": _JAVA_FLAGS,
    "spark.executor.extraJavaOptions": _JAVA_FLAGS,
    "spark.driver.memory": "512m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.speculation": "true",
}


def require_java() -> None:
    """Skips a test where there is no Java."""
    try:
        find_java()
    except HadoopMissingError as error:
        pytest.skip(str(error))


def spark_environment(folder: Path, fault: str = "stumble") -> dict[str, str]:
    """Returns an environment whose Spark keeps its files in a folder.

    Args:
        folder: Made here.
        fault: Function of `fault_injection` that its processes call, with the folder `told`: by
            default executors stumble over images of some sizes.
    """
    import pyspark

    home, settings, told = folder / "home", folder / "settings", folder / "told"
    for path in (home, settings, told):
        path.mkdir(parents=True)
    for entry in Path(pyspark.__file__).parent.iterdir():
        (home / entry.name).symlink_to(entry)  # the cluster makes its `work` beside them
    lines = [f"{name} {value}\n" for name, value in SETTINGS.items()]
    (settings / "spark-defaults.conf").write_text("".join(lines))
    return {
        **faulty(folder / "fault", f"{fault}({str(told)!r})"),
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(settings),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def spark(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A cluster of two executors, and the folder where its processes tell what they met."""
    require_java()
    from pyspark import SparkContext

    folder = tmp_path_factory.mktemp("spark")
    environment = spark_environment(folder)
    with mock.patch.dict(os.environ, environment):
        from convert.engines.spark_context import start_context

        context, _ = start_context(CLUSTER)
    yield SimpleNamespace(context=context, told=folder / "told")
    context.stop()
    gateway = SparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None
