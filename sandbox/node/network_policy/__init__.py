"""NetworkPolicies: what they say of a pod, and how its relays keep to it."""
