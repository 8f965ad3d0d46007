"""What shapes of network can be trained? One file for each."""
