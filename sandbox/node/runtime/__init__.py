"""Containers: processes in Linux namespaces."""
