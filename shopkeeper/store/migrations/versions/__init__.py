"""The steps, oldest first. One that a shop may have taken is never changed again."""
