"""Policy: roles, grants and mask rules as frozen values."""
