"""What `convert` and `train` export, for scripts and libraries.

`train` and `convert` are names that files of your own may have. `import train` finds such a file if
it lies beside your script; `import shardfeed` loads the two packages from beside itself.
"""

import importlib.util
import os
import sys
from importlib.machinery import PathFinder


def _load_own(name: str) -> None:
    """Loads the package of a name that lies beside this one, whatever Python would find first.

    Raises:
        ImportError: Another module of this name is loaded already.
    """
    spec = PathFinder.find_spec(name, [os.path.dirname(os.path.dirname(__file__))])
    if spec is None or spec.loader is None or spec.origin is None:
        raise ImportError(f"shardfeed: its package {name!r} is gone. Install it again.", name=name)
    loaded = sys.modules.get(name)
    if loaded is None:
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return
    path = getattr(loaded, "__file__", None) or f"a module {name!r}"
    if os.path.realpath(path) != os.path.realpath(spec.origin):
        raise ImportError(
            f"{path} was imported as {name!r}, which is also the name of a package that shardfeed "
            "needs. Rename it, or import it by another name.",
            name=name,
        )


_load_own("convert")
_load_own("train")

from convert import ConvertConfig  # noqa: E402  # it and `train` are now ours
from train import (  # noqa: E402
    Draws,
    ShardfeedError,
    SourceOptions,
    TrainConfig,
    __version__,
    load_dataset,
    load_numpy,
    load_pydataset,
)

__all__ = [
    "ConvertConfig",
    "Draws",
    "ShardfeedError",
    "SourceOptions",
    "TrainConfig",
    "__version__",
    "load_dataset",
    "load_numpy",
    "load_pydataset",
]
