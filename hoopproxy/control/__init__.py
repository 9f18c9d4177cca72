"""The Unix socket by which an operator's commands reach the running gateway."""
