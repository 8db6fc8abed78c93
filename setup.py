"""What shardfeed requires; all else stands in pyproject.toml.

pip has extras that add to it, and nothing that takes away. So that whoever only reads datasets, or
trains on Keras' JAX backend, need not install TensorFlow, this file leaves it out if it is told to:

    SHARDFEED_WITHOUT_TENSORFLOW=1 pip install .
"""

import os

from setuptools import setup

# Nothing here may require `pillow`: it installs the same folder as pillow-simd.
REQUIREMENTS = [
    "keras>=3.15",
    "h5py>=3.11",  # Keras keeps weights in its files
    "numpy>=2.4",
    "pillow-simd>=12.1.1.post0; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "pillow>=12.1; sys_platform != 'linux' or platform_machine != 'x86_64'",
    "tqdm>=4.70",
    "pyarrow>=26",
    "google-crc32c>=1.9",
    # Compares the CRCs of a batch in one call, without holding the GIL; google-crc32c holds it.
    "crc32c>=2.9",
    # Decodes plain PNGs twice as fast; without it Pillow does.
    "pyspng>=0.1.4; sys_platform == 'linux' and platform_machine == 'x86_64'",
    # Says of a JPEG what Pillow passes over in silence, and decodes it in less time.
    "simplejpeg>=1.9",
    "tensorboardX>=2.6.5",
    "jinja2>=3.1",  # pages of HTML
    "fonttools>=4.60",  # which characters a font has
]
if not os.environ.get("SHARDFEED_WITHOUT_TENSORFLOW"):
    REQUIREMENTS.append("tensorflow>=2.21")

setup(install_requires=REQUIREMENTS)
