"""Print and mail. Which letters are posted is the services' to decide."""
