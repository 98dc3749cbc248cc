"""The OpenAPI document: made from the routes and their declarations, compared, and held against every answer."""
