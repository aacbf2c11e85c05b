"""The bucket that gets access logs, as docs/operations.md has its policy."""

from __future__ import annotations

import json
import re
from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


def logs_policy(bucket: str, account: str = "123456789012") -> str:
    """The documented policy, with its words replaced by values."""
    (documented,) = re.findall(r"```json\n(.*?)```", OPERATIONS.read_text(), re.DOTALL)
    values = {"ELB_ACCOUNT": "127311923021", "LOGS": bucket, "ACCOUNT": account}
    for word, value in values.items():
        documented = documented.replace(word, value)
    return json.dumps(json.loads(documented))
