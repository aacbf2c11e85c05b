"""The cluster's node: pods as processes of this machine."""
