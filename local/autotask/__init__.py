"""A simulator of the Autotask REST API as far as contract billing needs it; run it with `python -m local.autotask`."""
