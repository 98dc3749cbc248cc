"""Entra ID on one machine: metadata, keys, tokens for Partner Center and for the portals, over https on loopback."""
