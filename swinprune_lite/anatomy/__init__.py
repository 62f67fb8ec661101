"""What a network is built of: modules, layers, parts that can leave whole, and the images that it takes."""
