"""The pinned tools of the sandbox, and how they are built."""
