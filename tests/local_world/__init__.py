"""Tests of the local stack: its parts as processes of their own, as a developer runs them."""
