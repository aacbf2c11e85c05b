"""The Kubernetes control plane, with the AWS cloud controller."""
