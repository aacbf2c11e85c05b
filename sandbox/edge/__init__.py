"""Name service, and the load balancers' data path."""
