"""One folder for each outside system. What a service decides to send is decided elsewhere."""
