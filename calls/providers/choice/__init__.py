"""Several services of one kind as one: which of them serves a request, and what is told of it."""
