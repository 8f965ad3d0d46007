"""Which formats can we read? One file for each."""
