"""How are products found by words? One file for each method."""
