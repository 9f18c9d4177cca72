"""Who, may and where: asks addons and mints the two tokens. Thinks only; no socket, no clock."""
