"""AWS and Kubernetes on one machine, to see and prove the registry's stack; the product never imports it."""
