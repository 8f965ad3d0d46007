"""What happened in the shop, can we trust it?"""
