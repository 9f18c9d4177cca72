"""First-party addons, one per file, loaded by entry point like anybody else's."""
