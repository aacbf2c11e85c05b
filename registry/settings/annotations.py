"""Annotations of Kubernetes objects."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

from registry.settings.value_types import refused

_ANNOTATION_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
ANNOTATIONS_RULE = "have keys that Kubernetes takes, PREFIX/NAME of letters, digits and ._-"


def judged_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """The annotations, if all their keys are right: kubernetes.io/docs/concepts/overview/working-with-objects/\
annotations/#syntax-and-character-set"""
    if wrong := [key for key in annotations if not _ANNOTATION_KEY.fullmatch(key)]:
        raise refused(f"{ANNOTATIONS_RULE}: not {wrong[0]}", "take it out, or write it as kubectl annotate takes it")
    return annotations


def _annotation_value(value: object) -> object:
    """Kubernetes takes text only, and the CLI makes truths and numbers of some."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


AnnotationValue = Annotated[str, BeforeValidator(_annotation_value)]
