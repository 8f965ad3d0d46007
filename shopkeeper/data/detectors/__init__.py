"""What in the event log is not ordinary shopping? One file for each kind."""
