"""What might this shopper want next?"""
