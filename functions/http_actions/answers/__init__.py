"""What the doors answer with, as types: the members of each JSON document by their names on the wire.

They are the schemas of the OpenAPI document (ADR 0046). A member that is not always there is `NotRequired`; one that
may be null says so. A test compares every answer that any test gets with them.
"""
