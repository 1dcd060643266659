"""The HTTP face: what a request means and what an answer looks like. What is stored and found is the store's."""
