"""What is measured: one protocol, one file per family, and users' own models.

Importing this package loads no torch. Read `names` for the builtin subjects, `protocol` for what a
subject has to offer, and call `build.build` to make one.
"""

from lmn_bench.subjects.names import BUILTIN, LMN_FAMILY, is_user_subject

__all__ = ["BUILTIN", "LMN_FAMILY", "is_user_subject"]
