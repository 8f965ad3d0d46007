"""Which products match these words?"""
