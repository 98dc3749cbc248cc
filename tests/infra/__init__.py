"""The infrastructure as a text: its syntax, its names, its policies, and what it promises to the app.

The Bicep compiler cannot be installed from a package index, so what is checked here is what a parser can see. The
types and properties of resources are checked by the real compiler in the pipeline (.github/workflows/infra.yml).
"""
