"""Where models and images of a run come from: shipped, fetched, or of the reader's own."""
