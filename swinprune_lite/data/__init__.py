"""Images: Fashion-Pairs-100, which ships, folders of one's own, Imagenette and ImageNet."""
