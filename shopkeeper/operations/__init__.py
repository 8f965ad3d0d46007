"""What is running, is it healthy, how do we roll back?"""
