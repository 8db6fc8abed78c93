"""The Java that runs Hadoop."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from hadoop_jars import HadoopMissingError

_INSTALLED = Path("/usr/lib/jvm")
# Hadoop 3.3 reaches into Java's own classes, as Java 8 allowed.
_OPENED = (
    "java.io", "java.lang", "java.lang.reflect", "java.math", "java.net", "java.text", "java.util",
    "java.util.concurrent", "java.util.zip", "sun.security.util", "sun.security.x509",
)  # fmt: skip
FLAGS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # a daemon that lives for minutes never earns the better compiler
    "-Djava.security.manager=allow",  # who the user is, Hadoop asks a part of it; 23 wants to know
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
)


def find_java() -> str:
    """Returns the path of a Java that runs Hadoop 3.3.

    It is that of JAVA_HOME, else that on PATH, else one that Debian installed beside them.

    Raises:
        HadoopMissingError: None is of version 17 to 23. 24 lost what Hadoop needs.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    for java in [*([found] if found else []), *sorted(map(str, _INSTALLED.glob("*/bin/java")))]:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', said.stderr)
        if version and 17 <= int(version[1]) <= 23:
            return java
    raise HadoopMissingError("Java 17 is missing: apt-get install openjdk-17-jre-headless")
