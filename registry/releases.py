"""What is known to be wrong with releases of the distribution registry, of what a stack here meets."""

from __future__ import annotations

import re
from dataclasses import dataclass

Release = tuple[int, int, int]


@dataclass(frozen=True)
class Fault:
    """A fault of the releases from `first` on that `mended` has no more: what a user meets, and where it is told."""

    first: Release
    mended: Release
    what: str
    source: str


FAULTS = (
    Fault(
        (3, 1, 0),
        (3, 1, 2),
        "lists leave out tags that begin with another tag, and repositories when they come in pages",
        "distribution#4891, #4904",
    ),
    Fault((3, 0, 0), (3, 1, 1), "whoever may push may delete tags, though deletes are off", "CVE-2026-41888"),
    Fault(
        (2, 8, 3),
        (3, 1, 1),
        "an object in the bucket whose key ends with a slash, such as a folder made by hand, ends the pods as they "
        "clear away left-over uploads",
        "distribution#4358, #4713",
    ),
)
"""Found in the distribution project's issues and advisories; of releases before 2.8.3 nothing is known here."""

_RELEASE = re.compile(r":v?(\d+)\.(\d+)\.(\d+)(?:-[^:@/]*)?(?:@.*)?$")


def release_of(image: str) -> Release | None:
    """The release that the tag of an image reference names; None by digest alone, or by a tag such as `3`."""
    found = _RELEASE.search(image)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def major_of(image: str) -> int | None:
    """The first number of the release that the tag of an image reference names; None by digest alone."""
    found = re.search(r":v?(\d{1,2})(?:[.-][^:/]*)?$", image.partition("@")[0])
    return int(found[1]) if found else None


def warning_about(image: str) -> str | None:
    """What to tell who deploys `image`: that it moves, or its known faults, and what is without; None if neither."""
    release = release_of(image)
    if not release and "@" not in image:
        return (
            f"the image {image} may be another release tomorrow, and then pods that are made later differ from those "
            "that run: give a full version, or the digest."
        )
    faults = [fault for fault in FAULTS if release and fault.first <= release < fault.mended]
    if not faults:
        return None
    told = "; ".join(f"{fault.what} ({fault.source})" for fault in faults)
    mended = ".".join(str(part) for part in max(fault.mended for fault in faults))
    return f"the image {image} has known faults: {told}. Release {mended} has none of them."
