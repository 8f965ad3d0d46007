"""Why was this shown?"""
