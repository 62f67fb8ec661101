"""Work on images that several devices or machines share, and that goes on after a kill."""
