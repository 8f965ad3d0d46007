"""Is it better, for whom, how sure are we?"""
