"""The product: domain, use cases and adapters."""
