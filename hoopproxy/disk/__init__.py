"""The files that evidence lies in. Everything here blocks: call it in a thread, or where nobody waits."""
