"""Who gets in, how far, and what bad input does: walked over every route that the app has."""
