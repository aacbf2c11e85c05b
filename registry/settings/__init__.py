"""The settings of a stack: the only reader of configuration, and the only place that judges it.

Every mistake is found before anything is created, and all of them are reported together.
"""

from registry.settings.access_logs import OTHER_BUCKET_RULE, AccessLogsSettings
from registry.settings.bucket import BucketSettings
from registry.settings.errors import SettingsError, set_command, told
from registry.settings.load_balancer import LoadBalancerSettings
from registry.settings.rotation import RotationSettings
from registry.settings.stack import Settings
from registry.settings.value_types import MIB

__all__ = [
    "MIB",
    "OTHER_BUCKET_RULE",
    "AccessLogsSettings",
    "BucketSettings",
    "LoadBalancerSettings",
    "RotationSettings",
    "Settings",
    "SettingsError",
    "set_command",
    "told",
]
