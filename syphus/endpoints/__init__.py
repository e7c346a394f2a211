"""The servers that answer: chat endpoints, what carries the bytes to them, and the simulated one."""
