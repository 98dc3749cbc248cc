"""The syncs in the world of fakes: failures, what is missing, audit records, due moments, detected changes, reviews."""
