"""What did the shopkeeper decide by hand?"""
