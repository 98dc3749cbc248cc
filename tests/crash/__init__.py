"""Crashes at every I/O step, and random schedules of everything that can go wrong."""
