"""HTTP, and Kubernetes as a reading of it: machines without I/O."""
