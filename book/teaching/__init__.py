"""What the pages under book/teach/ are made of: the list of exercises, cards of the data, the quiz and the slides."""
