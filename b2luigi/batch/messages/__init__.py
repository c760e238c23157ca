"""What the user reads of failures and outages."""
