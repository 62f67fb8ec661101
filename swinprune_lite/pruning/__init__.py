"""The method, to be read in an hour: importance (equation 10), budgets, selection, masks, holding, cost."""
