"""The product: a private container registry on Kubernetes, stored in S3, reached by its name everywhere."""
