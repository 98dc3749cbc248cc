"""Tests that this project agrees with what it stands in for: the vendors' own code, run here."""
