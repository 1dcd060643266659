"""SMS and e-mail. Who is told what, and when, is the services' to decide."""
