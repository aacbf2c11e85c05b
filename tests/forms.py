"""Settings that several tests deploy with."""

from __future__ import annotations

from typing import Any

POST: dict[str, Any] = {"tls": "none", "users": [], "anonymousPush": True}
"""The registry of the blog post that this project began with: by plain HTTP, for everyone."""
