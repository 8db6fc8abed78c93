"""`convert verify`: every byte of a dataset, looked at again."""

from convert.verify.run import VerifyConfig, verify_dataset
from convert.verify.verdict import VerifyResult

__all__ = ["VerifyConfig", "VerifyResult", "verify_dataset"]
