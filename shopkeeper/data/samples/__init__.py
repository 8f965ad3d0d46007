"""Which made-up shops are there, whose truth is known?"""
