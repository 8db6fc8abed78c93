"""Catches libtiff's errors, which it would print.

Pillow takes no notice of some of them and keeps rows that nobody has written, so what was in
memory would become pixels, others in every run. Its warnings cannot be heard here: Pillow turns
them off whenever it decodes.
"""

from __future__ import annotations

import ctypes
import threading

from PIL import _imaging

_heard = threading.local()  # libtiff calls its handler in the thread that decodes


# tiffio.h: module, format, va_list. The last one is a pointer to callees, and nothing reads it.
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


def _hear(module: bytes, message: bytes, values: int) -> None:
    _heard.error = True


_handler = _Handler(_hear)  # libtiff holds no reference to it
LIBRARY = ctypes.CDLL(_imaging.__file__)
"""What Pillow has of libtiff."""


def _install() -> None:
    """Puts our handler in the place of those that write to stderr, past Python."""
    if hasattr(LIBRARY, "TIFFSetErrorHandler"):  # else Pillow was built without it
        LIBRARY.TIFFSetErrorHandler(_handler)
        LIBRARY.TIFFSetWarningHandler(None)


_install()


def is_configured(compression: int) -> bool:
    """Returns whether libtiff was built with a codec.

    Args:
        compression: The number in a TIFF's Compression tag.
    """
    if not hasattr(LIBRARY, "TIFFIsCODECConfigured"):
        return False
    return bool(LIBRARY.TIFFIsCODECConfigured(ctypes.c_uint16(compression)))


def forget_errors() -> None:
    """Forgets what this thread has heard."""
    _heard.error = False


def heard_error() -> bool:
    """Returns whether libtiff has reported an error to this thread since `forget_errors`."""
    return getattr(_heard, "error", False)
