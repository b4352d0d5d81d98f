"""Questions about orders, sales, products and processes, as SQL over the read models and folds of the log."""
