"""`convert verify`: every byte of a dataset, looked at again."""

from convert.verify.result import VerifyResult
from convert.verify.verification import VerifyConfig, verify_dataset

__all__ = ["VerifyConfig", "VerifyResult", "verify_dataset"]
