"""Partner Center on one machine, over http on loopback.

It has customers, subscriptions with the PATCH rules, and audit records.
"""
