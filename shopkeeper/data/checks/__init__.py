"""What may a row not be? One file for each check."""
