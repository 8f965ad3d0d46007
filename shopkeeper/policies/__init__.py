"""What may and must we show on this page?"""
