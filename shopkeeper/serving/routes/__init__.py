"""One file per path under `/v1`, each with a function `router(house)`."""
