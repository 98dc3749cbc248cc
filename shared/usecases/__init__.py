"""One asynchronous function per use case, readable top to bottom."""
