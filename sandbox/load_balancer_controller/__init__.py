"""The AWS Load Balancer Controller beside the control plane: its process, and what it needs in the cluster."""
