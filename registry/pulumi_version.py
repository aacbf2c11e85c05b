"""The Pulumi CLI that the program needs."""

from __future__ import annotations

import pulumi

from registry.settings import told

SUPPORTED_PULUMI = ">=3.217.0"
"""The CLIs that know error hooks (github.com/pulumi/pulumi/releases, 3.217.0) and that rotate: an engine before 3.214
does not know `replacement_trigger`, says that nothing changes, and a key that has leaked lives on. Pulumi.yaml has the
same in `requiredPulumiVersion`, which the older ones do not know either."""


def require_supported_pulumi() -> None:
    """Raises pulumi.RunError if the CLI that runs the program is older than SUPPORTED_PULUMI."""
    try:
        pulumi.require_pulumi_version(SUPPORTED_PULUMI)
    except Exception as error:  # the SDK raises nothing narrower
        reason = " ".join(str(error).split()).rstrip(".")
        rule = f"be {SUPPORTED_PULUMI}, as an older one ignores rotation.accessKey without a word: {reason}"
        raise pulumi.RunError(told("the Pulumi CLI", "too old", rule, "https://www.pulumi.com/docs/install/")) from None
