"""`convert verify`: every byte of a dataset, looked at again."""

from convert.verify.checks import VerifyConfig, verify_dataset
from convert.verify.result import VerifyResult

__all__ = ["VerifyConfig", "VerifyResult", "verify_dataset"]
