"""hoopproxy: a Layer-7 access gateway for data residency."""
