"""What does this recording say?"""
