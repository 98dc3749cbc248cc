"""The doors: parse, call one use case, map the answer."""
