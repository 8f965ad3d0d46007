"""How well does this text answer that query, read together? One file for each kind of model."""
