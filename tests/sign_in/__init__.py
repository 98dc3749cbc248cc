"""Signing in to Partner Center: the real MSAL and SDKs against the simulators over TLS, nothing patched."""
