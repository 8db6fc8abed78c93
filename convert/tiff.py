"""What libtiff reports: heard instead of printed.

Pillow takes no notice of some of its errors and keeps rows that nobody has written, so what was
in memory would become pixels, others in every run. Its warnings never reach Pillow; those of the
codecs in it tell of damaged pixels, those of its reader of tags do not.
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


def _hear_warning(module: bytes | None, message: bytes, values: int) -> None:
    if module is not None and module.startswith(_CODECS):
        _heard.warning = True


# Modules of libtiff that warn of pixels: its JPEG codecs, and fax of groups 3 and 4.
_CODECS = (b"JPEGLib", b"LibJpeg", b"Fax")

# libtiff holds no reference to these.
_handler = _Handler(_hear)
_warning_handler = _Handler(_hear_warning)
_library = ctypes.CDLL(_imaging.__file__)


def _install() -> None:
    """Puts our handlers in the place of those that write to stderr, past Python."""
    if hasattr(_library, "TIFFSetErrorHandler"):  # else Pillow was built without it
        _library.TIFFSetErrorHandler(_handler)
        _library.TIFFSetWarningHandler(_warning_handler)


_install()


def is_configured(compression: int) -> bool:
    """Tells whether libtiff was built with a codec.

    Args:
        compression: The number in a TIFF's Compression tag.
    """
    if not hasattr(_library, "TIFFIsCODECConfigured"):
        return False
    return bool(_library.TIFFIsCODECConfigured(ctypes.c_uint16(compression)))


def forget_errors() -> None:
    """Forgets what this thread has heard."""
    _heard.error = _heard.warning = False


def heard_error() -> bool:
    """Tells whether libtiff has reported an error to this thread since `forget_errors`."""
    return getattr(_heard, "error", False)


def heard_warning() -> bool:
    """Tells whether one of libtiff's codecs has warned this thread since `forget_errors`."""
    return getattr(_heard, "warning", False)
