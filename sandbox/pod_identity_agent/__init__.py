"""The EKS Pod Identity Agent of the sandbox's node: pods exchange their tokens for credentials of a role."""
